import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.OffsetMetadataTooLarge;

/** Where a consumer stands: commits, seeks, resets. */
final class Offsets {
  private static final long HOUR = 3_600_000;

  static void checks(Checks checks, Clients clients) {
    checks.check("offsets: commitSync, commitAsync, committed", () -> commits(clients));
    checks.check("offsets: a consumer outside of a generation commits", () -> standalone(clients));
    checks.check("offsets: automatic commits", () -> automatic(clients));
    checks.check("offsets: metadata too large", () -> metadata(clients));
    checks.check("offsets: seek to beginning, end, an offset", () -> seeks(clients));
    checks.check("offsets: offsetsForTimes", () -> times(clients));
    checks.check("offsets: auto.offset.reset latest, none, by_duration", () -> resets(clients));
    checks.check("offsets: out of range", () -> range(clients));
    checks.check("offsets: currentLag", () -> lag(clients));
    checks.check("offsets: pause and resume", () -> pause(clients));
  }

  private static String filled(Clients clients, int count) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer()) {
      for (int n = 0; n < count; n++) producer.send(new ProducerRecord<>(topic, 0, null, "v" + n));
    }
    return topic;
  }

  private static void commits(Clients clients) throws Exception {
    String topic = clients.topic(3);
    var at = Clients.partitions(topic, 0, 1, 2);
    String group = Clients.fresh("g");
    try (var consumer = clients.consumer("group.id", group)) {
      consumer.assign(at);
      consumer.commitSync(Map.of(at.get(0), new OffsetAndMetadata(5, java.util.Optional.of(0), "note"), at.get(1), new OffsetAndMetadata(6)));
      CompletableFuture<Map<TopicPartition, OffsetAndMetadata>> done = new CompletableFuture<>();
      consumer.commitAsync(Map.of(at.get(1), new OffsetAndMetadata(7)), (offsets, error) -> {
        if (error != null) done.completeExceptionally(error);
        else done.complete(offsets);
      });
      while (!done.isDone()) consumer.poll(Duration.ofMillis(10));
      done.get(1, TimeUnit.SECONDS);
    }
    try (var consumer = clients.consumer("group.id", group)) {
      Map<TopicPartition, OffsetAndMetadata> found = consumer.committed(Set.copyOf(at));
      Checks.same(new OffsetAndMetadata(5, java.util.Optional.of(0), "note"), found.get(at.get(0)), "partition 0");
      Checks.same(7L, found.get(at.get(1)).offset(), "partition 1");
      Checks.same(null, found.get(at.get(2)), "partition 2");
    }
  }

  private static void standalone(Clients clients) throws Exception {
    String topic = filled(clients, 10);
    String group = Clients.fresh("g");
    try (var consumer = clients.consumer("group.id", group)) {
      consumer.assign(Clients.partitions(topic, 0));
      Checks.same(10, Clients.take(consumer, 10).size(), "records");
      consumer.commitSync();
    }
    try (var consumer = clients.consumer("group.id", group)) {
      consumer.assign(Clients.partitions(topic, 0));
      Checks.same(10L, consumer.position(new TopicPartition(topic, 0)), "position");
    }
  }

  private static void automatic(Clients clients) throws Exception {
    String topic = filled(clients, 10);
    String group = Clients.fresh("g");
    try (var consumer = clients.consumer("group.id", group, "enable.auto.commit", "true", "auto.commit.interval.ms", "200");
        var other = clients.consumer("group.id", group)) {
      consumer.subscribe(List.of(topic));
      Checks.same(10, Clients.take(consumer, 10).size(), "records");
      TopicPartition at = new TopicPartition(topic, 0);
      Checks.eventually(10, "committed", () -> {
        consumer.poll(Clients.SHORTLY);
        var found = other.committed(Set.of(at)).get(at);
        return found != null && found.offset() == 10;
      });
    }
  }

  private static void metadata(Clients clients) throws Exception {
    String topic = clients.topic(1);
    TopicPartition at = new TopicPartition(topic, 0);
    try (var consumer = clients.consumer("group.id", Clients.fresh("g"))) {
      consumer.assign(List.of(at));
      Checks.fails(OffsetMetadataTooLarge.class, () -> consumer.commitSync(Map.of(at, new OffsetAndMetadata(1, "x".repeat(5_000)))));
      consumer.commitSync(Map.of(at, new OffsetAndMetadata(1, "x".repeat(4_000))));
    }
  }

  private static void seeks(Clients clients) throws Exception {
    String topic = filled(clients, 100);
    TopicPartition at = new TopicPartition(topic, 0);
    try (var consumer = clients.consumer()) {
      consumer.assign(List.of(at));
      consumer.seek(at, 42);
      Checks.same("v42", Clients.take(consumer, 1).get(0).value(), "after a seek");
      consumer.seekToEnd(List.of(at));
      Checks.same(100L, consumer.position(at), "end");
      consumer.seekToBeginning(List.of(at));
      Checks.same(0L, consumer.position(at), "beginning");
      Checks.same("v0", Clients.take(consumer, 1).get(0).value(), "the first");
      Checks.same(Map.of(at, 100L), consumer.endOffsets(List.of(at)), "endOffsets");
      Checks.same(Map.of(at, 0L), consumer.beginningOffsets(List.of(at)), "beginningOffsets");
    }
  }

  private static void times(Clients clients) throws Exception {
    String topic = clients.topic(2);
    long now = System.currentTimeMillis();
    long first = now - 10 * HOUR;
    try (var producer = clients.producer("batch.size", "1")) {
      for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(topic, 0, first + n * HOUR, "k", "v" + n)).get();
    }
    List<TopicPartition> at = Clients.partitions(topic, 0, 1);
    try (var consumer = clients.consumer()) {
      Map<Long, Long> cases = Map.of(0L, 0L, first, 0L, first + 1, 1L, first + 5 * HOUR, 5L, first + 5 * HOUR + 1, 6L);
      for (var each : cases.entrySet()) {
        Map<TopicPartition, Long> query = new HashMap<>();
        for (TopicPartition one : at) query.put(one, each.getKey());
        var found = consumer.offsetsForTimes(query);
        Checks.same(each.getValue(), found.get(at.get(0)).offset(), "offset for " + (each.getKey() - first));
        Checks.same(first + each.getValue() * HOUR, found.get(at.get(0)).timestamp(), "its timestamp");
        Checks.same(null, found.get(at.get(1)), "an empty partition");
      }
      Checks.same(null, consumer.offsetsForTimes(Map.of(at.get(0), now + HOUR)).get(at.get(0)), "after the last");
    }
  }

  private static void resets(Clients clients) throws Exception {
    String topic = filled(clients, 5);
    TopicPartition at = new TopicPartition(topic, 0);
    try (var consumer = clients.consumer("auto.offset.reset", "latest")) {
      consumer.assign(List.of(at));
      Checks.same(5L, consumer.position(at), "latest");
    }
    try (var consumer = clients.consumer("auto.offset.reset", "by_duration:PT1H")) {
      consumer.assign(List.of(at));
      Checks.same(0L, consumer.position(at), "by_duration");
    }
    try (var consumer = clients.consumer("auto.offset.reset", "none", "group.id", Clients.fresh("g"))) {
      consumer.assign(List.of(at));
      Checks.fails(NoOffsetForPartitionException.class, () -> consumer.position(at));
    }
  }

  private static void range(Clients clients) throws Exception {
    String topic = filled(clients, 50);
    TopicPartition at = new TopicPartition(topic, 0);
    try (var consumer = clients.consumer("auto.offset.reset", "none"); var admin = clients.admin()) {
      consumer.assign(List.of(at));
      consumer.seek(at, 1_000);
      Checks.fails(OffsetOutOfRangeException.class, () -> Clients.take(consumer, 1, 5));
      Checks.same(20L, admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(20))).lowWatermarks().get(at).get().lowWatermark(), "low watermark");
      consumer.seek(at, 0);
      Checks.fails(OffsetOutOfRangeException.class, () -> Clients.take(consumer, 1, 5));
      consumer.seekToBeginning(List.of(at));
      Checks.same("v20", Clients.take(consumer, 1).get(0).value(), "the first that is left");
    }
  }

  private static void lag(Clients clients) throws Exception {
    String topic = filled(clients, 50);
    TopicPartition at = new TopicPartition(topic, 0);
    try (var consumer = clients.consumer("max.poll.records", "10")) {
      consumer.assign(List.of(at));
      Checks.same(10, Clients.take(consumer, 10).size(), "records");
      Checks.same(40L, consumer.currentLag(at).getAsLong(), "lag");
    }
  }

  private static void pause(Clients clients) throws Exception {
    String topic = clients.topic(2);
    try (var producer = clients.producer(); var consumer = clients.consumer()) {
      for (int n = 0; n < 20; n++) producer.send(new ProducerRecord<>(topic, n % 2, null, "v" + n)).get();
      consumer.assign(Clients.partitions(topic, 0, 1));
      consumer.pause(Clients.partitions(topic, 0));
      var records = Clients.take(consumer, 10);
      // What is written to both now comes of one only: the other would have come by then.
      for (int n = 0; n < 2; n++) producer.send(new ProducerRecord<>(topic, n, null, "later")).get();
      records.addAll(Clients.take(consumer, 1));
      Checks.that(records.size() == 11 && records.stream().allMatch(r -> r.partition() == 1), "only of the one that is not paused");
      consumer.resume(Clients.partitions(topic, 0));
      Checks.same(11, Clients.take(consumer, 11).size(), "the others");
    }
  }
}
