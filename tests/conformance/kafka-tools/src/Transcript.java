import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.utils.Exit;

/**
 * Apache Kafka's command-line tools, unmodified, by a transcript of what is typed and what they print.
 *
 * <p>Transcript BOOTSTRAP FILE compares, and prints a line for each command; Transcript --record BOOTSTRAP FILE prints the
 * transcript with what the tools print now. A line {@code $ TOOL ARGUMENT...} is a command; BOOTSTRAP and DIR in it stand for
 * the broker's address and a directory of this run; {@code < TEXT} below it is a line of its standard input; the lines
 * that follow are what it prints, with its exit code at the end when it is not 0. {@code $~} instead of {@code $}: the order of
 * the lines is the tool's own business. {@code % VERB ...} is something that a program does meanwhile, see Meanwhile. Lines that
 * begin with {@code #} are kept and mean nothing.
 *
 * <p>All tools run in this one JVM, one after the other, since a JVM for each would take minutes. What differs from run to run (ids,
 * times, addresses, the width of columns) is replaced before it is compared.
 */
public final class Transcript {
  private static final Map<String, String> TOOLS = Map.ofEntries(
      Map.entry("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
      Map.entry("kafka-configs", "kafka.admin.ConfigCommand"),
      Map.entry("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
      Map.entry("kafka-groups", "org.apache.kafka.tools.GroupsCommand"),
      Map.entry("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
      Map.entry("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
      Map.entry("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
      Map.entry("kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance"),
      Map.entry("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
      Map.entry("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand"),
      Map.entry("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand"),
      Map.entry("kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand"),
      Map.entry("kafka-reassign-partitions", "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"),
      Map.entry("kafka-transactions", "org.apache.kafka.tools.TransactionsCommand"),
      Map.entry("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand"),
      Map.entry("kafka-cluster", "org.apache.kafka.tools.ClusterTool"),
      Map.entry("kafka-features", "org.apache.kafka.tools.FeatureCommand"),
      Map.entry("kafka-metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand"),
      Map.entry("kafka-acls", "org.apache.kafka.tools.AclCommand"),
      Map.entry("kafka-verifiable-producer", "org.apache.kafka.tools.VerifiableProducer"));

  /** What changes the cluster's metadata. */
  private static final Pattern CHANGES = Pattern.compile("^\\$~? kafka-(topics|configs) .*--(create|alter|delete)\\b");

  private static final int SECONDS_AT_MOST = 60;

  /** What is replaced, in this order. */
  private static final List<Map.Entry<Pattern, String>> REPLACED = List.of(
      replace("\\b(\\w+)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "$1-UUID"),
      replace("(TopicId: ?|\"topic_id\":\")[A-Za-z0-9_-]{22}", "$1ID"),
      replace("(Cluster ID: |ClusterId:? +)[A-Za-z0-9_-]{22}", "$1ID"),
      replace("\\b1[5-9]\\d{11}\\b", "TIME"),
      replace("\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d[.:,]\\d{3}(Z|[+-]\\d\\d:?\\d\\d)?", "TIME"),
      replace("\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d,\\d{3}\\]", "[TIME]"),
      replace("(\"logDir\":\")[^\"]*", "$1DIR"),
      replace("(\"(?:totalBytes|usableBytes)\":)\\d+", "$1BYTES"),
      replace("(\"log_dirs\":\\[\")[^\"]*", "$1DIR"),
      replace("\\d+\\.\\d+", "DECIMAL"),
      replace("[ \\t]+", " "),
      // An error is compared by its class: its text is the broker's own, unless it says that an API is missing.
      replace("^(.*(?:Error while executing topic command :|Exception:) )(?!.*The node does not support).*", "$1MESSAGE"),
      replace("(partition: \\S+ error: \\S+: ).*", "$1MESSAGE"),
      // Of the performance tools: what was measured.
      replace("\\b\\d+ ms (DECIMAL|\\d+)th", "N ms $1th"),
      replace("(DECIMAL, \\d+, DECIMAL, )-?\\d+, -?\\d+", "$1N, N"),
      // Of kafka-transactions: producer ids, and how long a transaction has been open.
      replace("^(\\S+ 1 )\\d+( (?:Empty|Ongoing|Prepare|Complete))", "$1PID$2"),
      replace("^(1 \\S+ )\\d+( \\d+ (?:Empty|Ongoing|Prepare|Complete)\\w* \\d+ TIME )\\d+", "$1PID$2N"),
      replace("^\\d+( \\d+ -?\\d+ -?\\d+ TIME )", "PID$1"),
      // Of kafka-metadata-quorum: how long the log is.
      replace("^(1 )[A-Za-z0-9_-]{22} \\d+", "$1ID N"),
      replace(" +$", ""));

  private static Map.Entry<Pattern, String> replace(String what, String by) {
    return Map.entry(Pattern.compile(what, Pattern.MULTILINE), by);
  }

  /** One command of the transcript, with what stands before it. */
  private record Step(List<String> before, String line, List<String> input, List<String> expected) {}

  private static final class Exited extends Error {
    private static final long serialVersionUID = 1;
  }

  /** A stream that takes no more after the tool has asked for its end, so that its own cleaning up is not heard. */
  private static final class Capture extends ByteArrayOutputStream {
    volatile boolean closed;

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) {
      if (!closed) super.write(bytes, offset, length);
    }

    @Override
    public synchronized void write(int one) {
      if (!closed) super.write(one);
    }
  }

  private static final class Run {
    final Capture said = new Capture();
    volatile Integer code;
  }

  private static volatile Run current;

  public static void main(String[] args) throws Exception {
    boolean record = args[0].equals("--record");
    String bootstrap = args[record ? 1 : 0];
    Path file = Path.of(args[record ? 2 : 1]);
    Path dir = Files.createTempDirectory("pelton-transcript-");
    Exit.Procedure exit = (code, message) -> {
      Run run = current;
      if (run != null && run.code == null) {
        run.code = code;
        run.said.closed = true;
      }
      throw new Exited();
    };
    Exit.setExitProcedure(exit);
    Exit.setHaltProcedure(exit);
    // Each tool closes what it opened; a hook would run when all of them are done.
    Exit.setShutdownHookAdder((name, hook) -> {});
    PrintStream out = System.out;
    int failed = 0;
    int passed = 0;
    try (Meanwhile meanwhile = new Meanwhile(bootstrap)) {
      for (Step step : read(file)) {
        if (record) step.before().forEach(out::println);
        if (step.line() == null) continue;
        long start = System.nanoTime();
        List<String> said = step.line().startsWith("%")
            ? meanwhile(meanwhile, step.line().substring(1).trim())
            : type(step, bootstrap, dir);
        if (CHANGES.matcher(step.line()).find()) meanwhile.catchUp();
        long took = (System.nanoTime() - start) / 1_000_000;
        if (record) {
          out.println(step.line());
          step.input().forEach(line -> out.println("< " + line));
          said.forEach(out::println);
        } else if (said.equals(step.expected())) {
          passed++;
          out.printf("ok     %s (%d ms)%n", step.line(), took);
        } else {
          failed++;
          out.printf("FAILED %s (%d ms)%n", step.line(), took);
          for (String line : step.expected()) if (!said.contains(line)) out.println("    - " + line);
          for (String line : said) if (!step.expected().contains(line)) out.println("    + " + line);
          if (sorted(said).equals(sorted(step.expected()))) out.println("    the lines are the same in another order");
        }
        out.flush();
      }
    }
    if (!record) out.printf("%d passed, %d failed%n", passed, failed);
    Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
  }

  /** What a program does meanwhile prints nothing, or why it failed; the tools go on. */
  private static List<String> meanwhile(Meanwhile programs, String line) throws InterruptedException {
    try {
      programs.perform(line);
      return List.of();
    } catch (InterruptedException stop) {
      throw stop;
    } catch (Exception error) {
      Throwable cause = error.getCause() == null ? error : error.getCause();
      return List.of("failed: " + cause.getClass().getSimpleName());
    }
  }

  private static List<Step> read(Path file) throws Exception {
    List<Step> steps = new ArrayList<>();
    List<String> before = new ArrayList<>();
    Step step = null;
    for (String line : Files.readAllLines(file)) {
      if (line.startsWith("$") || line.startsWith("%")) {
        step = new Step(before, line, new ArrayList<>(), new ArrayList<>());
        steps.add(step);
        before = new ArrayList<>();
      } else if (line.startsWith("#") || line.isBlank()) {
        step = null;
        before.add(line);
      } else if (step != null && line.startsWith("< ")) {
        step.input().add(line.substring(2));
      } else if (step != null) {
        step.expected().add(line);
      } else {
        throw new IllegalArgumentException("a line of output without a command: " + line);
      }
    }
    steps.add(new Step(before, null, List.of(), List.of()));
    return steps;
  }

  /** Runs a tool as its script does and gives what it printed, ready to be compared. */
  private static List<String> type(Step step, String bootstrap, Path dir) throws Exception {
    boolean unordered = step.line().startsWith("$~");
    List<String> words = words(step.line().substring(unordered ? 2 : 1).trim());
    words.replaceAll(word -> word.replace("BOOTSTRAP", bootstrap).replace("DIR", dir.toString()));
    if (words.get(0).equals("write")) {
      Files.write(dir.resolve(words.get(1)), step.input());
      return List.of();
    }
    String tool = TOOLS.get(words.get(0));
    if (tool == null) throw new IllegalArgumentException("no such tool: " + words.get(0));
    String[] arguments = words.subList(1, words.size()).toArray(new String[0]);
    Run run = new Run();
    InputStream input = System.in;
    PrintStream out = System.out;
    PrintStream err = System.err;
    String typed = step.input().isEmpty() ? "" : String.join("\n", step.input()) + "\n";
    System.setIn(new ByteArrayInputStream(typed.getBytes(StandardCharsets.UTF_8)));
    PrintStream both = new PrintStream(run.said, true, StandardCharsets.UTF_8);
    System.setOut(both);
    System.setErr(both);
    current = run;
    boolean late = false;
    try {
      FutureTask<Void> task = new FutureTask<>(() -> {
        call(tool, arguments, run);
        return null;
      });
      Thread thread = new Thread(task, words.get(0));
      thread.setDaemon(true);
      thread.start();
      try {
        task.get(SECONDS_AT_MOST, TimeUnit.SECONDS);
      } catch (TimeoutException error) {
        late = true;
        thread.interrupt();
      }
    } finally {
      current = null;
      run.said.closed = true;
      System.setIn(input);
      System.setOut(out);
      System.setErr(err);
    }
    List<String> lines = new ArrayList<>(normal(run.said.toString(StandardCharsets.UTF_8), bootstrap, dir));
    if (unordered) Collections.sort(lines);
    if (late) lines.add("not done after " + SECONDS_AT_MOST + " s");
    else if (run.code != null && run.code != 0) lines.add("exit " + run.code);
    return lines;
  }

  private static void call(String tool, String[] arguments, Run run) throws Exception {
    try {
      Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) arguments);
    } catch (InvocationTargetException error) {
      if (error.getCause() instanceof Exited) return;
      // As the JVM does with what nobody catches.
      System.err.println("Exception in thread \"main\" " + error.getCause());
      if (run.code == null) run.code = 1;
    }
  }

  /** Splits at blanks outside of single quotes. */
  private static List<String> words(String line) {
    List<String> words = new ArrayList<>();
    Matcher word = Pattern.compile("'([^']*)'|(\\S+)").matcher(line);
    while (word.find()) words.add(word.group(1) != null ? word.group(1) : word.group(2));
    return words;
  }

  private static List<String> normal(String said, String bootstrap, Path dir) {
    String host = bootstrap.substring(0, bootstrap.lastIndexOf(':'));
    String port = bootstrap.substring(bootstrap.lastIndexOf(':') + 1);
    String text = said.replace(dir.toString(), "DIR").replace(bootstrap, "BOOTSTRAP").replace("/" + host, "/HOST");
    text = text.replaceAll("\\b" + port + "\\b", "PORT");
    for (var each : REPLACED) text = each.getKey().matcher(text).replaceAll(each.getValue());
    // Frames of a stack are of the tool's version, not of the broker.
    return Arrays.stream(text.split("\n")).map(String::strip)
        .filter(line -> !line.isEmpty() && !line.startsWith("at ") && !line.matches("\\.\\.\\. \\d+ more"))
        // Advice of the client, which is about another protocol.
        .filter(line -> !line.startsWith("The consumer rebalance protocol (KIP-848) is production-ready!")).toList();
  }

  private static List<String> sorted(List<String> lines) {
    return lines.stream().sorted().toList();
  }
}
