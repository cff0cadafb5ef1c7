import java.util.Arrays;

/** Apache Kafka's Java clients, unmodified: Suite [BOOTSTRAP [CHECK...]]; BOOTSTRAP may stand in the environment. */
public final class Suite {
  public static void main(String[] args) {
    String bootstrap = args.length > 0 ? args[0] : System.getenv("BOOTSTRAP");
    Clients clients = new Clients(bootstrap);
    Checks checks = new Checks(args.length > 1 ? Arrays.copyOfRange(args, 1, args.length) : new String[0]);
    Records.checks(checks, clients);
    Transactions.checks(checks, clients);
    Groups.checks(checks, clients);
    Offsets.checks(checks, clients);
    Topics.checks(checks, clients);
    Configs.checks(checks, clients);
    Cluster.checks(checks, clients);
    GroupAdmin.checks(checks, clients);
    Versions.checks(checks, clients);
    WrongUse.checks(checks, clients);
    System.exit(checks.finish());
  }
}
