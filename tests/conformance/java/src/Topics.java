import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics by the AdminClient. */
final class Topics {
  static void checks(Checks checks, Clients clients) {
    checks.check("topics: create with configs, list, describe by name and by id", () -> create(clients));
    checks.check("topics: create with the broker's defaults", () -> defaults(clients));
    checks.check("topics: create with assignments", () -> assignments(clients));
    checks.check("topics: validateOnly creates nothing and tells everything", () -> validate(clients));
    checks.check("topics: what cannot be created", () -> refused(clients));
    checks.check("topics: createPartitions", () -> partitions(clients));
    checks.check("topics: createPartitions refuses what makes no sense", () -> wrongPartitions(clients));
    checks.check("topics: delete by name; a new one has a new id", () -> deleteByName(clients));
    checks.check("topics: delete by id", () -> deleteById(clients));
    checks.check("topics: unknown ones", () -> unknown(clients));
    checks.check("topics: describe many by pages", () -> pages(clients));
    checks.check("topics: listOffsets by every specification", () -> offsets(clients));
    checks.check("topics: deleteRecords", () -> records(clients));
  }

  private static TopicDescription describe(Clients clients, String topic) throws Exception {
    try (var admin = clients.admin()) {
      return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }
  }

  private static void create(Clients clients) throws Exception {
    String name = Clients.fresh("t");
    try (var admin = clients.admin()) {
      var created = admin.createTopics(List.of(new NewTopic(name, 3, (short) 1).configs(Map.of("retention.ms", "1234567"))));
      created.all().get();
      Checks.same(3, created.numPartitions(name).get(), "partitions told");
      Checks.same(1, created.replicationFactor(name).get(), "replication factor told");
      Checks.same("1234567", created.config(name).get().get("retention.ms").value(), "config told");
      Uuid id = created.topicId(name).get();
      Clients.known(admin, name);
      Checks.same(id, admin.listTopics().namesToListings().get().get(name).topicId(), "id listed");
      TopicDescription found = describe(clients, name);
      Checks.same(id, found.topicId(), "id described");
      Checks.same(3, found.partitions().size(), "partitions");
      for (var partition : found.partitions()) {
        Checks.that(partition.leader() != null && partition.replicas().size() == 1 && partition.isr().size() == 1, "leader and replicas");
      }
      var byId = admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get();
      Checks.same(name, byId.get(id).name(), "name by id");
      Checks.that(admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get().contains(name), "with internal ones");
    }
  }

  private static void defaults(Clients clients) throws Exception {
    String name = Clients.fresh("t");
    try (var admin = clients.admin()) {
      admin.createTopics(List.of(new NewTopic(name, Optional.empty(), Optional.empty()))).all().get();
      Clients.known(admin, name);
    }
    Checks.same(1, describe(clients, name).partitions().size(), "num.partitions");
  }

  private static void assignments(Clients clients) throws Exception {
    String name = Clients.fresh("t");
    try (var admin = clients.admin()) {
      int broker = admin.describeCluster().nodes().get().iterator().next().id();
      admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(broker), 1, List.of(broker))))).all().get();
      Clients.known(admin, name);
      Checks.same(2, describe(clients, name).partitions().size(), "partitions");
      Checks.fails(InvalidReplicaAssignmentException.class, () ->
          admin.createTopics(List.of(new NewTopic(Clients.fresh("t"), Map.of(0, List.of(broker + 77))))).all().get());
      Checks.fails(InvalidReplicaAssignmentException.class, () ->
          admin.createTopics(List.of(new NewTopic(Clients.fresh("t"), Map.of(1, List.of(broker))))).all().get());
    }
  }

  private static void validate(Clients clients) throws Exception {
    String name = Clients.fresh("t");
    var only = new CreateTopicsOptions().validateOnly(true);
    try (var admin = clients.admin()) {
      var told = admin.createTopics(List.of(new NewTopic(name, 5, (short) 1).configs(Map.of("segment.bytes", "2000000"))), only);
      told.all().get();
      Checks.same(5, told.numPartitions(name).get(), "partitions told");
      Checks.same("2000000", told.config(name).get().get("segment.bytes").value(), "config told");
      Checks.that(!admin.listTopics().names().get().contains(name), "nothing is created");
      Checks.fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 9)), only).all().get());
    }
  }

  private static void refused(Clients clients) throws Exception {
    String there = clients.topic(1);
    String name = Clients.fresh("t");
    try (var admin = clients.admin()) {
      Checks.fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(there, 1, (short) 1))).all().get());
      for (String bad : List.of("", ".", "..", "with space", "slash/ed", "x".repeat(250), "ümlaut")) {
        Checks.fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic(bad, 1, (short) 1))).all().get());
      }
      Checks.fails(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(name, 0, (short) 1))).all().get());
      Checks.fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 3))).all().get());
      Checks.fails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 0))).all().get());
      for (var config : Map.of("no.such.config", "1", "retention.ms", "soon", "cleanup.policy", "burn", "segment.bytes", "1").entrySet()) {
        Checks.fails(InvalidConfigurationException.class, () ->
            admin.createTopics(List.of(new NewTopic(name, 1, (short) 1).configs(Map.of(config.getKey(), config.getValue())))).all().get());
      }
      String dotted = Clients.fresh("a.b");
      admin.createTopics(List.of(new NewTopic(dotted, 1, (short) 1))).all().get();
      Checks.fails(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic(dotted.replace('.', '_'), 1, (short) 1))).all().get());
      Checks.that(!admin.listTopics().names().get().contains(name), "none of them is there");
    }
  }

  private static void partitions(Clients clients) throws Exception {
    String name = clients.topic(1);
    try (var admin = clients.admin(); var producer = clients.producer()) {
      producer.send(new ProducerRecord<>(name, 0, null, "kept")).get();
      int broker = admin.describeCluster().nodes().get().iterator().next().id();
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get();
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4, List.of(List.of(broker))))).all().get();
    }
    Checks.eventually(10, "four partitions", () -> describe(clients, name).partitions().size() == 4);
    Checks.same(List.of("kept"), Clients.values(clients.all(name, 0, "read_uncommitted")), "records");
    try (var producer = clients.producer()) {
      Checks.same(0L, producer.send(new ProducerRecord<>(name, 3, null, "new")).get().offset(), "offset in the new one");
    }
  }

  private static void wrongPartitions(Clients clients) throws Exception {
    String name = clients.topic(2);
    try (var admin = clients.admin()) {
      for (int count : new int[] {1, 2}) {
        Checks.fails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(count))).all().get());
      }
      Checks.fails(UnknownTopicOrPartitionException.class, () ->
          admin.createPartitions(Map.of(Clients.fresh("none"), NewPartitions.increaseTo(2))).all().get());
      Checks.fails(InvalidReplicaAssignmentException.class, () ->
          admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3, List.of(List.of(4711))))).all().get());
      var only = new org.apache.kafka.clients.admin.CreatePartitionsOptions().validateOnly(true);
      admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5)), only).all().get();
    }
    Checks.same(2, describe(clients, name).partitions().size(), "partitions");
  }

  private static void deleteByName(Clients clients) throws Exception {
    String name = clients.topic(1);
    Uuid first = describe(clients, name).topicId();
    try (var admin = clients.admin(); var producer = clients.producer()) {
      producer.send(new ProducerRecord<>(name, "old")).get();
      admin.deleteTopics(List.of(name)).all().get();
      Checks.eventually(10, "gone", () -> !admin.listTopics().names().get().contains(name));
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get();
      Clients.known(admin, name);
      Uuid second = describe(clients, name).topicId();
      Checks.that(!first.equals(second), "a new id");
      Checks.fails(UnknownTopicIdException.class, () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(first))).allTopicIds().get());
    }
    Checks.same(List.of(), clients.all(name, 0, "read_uncommitted"), "records of the new one");
  }

  private static void deleteById(Clients clients) throws Exception {
    String name = clients.topic(1);
    Uuid id = describe(clients, name).topicId();
    try (var admin = clients.admin()) {
      admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
      Checks.eventually(10, "gone", () -> !admin.listTopics().names().get().contains(name));
      Checks.fails(UnknownTopicIdException.class, () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
    }
  }

  private static void unknown(Clients clients) throws Exception {
    String none = Clients.fresh("none");
    Checks.fails(UnknownTopicOrPartitionException.class, () -> describe(clients, none));
    try (var admin = clients.admin(); var consumer = clients.consumer("allow.auto.create.topics", "false")) {
      Checks.fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(none)).all().get());
      Checks.that(consumer.partitionsFor(none) == null || consumer.partitionsFor(none).isEmpty(), "no partitions");
      Checks.that(!admin.listTopics().names().get().contains(none), "asking does not create it");
    }
  }

  private static void pages(Clients clients) throws Exception {
    List<String> names = List.of(clients.topic(7), clients.topic(5), clients.topic(3));
    var small = new org.apache.kafka.clients.admin.DescribeTopicsOptions().partitionSizeLimitPerResponse(2);
    try (var admin = clients.admin()) {
      var found = admin.describeTopics(names, small).allTopicNames().get();
      Checks.same(List.of(7, 5, 3), names.stream().map(name -> found.get(name).partitions().size()).toList(), "partitions");
    }
  }

  private static void offsets(Clients clients) throws Exception {
    String name = clients.topic(1);
    TopicPartition at = new TopicPartition(name, 0);
    long now = System.currentTimeMillis();
    try (var producer = clients.producer("batch.size", "1")) {
      for (long back : new long[] {50_000, 10_000, 90_000}) producer.send(new ProducerRecord<>(name, 0, now - back, "k", "v")).get();
    }
    try (var admin = clients.admin()) {
      Map<OffsetSpec, Long> cases = Map.of(OffsetSpec.earliest(), 0L, OffsetSpec.latest(), 3L, OffsetSpec.maxTimestamp(), 1L,
          OffsetSpec.forTimestamp(now - 20_000), 1L, OffsetSpec.forTimestamp(now), -1L, OffsetSpec.earliestLocal(), 0L);
      for (var each : cases.entrySet()) {
        var found = admin.listOffsets(Map.of(at, each.getKey())).partitionResult(at).get();
        Checks.same(each.getValue(), found.offset(), each.getKey().getClass().getSimpleName());
      }
      Checks.same(now - 10_000, admin.listOffsets(Map.of(at, OffsetSpec.maxTimestamp())).partitionResult(at).get().timestamp(), "the latest timestamp");
      Checks.same(-1L, admin.listOffsets(Map.of(at, OffsetSpec.latestTiered())).partitionResult(at).get().offset(), "without tiers");
    }
  }

  private static void records(Clients clients) throws Exception {
    String name = clients.topic(1);
    TopicPartition at = new TopicPartition(name, 0);
    try (var producer = clients.producer(); var admin = clients.admin()) {
      for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(name, "v" + n)).get();
      Checks.fails(OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(11))).all().get());
      Checks.same(4L, admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(4))).lowWatermarks().get(at).get().lowWatermark(), "low watermark");
      Checks.same(6, clients.all(name, 0, "read_uncommitted").size(), "records");
      // -1 is the high watermark.
      Checks.same(10L, admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(at).get().lowWatermark(), "low watermark");
      Checks.same(Set.of(at), admin.listOffsets(Map.of(at, OffsetSpec.earliest())).all().get().keySet(), "partitions");
      Checks.same(10L, admin.listOffsets(Map.of(at, OffsetSpec.earliest())).partitionResult(at).get().offset(), "earliest");
    }
  }
}
