import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** All of a transaction or none of it. */
final class Transactions {
  static void checks(Checks checks, Clients clients) {
    checks.check("transactions: committed is seen, aborted is not", () -> commitAndAbort(clients));
    checks.check("transactions: an open one holds read_committed back", () -> open(clients));
    checks.check("transactions: several partitions and topics", () -> several(clients));
    checks.check("transactions: an empty one", () -> empty(clients));
    checks.check("transactions: the second producer of an id fences the first", () -> fencing(clients));
    checks.check("transactions: offsets of a group go with them", () -> offsets(clients));
    checks.check("transactions: consume, transform, produce", () -> transform(clients));
    checks.check("transactions: one that takes too long is aborted", () -> timeout(clients));
    checks.check("transactions: a timeout above the broker's is refused", () -> excessive(clients));
    checks.check("transactions: fenceProducers", () -> fenceByAdmin(clients));
    checks.check("transactions: an id without a transaction writes nothing", () -> outside(clients));
  }

  private static KafkaProducer<String, String> begun(Clients clients, String id) {
    var producer = clients.producer("transactional.id", id);
    producer.initTransactions();
    producer.beginTransaction();
    return producer;
  }

  /** By the coordinator or by a partition, as the client comes by one of them first. */
  private static void fenced(Checks.Body body) {
    KafkaException error = Checks.fails(KafkaException.class, body);
    Checks.that(error instanceof ProducerFencedException || error instanceof InvalidProducerEpochException
        || error.getCause() instanceof ProducerFencedException || error.getCause() instanceof InvalidProducerEpochException,
        "it is fenced: " + error);
  }

  private static void commitAndAbort(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = begun(clients, Clients.fresh("id"))) {
      for (int round = 0; round < 6; round++) {
        if (round > 0) producer.beginTransaction();
        for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(topic, (round % 2 == 0 ? "good " : "bad ") + n));
        if (round % 2 == 0) producer.commitTransaction();
        else {
          producer.flush();
          producer.abortTransaction();
        }
      }
    }
    var committed = Clients.values(clients.all(topic, 0, "read_committed"));
    Checks.same(30, committed.size(), "committed records");
    Checks.that(committed.stream().allMatch(value -> value.startsWith("good")), "only committed ones: " + committed);
    Checks.same(60, clients.all(topic, 0, "read_uncommitted").size(), "all records");
  }

  private static void open(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = begun(clients, Clients.fresh("id")); var plain = clients.producer()) {
      plain.send(new ProducerRecord<>(topic, "before")).get();
      producer.send(new ProducerRecord<>(topic, "within")).get();
      plain.send(new ProducerRecord<>(topic, "after")).get();
      Checks.same(List.of("before"), Clients.values(clients.all(topic, 0, "read_committed")), "while it is open");
      Checks.same(3, clients.all(topic, 0, "read_uncommitted").size(), "read_uncommitted");
      producer.commitTransaction();
      Checks.eventually(10, "all three", () ->
          Clients.values(clients.all(topic, 0, "read_committed")).equals(List.of("before", "within", "after")));
    }
  }

  private static void several(Clients clients) throws Exception {
    String one = clients.topic(4);
    String two = clients.topic(2);
    try (var producer = begun(clients, Clients.fresh("id"))) {
      for (int n = 0; n < 4; n++) producer.send(new ProducerRecord<>(one, n, null, "a"));
      for (int n = 0; n < 2; n++) producer.send(new ProducerRecord<>(two, n, null, "a"));
      producer.flush();
      producer.abortTransaction();
      producer.beginTransaction();
      for (int n = 0; n < 4; n++) producer.send(new ProducerRecord<>(one, n, null, "c"));
      for (int n = 0; n < 2; n++) producer.send(new ProducerRecord<>(two, n, null, "c"));
      producer.commitTransaction();
    }
    committed(clients, one, 4);
    committed(clients, two, 2);
  }

  /** The answer to a commit may come before its markers are in every partition. */
  private static void committed(Clients clients, String topic, int partitions) throws Exception {
    for (int n = 0; n < partitions; n++) {
      int partition = n;
      Checks.eventually(10, topic + " " + n, () ->
          Clients.values(clients.all(topic, partition, "read_committed")).equals(List.of("c")));
    }
  }

  private static void empty(Clients clients) throws Exception {
    try (var producer = begun(clients, Clients.fresh("id"))) {
      producer.commitTransaction();
      producer.beginTransaction();
      producer.abortTransaction();
    }
  }

  private static void fencing(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String id = Clients.fresh("id");
    try (var first = begun(clients, id)) {
      first.send(new ProducerRecord<>(topic, "lost")).get();
      try (var second = begun(clients, id)) {
        second.send(new ProducerRecord<>(topic, "kept")).get();
        second.commitTransaction();
      }
      fenced(() -> {
        first.send(new ProducerRecord<>(topic, "late"));
        first.commitTransaction();
      });
    }
    Checks.same(List.of("kept"), Clients.values(clients.all(topic, 0, "read_committed")), "records");
  }

  private static void offsets(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String group = Clients.fresh("g");
    TopicPartition partition = new TopicPartition(topic, 0);
    try (var plain = clients.producer()) {
      for (int n = 0; n < 10; n++) plain.send(new ProducerRecord<>(topic, "v" + n));
    }
    try (var producer = begun(clients, Clients.fresh("id")); var consumer = clients.consumer("group.id", group)) {
      consumer.subscribe(List.of(topic));
      Checks.same(10, Clients.take(consumer, 10).size(), "records");
      producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(5, "five")), consumer.groupMetadata());
      producer.abortTransaction();
      Checks.same(null, consumer.committed(java.util.Set.of(partition)).get(partition), "after the abort");
      producer.beginTransaction();
      producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7, "seven")), consumer.groupMetadata());
      producer.commitTransaction();
      var committed = consumer.committed(java.util.Set.of(partition)).get(partition);
      Checks.same(7L, committed.offset(), "after the commit");
      Checks.same("seven", committed.metadata(), "its metadata");
    }
  }

  private static void transform(Clients clients) throws Exception {
    String from = clients.topic(2);
    String to = clients.topic(1);
    String group = Clients.fresh("g");
    try (var plain = clients.producer()) {
      for (int n = 0; n < 200; n++) plain.send(new ProducerRecord<>(from, n % 2, null, Integer.toString(n)));
    }
    try (var producer = clients.producer("transactional.id", Clients.fresh("id"));
        var consumer = clients.consumer("group.id", group, "isolation.level", "read_committed", "max.poll.records", "25")) {
      producer.initTransactions();
      consumer.subscribe(List.of(from));
      int done = 0;
      int rounds = 0;
      while (done < 200) {
        Checks.that(rounds++ < 200, "only " + done + " of 200 came");
        var records = consumer.poll(Clients.SHORTLY);
        if (records.isEmpty()) continue;
        producer.beginTransaction();
        for (var record : records) producer.send(new ProducerRecord<>(to, record.value() + "!"));
        producer.sendOffsetsToTransaction(records.nextOffsets(), consumer.groupMetadata());
        if (rounds % 3 == 0) {
          producer.flush();
          producer.abortTransaction();
          var committed = consumer.committed(consumer.assignment());
          for (TopicPartition at : consumer.assignment()) {
            consumer.seek(at, committed.get(at) == null ? 0 : committed.get(at).offset());
          }
        } else {
          producer.commitTransaction();
          done += records.count();
        }
      }
    }
    var out = Clients.values(clients.all(to, 0, "read_committed"));
    Checks.same(200, out.size(), "records");
    Checks.same(200L, out.stream().distinct().count(), "different ones");
  }

  private static void timeout(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer("transactional.id", Clients.fresh("id"), "transaction.timeout.ms", "1000");
        var plain = clients.producer()) {
      producer.initTransactions();
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, "late")).get();
      plain.send(new ProducerRecord<>(topic, "plain")).get();
      // The broker looks every ten seconds, as Kafka's does.
      Checks.eventually(40, "aborted", () -> clients.all(topic, 0, "read_committed").size() == 1);
      Checks.fails(KafkaException.class, producer::commitTransaction);
      producer.close(Duration.ZERO);
    }
    Checks.same(List.of("plain"), Clients.values(clients.all(topic, 0, "read_committed")), "records");
  }

  private static void excessive(Clients clients) {
    try (var producer = clients.producer("transactional.id", Clients.fresh("id"), "transaction.timeout.ms", "100000000")) {
      KafkaException error = Checks.fails(KafkaException.class, producer::initTransactions);
      Checks.that(error.getMessage().contains("The transaction timeout is larger than the maximum value"), "it says why: " + error);
    }
  }

  private static void fenceByAdmin(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String id = Clients.fresh("id");
    try (var producer = begun(clients, id); Admin admin = clients.admin()) {
      producer.send(new ProducerRecord<>(topic, "lost")).get();
      var fenced = admin.fenceProducers(List.of(id));
      Checks.that(fenced.producerId(id).get() >= 0, "a producer id");
      Checks.that(fenced.epochId(id).get() > 0, "a higher epoch");
      fenced(() -> {
        producer.send(new ProducerRecord<>(topic, "late"));
        producer.commitTransaction();
      });
    }
    Checks.same(List.of(), Clients.values(clients.all(topic, 0, "read_committed")), "records");
  }

  private static void outside(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer("transactional.id", Clients.fresh("id"))) {
      producer.initTransactions();
      Checks.fails(IllegalStateException.class, () -> producer.send(new ProducerRecord<>(topic, "v")));
      // This client keeps the record that it refused, and would wait out delivery.timeout.ms for it.
      producer.close(Duration.ZERO);
    }
    try (var plain = clients.producer()) {
      plain.send(new ProducerRecord<>(topic, "plain")).get();
    }
    Checks.same(List.of("plain"), Clients.values(clients.all(topic, 0, "read_uncommitted")), "records");
  }
}
