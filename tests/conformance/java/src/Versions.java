import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTopic;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTopicCollection;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTransaction;
import org.apache.kafka.common.message.AddPartitionsToTxnRequestData.AddPartitionsToTxnTransactionCollection;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestTopic;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestGroup;
import org.apache.kafka.common.message.OffsetFetchRequestData.OffsetFetchRequestTopics;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.AddPartitionsToTxnRequest;
import org.apache.kafka.common.requests.AddPartitionsToTxnResponse;
import org.apache.kafka.common.requests.OffsetCommitRequest;
import org.apache.kafka.common.requests.OffsetCommitResponse;
import org.apache.kafka.common.requests.OffsetFetchRequest;
import org.apache.kafka.common.requests.OffsetFetchResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.TransactionResult;
import org.apache.kafka.common.requests.WriteTxnMarkersRequest;
import org.apache.kafka.common.requests.WriteTxnMarkersRequest.TxnMarkerEntry;
import org.apache.kafka.common.requests.WriteTxnMarkersResponse;

/** Versions that no client of this suite sends by itself: written and read by Kafka's own classes, over a socket. */
final class Versions {
  private static final Uuid UNKNOWN = new Uuid(1, 2);

  static void checks(Checks checks, Clients clients) {
    checks.check("versions: offsets by topic id (OffsetCommit and OffsetFetch 10)", () -> offsets(clients));
    checks.check("versions: brokers verify and add partitions (AddPartitionsToTxn 4 and 5)", () -> verification(clients));
    checks.check("versions: markers of transactions of version 2 (WriteTxnMarkers 2)", () -> markers(clients));
  }

  private static <T extends AbstractResponse> T ask(Clients clients, AbstractRequest request, Class<T> answer) throws Exception {
    String[] address = clients.bootstrap.split(":");
    RequestHeader header = new RequestHeader(request.apiKey(), request.version(), "versions", 7);
    ByteBuffer bytes = request.serializeWithHeader(header);
    try (Socket socket = new Socket(address[0], Integer.parseInt(address[1]))) {
      socket.setSoTimeout(20_000);
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      byte[] frame = new byte[bytes.remaining()];
      bytes.get(frame);
      out.writeInt(frame.length);
      out.write(frame);
      out.flush();
      DataInputStream in = new DataInputStream(socket.getInputStream());
      byte[] answered = new byte[in.readInt()];
      in.readFully(answered);
      ByteBuffer rest = ByteBuffer.wrap(answered);
      T parsed = answer.cast(AbstractResponse.parseResponse(rest, header));
      Checks.same(0, rest.remaining(), "bytes behind the answer of " + request.apiKey() + " " + request.version());
      return parsed;
    }
  }

  private static Uuid id(Clients clients, String topic) throws Exception {
    try (var admin = clients.admin()) {
      return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
    }
  }

  /** Of each partition, as `ID-INDEX`, its error. */
  private static Map<String, Errors> commit(Clients clients, String group, int generation, Uuid... ids) throws Exception {
    var data = new OffsetCommitRequestData().setGroupId(group).setGenerationIdOrMemberEpoch(generation);
    for (Uuid id : ids) {
      data.topics().add(new OffsetCommitRequestTopic().setTopicId(id).setPartitions(List.of(
          new OffsetCommitRequestPartition().setPartitionIndex(0).setCommittedOffset(7).setCommittedLeaderEpoch(0).setCommittedMetadata("m"),
          new OffsetCommitRequestPartition().setPartitionIndex(9).setCommittedOffset(8))));
    }
    var answer = ask(clients, OffsetCommitRequest.Builder.forTopicIdsOrNames(data).build((short) 10), OffsetCommitResponse.class);
    Map<String, Errors> errors = new HashMap<>();
    answer.data().topics().forEach(topic -> topic.partitions().forEach(partition ->
        errors.put(topic.topicId() + "-" + partition.partitionIndex(), Errors.forCode(partition.errorCode()))));
    return errors;
  }

  /** Of each partition, as `ID-INDEX`, its error, offset, leader epoch and metadata; of all that the group has where no id is named. */
  private static Map<String, String> fetch(Clients clients, String group, Uuid... ids) throws Exception {
    var asked = new OffsetFetchRequestGroup().setGroupId(group).setTopics(ids.length == 0 ? null : new ArrayList<>());
    for (Uuid id : ids) {
      asked.topics().add(new OffsetFetchRequestTopics().setTopicId(id).setPartitionIndexes(List.of(0, 1)));
    }
    var data = new OffsetFetchRequestData().setRequireStable(true).setGroups(List.of(asked));
    var request = OffsetFetchRequest.Builder.forTopicIdsOrNames(data, true).build((short) 10);
    var found = ask(clients, request, OffsetFetchResponse.class).group(group);
    Checks.same(Errors.NONE.code(), found.errorCode(), "the group's error");
    Map<String, String> offsets = new HashMap<>();
    found.topics().forEach(topic -> topic.partitions().forEach(partition -> offsets.put(topic.topicId() + "-" + partition.partitionIndex(),
        Errors.forCode(partition.errorCode()) + " " + partition.committedOffset() + " " + partition.committedLeaderEpoch() + " "
            + partition.metadata())));
    return offsets;
  }

  private static void offsets(Clients clients) throws Exception {
    String group = Clients.fresh("g");
    String name = clients.topic(2);
    Uuid topic = id(clients, name);
    String gone = clients.topic(1);
    Uuid goneId = id(clients, gone);
    // Who looks for the coordinator brings it about that there is one.
    try (var consumer = clients.consumer("group.id", group)) {
      consumer.committed(Set.of(new TopicPartition(name, 0)));
    }
    Checks.same(Map.of(topic + "-0", Errors.NONE, topic + "-9", Errors.UNKNOWN_TOPIC_OR_PARTITION,
        UNKNOWN + "-0", Errors.UNKNOWN_TOPIC_ID, UNKNOWN + "-9", Errors.UNKNOWN_TOPIC_ID,
        goneId + "-0", Errors.NONE, goneId + "-9", Errors.UNKNOWN_TOPIC_OR_PARTITION),
        commit(clients, group, -1, topic, UNKNOWN, goneId), "a commit");
    Checks.same(Map.of(topic + "-0", Errors.UNKNOWN_MEMBER_ID, topic + "-9", Errors.UNKNOWN_TOPIC_OR_PARTITION,
        UNKNOWN + "-0", Errors.UNKNOWN_TOPIC_ID, UNKNOWN + "-9", Errors.UNKNOWN_TOPIC_ID),
        commit(clients, group, 5, topic, UNKNOWN), "a commit of who is no member");
    Checks.same(Map.of(topic + "-0", "NONE 7 0 m", topic + "-1", "NONE -1 -1 ",
        UNKNOWN + "-0", "UNKNOWN_TOPIC_ID -1 -1 ", UNKNOWN + "-1", "UNKNOWN_TOPIC_ID -1 -1 "),
        fetch(clients, group, topic, UNKNOWN), "offsets of two topics");
    Checks.same(Map.of(topic + "-0", "NONE 7 0 m", goneId + "-0", "NONE 7 0 m"), fetch(clients, group), "all offsets");
    Checks.same(Map.of(), fetch(clients, Clients.fresh("g")), "all offsets of a group that there is not");
    try (var admin = clients.admin()) {
      admin.deleteTopics(List.of(gone)).all().get();
    }
    Checks.eventually(20, "the offsets go with their topic", () -> fetch(clients, group).equals(Map.of(topic + "-0", "NONE 7 0 m")));
    Checks.same(Map.of(goneId + "-0", "UNKNOWN_TOPIC_ID -1 -1 ", goneId + "-1", "UNKNOWN_TOPIC_ID -1 -1 "),
        fetch(clients, group, goneId), "offsets of a topic that is gone");
  }

  /** A producer with an open transaction in partition 0 of the topic. */
  private record Open(String id, KafkaProducer<String, String> producer, long number, short epoch) {
    static Open in(Clients clients, String topic) throws Exception {
      String id = Clients.fresh("id");
      var producer = clients.producer("transactional.id", id);
      producer.initTransactions();
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
      try (var admin = clients.admin()) {
        var described = admin.describeTransactions(List.of(id)).description(id).get();
        return new Open(id, producer, described.producerId(), (short) described.producerEpoch());
      }
    }
  }

  private static AddPartitionsToTxnTransaction transaction(String id, long producer, int epoch, boolean verifyOnly, String topic, Integer... indexes) {
    var topics = new AddPartitionsToTxnTopicCollection();
    topics.add(new AddPartitionsToTxnTopic().setName(topic).setPartitions(List.of(indexes)));
    return new AddPartitionsToTxnTransaction().setTransactionalId(id).setProducerId(producer).setProducerEpoch((short) epoch)
        .setVerifyOnly(verifyOnly).setTopics(topics);
  }

  /** Of each transaction the errors of its partitions, by index. */
  private static Map<String, Map<Integer, Errors>> add(Clients clients, int version, AddPartitionsToTxnTransaction... transactions) throws Exception {
    var asked = new AddPartitionsToTxnTransactionCollection();
    for (var transaction : transactions) asked.add(transaction);
    var request = AddPartitionsToTxnRequest.Builder.forBroker(asked).build((short) version);
    var answer = ask(clients, request, AddPartitionsToTxnResponse.class);
    Checks.same(Errors.NONE.code(), answer.data().errorCode(), "the error of all");
    Map<String, Map<Integer, Errors>> results = new HashMap<>();
    answer.errors().forEach((id, errors) -> {
      Map<Integer, Errors> byIndex = new HashMap<>();
      errors.forEach((partition, error) -> byIndex.put(partition.partition(), error));
      results.put(id, byIndex);
    });
    return results;
  }

  private static void verification(Clients clients) throws Exception {
    String topic = clients.topic(2);
    Open open = Open.in(clients, topic);
    String id = open.id;
    for (int version = 4; version <= 5; version++) {
      for (int round = 0; round < 2; round++) {
        Checks.same(Map.of(id, Map.of(0, Errors.NONE, 1, Errors.TRANSACTION_ABORTABLE)),
            add(clients, version, transaction(id, open.number, open.epoch, true, topic, 0, 1)), "nothing is added, v" + version);
      }
      for (boolean verifyOnly : new boolean[] {true, false}) {
        Checks.same(Map.of(id, Map.of(0, Errors.OPERATION_NOT_ATTEMPTED, 7, Errors.UNKNOWN_TOPIC_OR_PARTITION)),
            add(clients, version, transaction(id, open.number, open.epoch, verifyOnly, topic, 0, 7)), "a partition that is not there");
        Checks.same(Map.of(id, Map.of(0, Errors.PRODUCER_FENCED)),
            add(clients, version, transaction(id, open.number, open.epoch + 1, verifyOnly, topic, 0)), "another epoch");
        Checks.same(Map.of(id, Map.of(0, Errors.INVALID_PRODUCER_ID_MAPPING)),
            add(clients, version, transaction(id, open.number + 1, open.epoch, verifyOnly, topic, 0)), "another producer");
        Checks.same(Map.of("", Map.of(0, Errors.INVALID_REQUEST)),
            add(clients, version, transaction("", open.number, open.epoch, verifyOnly, topic, 0)), "no id");
      }
    }
    Checks.same(Map.of("unheard", Map.of(1, Errors.INVALID_PRODUCER_ID_MAPPING), id, Map.of(1, Errors.NONE)),
        add(clients, 5, transaction("unheard", open.number, open.epoch, false, topic, 1), transaction(id, open.number, open.epoch, false, topic, 1)),
        "each transaction for itself");
    Checks.same(Map.of(id, Map.of(0, Errors.NONE, 1, Errors.NONE)),
        add(clients, 4, transaction(id, open.number, open.epoch, true, topic, 0, 1)), "both are enlisted now");
    open.producer.abortTransaction();
    open.producer.close();
  }

  private static void markers(Clients clients) throws Exception {
    String topic = clients.topic(1);
    Open open = Open.in(clients, topic);
    Checks.same(Errors.INVALID_PRODUCER_EPOCH, mark(clients, open, open.epoch, 2, topic), "the transaction's own epoch");
    Checks.same(Errors.NONE, mark(clients, open, open.epoch + 1, 2, topic), "the next epoch");
    Checks.same(Errors.NONE, mark(clients, open, open.epoch + 1, 2, topic), "the same marker again");
    Checks.same(Errors.INVALID_PRODUCER_EPOCH, mark(clients, open, open.epoch, 2, topic), "an epoch that is over");
    Checks.same(Errors.NONE, mark(clients, open, open.epoch + 1, 0, topic), "a version before 2, the producer's epoch");
    Checks.same(Errors.UNKNOWN_TOPIC_OR_PARTITION, mark(clients, open, open.epoch + 1, 2, Clients.fresh("none")), "no such topic");
    Checks.same(List.of(), clients.all(topic, 0, "read_committed"), "the transaction was aborted");
    open.producer.close(java.time.Duration.ZERO);
  }

  private static Errors mark(Clients clients, Open open, int epoch, int transactionVersion, String topic) throws Exception {
    TopicPartition partition = new TopicPartition(topic, 0);
    var marker = new TxnMarkerEntry(open.number, (short) epoch, 0, TransactionResult.ABORT, List.of(partition), (short) transactionVersion);
    var request = new WriteTxnMarkersRequest.Builder(List.of(marker)).build((short) 2);
    return ask(clients, request, WriteTxnMarkersResponse.class).errorsByProducerId().get(open.number).get(partition);
  }
}
