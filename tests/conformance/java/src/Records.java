import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** What goes in comes out: codecs, headers, nulls, sizes, timestamps, order. */
final class Records {
  static void checks(Checks checks, Clients clients) {
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      checks.check("records: codec " + codec, () -> codec(clients, codec));
    }
    checks.check("records: headers, null keys, null values", () -> shapes(clients));
    for (String acks : List.of("0", "1", "all")) checks.check("records: acks=" + acks, () -> acks(clients, acks));
    checks.check("records: a record of 900 KB", () -> big(clients));
    checks.check("records: one above max.message.bytes is refused, one below is not", () -> tooBig(clients));
    checks.check("records: CreateTime is the producer's", () -> createTime(clients));
    checks.check("records: LogAppendTime is the broker's", () -> appendTime(clients));
    checks.check("records: topic compression.type=gzip recompresses", () -> topicCodec(clients));
    checks.check("records: idempotence keeps order and numbers", () -> idempotence(clients));
    checks.check("records: small fetches cross batches", () -> smallFetches(clients));
    checks.check("records: automatic creation of a topic", () -> automatic(clients));
  }

  private static void codec(Clients clients, String codec) throws Exception {
    String topic = clients.topic(3);
    int count = 900;
    try (var producer = clients.producer("compression.type", codec)) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int n = 0; n < count; n++) {
        sent.add(producer.send(new ProducerRecord<>(topic, n % 3, "k" + n, codec + " value " + n + "x".repeat(n % 200))));
      }
      for (int n = 0; n < count; n++) Checks.same((long) (n / 3), sent.get(n).get().offset(), "offset of record " + n);
    }
    try (var consumer = clients.consumer("group.id", Clients.fresh("g"))) {
      consumer.subscribe(List.of(topic));
      var records = Clients.take(consumer, count);
      Checks.same(count, records.size(), "records");
      for (ConsumerRecord<String, String> record : records) {
        int n = (int) record.offset() * 3 + record.partition();
        Checks.same("k" + n, record.key(), "key");
        Checks.same(codec + " value " + n + "x".repeat(n % 200), record.value(), "value");
      }
    }
  }

  private static void shapes(Clients clients) throws Exception {
    String topic = clients.topic(1);
    byte[] binary = {0, -1, 127, -128};
    try (var producer = clients.bytesProducer()) {
      var with = new ProducerRecord<byte[], byte[]>(topic, 0, null, "v".getBytes(StandardCharsets.UTF_8));
      with.headers().add("a", binary).add("a", new byte[0]).add("", null).add("ü", "é".getBytes(StandardCharsets.UTF_8));
      producer.send(with);
      producer.send(new ProducerRecord<>(topic, 0, binary, null));
      producer.send(new ProducerRecord<>(topic, 0, null, null));
      producer.send(new ProducerRecord<>(topic, 0, new byte[0], new byte[0]));
      producer.flush();
    }
    try (var consumer = clients.bytesConsumer()) {
      consumer.assign(Clients.partitions(topic, 0));
      consumer.seekToBeginning(consumer.assignment());
      var records = Clients.take(consumer, 4);
      Checks.same(4, records.size(), "records");
      List<Header> headers = Arrays.asList(records.get(0).headers().toArray());
      Checks.same(List.of("a", "a", "", "ü"), headers.stream().map(Header::key).toList(), "header keys in order");
      Checks.that(Arrays.equals(binary, headers.get(0).value()), "a binary header");
      Checks.that(headers.get(1).value().length == 0, "an empty header");
      Checks.that(headers.get(2).value() == null, "a null header");
      Checks.that(records.get(0).key() == null, "a null key");
      Checks.that(Arrays.equals(binary, records.get(1).key()) && records.get(1).value() == null, "a tombstone");
      Checks.that(records.get(2).key() == null && records.get(2).value() == null, "null and null");
      Checks.that(records.get(3).key().length == 0 && records.get(3).value().length == 0, "empty and empty");
    }
  }

  private static void acks(Clients clients, String acks) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer("acks", acks, "enable.idempotence", "false")) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (int n = 0; n < 100; n++) sent.add(producer.send(new ProducerRecord<>(topic, "v" + n)));
      for (int n = 0; n < 100; n++) {
        RecordMetadata where = sent.get(n).get();
        Checks.same(!acks.equals("0"), where.hasOffset(), "whether an offset is known");
      }
    }
    Checks.eventually(10, "100 records", () -> clients.all(topic, 0, "read_uncommitted").size() == 100);
  }

  private static void big(Clients clients) throws Exception {
    String topic = clients.topic(1);
    byte[] value = new byte[900_000];
    new Random(7).nextBytes(value);
    try (var producer = clients.bytesProducer()) {
      for (int n = 0; n < 4; n++) producer.send(new ProducerRecord<>(topic, value)).get();
    }
    try (var consumer = clients.bytesConsumer("max.partition.fetch.bytes", "1000")) {
      consumer.assign(Clients.partitions(topic, 0));
      consumer.seekToBeginning(consumer.assignment());
      var records = Clients.take(consumer, 4);
      Checks.same(4, records.size(), "records, each larger than the limit of a fetch");
      for (var record : records) Checks.that(Arrays.equals(value, record.value()), "the bytes are the same");
    }
  }

  private static void tooBig(Clients clients) throws Exception {
    String small = clients.topic(1, "max.message.bytes", "10000");
    String large = clients.topic(1, "max.message.bytes", "8000000");
    try (var producer = clients.bytesProducer("max.request.size", "10000000")) {
      Checks.fails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(small, new byte[20_000])).get());
      producer.send(new ProducerRecord<>(small, new byte[5_000])).get();
      producer.send(new ProducerRecord<>(large, new byte[5_000_000])).get();
    }
  }

  private static void createTime(Clients clients) throws Exception {
    String topic = clients.topic(1);
    long then = System.currentTimeMillis() - 3_600_000;
    try (var producer = clients.producer()) {
      Checks.same(then, producer.send(new ProducerRecord<>(topic, 0, then, "k", "v")).get().timestamp(), "told");
    }
    var record = clients.all(topic, 0, "read_uncommitted").get(0);
    Checks.same(then, record.timestamp(), "timestamp");
    Checks.same(TimestampType.CREATE_TIME, record.timestampType(), "type");
  }

  private static void appendTime(Clients clients) throws Exception {
    String topic = clients.topic(1, "message.timestamp.type", "LogAppendTime");
    long then = System.currentTimeMillis() - 3_600_000;
    try (var producer = clients.producer()) {
      Checks.that(producer.send(new ProducerRecord<>(topic, 0, then, "k", "v")).get().timestamp() > then + 1_000_000, "told");
    }
    var record = clients.all(topic, 0, "read_uncommitted").get(0);
    Checks.that(record.timestamp() > then + 1_000_000, "the broker's time, not " + record.timestamp());
    Checks.same(TimestampType.LOG_APPEND_TIME, record.timestampType(), "type");
  }

  private static void topicCodec(Clients clients) throws Exception {
    String topic = clients.topic(1, "compression.type", "gzip");
    try (var producer = clients.producer("compression.type", "lz4")) {
      for (int n = 0; n < 50; n++) producer.send(new ProducerRecord<>(topic, "value " + n));
    }
    var records = clients.all(topic, 0, "read_uncommitted");
    Checks.same(50, records.size(), "records");
    for (int n = 0; n < 50; n++) Checks.same("value " + n, records.get(n).value(), "value");
  }

  private static void idempotence(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var producer = clients.producer("enable.idempotence", "true", "batch.size", "200", "linger.ms", "0")) {
      for (int n = 0; n < 5_000; n++) producer.send(new ProducerRecord<>(topic, 0, null, Integer.toString(n)));
    }
    var records = clients.all(topic, 0, "read_committed");
    Checks.same(5_000, records.size(), "records");
    for (int n = 0; n < 5_000; n++) {
      Checks.same((long) n, records.get(n).offset(), "offset");
      Checks.same(Integer.toString(n), records.get(n).value(), "value at " + n);
    }
  }

  private static void smallFetches(Clients clients) throws Exception {
    String topic = clients.topic(2);
    try (var producer = clients.producer()) {
      for (int n = 0; n < 1_000; n++) producer.send(new ProducerRecord<>(topic, n % 2, null, "v" + n + "y".repeat(100)));
    }
    try (var consumer = clients.consumer("fetch.max.bytes", "500", "max.poll.records", "7")) {
      consumer.assign(Clients.partitions(topic, 0, 1));
      consumer.seekToBeginning(consumer.assignment());
      Checks.same(1_000, Clients.take(consumer, 1_000).size(), "records");
    }
  }

  private static void automatic(Clients clients) throws Exception {
    String topic = Clients.fresh("automatic");
    try (var producer = clients.producer()) {
      Checks.same(0L, producer.send(new ProducerRecord<>(topic, "first")).get().offset(), "offset");
    }
    Checks.same(List.of("first"), Clients.values(clients.all(topic, 0, "read_uncommitted")), "values");
  }
}
