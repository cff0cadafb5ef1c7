import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InconsistentGroupProtocolException;

/** Groups by the classic protocol: who has which partition, and what is left when one goes. */
final class Groups {
  private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";

  static void checks(Checks checks, Clients clients) {
    for (String assignor : List.of("RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor")) {
      checks.check("groups: " + assignor + ", one comes, one goes", () -> rebalance(clients, ASSIGNORS + assignor));
    }
    checks.check("groups: cooperative members keep what they keep", () -> cooperative(clients));
    checks.check("groups: from eager to cooperative by rolling", () -> rolling(clients));
    checks.check("groups: a static member comes back to its partitions", () -> staticMember(clients));
    checks.check("groups: a second static member of that id fences the first", () -> fenced(clients));
    checks.check("groups: a slow member's commit fails", () -> slow(clients));
    checks.check("groups: a member that died is replaced after its session", () -> died(clients));
    checks.check("groups: two programs without a common assignor", () -> mistake(clients));
    checks.check("groups: subscription by a pattern finds new topics", () -> pattern(clients));
    checks.check("groups: new partitions are assigned", () -> grown(clients));
    checks.check("groups: a member goes on where the last one committed", () -> handover(clients));
    checks.check("groups: enforceRebalance", () -> enforced(clients));
  }

  /** A consumer on a thread of its own, which polls until it is told to stop. */
  private static final class Member implements AutoCloseable {
    final KafkaConsumer<String, String> consumer;
    final ConcurrentLinkedQueue<String> events = new ConcurrentLinkedQueue<>();
    volatile Set<TopicPartition> owned = Set.of();
    volatile Throwable error;
    volatile boolean stopped;
    volatile boolean rebalance;
    private final Thread thread;

    Member(Clients clients, String group, String topic, String... more) {
      List<String> config = new ArrayList<>(List.of("group.id", group, "session.timeout.ms", "6000",
          "heartbeat.interval.ms", "300", "metadata.max.age.ms", "500", "group.protocol", "classic"));
      config.addAll(List.of(more));
      consumer = clients.consumer(config.toArray(new String[0]));
      var listener = new ConsumerRebalanceListener() {
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
          for (TopicPartition partition : partitions) events.add("revoked " + partition.partition());
        }

        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
          for (TopicPartition partition : partitions) events.add("assigned " + partition.partition());
        }

        public void onPartitionsLost(Collection<TopicPartition> partitions) {
          for (TopicPartition partition : partitions) events.add("lost " + partition.partition());
        }
      };
      if (topic.endsWith("*")) consumer.subscribe(Pattern.compile(topic), listener);
      else consumer.subscribe(List.of(topic), listener);
      thread = new Thread(this::poll, "member");
      thread.setDaemon(true);
      thread.start();
    }

    private void poll() {
      try (consumer) {
        while (!stopped) {
          if (rebalance) {
            rebalance = false;
            consumer.enforceRebalance("asked for");
          }
          consumer.poll(Duration.ofMillis(50));
          owned = new HashSet<>(consumer.assignment());
        }
      } catch (Throwable caught) {
        error = caught;
      } finally {
        owned = Set.of();
      }
    }

    int count() {
      return owned.size();
    }

    @Override
    public void close() throws Exception {
      stopped = true;
      thread.join(10_000);
    }
  }

  private static boolean covered(int partitions, Member... members) {
    Set<TopicPartition> all = new HashSet<>();
    int sum = 0;
    for (Member member : members) {
      if (member.error != null) throw new AssertionError("a member failed: " + member.error, member.error);
      if (member.count() == 0) return false;
      all.addAll(member.owned);
      sum += member.count();
    }
    return all.size() == partitions && sum == partitions;
  }

  private static void rebalance(Clients clients, String assignor) throws Exception {
    String topic = clients.topic(6);
    String group = Clients.fresh("g");
    String[] config = {"partition.assignment.strategy", assignor};
    try (Member one = new Member(clients, group, topic, config)) {
      Checks.eventually(15, "one has all", () -> covered(6, one));
      try (Member two = new Member(clients, group, topic, config); Member three = new Member(clients, group, topic, config)) {
        Checks.eventually(15, "each has two", () -> covered(6, one, two, three) && one.count() == 2 && two.count() == 2);
      }
      Checks.eventually(15, "one has all again", () -> covered(6, one));
    }
  }

  private static void cooperative(Clients clients) throws Exception {
    String topic = clients.topic(6);
    String group = Clients.fresh("g");
    String[] config = {"partition.assignment.strategy", ASSIGNORS + "CooperativeStickyAssignor"};
    try (Member one = new Member(clients, group, topic, config)) {
      Checks.eventually(15, "one has all", () -> covered(6, one));
      one.events.clear();
      try (Member two = new Member(clients, group, topic, config)) {
        Checks.eventually(15, "three each", () -> covered(6, one, two) && one.count() == 3);
        Checks.same(3L, one.events.stream().filter(event -> event.startsWith("revoked")).count(), "revoked of " + one.events);
        Checks.same(0L, one.events.stream().filter(event -> event.startsWith("assigned")).count(), "assigned anew");
      }
    }
  }

  private static void rolling(Clients clients) throws Exception {
    String topic = clients.topic(4);
    String group = Clients.fresh("g");
    String range = ASSIGNORS + "RangeAssignor";
    String both = ASSIGNORS + "CooperativeStickyAssignor," + range;
    try (Member eager = new Member(clients, group, topic, "partition.assignment.strategy", range);
        Member first = new Member(clients, group, topic, "partition.assignment.strategy", both)) {
      Checks.eventually(15, "two each", () -> covered(4, eager, first) && eager.count() == 2);
      eager.close();
      try (Member second = new Member(clients, group, topic, "partition.assignment.strategy", both)) {
        Checks.eventually(15, "two each", () -> covered(4, first, second) && first.count() == 2);
      }
    }
  }

  private static void staticMember(Clients clients) throws Exception {
    String topic = clients.topic(4);
    String group = Clients.fresh("g");
    try (Member stays = new Member(clients, group, topic, "group.instance.id", "stays")) {
      Set<TopicPartition> had;
      try (Member goes = new Member(clients, group, topic, "group.instance.id", "goes")) {
        Checks.eventually(15, "two each", () -> covered(4, stays, goes) && stays.count() == 2);
        had = goes.owned;
        stays.events.clear();
      }
      // A static member leaves nothing behind when it closes, so nobody takes its partitions.
      try (var admin = clients.admin()) {
        var kept = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Checks.same(GroupState.STABLE, kept.groupState(), "the group without it");
        Checks.same(2, kept.members().size(), "its members");
      }
      Checks.same(2, stays.count(), "partitions of the one that stayed");
      try (Member back = new Member(clients, group, topic, "group.instance.id", "goes")) {
        Checks.eventually(15, "its partitions again", () -> back.owned.equals(had));
        Checks.that(stays.events.isEmpty(), "the other one saw no rebalance: " + stays.events);
      }
    }
  }

  private static void fenced(Clients clients) throws Exception {
    String topic = clients.topic(2);
    String group = Clients.fresh("g");
    try (Member first = new Member(clients, group, topic, "group.instance.id", "same")) {
      Checks.eventually(15, "first has all", () -> covered(2, first));
      try (Member second = new Member(clients, group, topic, "group.instance.id", "same")) {
        Checks.eventually(20, "the first is fenced", () -> first.error instanceof FencedInstanceIdException);
        Checks.eventually(15, "second has all", () -> covered(2, second));
      }
    }
  }

  private static void slow(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String group = Clients.fresh("g");
    try (var producer = clients.producer()) {
      producer.send(new ProducerRecord<>(topic, "v")).get();
    }
    String[] config = {"group.id", group, "max.poll.interval.ms", "1500", "session.timeout.ms", "6000",
        "heartbeat.interval.ms", "300"};
    try (var late = clients.consumer(config)) {
      late.subscribe(List.of(topic));
      Checks.same(1, Clients.take(late, 1).size(), "records");
      try (Member other = new Member(clients, group, topic)) {
        Checks.eventually(20, "the other has it", () -> covered(1, other));
        Checks.fails(CommitFailedException.class, late::commitSync);
      }
    }
  }

  private static void died(Clients clients) throws Exception {
    String topic = clients.topic(2);
    String group = Clients.fresh("g");
    // A poll and a heartbeat a minute: to the broker it is dead as soon as its session is over.
    try (var dead = clients.consumer("group.id", group, "session.timeout.ms", "6000", "heartbeat.interval.ms", "5900")) {
      dead.subscribe(List.of(topic));
      Checks.eventually(15, "dead has all", () -> {
        dead.poll(Clients.SHORTLY);
        return dead.assignment().size() == 2;
      });
      dead.close(org.apache.kafka.clients.consumer.CloseOptions.groupMembershipOperation(
          org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP));
      long start = System.nanoTime();
      try (Member next = new Member(clients, group, topic)) {
        Checks.eventually(30, "the next one has all", () -> covered(2, next));
      }
      long waited = (System.nanoTime() - start) / 1_000_000;
      Checks.that(waited > 500, "it waited for the session, not " + waited + " ms");
    }
  }

  private static void mistake(Clients clients) throws Exception {
    String topic = clients.topic(2);
    String group = Clients.fresh("g");
    try (Member one = new Member(clients, group, topic, "partition.assignment.strategy", ASSIGNORS + "RangeAssignor")) {
      Checks.eventually(15, "one has all", () -> covered(2, one));
      try (Member two = new Member(clients, group, topic, "partition.assignment.strategy", ASSIGNORS + "RoundRobinAssignor")) {
        Checks.eventually(15, "the second is refused", () -> two.error instanceof InconsistentGroupProtocolException);
      }
      Checks.that(covered(2, one), "the first has all still");
    }
  }

  private static void pattern(Clients clients) throws Exception {
    String prefix = Clients.fresh("p");
    try (var admin = clients.admin(); Member member = new Member(clients, Clients.fresh("g"), prefix + ".*")) {
      for (int n = 1; n <= 2; n++) {
        int topics = n;
        admin.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(prefix + "-" + n, 2, (short) 1))).all().get();
        Checks.eventually(15, 2 * n + " partitions", () -> member.error == null && member.count() == 2 * topics);
      }
      admin.deleteTopics(List.of(prefix + "-1")).all().get();
      Checks.eventually(15, "two partitions after one topic is deleted", () -> member.count() == 2);
    }
  }

  private static void grown(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (var admin = clients.admin(); Member member = new Member(clients, Clients.fresh("g"), topic)) {
      Checks.eventually(15, "one partition", () -> covered(1, member));
      admin.createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(4))).all().get();
      Checks.eventually(15, "four partitions", () -> covered(4, member));
    }
  }

  private static void handover(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String group = Clients.fresh("g");
    try (var producer = clients.producer()) {
      for (int n = 0; n < 100; n++) producer.send(new ProducerRecord<>(topic, "v" + n));
    }
    for (int from = 0; from < 100; from += 25) {
      try (var consumer = clients.consumer("group.id", group, "max.poll.records", "25")) {
        consumer.subscribe(List.of(topic));
        var records = Clients.take(consumer, 25);
        Checks.same("v" + from, records.get(0).value(), "the first record");
        Checks.same(25, records.size(), "records");
        consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(from + 25)));
      }
    }
  }

  private static void enforced(Clients clients) throws Exception {
    String topic = clients.topic(2);
    try (Member member = new Member(clients, Clients.fresh("g"), topic)) {
      Checks.eventually(15, "all", () -> covered(2, member));
      member.events.clear();
      member.rebalance = true;
      Checks.eventually(15, "assigned again", () -> member.events.stream().filter(e -> e.startsWith("assigned"))
          .collect(Collectors.toCollection(TreeSet::new)).size() == 2);
    }
  }
}
