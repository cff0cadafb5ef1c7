import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The cluster, its replicas, its producers and its transactions, as AdminClient sees them. */
final class Cluster {
  static void checks(Checks checks, Clients clients) {
    checks.check("cluster: describeCluster", () -> describe(clients));
    checks.check("cluster: describeFeatures and updateFeatures", () -> features(clients));
    checks.check("cluster: describeMetadataQuorum", () -> quorum(clients));
    checks.check("cluster: describeLogDirs, describeReplicaLogDirs", () -> logDirs(clients));
    checks.check("cluster: alterReplicaLogDirs to nowhere", () -> moves(clients));
    checks.check("cluster: electLeaders where none is needed", () -> elections(clients));
    checks.check("cluster: partition reassignments", () -> reassignments(clients));
    checks.check("cluster: describeProducers", () -> producers(clients));
    checks.check("cluster: list, describe and abort transactions", () -> transactions(clients));
    checks.check("cluster: client quotas", () -> quotas(clients));
    checks.check("cluster: SCRAM users", () -> scram(clients));
    checks.check("cluster: ACLs without an authorizer", () -> acls(clients));
    checks.check("cluster: unregisterBroker of one that is not there", () -> unregister(clients));
  }

  private static int broker(Admin admin) throws Exception {
    return admin.describeCluster().nodes().get().iterator().next().id();
  }

  private static void describe(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      var found = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
      Checks.same(1, found.nodes().get().size(), "nodes");
      var node = found.nodes().get().iterator().next();
      Checks.same(clients.bootstrap, node.host() + ":" + node.port(), "address");
      Checks.that(found.controller().get() != null, "a controller");
      Checks.that(found.clusterId().get().length() == 22, "a cluster id as Kafka's: " + found.clusterId().get());
    }
  }

  private static void features(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      var metadata = admin.describeFeatures().featureMetadata().get();
      Checks.that(metadata.supportedFeatures().containsKey("transaction.version"), "supported: " + metadata);
      var validate = new UpdateFeaturesOptions().validateOnly(true);
      short now = metadata.finalizedFeatures().get("transaction.version").maxVersionLevel();
      admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate(now, FeatureUpdate.UpgradeType.UPGRADE)), validate).all().get();
      Checks.fails(org.apache.kafka.common.errors.ApiException.class, () -> admin.updateFeatures(
          Map.of("no.such.feature", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)), validate).all().get());
    }
  }

  private static void quorum(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      var info = admin.describeMetadataQuorum().quorumInfo().get();
      Checks.same(1, info.voters().size(), "voters");
      Checks.same(info.leaderId(), info.voters().get(0).replicaId(), "the leader votes");
      long before = info.highWatermark();
      Checks.that(before >= 0, "a high watermark");
      clients.topic(1);
      Checks.eventually(10, "it grows", () -> admin.describeMetadataQuorum().quorumInfo().get().highWatermark() > before);
    }
  }

  private static void logDirs(Clients clients) throws Exception {
    String topic = clients.topic(2);
    TopicPartition at = new TopicPartition(topic, 0);
    try (Admin admin = clients.admin(); var producer = clients.producer()) {
      for (int n = 0; n < 10; n++) producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(1_000))).get();
      int broker = broker(admin);
      var dirs = admin.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker);
      Checks.same(1, dirs.size(), "directories");
      var dir = dirs.values().iterator().next();
      Checks.that(dir.error() == null, "no error");
      Checks.that(dir.replicaInfos().get(at).size() > 10_000, "its size: " + dir.replicaInfos().get(at));
      Checks.same(0L, dir.replicaInfos().get(at).offsetLag(), "its lag");
      Checks.that(dir.totalBytes().isPresent() && dir.usableBytes().isPresent(), "bytes of the volume");
      var replica = new TopicPartitionReplica(topic, 0, broker);
      var where = admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
      Checks.same(dirs.keySet().iterator().next(), where.getCurrentReplicaLogDir(), "where it lies");
    }
  }

  private static void moves(Clients clients) throws Exception {
    String topic = clients.topic(1);
    try (Admin admin = clients.admin()) {
      int broker = broker(admin);
      var replica = new TopicPartitionReplica(topic, 0, broker);
      Checks.fails(LogDirNotFoundException.class, () -> admin.alterReplicaLogDirs(Map.of(replica, "/no/such/directory")).all().get());
      String here = admin.describeLogDirs(List.of(broker)).allDescriptions().get().get(broker).keySet().iterator().next();
      admin.alterReplicaLogDirs(Map.of(replica, here)).all().get();
    }
  }

  private static void elections(Clients clients) throws Exception {
    TopicPartition at = new TopicPartition(clients.topic(1), 0);
    TopicPartition none = new TopicPartition(Clients.fresh("none"), 0);
    try (Admin admin = clients.admin()) {
      var answers = admin.electLeaders(ElectionType.PREFERRED, Set.of(at, none)).partitions().get();
      Checks.that(answers.get(at).get() instanceof ElectionNotNeededException, "not needed: " + answers.get(at));
      Checks.that(answers.get(none).get() instanceof UnknownTopicOrPartitionException, "unknown: " + answers.get(none));
      admin.electLeaders(ElectionType.PREFERRED, null).all().get();
      var unclean = admin.electLeaders(ElectionType.UNCLEAN, Set.of(at)).partitions().get();
      Checks.that(unclean.get(at).get() instanceof ElectionNotNeededException, "not needed: " + unclean.get(at));
    }
  }

  private static void reassignments(Clients clients) throws Exception {
    TopicPartition at = new TopicPartition(clients.topic(1), 0);
    try (Admin admin = clients.admin()) {
      int broker = broker(admin);
      Checks.same(Map.of(), admin.listPartitionReassignments().reassignments().get(), "none under way");
      Checks.same(Map.of(), admin.listPartitionReassignments(Set.of(at)).reassignments().get(), "none of this one");
      admin.alterPartitionReassignments(Map.of(at, Optional.of(new NewPartitionReassignment(List.of(broker))))).all().get();
      Checks.fails(InvalidReplicaAssignmentException.class, () ->
          admin.alterPartitionReassignments(Map.of(at, Optional.of(new NewPartitionReassignment(List.of(broker, 4711))))).all().get());
      Checks.fails(NoReassignmentInProgressException.class, () ->
          admin.alterPartitionReassignments(Map.of(at, Optional.empty())).all().get());
    }
  }

  private static void producers(Clients clients) throws Exception {
    TopicPartition at = new TopicPartition(clients.topic(1), 0);
    try (Admin admin = clients.admin(); var producer = clients.producer()) {
      for (int n = 0; n < 3; n++) producer.send(new ProducerRecord<>(at.topic(), "v")).get();
      var states = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers();
      Checks.same(1, states.size(), "producers");
      var state = states.get(0);
      Checks.that(state.producerId() >= 0 && state.producerEpoch() == 0 && state.lastSequence() == 2, "state: " + state);
      Checks.that(state.currentTransactionStartOffset().isEmpty(), "no transaction");
      TopicPartition none = new TopicPartition(Clients.fresh("none"), 0);
      Checks.fails(org.apache.kafka.common.KafkaException.class, () -> clients.admin("default.api.timeout.ms", "3000")
          .describeProducers(List.of(none)).partitionResult(none).get());
    }
  }

  private static void transactions(Clients clients) throws Exception {
    TopicPartition at = new TopicPartition(clients.topic(1), 0);
    String id = Clients.fresh("id");
    try (Admin admin = clients.admin(); var producer = clients.producer("transactional.id", id)) {
      producer.initTransactions();
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(at.topic(), "open")).get();
      var listed = admin.listTransactions().all().get().stream().filter(each -> each.transactionalId().equals(id)).toList();
      Checks.same(1, listed.size(), "listed");
      Checks.same(TransactionState.ONGOING, listed.get(0).state(), "its state");
      var states = new ListTransactionsOptions().filterStates(Set.of(TransactionState.COMPLETE_COMMIT));
      Checks.that(admin.listTransactions(states).all().get().stream().noneMatch(each -> each.transactionalId().equals(id)), "filtered by state");
      var longer = new ListTransactionsOptions().filterOnDuration(3_600_000);
      Checks.that(admin.listTransactions(longer).all().get().stream().noneMatch(each -> each.transactionalId().equals(id)), "filtered by duration");
      var found = admin.describeTransactions(List.of(id)).description(id).get();
      Checks.same(TransactionState.ONGOING, found.state(), "described state");
      Checks.same(Set.of(at), found.topicPartitions(), "partitions");
      Checks.that(found.transactionStartTimeMs().isPresent(), "start time");
      var state = admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers().get(0);
      Checks.same(0L, state.currentTransactionStartOffset().getAsLong(), "start offset");
      admin.abortTransaction(new AbortTransactionSpec(at, state.producerId(), (short) state.producerEpoch(),
          state.coordinatorEpoch().orElse(0))).all().get();
      Checks.same(java.util.List.of(), clients.all(at.topic(), 0, "read_committed"), "nothing is committed");
      Checks.fails(TransactionalIdNotFoundException.class, () -> {
        String none = Clients.fresh("none");
        admin.describeTransactions(List.of(none)).description(none).get();
      });
      producer.close(java.time.Duration.ZERO);
    }
  }

  private static void quotas(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      Checks.same(Map.of(), admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get(), "none is set");
    }
  }

  private static void scram(Clients clients) throws Exception {
    try (Admin admin = clients.admin()) {
      Checks.same(List.of(), admin.describeUserScramCredentials().users().get(), "no users");
    }
  }

  private static void acls(Clients clients) {
    try (Admin admin = clients.admin()) {
      Checks.fails(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
    }
  }

  private static void unregister(Clients clients) {
    try (Admin admin = clients.admin()) {
      Checks.fails(BrokerIdNotRegisteredException.class, () -> admin.unregisterBroker(4711).all().get());
    }
  }
}
