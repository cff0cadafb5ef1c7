import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidGroupIdException;
import org.apache.kafka.common.errors.InvalidSessionTimeoutException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.errors.IllegalSaslStateException;

/** What a program does wrong is said to it, by the error that Kafka gives. */
final class WrongUse {
  static void checks(Checks checks, Clients clients) {
    checks.check("wrong use: a topic name that cannot be", () -> name(clients));
    checks.check("wrong use: a partition that is not there", () -> partition(clients));
    checks.check("wrong use: a session timeout out of bounds", () -> session(clients));
    checks.check("wrong use: an empty group id", () -> emptyGroup(clients));
    checks.check("wrong use: a record older than the topic takes", () -> timestamp(clients));
    checks.check("wrong use: a null key for a compacted topic", () -> nullKey(clients));
    checks.check("wrong use: SASL at a listener without it", () -> sasl(clients));
    checks.check("wrong use: group.protocol=consumer where it is not served", () -> newProtocol(clients));
    checks.check("wrong use: subscription to what does not exist", () -> nothing(clients));
  }

  private static void name(Clients clients) {
    try (var producer = clients.producer(); var consumer = clients.consumer("group.id", Clients.fresh("g"))) {
      Checks.fails(InvalidTopicException.class, () -> producer.send(new ProducerRecord<>("no good", "v")).get());
      consumer.subscribe(List.of("no good"));
      Checks.fails(InvalidTopicException.class, () -> Clients.take(consumer, 1, 10));
    }
  }

  private static void partition(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer("max.block.ms", "1500")) {
      Checks.fails(TimeoutException.class, () -> producer.send(new ProducerRecord<>(topic, 7, null, "v")).get());
    }
  }

  private static void session(Clients clients) throws Exception {
    String topic = clients.topic(1);
    for (String timeout : List.of("1000", "3000000")) {
      try (var consumer = clients.consumer("group.id", Clients.fresh("g"), "session.timeout.ms", timeout,
          "heartbeat.interval.ms", "300", "max.poll.interval.ms", "4000000", "group.protocol", "classic")) {
        consumer.subscribe(List.of(topic));
        Checks.fails(InvalidSessionTimeoutException.class, () -> Clients.take(consumer, 1, 10));
      }
    }
  }

  private static void emptyGroup(Clients clients) throws Exception {
    String topic = clients.topic(1);
    // Kafka 4's client takes "" for no group at all.
    Checks.fails(KafkaException.class, () -> {
      try (var consumer = clients.consumer("group.id", "")) {
        consumer.subscribe(List.of(topic));
        Clients.take(consumer, 1, 5);
      }
    });
    try (var consumer = clients.consumer()) {
      consumer.assign(Clients.partitions(topic, 0));
      Checks.fails(InvalidGroupIdException.class, () ->
          consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1))));
    }
  }

  private static void timestamp(Clients clients) throws Exception {
    String topic = clients.topic(1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000");
    long now = System.currentTimeMillis();
    try (var producer = clients.producer()) {
      for (long wrong : new long[] {now - 600_000, now + 600_000}) {
        Checks.fails(InvalidTimestampException.class, () -> producer.send(new ProducerRecord<>(topic, 0, wrong, "k", "v")).get());
      }
      producer.send(new ProducerRecord<>(topic, 0, now, "k", "v")).get();
    }
  }

  private static void nullKey(Clients clients) throws Exception {
    String topic = clients.topic(1, "cleanup.policy", "compact");
    try (var producer = clients.producer()) {
      Checks.fails(org.apache.kafka.common.InvalidRecordException.class, () -> producer.send(new ProducerRecord<>(topic, "v")).get());
      producer.send(new ProducerRecord<>(topic, "k", "v")).get();
    }
  }

  private static void sasl(Clients clients) {
    String login = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";";
    try (var admin = clients.admin("security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN", "sasl.jaas.config", login)) {
      KafkaException error = Checks.fails(KafkaException.class, () -> admin.listTopics().names().get());
      Checks.that(error instanceof IllegalSaslStateException || error instanceof SaslAuthenticationException, "it says why: " + error);
    }
  }

  /** A broker whose features have group.version serves it; at any other the client has to hear why it gets nothing. */
  private static void newProtocol(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var admin = clients.admin(); var producer = clients.producer();
        var consumer = clients.consumer("group.id", Clients.fresh("g"), "group.protocol", "consumer")) {
      producer.send(new ProducerRecord<>(topic, "v")).get();
      consumer.subscribe(List.of(topic));
      var served = admin.describeFeatures().featureMetadata().get().finalizedFeatures().get("group.version");
      if (served != null && served.maxVersionLevel() > 0) Checks.same(1, Clients.take(consumer, 1).size(), "records");
      else Checks.fails(UnsupportedVersionException.class, () -> Clients.take(consumer, 1, 10));
    }
  }

  private static void nothing(Clients clients) throws Exception {
    String none = Clients.fresh("none");
    String group = Clients.fresh("g");
    try (var admin = clients.admin(); var consumer = clients.consumer("group.id", group, "group.protocol", "classic", "allow.auto.create.topics", "false")) {
      consumer.subscribe(List.of(none));
      Checks.eventually(15, "it is a member", () -> {
        Checks.that(consumer.poll(Clients.SHORTLY).isEmpty(), "no records");
        return consumer.groupMetadata().generationId() > 0;
      });
      Checks.that(consumer.assignment().isEmpty(), "no partitions");
      Checks.that(!admin.listTopics().names().get().contains(none), "it was not created");
    }
  }
}
