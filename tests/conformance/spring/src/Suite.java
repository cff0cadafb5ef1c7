import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.config.KafkaListenerEndpointRegistry;
import org.springframework.kafka.config.TopicBuilder;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.ContainerProperties.AckMode;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.support.Acknowledgment;
import org.springframework.kafka.transaction.KafkaTransactionManager;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.util.backoff.FixedBackOff;

/** Spring Kafka, unmodified: listeners and templates as an application declares them. Suite [BOOTSTRAP]. */
public final class Suite {
  static final String RUN = UUID.randomUUID().toString().substring(0, 8);
  static String bootstrap;
  private static int passed;
  private static int failed;

  interface Body {
    void run() throws Exception;
  }

  static void check(String name, Body body) {
    long start = System.nanoTime();
    String complaint = null;
    try {
      body.run();
    } catch (Throwable error) {
      complaint = error.toString().replace('\n', ' ') + (error.getCause() == null ? "" : " <- " + error.getCause());
    }
    long took = (System.nanoTime() - start) / 1_000_000;
    if (complaint == null) {
      passed++;
      System.out.printf("ok     %s (%d ms)%n", name, took);
    } else {
      failed++;
      System.out.printf("FAILED %s (%d ms): %s%n", name, took, complaint);
    }
  }

  static void that(boolean holds, String otherwise) {
    if (!holds) throw new AssertionError(otherwise);
  }

  static void eventually(int seconds, String what, Callable<Boolean> holds) throws Exception {
    long deadline = System.nanoTime() + seconds * 1_000_000_000L;
    while (!holds.call()) {
      that(System.nanoTime() < deadline, "after " + seconds + " s still not: " + what);
      Thread.sleep(50);
    }
  }

  static Map<String, Object> consuming() {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("auto.offset.reset", "earliest");
    config.put("isolation.level", "read_committed");
    config.put("session.timeout.ms", "6000");
    config.put("heartbeat.interval.ms", "300");
    return config;
  }

  static Map<String, Object> producing() {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("delivery.timeout.ms", "30000");
    config.put("request.timeout.ms", "15000");
    return config;
  }

  /** What an application writes. */
  @Configuration
  @EnableKafka
  static class Application {
    final List<ConsumerRecord<String, String>> heard = new CopyOnWriteArrayList<>();
    final List<Integer> batches = new CopyOnWriteArrayList<>();
    final List<String> acknowledged = new CopyOnWriteArrayList<>();
    final List<String> committed = new CopyOnWriteArrayList<>();
    final List<Integer> attempts = new CopyOnWriteArrayList<>();
    final BlockingQueue<String> dead = new LinkedBlockingQueue<>();
    @Autowired KafkaListenerEndpointRegistry registry;

    private static NewTopic topic(String name, int partitions) {
      return TopicBuilder.name(name + "-" + RUN).partitions(partitions).replicas(1).config("retention.ms", "3600000").build();
    }

    @Bean
    KafkaAdmin kafkaAdmin() {
      KafkaAdmin admin = new KafkaAdmin(Map.of("bootstrap.servers", bootstrap));
      admin.setFatalIfBrokerNotAvailable(true);
      return admin;
    }

    @Bean
    KafkaAdmin.NewTopics topics() {
      return new KafkaAdmin.NewTopics(topic("single", 3), topic("batch", 2), topic("manual", 1), topic("asked", 1), topic("answered", 1),
          topic("failing", 1), topic("failing-dlt", 1), topic("transacted", 1));
    }

    @Bean
    KafkaTemplate<String, String> template() {
      return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(producing(), new StringSerializer(), new StringSerializer()));
    }

    @Bean
    KafkaTemplate<String, String> transactionalTemplate() {
      Map<String, Object> config = producing();
      config.put("transactional.id", "spring-" + RUN + "-");
      return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(config, new StringSerializer(), new StringSerializer()));
    }

    @Bean
    KafkaTransactionManager<String, String> transactions() {
      return new KafkaTransactionManager<>(transactionalTemplate().getProducerFactory());
    }

    private ConcurrentKafkaListenerContainerFactory<String, String> factory() {
      var factory = new ConcurrentKafkaListenerContainerFactory<String, String>();
      factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(consuming(), new StringDeserializer(), new StringDeserializer()));
      factory.getContainerProperties().setPollTimeout(200);
      return factory;
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory() {
      var factory = factory();
      factory.setConcurrency(3);
      factory.setReplyTemplate(template());
      return factory;
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> batches() {
      var factory = factory();
      factory.setBatchListener(true);
      return factory;
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> manual() {
      var factory = factory();
      factory.getContainerProperties().setAckMode(AckMode.MANUAL_IMMEDIATE);
      return factory;
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> failing() {
      var factory = factory();
      factory.setCommonErrorHandler(new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template()), new FixedBackOff(50, 2)));
      return factory;
    }

    @Bean
    ReplyingKafkaTemplate<String, String, String> asking() {
      var factory = factory();
      ConcurrentMessageListenerContainer<String, String> answers = factory.createContainer("answered-" + RUN);
      answers.getContainerProperties().setGroupId("answers-" + RUN);
      var asking = new ReplyingKafkaTemplate<>(template().getProducerFactory(), answers);
      asking.setDefaultReplyTimeout(Duration.ofSeconds(20));
      return asking;
    }

    @KafkaListener(id = "single", topics = "single-${run}", groupId = "single-${run}")
    void hear(ConsumerRecord<String, String> record) {
      heard.add(record);
    }

    @KafkaListener(topics = "batch-${run}", groupId = "batch-${run}", containerFactory = "batches")
    void hearBatch(List<String> values) {
      batches.add(values.size());
    }

    @KafkaListener(topics = "manual-${run}", groupId = "manual-${run}", containerFactory = "manual")
    void hearAndAcknowledge(String value, Acknowledgment acknowledgment) {
      acknowledged.add(value);
      acknowledgment.acknowledge();
    }

    @KafkaListener(topics = "asked-${run}", groupId = "asked-${run}")
    @SendTo
    String answer(String question) {
      return question + "!";
    }

    @KafkaListener(topics = "failing-${run}", groupId = "failing-${run}", containerFactory = "failing")
    void fail(String value) {
      attempts.add(1);
      throw new IllegalStateException("on purpose");
    }

    @KafkaListener(topics = "failing-${run}-dlt", groupId = "dead-${run}")
    void hearDead(String value) {
      dead.add(value);
    }

    @KafkaListener(topics = "transacted-${run}", groupId = "transacted-${run}")
    void hearCommitted(String value) {
      committed.add(value);
    }
  }

  public static void main(String[] args) {
    bootstrap = args.length > 0 ? args[0] : System.getenv("BOOTSTRAP");
    System.setProperty("run", RUN);
    try (var context = new AnnotationConfigApplicationContext(Application.class)) {
      Application application = context.getBean(Application.class);
      KafkaTemplate<String, String> template = context.getBean("template", KafkaTemplate.class);
      check("KafkaAdmin creates the topics", () -> {
        var found = context.getBean(KafkaAdmin.class).describeTopics("single-" + RUN);
        that(found.get("single-" + RUN).partitions().size() == 3, "three partitions: " + found);
      });
      check("KafkaTemplate sends, a listener with three threads hears", () -> {
        for (int n = 0; n < 300; n++) template.send("single-" + RUN, "k" + n, "v" + n).get(20, TimeUnit.SECONDS);
        eventually(20, "300 records", () -> application.heard.size() == 300);
        that(application.heard.stream().map(ConsumerRecord::value).distinct().count() == 300, "each once");
      });
      check("a listener of batches", () -> {
        List<java.util.concurrent.Future<?>> sent = new ArrayList<>();
        for (int n = 0; n < 200; n++) sent.add(template.send("batch-" + RUN, "v" + n));
        for (var each : sent) each.get(20, TimeUnit.SECONDS);
        eventually(20, "200 records", () -> application.batches.stream().mapToInt(Integer::intValue).sum() == 200);
      });
      check("manual acknowledgement commits", () -> {
        for (int n = 0; n < 5; n++) template.send("manual-" + RUN, "v" + n).get(20, TimeUnit.SECONDS);
        eventually(20, "five records", () -> application.acknowledged.size() == 5);
        var admin = org.apache.kafka.clients.admin.Admin.create(Map.of("bootstrap.servers", bootstrap));
        try (admin) {
          eventually(20, "offset 5 is committed", () -> admin.listConsumerGroupOffsets("manual-" + RUN).partitionsToOffsetAndMetadata().get()
              .values().stream().anyMatch(offset -> offset.offset() == 5));
        }
      });
      check("a question and its answer", () -> {
        ReplyingKafkaTemplate<String, String, String> asking = context.getBean(ReplyingKafkaTemplate.class);
        that(asking.waitForAssignment(Duration.ofSeconds(20)), "the answers are subscribed to");
        var answer = asking.sendAndReceive(new org.apache.kafka.clients.producer.ProducerRecord<>("asked-" + RUN, "how")).get(20, TimeUnit.SECONDS);
        that(answer.value().equals("how!"), "the answer is " + answer.value());
      });
      check("after three attempts a record goes to the dead letters", () -> {
        template.send("failing-" + RUN, "bad").get(20, TimeUnit.SECONDS);
        that("bad".equals(application.dead.poll(20, TimeUnit.SECONDS)), "the dead letter");
        that(application.attempts.size() == 3, application.attempts.size() + " attempts");
      });
      check("a transaction is all or nothing", () -> {
        KafkaTemplate<String, String> transactional = context.getBean("transactionalTemplate", KafkaTemplate.class);
        try {
          transactional.executeInTransaction(operations -> {
            operations.send("transacted-" + RUN, "lost");
            throw new IllegalStateException("on purpose");
          });
        } catch (IllegalStateException expected) {
          that(expected.getMessage().equals("on purpose"), "only that: " + expected);
        }
        transactional.executeInTransaction(operations -> operations.send("transacted-" + RUN, "kept"));
        eventually(20, "the committed one", () -> !application.committed.isEmpty());
        that(application.committed.equals(List.of("kept")), "only the committed one: " + application.committed);
      });
      check("a container stops and starts and goes on", () -> {
        var container = application.registry.getListenerContainer("single");
        container.stop();
        template.send("single-" + RUN, "k", "meanwhile").get(20, TimeUnit.SECONDS);
        container.start();
        eventually(20, "what came meanwhile", () -> application.heard.size() == 301);
        that(application.heard.get(300).value().equals("meanwhile"), "and nothing again");
      });
    } catch (RuntimeException error) {
      System.out.println("FAILED the application starts: " + error);
      failed++;
    }
    System.out.printf("%d passed, %d failed%n", passed, failed);
    System.exit(failed == 0 && passed > 0 ? 0 : 1);
  }
}
