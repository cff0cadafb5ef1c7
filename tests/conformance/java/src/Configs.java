import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigType;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Configs of topics and brokers. */
final class Configs {
  static void checks(Checks checks, Clients clients) {
    checks.check("configs: a topic has every config of Kafka 4", () -> everyTopicConfig(clients));
    checks.check("configs: source, type, synonyms, documentation of a topic's", () -> facts(clients));
    checks.check("configs: set and delete", () -> setAndDelete(clients));
    checks.check("configs: append and subtract", () -> lists(clients));
    checks.check("configs: validateOnly changes nothing", () -> validate(clients));
    checks.check("configs: what is refused", () -> refused(clients));
    checks.check("configs: only the names that were asked for", () -> someNames(clients));
    checks.check("configs: a broker's, read-only and dynamic", () -> broker(clients));
    checks.check("configs: a dynamic config of one broker and of all", () -> dynamic(clients));
    checks.check("configs: listConfigResources", () -> resources(clients));
    checks.check("configs: a changed config is obeyed", () -> obeyed(clients));
  }

  private static ConfigResource of(String topic) {
    return new ConfigResource(ConfigResource.Type.TOPIC, topic);
  }

  private static ConfigResource of(int broker) {
    return new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(broker));
  }

  private static int brokerId(Admin admin) throws Exception {
    return admin.describeCluster().nodes().get().iterator().next().id();
  }

  private static Config describe(Admin admin, ConfigResource resource) throws Exception {
    var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
    return admin.describeConfigs(List.of(resource), options).all().get().get(resource);
  }

  private static void alter(Admin admin, ConfigResource resource, String name, String value, OpType how) throws Exception {
    Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(new ConfigEntry(name, value), how));
    admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
  }

  /** Apache Kafka's controller answers before its broker has heard of the change. */
  private static void becomes(Admin admin, String topic, String name, String value) throws Exception {
    Checks.eventually(10, name + " is " + value, () -> describe(admin, of(topic)).get(name).value().equals(value));
  }

  private static void everyTopicConfig(Clients clients) throws Exception {
    String topic = clients.topic(1);
    // What Apache Kafka 4.3 lists for a topic.
    List<String> names = Arrays.asList("cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type",
        "compression.zstd.level", "delete.retention.ms", "file.delete.delay.ms", "flush.messages", "flush.ms",
        "follower.replication.throttled.replicas", "index.interval.bytes", "leader.replication.throttled.replicas",
        "local.retention.bytes", "local.retention.ms", "max.compaction.lag.ms", "max.message.bytes",
        "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.type",
        "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate",
        "remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable", "retention.bytes",
        "retention.ms", "segment.bytes", "segment.index.bytes", "segment.jitter.ms", "segment.ms",
        "unclean.leader.election.enable");
    try (Admin admin = clients.admin()) {
      Config found = describe(admin, of(topic));
      List<String> missing = names.stream().filter(name -> found.get(name) == null).toList();
      Checks.that(missing.isEmpty(), "missing: " + missing);
    }
  }

  private static void facts(Clients clients) throws Exception {
    String topic = clients.topic(1, "retention.ms", "777000");
    try (Admin admin = clients.admin()) {
      Config found = describe(admin, of(topic));
      ConfigEntry retention = found.get("retention.ms");
      Checks.same("777000", retention.value(), "value");
      Checks.same(ConfigSource.DYNAMIC_TOPIC_CONFIG, retention.source(), "source");
      Checks.same(ConfigType.LONG, retention.type(), "type");
      Checks.that(!retention.isDefault() && !retention.isReadOnly() && !retention.isSensitive(), "flags");
      Checks.that(retention.documentation() != null && retention.documentation().length() > 20, "documentation");
      Checks.same("retention.ms", retention.synonyms().get(0).name(), "the first synonym");
      Checks.same("777000", retention.synonyms().get(0).value(), "its value");
      ConfigEntry policy = found.get("cleanup.policy");
      Checks.same(ConfigSource.DEFAULT_CONFIG, policy.source(), "source of a default");
      Checks.same(ConfigType.LIST, policy.type(), "type of cleanup.policy");
      Checks.same("delete", policy.value(), "value of cleanup.policy");
      Checks.same("log.cleanup.policy", policy.synonyms().get(policy.synonyms().size() - 1).name(), "its synonym");
      Checks.same(ConfigType.INT, found.get("max.message.bytes").type(), "type of max.message.bytes");
      Checks.same(ConfigType.DOUBLE, found.get("min.cleanable.dirty.ratio").type(), "type of min.cleanable.dirty.ratio");
      Checks.same(ConfigType.BOOLEAN, found.get("preallocate").type(), "type of preallocate");
      Checks.same("message.max.bytes", found.get("max.message.bytes").synonyms().get(0).name(), "the broker's name");
    }
  }

  private static void setAndDelete(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (Admin admin = clients.admin()) {
      alter(admin, of(topic), "retention.ms", "1000000", OpType.SET);
      alter(admin, of(topic), "segment.bytes", "2000000", OpType.SET);
      becomes(admin, topic, "retention.ms", "1000000");
      alter(admin, of(topic), "retention.ms", null, OpType.DELETE);
      becomes(admin, topic, "retention.ms", "604800000");
      Checks.same("2000000", describe(admin, of(topic)).get("segment.bytes").value(), "the other is untouched");
    }
  }

  private static void lists(Clients clients) throws Exception {
    String topic = clients.topic(1, "cleanup.policy", "delete");
    try (Admin admin = clients.admin()) {
      alter(admin, of(topic), "cleanup.policy", "compact", OpType.APPEND);
      becomes(admin, topic, "cleanup.policy", "delete,compact");
      alter(admin, of(topic), "cleanup.policy", "delete", OpType.SUBTRACT);
      becomes(admin, topic, "cleanup.policy", "compact");
      // Not a list.
      Checks.fails(InvalidConfigurationException.class, () -> alter(admin, of(topic), "retention.ms", "5", OpType.APPEND));
    }
  }

  private static void validate(Clients clients) throws Exception {
    String topic = clients.topic(1);
    var only = new AlterConfigsOptions().validateOnly(true);
    Collection<AlterConfigOp> good = List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "5000000"), OpType.SET));
    Collection<AlterConfigOp> bad = List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "soon"), OpType.SET));
    try (Admin admin = clients.admin()) {
      admin.incrementalAlterConfigs(Map.of(of(topic), good), only).all().get();
      Checks.same("604800000", describe(admin, of(topic)).get("retention.ms").value(), "unchanged");
      Checks.fails(InvalidConfigurationException.class, () -> admin.incrementalAlterConfigs(Map.of(of(topic), bad), only).all().get());
    }
  }

  private static void refused(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String none = Clients.fresh("none");
    try (Admin admin = clients.admin()) {
      Checks.fails(InvalidConfigurationException.class, () -> alter(admin, of(topic), "no.such.config", "1", OpType.SET));
      Checks.fails(InvalidConfigurationException.class, () -> alter(admin, of(topic), "min.insync.replicas", "0", OpType.SET));
      Checks.fails(InvalidConfigurationException.class, () -> alter(admin, of(topic), "compression.type", "rar", OpType.SET));
      Checks.fails(UnknownTopicOrPartitionException.class, () -> alter(admin, of(none), "retention.ms", "1", OpType.SET));
      Checks.fails(UnknownTopicOrPartitionException.class, () -> describe(admin, of(none)));
      Checks.fails(InvalidRequestException.class, () -> admin.incrementalAlterConfigs(Map.of(of(topic), List.of(
          new AlterConfigOp(new ConfigEntry("retention.ms", "1"), OpType.SET),
          new AlterConfigOp(new ConfigEntry("retention.ms", "2"), OpType.SET)))).all().get());
    }
  }

  private static void someNames(Clients clients) throws Exception {
    // By the protocol a name can be asked for; AdminClient asks for all and the broker's answer holds no other resource.
    String one = clients.topic(1, "retention.ms", "1000001");
    String two = clients.topic(1, "retention.ms", "1000002");
    try (Admin admin = clients.admin()) {
      var found = admin.describeConfigs(List.of(of(one), of(two))).all().get();
      Checks.same(Set.of(of(one), of(two)), found.keySet(), "resources");
      Checks.same("1000001", found.get(of(one)).get("retention.ms").value(), "of the first");
      Checks.same("1000002", found.get(of(two)).get("retention.ms").value(), "of the second");
    }
  }

  private static void broker(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      Config found = describe(admin, of(brokerId(admin)));
      for (String name : List.of("node.id", "log.dirs")) {
        Checks.that(found.get(name) != null, name + " is missing");
        Checks.that(found.get(name).isReadOnly(), name + " cannot be changed while the broker runs");
      }
      for (String name : List.of("log.retention.ms", "message.max.bytes", "log.cleaner.backoff.ms", "max.connections")) {
        Checks.that(found.get(name) != null, name + " is missing");
        Checks.that(!found.get(name).isReadOnly(), name + " can be changed");
      }
      ConfigEntry size = found.get("message.max.bytes");
      Checks.same("1048588", size.value(), "message.max.bytes");
      Checks.same(ConfigSource.DEFAULT_CONFIG, size.source(), "its source");
      Checks.same(ConfigType.INT, size.type(), "its type");
    }
  }

  private static void dynamic(Clients clients) throws Exception {
    ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
    try (Admin admin = clients.admin()) {
      ConfigResource one = of(brokerId(admin));
      try {
        alter(admin, all, "message.max.bytes", "2000000", OpType.SET);
        Checks.eventually(10, "cluster-wide", () -> describe(admin, one).get("message.max.bytes").value().equals("2000000"));
        Checks.same(ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, describe(admin, one).get("message.max.bytes").source(), "source");
        alter(admin, one, "message.max.bytes", "3000000", OpType.SET);
        Checks.eventually(10, "of this broker", () -> describe(admin, one).get("message.max.bytes").value().equals("3000000"));
        ConfigEntry found = describe(admin, one).get("message.max.bytes");
        Checks.same(ConfigSource.DYNAMIC_BROKER_CONFIG, found.source(), "source");
        Checks.same(List.of(ConfigSource.DYNAMIC_BROKER_CONFIG, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, ConfigSource.DEFAULT_CONFIG),
            found.synonyms().stream().map(ConfigEntry.ConfigSynonym::source).toList(), "synonyms in order");
        String topic = clients.topic(1);
        ConfigEntry seen = describe(admin, of(topic)).get(TopicConfig.MAX_MESSAGE_BYTES_CONFIG);
        Checks.same("3000000", seen.value(), "a topic has the broker's value");
        // A config that cannot change while the broker runs.
        Checks.fails(InvalidRequestException.class, () -> alter(admin, one, "node.id", "17", OpType.SET));
      } finally {
        alter(admin, one, "message.max.bytes", null, OpType.DELETE);
        alter(admin, all, "message.max.bytes", null, OpType.DELETE);
      }
      Checks.eventually(10, "the default again", () -> describe(admin, one).get("message.max.bytes").value().equals("1048588"));
    }
  }

  private static void resources(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (Admin admin = clients.admin()) {
      var found = admin.listConfigResources().all().get();
      Checks.that(found.contains(of(topic)), "the topic is listed");
      Checks.that(found.contains(of(brokerId(admin))), "the broker is listed");
      var brokers = admin.listConfigResources(Set.of(ConfigResource.Type.BROKER), new org.apache.kafka.clients.admin.ListConfigResourcesOptions()).all().get();
      Checks.that(brokers.stream().allMatch(each -> each.type() == ConfigResource.Type.BROKER), "only brokers: " + brokers);
    }
  }

  private static void obeyed(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (Admin admin = clients.admin(); var producer = clients.bytesProducer()) {
      var record = new org.apache.kafka.clients.producer.ProducerRecord<byte[], byte[]>(topic, new byte[50_000]);
      producer.send(record).get();
      alter(admin, of(topic), "max.message.bytes", "10000", OpType.SET);
      Checks.eventually(10, "too large now", () -> {
        try {
          producer.send(record).get();
          return false;
        } catch (java.util.concurrent.ExecutionException error) {
          return error.getCause() instanceof org.apache.kafka.common.errors.RecordTooLargeException;
        }
      });
    }
  }
}
