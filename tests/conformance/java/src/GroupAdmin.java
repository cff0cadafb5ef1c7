import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Groups as AdminClient sees them. */
final class GroupAdmin {
  static void checks(Checks checks, Clients clients) {
    checks.check("group admin: list, by state and by type", () -> list(clients));
    checks.check("group admin: describe a stable and an empty one", () -> describe(clients));
    checks.check("group admin: an unknown one", () -> unknown(clients));
    checks.check("group admin: offsets: list, alter, delete", () -> offsets(clients));
    checks.check("group admin: offsets of a subscribed topic stay", () -> subscribed(clients));
    checks.check("group admin: delete", () -> delete(clients));
    checks.check("group admin: remove members", () -> remove(clients));
  }

  private static KafkaConsumer<String, String> joined(Clients clients, String group, String topic, String... more) throws Exception {
    List<String> config = new java.util.ArrayList<>(List.of("group.id", group, "group.protocol", "classic", "client.id", "reader"));
    config.addAll(List.of(more));
    var consumer = clients.consumer(config.toArray(new String[0]));
    consumer.subscribe(List.of(topic));
    Checks.eventually(15, "joined", () -> {
      consumer.poll(Clients.SHORTLY);
      return !consumer.assignment().isEmpty();
    });
    return consumer;
  }

  private static void left(Clients clients, String group, String topic) throws Exception {
    try (var consumer = joined(clients, group, topic)) {
      consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(3, "three")));
    }
  }

  private static boolean lists(Admin admin, ListGroupsOptions options, String group) throws Exception {
    return admin.listGroups(options).all().get().stream().anyMatch(each -> each.groupId().equals(group));
  }

  private static void list(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String stable = Clients.fresh("g");
    String empty = Clients.fresh("g");
    left(clients, empty, topic);
    try (Admin admin = clients.admin(); var consumer = joined(clients, stable, topic)) {
      var all = new ListGroupsOptions();
      Checks.that(lists(admin, all, stable) && lists(admin, all, empty), "both are listed");
      var stables = new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE));
      Checks.that(lists(admin, stables, stable) && !lists(admin, stables, empty), "by the state Stable");
      var empties = new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY));
      Checks.that(!lists(admin, empties, stable) && lists(admin, empties, empty), "by the state Empty");
      var classic = new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC));
      Checks.that(lists(admin, classic, stable), "by the type Classic");
      Checks.that(!lists(admin, new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE)), stable), "not by another type");
      var found = admin.listGroups().all().get().stream().filter(each -> each.groupId().equals(stable)).findFirst().orElseThrow();
      Checks.same("consumer", found.protocol(), "protocol type");
      Checks.same(GroupType.CLASSIC, found.type().orElseThrow(), "type");
    }
  }

  private static void describe(Clients clients) throws Exception {
    String topic = clients.topic(3);
    String group = Clients.fresh("g");
    try (Admin admin = clients.admin()) {
      try (var consumer = joined(clients, group, topic, "group.instance.id", "instance")) {
        var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Checks.same(GroupState.STABLE, found.groupState(), "state");
        Checks.same("range", found.partitionAssignor(), "assignor");
        Checks.same(1, found.members().size(), "members");
        var member = found.members().iterator().next();
        Checks.same("reader", member.clientId(), "client id");
        Checks.same("instance", member.groupInstanceId().orElseThrow(), "instance id");
        Checks.that(member.host().contains("127.0.0.1"), "host: " + member.host());
        Checks.same(3, member.assignment().topicPartitions().size(), "partitions");
        Checks.that(found.coordinator() != null && found.coordinator().id() >= 0, "coordinator");
        var classic = admin.describeClassicGroups(List.of(group)).all().get().get(group);
        Checks.same(ClassicGroupState.STABLE, classic.state(), "state of the classic group");
        // A static member stays after it has closed; it is taken out, so that the group is empty.
        consumer.close(Duration.ofSeconds(5));
        admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(
            List.of(new MemberToRemove("instance")))).all().get();
      }
      left(clients, group, topic);
      var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
      Checks.same(GroupState.EMPTY, found.groupState(), "state afterwards");
      Checks.same(0, found.members().size(), "members afterwards");
    }
  }

  private static void unknown(Clients clients) {
    String none = Clients.fresh("none");
    try (Admin admin = clients.admin()) {
      Checks.fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(none)).all().get());
      Checks.fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(none)).all().get());
      Checks.fails(GroupIdNotFoundException.class, () ->
          admin.deleteConsumerGroupOffsets(none, Set.of(new TopicPartition("t", 0))).all().get());
    }
  }

  private static void offsets(Clients clients) throws Exception {
    String topic = clients.topic(2);
    String group = Clients.fresh("g");
    List<TopicPartition> at = Clients.partitions(topic, 0, 1);
    left(clients, group, topic);
    try (Admin admin = clients.admin()) {
      var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
      Checks.same(3L, found.get(at.get(0)).offset(), "committed");
      Checks.same("three", found.get(at.get(0)).metadata(), "metadata");
      admin.alterConsumerGroupOffsets(group, Map.of(at.get(0), new OffsetAndMetadata(1), at.get(1), new OffsetAndMetadata(2))).all().get();
      String other = Clients.fresh("g");
      admin.alterConsumerGroupOffsets(other, Map.of(at.get(0), new OffsetAndMetadata(9))).all().get();
      // Several groups in one request.
      var both = admin.listConsumerGroupOffsets(Map.of(group, new ListConsumerGroupOffsetsSpec().topicPartitions(at),
          other, new ListConsumerGroupOffsetsSpec())).all().get();
      Checks.same(1L, both.get(group).get(at.get(0)).offset(), "altered");
      Checks.same(2L, both.get(group).get(at.get(1)).offset(), "altered, the second partition");
      Checks.same(9L, both.get(other).get(at.get(0)).offset(), "of the other group");
      admin.deleteConsumerGroupOffsets(group, Set.of(at.get(0))).all().get();
      Checks.same(Set.of(at.get(1)), admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().keySet(), "left");
    }
  }

  private static void subscribed(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String group = Clients.fresh("g");
    TopicPartition at = new TopicPartition(topic, 0);
    try (Admin admin = clients.admin(); var consumer = joined(clients, group, topic)) {
      consumer.commitSync(Map.of(at, new OffsetAndMetadata(1)));
      Checks.fails(GroupSubscribedToTopicException.class, () -> admin.deleteConsumerGroupOffsets(group, Set.of(at)).all().get());
      Checks.fails(UnknownMemberIdException.class, () -> admin.alterConsumerGroupOffsets(group, Map.of(at, new OffsetAndMetadata(5))).all().get());
    }
  }

  private static void delete(Clients clients) throws Exception {
    String topic = clients.topic(1);
    String group = Clients.fresh("g");
    try (Admin admin = clients.admin()) {
      try (var consumer = joined(clients, group, topic)) {
        consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1)));
        Checks.fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
      }
      admin.deleteConsumerGroups(List.of(group)).all().get();
      Checks.that(!lists(admin, new ListGroupsOptions(), group), "gone");
      Checks.same(Map.of(), admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(), "its offsets are gone");
    }
  }

  private static void remove(Clients clients) throws Exception {
    String topic = clients.topic(2);
    String group = Clients.fresh("g");
    try (Admin admin = clients.admin(); var consumer = joined(clients, group, topic, "session.timeout.ms", "30000")) {
      admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all().get();
      Checks.eventually(10, "no member", () -> admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().isEmpty());
    }
  }
}
