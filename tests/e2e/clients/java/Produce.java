// Apache Kafka's Java producer, unmodified: Produce BOOTSTRAP TOPIC MODE, records as lines KEY TAB VALUE on standard input.
//
// MODE: idempotent; transactional ID (a transaction for every 100 records); abort ID (the same, every transaction aborted).
// Prints one line for each record, in their order: KEY TAB PARTITION TAB OFFSET, or KEY TAB error TAB CLASS: MESSAGE.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

public class Produce {
  private record Sent(String key, Future<RecordMetadata> answer) {}

  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put("bootstrap.servers", args[0]);
    config.put("client.id", "java-producer");
    config.put("acks", "all");
    config.put("linger.ms", "5");
    config.put("delivery.timeout.ms", "60000");
    String mode = args[2];
    boolean transactional = !mode.equals("idempotent");
    if (transactional) config.put("transactional.id", args[3]);
    List<String> lines = new ArrayList<>();
    try (var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) lines.add(line);
    }
    var out = new StringBuilder();
    try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
      if (transactional) producer.initTransactions();
      for (int at = 0; at < lines.size(); at += 100) {
        if (transactional) producer.beginTransaction();
        List<Sent> batch = new ArrayList<>();
        for (String line : lines.subList(at, Math.min(at + 100, lines.size()))) {
          int tab = line.indexOf('\t');
          String key = tab < 0 ? null : line.substring(0, tab);
          batch.add(new Sent(key, producer.send(new ProducerRecord<>(args[1], key, line.substring(tab + 1)))));
        }
        producer.flush();
        boolean failed = false;
        for (Sent sent : batch) {
          out.append(sent.key()).append('\t');
          try {
            RecordMetadata where = sent.answer().get();
            out.append(where.partition()).append('\t').append(where.offset()).append('\n');
          } catch (ExecutionException error) {
            failed = true;
            Throwable cause = error.getCause();
            String text = String.valueOf(cause.getMessage()).replace('\n', ' ');
            out.append("error\t").append(cause.getClass().getSimpleName()).append(": ").append(text).append('\n');
          }
        }
        if (transactional && (failed || mode.equals("abort"))) producer.abortTransaction();
        else if (transactional) producer.commitTransaction();
      }
    }
    System.out.print(out);
  }
}
