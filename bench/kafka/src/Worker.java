import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.KStream;

/**
 * One stateless step of Kafka Streams: from one topic to another, with what the interceptor of the same name in
 * bench/guests does to each record. Prints "running" when its tasks have their partitions, and ends when its
 * standard input does.
 *
 * Arguments: bootstrap, application id, input, output, work (identity, filter=X, redact=FIELD), processing.guarantee,
 * batch.size, state directory.
 */
public final class Worker {
    private static final byte[] REDACTED = "\"[redacted]\"".getBytes(StandardCharsets.UTF_8);

    private Worker() {}

    /** Runs it. */
    public static void main(String[] args) throws Exception {
        if (args.length != 8) {
            System.err.println("arguments: BOOTSTRAP ID INPUT OUTPUT WORK GUARANTEE BATCH_BYTES STATE_DIR");
            System.exit(2);
        }
        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[5]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[7]);
        config.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        config.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        config.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), args[6]);

        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> input = builder.stream(args[2]);
        work(input, args[4]).to(args[3]);

        CountDownLatch over = new CountDownLatch(1);
        try (KafkaStreams streams = new KafkaStreams(builder.build(), config)) {
            streams.setUncaughtExceptionHandler(error -> {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.setStateListener((now, before) -> {
                if (now == KafkaStreams.State.RUNNING) {
                    System.out.println("running");
                }
            });
            streams.start();
            Thread watch = new Thread(() -> {
                try {
                    while (System.in.read() >= 0) {
                        // Nothing is said there: only its end means something.
                    }
                } catch (IOException error) {
                    error.printStackTrace();
                }
                over.countDown();
            });
            watch.setDaemon(true);
            watch.start();
            over.await();
        }
    }

    private static KStream<byte[], byte[]> work(KStream<byte[], byte[]> input, String work) {
        if (work.equals("identity")) {
            return input.mapValues(value -> value);
        }
        if (work.startsWith("filter=")) {
            byte first = (byte) work.charAt("filter=".length());
            return input.filter((key, value) -> value == null || value.length == 0 || value[0] != first);
        }
        if (work.startsWith("redact=")) {
            JsonFactory json = new JsonFactory();
            String field = work.substring("redact=".length());
            return input.mapValues(value -> value == null ? null : redact(json, value, field));
        }
        throw new IllegalArgumentException("no such work: " + work);
    }

    /**
     * The document with another value for one member of its object. It is never turned into a tree: Jackson's pull
     * parser says where the value stands, and checks the document to its end.
     */
    static byte[] redact(JsonFactory json, byte[] value, String field) {
        try (JsonParser parser = json.createParser(value)) {
            byte[] out = null;
            int depth = 0;
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                if (token == JsonToken.FIELD_NAME && depth == 1 && out == null && field.equals(parser.currentName())) {
                    parser.nextToken();
                    int start = (int) parser.currentTokenLocation().getByteOffset();
                    parser.skipChildren();
                    parser.finishToken();
                    int end = (int) parser.currentLocation().getByteOffset();
                    out = Arrays.copyOf(value, start + REDACTED.length + value.length - end);
                    System.arraycopy(REDACTED, 0, out, start, REDACTED.length);
                    System.arraycopy(value, end, out, start + REDACTED.length, value.length - end);
                } else if (token.isStructStart()) {
                    depth++;
                } else if (token.isStructEnd()) {
                    depth--;
                }
            }
            return out == null ? value : out;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
