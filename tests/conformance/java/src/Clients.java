import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Clients of the broker under test, and names that no other run has. */
final class Clients {
  static final Duration SHORTLY = Duration.ofMillis(200);
  final String bootstrap;

  Clients(String bootstrap) {
    this.bootstrap = bootstrap;
  }

  static String fresh(String what) {
    return what + "-" + UUID.randomUUID().toString().substring(0, 8);
  }

  private Properties config(String... more) {
    Properties config = new Properties();
    config.put("bootstrap.servers", bootstrap);
    config.put("request.timeout.ms", "15000");
    for (int at = 0; at < more.length; at += 2) config.put(more[at], more[at + 1]);
    return config;
  }

  Admin admin(String... more) {
    Properties config = config(more);
    config.putIfAbsent("default.api.timeout.ms", "20000");
    return Admin.create(config);
  }

  private Properties producing(String... more) {
    Properties config = config(more);
    config.putIfAbsent("linger.ms", "5");
    config.putIfAbsent("delivery.timeout.ms", "30000");
    config.putIfAbsent("max.block.ms", "20000");
    return config;
  }

  KafkaProducer<String, String> producer(String... more) {
    return new KafkaProducer<>(producing(more), new StringSerializer(), new StringSerializer());
  }

  KafkaProducer<byte[], byte[]> bytesProducer(String... more) {
    return new KafkaProducer<>(producing(more), new ByteArraySerializer(), new ByteArraySerializer());
  }

  private Properties consuming(String... more) {
    Properties config = config(more);
    config.putIfAbsent("auto.offset.reset", "earliest");
    config.putIfAbsent("enable.auto.commit", "false");
    // A consumer that closes waits for the fetch that is under way.
    config.putIfAbsent("fetch.max.wait.ms", "100");
    config.putIfAbsent("default.api.timeout.ms", "20000");
    return config;
  }

  KafkaConsumer<String, String> consumer(String... more) {
    return new KafkaConsumer<>(consuming(more), new StringDeserializer(), new StringDeserializer());
  }

  KafkaConsumer<byte[], byte[]> bytesConsumer(String... more) {
    return new KafkaConsumer<>(consuming(more), new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  /** A topic of its own, with configs as name and value in turn. */
  String topic(int partitions, String... configs) throws Exception {
    Map<String, String> set = new HashMap<>();
    for (int at = 0; at < configs.length; at += 2) set.put(configs[at], configs[at + 1]);
    String name = fresh("t");
    try (Admin admin = admin()) {
      admin.createTopics(Collections.singleton(new NewTopic(name, partitions, (short) 1).configs(set))).all().get();
      known(admin, name);
    }
    return name;
  }

  /** Waits until the topic is listed: Apache Kafka's controller answers before its broker has heard of it. */
  static void known(Admin admin, String topic) throws Exception {
    Checks.eventually(10, topic + " is known", () -> admin.listTopics().names().get().contains(topic));
  }

  /** Polls until so many records are there, or a while has gone by. */
  static <K, V> List<ConsumerRecord<K, V>> take(KafkaConsumer<K, V> consumer, int count) {
    return take(consumer, count, 20);
  }

  static <K, V> List<ConsumerRecord<K, V>> take(KafkaConsumer<K, V> consumer, int count, int seconds) {
    List<ConsumerRecord<K, V>> records = new ArrayList<>();
    long deadline = System.nanoTime() + seconds * 1_000_000_000L;
    while (records.size() < count && System.nanoTime() < deadline) {
      consumer.poll(SHORTLY).forEach(records::add);
    }
    return records;
  }

  /** Every record of a partition below its end as that isolation sees it. */
  List<ConsumerRecord<String, String>> all(String topic, int partition, String isolation) {
    try (var consumer = consumer("isolation.level", isolation)) {
      TopicPartition at = new TopicPartition(topic, partition);
      consumer.assign(List.of(at));
      consumer.seekToBeginning(List.of(at));
      long end = consumer.endOffsets(List.of(at)).get(at);
      List<ConsumerRecord<String, String>> records = new ArrayList<>();
      long deadline = System.nanoTime() + 20_000_000_000L;
      while (consumer.position(at) < end) {
        Checks.that(System.nanoTime() < deadline, "stands at " + consumer.position(at) + ", the end is " + end);
        consumer.poll(SHORTLY).forEach(records::add);
      }
      return records;
    }
  }

  static List<String> values(List<ConsumerRecord<String, String>> records) {
    return records.stream().map(ConsumerRecord::value).toList();
  }

  static List<TopicPartition> partitions(String topic, int... numbers) {
    return Arrays.stream(numbers).mapToObj(number -> new TopicPartition(topic, number)).toList();
  }
}
