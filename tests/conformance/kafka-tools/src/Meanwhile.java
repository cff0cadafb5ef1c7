import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Programs that run while the tools look at them.
 *
 * <p>{@code produce TOPIC PARTITION COUNT}: so many records, record n at second n of the year 2020, {@code kN} and {@code vN}.
 * {@code join CLIENT GROUP TOPIC [INSTANCE]}: a consumer of that client id joins, reads all and commits. {@code leave CLIENT}: it goes.
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
        settle();
      }
      case "join" -> join(words);
      case "leave" -> {
        readers.remove(words[1]).close();
        settle();
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

  private void join(String[] words) throws Exception {
    Properties config = config(words[1]);
    config.put("group.id", words[2]);
    if (words.length > 4) config.put("group.instance.id", words[4]);
    config.put("group.protocol", "classic");
    config.put("auto.offset.reset", "earliest");
    config.put("enable.auto.commit", "false");
    config.put("heartbeat.interval.ms", "200");
    readers.put(words[1], new Reader(config, words[3]));
    settle();
  }

  /** Until every reader has heard of what was done, has partitions, and has stood still for a second. */
  private void settle() throws InterruptedException {
    if (readers.isEmpty()) return;
    Thread.sleep(1_000);
    long deadline = System.nanoTime() + 30_000_000_000L;
    while (System.nanoTime() < deadline && readers.values().stream().anyMatch(reader -> !reader.settled())) Thread.sleep(50);
  }

  @Override
  public void close() throws Exception {
    for (Reader reader : readers.values()) reader.close();
    for (var producer : producers.values()) producer.close(Duration.ZERO);
  }

  private static final class Reader {
    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    private volatile boolean stopped;
    private volatile List<String> owned = List.of();
    private volatile long since = System.nanoTime();

    Reader(Properties config, String topic) {
      consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
      consumer.subscribe(List.of(topic));
      thread = new Thread(this::poll, "reader");
      thread.setDaemon(true);
      thread.start();
    }

    private void poll() {
      try (consumer) {
        while (!stopped) {
          if (!consumer.poll(Duration.ofMillis(50)).isEmpty()) {
            since = System.nanoTime();
            consumer.commitSync();
          }
          List<String> now = new ArrayList<>(consumer.assignment().stream().map(Object::toString).sorted().toList());
          if (!now.equals(owned)) {
            owned = now;
            since = System.nanoTime();
          }
        }
      } catch (RuntimeException error) {
        // Its partitions are gone, which is what the tool prints next.
        owned = List.of();
      }
    }

    boolean settled() {
      return !owned.isEmpty() && System.nanoTime() - since > 1_000_000_000L;
    }

    void close() throws InterruptedException {
      stopped = true;
      thread.join(10_000);
    }
  }
}
