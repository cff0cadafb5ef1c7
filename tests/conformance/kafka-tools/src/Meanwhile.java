import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Programs that run while the tools look at them.
 *
 * <p>{@code produce TOPIC PARTITION COUNT}: so many records, record n at second n of the year 2020, {@code kN} and {@code vN}.
 * {@code join CLIENT GROUP TOPIC}: a consumer of that client id joins, reads all and commits. {@code leave CLIENT}: it goes.
 * {@code begin ID TOPIC}: a transaction with one record, left open. {@code commit ID}, {@code forget ID}: it is committed, or its
 * producer is gone without a word.
 */
final class Meanwhile implements AutoCloseable {
  private final String bootstrap;
  private final Map<String, Reader> readers = new LinkedHashMap<>();
  private final Map<String, KafkaProducer<String, String>> producers = new LinkedHashMap<>();

  Meanwhile(String bootstrap) {
    this.bootstrap = bootstrap;
  }

  void perform(String line) throws Exception {
    String[] words = line.split(" +");
    switch (words[0]) {
      case "produce" -> {
        produce(words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3]));
        for (String group : readers.values().stream().map(reader -> reader.group).collect(Collectors.toSet())) settle(group);
      }
      case "join" -> join(words[1], words[2], words[3]);
      case "leave" -> {
        Reader reader = readers.remove(words[1]);
        reader.close();
        settle(reader.group);
      }
      case "begin" -> begin(words[1], words[2]);
      case "commit" -> {
        try (var producer = producers.remove(words[1])) {
          producer.commitTransaction();
        }
      }
      case "forget" -> producers.remove(words[1]).close(Duration.ZERO);
      default -> throw new IllegalArgumentException("no such verb: " + line);
    }
  }

  /**
   * Until the broker has heard of all that was decided: Apache Kafka's controller answers before, and the next tool asks the broker. A topic
   * that comes and goes comes and goes after all that was decided before it.
   */
  void catchUp() throws Exception {
    String last = "last-" + UUID.randomUUID();
    try (Admin admin = Admin.create(config("admin"))) {
      admin.createTopics(List.of(new NewTopic(last, 1, (short) 1))).all().get();
      until("the broker knows the last topic", () -> admin.listTopics().names().get().contains(last));
      admin.deleteTopics(List.of(last)).all().get();
      until("the last topic is gone", () -> !admin.listTopics().names().get().contains(last));
    }
  }

  private static void until(String what, Callable<Boolean> holds) throws Exception {
    long deadline = System.nanoTime() + 30_000_000_000L;
    while (!holds.call()) {
      if (System.nanoTime() > deadline) throw new IllegalStateException("after 30 s still not: " + what);
      Thread.sleep(20);
    }
  }

  private Properties config(String clientId) {
    Properties config = new Properties();
    config.put("bootstrap.servers", bootstrap);
    config.put("client.id", clientId);
    return config;
  }

  private KafkaProducer<String, String> producer(Properties config) {
    config.put("delivery.timeout.ms", "30000");
    config.put("request.timeout.ms", "15000");
    config.put("max.block.ms", "15000");
    config.put("linger.ms", "0");
    return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
  }

  private void produce(String topic, int partition, int count) throws Exception {
    try (var producer = producer(config("producer"))) {
      for (int n = 0; n < count; n++) {
        producer.send(new ProducerRecord<>(topic, partition, 1_577_836_800_000L + 1000L * n, "k" + n, "v" + n)).get();
      }
    }
  }

  private void begin(String id, String topic) throws Exception {
    Properties config = config(id);
    config.put("transactional.id", id);
    var producer = producer(config);
    producers.put(id, producer);
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, 0, null, "open")).get();
  }

  private void join(String clientId, String group, String topic) throws Exception {
    Properties config = config(clientId);
    config.put("group.id", group);
    config.put("group.protocol", "classic");
    config.put("auto.offset.reset", "earliest");
    config.put("enable.auto.commit", "false");
    config.put("heartbeat.interval.ms", "200");
    readers.put(clientId, new Reader(config, group, topic));
    settle(group);
  }

  /** Until the coordinator and the readers of a group say the same. */
  private void settle(String group) throws Exception {
    try (Admin admin = Admin.create(config("admin"))) {
      until("the group " + group + " has settled", () -> known(admin, group) && settled(admin, group));
    }
  }

  private static boolean known(Admin admin, String group) throws Exception {
    return admin.listGroups().all().get().stream().anyMatch(each -> each.groupId().equals(group));
  }

  /** Whether its readers and no others are members, each has the partitions that it was given, and has read and committed them all. */
  private boolean settled(Admin admin, String group) throws Exception {
    Map<String, Set<TopicPartition>> wanted = new HashMap<>();
    readers.forEach((clientId, reader) -> {
      if (reader.group.equals(group)) wanted.put(clientId, reader.owned);
    });
    var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    Map<String, Set<TopicPartition>> given = new HashMap<>();
    found.members().forEach(member -> given.put(member.clientId(), member.assignment().topicPartitions()));
    if (!given.equals(wanted) || given.containsValue(Set.of())) return false;
    if (wanted.isEmpty()) return found.groupState() == GroupState.EMPTY;
    Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
    given.values().forEach(partitions -> partitions.forEach(each -> latest.put(each, OffsetSpec.latest())));
    var ends = admin.listOffsets(latest).all().get();
    var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    return found.groupState() == GroupState.STABLE && ends.entrySet().stream().allMatch(end -> end.getValue().offset() == 0
        || committed.get(end.getKey()) != null && committed.get(end.getKey()).offset() == end.getValue().offset());
  }

  @Override
  public void close() throws Exception {
    for (Reader reader : readers.values()) reader.close();
    for (var producer : producers.values()) producer.close(Duration.ZERO);
  }

  private static final class Reader {
    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    final String group;
    volatile Set<TopicPartition> owned = Set.of();
    private volatile boolean stopped;

    Reader(Properties config, String group, String topic) {
      this.group = group;
      consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
      consumer.subscribe(List.of(topic));
      thread = new Thread(this::poll, "reader");
      thread.setDaemon(true);
      thread.start();
    }

    private void poll() {
      try (consumer) {
        while (!stopped) {
          if (!consumer.poll(Duration.ofMillis(50)).isEmpty()) consumer.commitSync();
          owned = Set.copyOf(consumer.assignment());
        }
      } catch (RuntimeException error) {
        // Its partitions are gone, which is what the tool prints next.
        owned = Set.of();
      }
    }

    void close() throws InterruptedException {
      stopped = true;
      thread.join(10_000);
    }
  }
}
