"""confluent-kafka (librdkafka), unmodified: suite.py [BOOTSTRAP [CHECK...]]."""

import functools
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from checks import bootstrap, eventually, fails, fresh, run, same
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    ElectionType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

BOOTSTRAP = bootstrap()
BASE = {"bootstrap.servers": BOOTSTRAP, "log_level": 0}
admin = AdminClient(BASE)


def topic(partitions, **configs):
    name = fresh("t")
    wanted = {key.replace("_", "."): value for key, value in configs.items()}
    admin.create_topics([NewTopic(name, partitions, 1, config=wanted)])[name].result(20)
    # Apache Kafka's controller answers before its broker has heard of it.
    eventually(10, f"{name} is known", lambda: name in admin.list_topics(timeout=10).topics)
    return name


def producer(**config):
    return Producer({**BASE, "message.timeout.ms": 30_000, "linger.ms": 5, **{k.replace("_", "."): v for k, v in config.items()}})


def consumer(**config):
    # A consumer that closes waits for the fetch that is under way.
    wanted = {"group.id": fresh("g"), "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6_000, "heartbeat.interval.ms": 300, "fetch.wait.max.ms": 100}
    return Consumer({**BASE, **wanted, **{k.replace("_", "."): v for k, v in config.items()}})


def produce(to, values, partition=0, **config):
    """Produces and gives the offsets, or fails with the first error."""
    offsets, errors = [], []

    def delivered(error, message):
        (errors if error else offsets).append(error or message.offset())

    client = producer(**config)
    for value in values:
        client.produce(to, value=value, partition=partition, on_delivery=delivered)
        client.poll(0)
    same(0, client.flush(30), "unsent records")
    if errors:
        raise KafkaException(errors[0])
    return offsets


def take(client, count, seconds=20):
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        message = client.poll(0.2)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        found.append(message)
    return found


def all_of(name, partition=0, isolation="read_committed"):
    at = TopicPartition(name, partition)
    end = admin.list_offsets({at: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED)[at].result(20).offset
    client = consumer(isolation_level=isolation, enable_partition_eof=True)
    client.assign([TopicPartition(name, partition, OFFSET_BEGINNING)])
    values, deadline = [], time.monotonic() + 20
    while True:
        message = client.poll(0.2)
        assert time.monotonic() < deadline, f"not at {end} after 20 s, {len(values)} records"
        if message is None:
            continue
        if not message.error():
            values.append(message.value().decode())
        elif message.error().code() != KafkaError._PARTITION_EOF:
            raise KafkaException(message.error())
        # Markers take offsets too and are not delivered; and there is an end of its own below each that is not yet written.
        elif message.offset() >= end:
            break
    client.close()
    return values


def code(error):
    return error.args[0].name()


def described(group):
    return admin.describe_consumer_groups([group], request_timeout=10)[group].result(20)


def codec(name):
    to = topic(2)
    values = [f"{name} {n} {'x' * (n % 300)}" for n in range(500)]
    for partition in (0, 1):
        same(list(range(500)), produce(to, values, partition, compression_type=name), "offsets")
    client = consumer()
    client.subscribe([to])
    found = take(client, 1000)
    same(1000, len(found), "records")
    for message in found:
        same(values[message.offset()], message.value().decode(), "value")
    client.close()


def shapes():
    to = topic(1)
    client = producer()
    headers = [("a", b"\x00\xff"), ("a", b""), ("b", None), ("ü", "é".encode())]
    client.produce(to, value=b"v", headers=headers)
    client.produce(to, key=b"k", value=None)
    client.produce(to, key=None, value=None)
    client.produce(to, key=b"", value=b"", timestamp=1_577_836_800_000)
    client.flush(20)
    reader = consumer()
    reader.subscribe([to])
    found = take(reader, 4)
    same(headers, found[0].headers(), "headers")
    same((None, b"v"), (found[0].key(), found[0].value()), "a null key")
    same((b"k", None), (found[1].key(), found[1].value()), "a tombstone")
    same((None, None), (found[2].key(), found[2].value()), "nothing")
    same((b"", b""), (found[3].key(), found[3].value()), "empty")
    same(1_577_836_800_000, found[3].timestamp()[1], "timestamp")
    reader.close()


def big():
    to = topic(1, max_message_bytes="6000000")
    value = bytes(range(256)) * 20_000
    produce(to, [value], message_max_bytes=8_000_000)
    reader = consumer(fetch_message_max_bytes=10_000)
    reader.subscribe([to])
    same(value, take(reader, 1)[0].value(), "value")
    reader.close()


def too_big():
    to = topic(1, max_message_bytes="10000")
    error = fails(KafkaException, lambda: produce(to, [b"x" * 20_000]))
    same("MSG_SIZE_TOO_LARGE", code(error), "error")


def idempotence():
    to = topic(1)
    values = [str(n) for n in range(5000)]
    produce(to, values, enable_idempotence=True, batch_num_messages=20, linger_ms=0)
    same(values, all_of(to), "records")


def acks(level):
    to = topic(1)
    produce(to, [b"v"] * 100, acks=level)
    eventually(10, "100 records", lambda: len(all_of(to)) == 100)


def transactions():
    to = topic(1)
    client = producer(transactional_id=fresh("id"))
    client.init_transactions(20)
    for n in range(6):
        client.begin_transaction()
        for _ in range(5):
            client.produce(to, value=f"{'good' if n % 2 == 0 else 'bad'} {n}")
        client.flush(20)
        client.commit_transaction(20) if n % 2 == 0 else client.abort_transaction(20)
    committed = all_of(to)
    same(15, len(committed), "committed records")
    assert all(value.startswith("good") for value in committed), committed
    same(30, len(all_of(to, isolation="read_uncommitted")), "all records")


def transactional_offsets():
    source, to, group = topic(1), topic(1), fresh("g")
    produce(source, [str(n).encode() for n in range(20)])
    reader = consumer(group_id=group)
    reader.subscribe([source])
    client = producer(transactional_id=fresh("id"))
    client.init_transactions(20)
    same(20, len(take(reader, 20)), "records")
    partition = TopicPartition(source, 0, 20)
    client.begin_transaction()
    client.produce(to, value=b"lost")
    client.send_offsets_to_transaction([partition], reader.consumer_group_metadata(), 20)
    client.abort_transaction(20)
    assert reader.committed([TopicPartition(source, 0)], 10)[0].offset < 0, "nothing is committed"
    client.begin_transaction()
    client.produce(to, value=b"kept")
    client.send_offsets_to_transaction([partition], reader.consumer_group_metadata(), 20)
    client.commit_transaction(20)
    same(20, reader.committed([TopicPartition(source, 0)], 10)[0].offset, "committed")
    same(["kept"], all_of(to), "records")
    reader.close()


def fencing():
    to, name = topic(1), fresh("id")
    first = producer(transactional_id=name)
    first.init_transactions(20)
    first.begin_transaction()
    first.produce(to, value=b"lost")
    first.flush(20)
    second = producer(transactional_id=name)
    second.init_transactions(20)
    second.begin_transaction()
    second.produce(to, value=b"kept")
    second.commit_transaction(20)
    error = fails(KafkaException, lambda: (first.produce(to, value=b"late"), first.commit_transaction(20)))
    assert error.args[0].fatal() or code(error) in ("_FENCED", "_PURGE_QUEUE"), error
    same(["kept"], all_of(to), "records")


class Member:
    """A consumer that is polled by hand; notes what was assigned and revoked."""

    def __init__(self, group, name, **config):
        self.events = []
        self.client = consumer(group_id=group, topic_metadata_refresh_interval_ms=500, **config)
        self.cooperative = config.get("partition_assignment_strategy") == "cooperative-sticky"
        self.client.subscribe([name], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def assigned(self, _, partitions):
        self.events += [f"assigned {each.partition}" for each in partitions]

    def revoked(self, _, partitions):
        self.events += [f"revoked {each.partition}" for each in partitions]

    def lost(self, _, partitions):
        self.events += [f"lost {each.partition}" for each in partitions]

    def owned(self):
        message = self.client.poll(0.05)
        if message is not None and message.error():
            raise KafkaException(message.error())
        return {each.partition for each in self.client.assignment()}


def covered(count, *members):
    owned = [member.owned() for member in members]
    return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count


def refused(member, other, *errors):
    """Polls both once: whether the one got one of these errors."""
    other.owned()
    try:
        member.owned()
    except KafkaException as error:
        return error.args[0].code() in errors
    return False


def rebalance(strategy):
    name, group = topic(6), fresh("g")
    one = Member(group, name, partition_assignment_strategy=strategy)
    eventually(20, "one has all", lambda: covered(6, one))
    two, three = (Member(group, name, partition_assignment_strategy=strategy) for _ in range(2))
    eventually(20, "two each", lambda: covered(6, one, two, three) and len(one.owned()) == 2)
    two.client.close()
    eventually(20, "three each", lambda: covered(6, one, three))
    three.client.close()
    eventually(20, "one has all again", lambda: covered(6, one))
    one.client.close()


def cooperative():
    name, group = topic(6), fresh("g")
    one = Member(group, name, partition_assignment_strategy="cooperative-sticky")
    eventually(20, "one has all", lambda: covered(6, one))
    one.events.clear()
    two = Member(group, name, partition_assignment_strategy="cooperative-sticky")
    eventually(20, "three each", lambda: covered(6, one, two))
    same(3, sum(event.startswith("revoked") for event in one.events), f"revoked in {one.events}")
    same(0, sum(event.startswith(("assigned", "lost")) for event in one.events), f"assigned in {one.events}")
    one.client.close(), two.client.close()


def static_member():
    name, group = topic(4), fresh("g")
    stays = Member(group, name, group_instance_id="stays")
    goes = Member(group, name, group_instance_id="goes")
    eventually(20, "two each", lambda: covered(4, stays, goes))
    had = goes.owned()
    goes.client.close()
    stays.events.clear()
    # A static member leaves nothing behind when it closes, so nobody takes its partitions.
    kept = described(group)
    same((ConsumerGroupState.STABLE, 2), (kept.state, len(kept.members)), "the group without it")
    back = Member(group, name, group_instance_id="goes")
    eventually(20, "its partitions again", lambda: covered(4, stays, back))
    same(had, back.owned(), "partitions")
    same([], stays.events, "what the other one saw")
    stays.client.close(), back.client.close()


def fenced_instance():
    name, group = topic(2), fresh("g")
    first = Member(group, name, group_instance_id="same")
    eventually(20, "first has all", lambda: covered(2, first))
    second = Member(group, name, group_instance_id="same")
    eventually(20, "the first is fenced", lambda: refused(first, second, KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL))
    second.client.close()


def pattern():
    prefix = fresh("p")
    admin.create_topics([NewTopic(f"{prefix}-1", 2, 1)])[f"{prefix}-1"].result(20)
    member = Member(fresh("g"), f"^{prefix}-.*")
    eventually(20, "two partitions", lambda: len(member.client.assignment()) == 2 or member.owned() is None)
    admin.create_topics([NewTopic(f"{prefix}-2", 2, 1)])[f"{prefix}-2"].result(20)
    eventually(20, "four partitions", lambda: member.owned() is not None and len(member.client.assignment()) == 4)
    member.client.close()


def mixed_assignors():
    name, group = topic(2), fresh("g")
    one = Member(group, name, partition_assignment_strategy="range")
    eventually(20, "one has all", lambda: covered(2, one))
    two = Member(group, name, partition_assignment_strategy="roundrobin")
    eventually(20, "the second is refused", lambda: refused(two, one, KafkaError.INCONSISTENT_GROUP_PROTOCOL))
    one.client.close()


def commits():
    name, group = topic(2), fresh("g")
    produce(name, [str(n).encode() for n in range(50)])
    reader = consumer(group_id=group)
    reader.subscribe([name])
    same(50, len(take(reader, 50)), "records")
    reader.commit(offsets=[TopicPartition(name, 0, 30, "thirty")], asynchronous=False)
    found = reader.committed([TopicPartition(name, 0), TopicPartition(name, 1)], 10)
    same((30, "thirty"), (found[0].offset, found[0].metadata), "committed")
    assert found[1].offset < 0, "nothing is committed of the other"
    reader.close()
    reader = consumer(group_id=group)
    reader.subscribe([name])
    same(b"30", take(reader, 1)[0].value(), "where the next one goes on")
    reader.close()


def slow_member():
    name, group = topic(1), fresh("g")
    produce(name, [b"v"])
    # librdkafka takes none below session.timeout.ms, and the broker no session below this.
    late = consumer(group_id=group, max_poll_interval_ms=6_000)
    late.subscribe([name])
    same(1, len(take(late, 1)), "records")
    eventually(20, "it has lost its place", lambda: not described(group).members)
    other = Member(group, name)
    eventually(20, "the other has it", lambda: covered(1, other))
    error = fails(KafkaException, lambda: late.commit(asynchronous=False))
    assert code(error) in ("UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "_ASSIGNMENT_LOST"), error
    other.client.close()


def seeks():
    name = topic(1)
    client = producer()
    now = int(time.time() * 1000)
    for n in range(10):
        client.produce(name, value=str(n), timestamp=now - 100_000 + 10_000 * n)
        client.flush(20)
    reader = consumer()
    found = reader.offsets_for_times([TopicPartition(name, 0, now - 55_000)], 10)
    same(5, found[0].offset, "offset by time")
    same(-1, reader.offsets_for_times([TopicPartition(name, 0, now + 10_000)], 10)[0].offset, "after the last")
    reader.assign([TopicPartition(name, 0, 5)])
    same(b"5", take(reader, 1)[0].value(), "record")
    reader.seek(TopicPartition(name, 0, 2))
    same(b"2", take(reader, 1)[0].value(), "after a seek")
    same((0, 10), reader.get_watermark_offsets(TopicPartition(name, 0), 10), "watermarks")
    reader.close()
    last = consumer(enable_partition_eof=True)
    last.assign([TopicPartition(name, 0, OFFSET_END)])
    same("_PARTITION_EOF", code(fails(KafkaException, lambda: take(last, 1))), "at the end")
    last.close()
    strict = consumer(auto_offset_reset="error")
    strict.assign([TopicPartition(name, 0, 1000)])
    error = fails(KafkaException, lambda: take(strict, 1, 10))
    same("_AUTO_OFFSET_RESET", code(error), "out of range")
    strict.close()


def admin_topics():
    name = topic(3, retention_ms="1234567")
    found = admin.describe_topics(TopicCollection([name]), request_timeout=10)[name].result(20)
    same(3, len(found.partitions), "partitions")
    same(1, len(found.partitions[0].isr), "in-sync replicas")
    error = fails(KafkaException, lambda: admin.create_topics([NewTopic(name, 1, 1)])[name].result(20))
    same("TOPIC_ALREADY_EXISTS", code(error), "twice")
    other = fresh("t")
    admin.create_topics([NewTopic(other, 2, 1)], validate_only=True)[other].result(20)
    assert other not in admin.list_topics(timeout=10).topics
    error = fails(KafkaException, lambda: admin.create_topics([NewTopic("no good", 1, 1)])["no good"].result(20))
    same("TOPIC_EXCEPTION", code(error), "a bad name")
    admin.delete_topics([name])[name].result(20)
    eventually(10, "gone", lambda: name not in admin.list_topics(timeout=10).topics)
    error = fails(KafkaException, lambda: admin.delete_topics([name])[name].result(20))
    same("UNKNOWN_TOPIC_OR_PART", code(error), "deleted twice")


def admin_partitions():
    name = topic(1)
    admin.create_partitions([NewPartitions(name, 4)])[name].result(20)
    eventually(10, "four", lambda: len(admin.list_topics(name, 10).topics[name].partitions) == 4)
    error = fails(KafkaException, lambda: admin.create_partitions([NewPartitions(name, 2)])[name].result(20))
    same("INVALID_PARTITIONS", code(error), "fewer")


def admin_configs():
    name = topic(1, retention_ms="777000")
    resource = ConfigResource(ResourceType.TOPIC, name)
    found = admin.describe_configs([resource])[resource].result(20)
    same(("777000", ConfigSource.DYNAMIC_TOPIC_CONFIG.value), (found["retention.ms"].value, found["retention.ms"].source), "retention.ms")
    same(ConfigSource.DEFAULT_CONFIG.value, found["segment.bytes"].source, "source of a default")
    change = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
    ])
    admin.incremental_alter_configs([change])[change].result(20)

    def changed():
        found = admin.describe_configs([resource])[resource].result(20)
        return (found["retention.ms"].value, found["cleanup.policy"].value) == ("604800000", "delete,compact")

    eventually(10, "both are changed", changed)
    bad = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)])
    same("INVALID_CONFIG", code(fails(KafkaException, lambda: admin.incremental_alter_configs([bad])[bad].result(20))), "a bad value")
    cluster = admin.describe_cluster().result(20)
    broker = ConfigResource(ResourceType.BROKER, str(cluster.nodes[0].id))
    assert "message.max.bytes" in admin.describe_configs([broker])[broker].result(20)


def group_with_offsets():
    name, group = topic(2), fresh("g")
    produce(name, [b"v"] * 5)
    reader = consumer(group_id=group)
    reader.subscribe([name])
    same(5, len(take(reader, 5)), "records")
    reader.commit(offsets=[TopicPartition(name, 0, 5), TopicPartition(name, 1, 0)], asynchronous=False)
    return name, group, reader


def admin_groups():
    name, group, reader = group_with_offsets()
    found = admin.list_consumer_groups(request_timeout=10).result(20)
    same([], found.errors, "errors")
    assert group in [each.group_id for each in found.valid], "it is listed"
    found = admin.list_consumer_groups(states={ConsumerGroupState.STABLE}, request_timeout=10).result(20)
    assert group in [each.group_id for each in found.valid], "it is listed by its state"
    found = admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}, request_timeout=10).result(20)
    assert group in [each.group_id for each in found.valid], "it is listed by its type"
    found = described(group)
    same((ConsumerGroupState.STABLE, "range", 1), (found.state, found.partition_assignor, len(found.members)), "description")
    same({0, 1}, {each.partition for each in found.members[0].assignment.topic_partitions}, "assignment")
    error = fails(KafkaException, lambda: admin.delete_consumer_groups([group], request_timeout=10)[group].result(20))
    same("NON_EMPTY_GROUP", code(error), "deleted while it is used")
    reader.close()
    same(ConsumerGroupState.EMPTY, described(group).state, "state afterwards")
    admin.delete_consumer_groups([group], request_timeout=10)[group].result(20)
    error = fails(KafkaException, lambda: admin.delete_consumer_groups([group], request_timeout=10)[group].result(20))
    same("GROUP_ID_NOT_FOUND", code(error), "deleted twice")


def admin_group_offsets():
    name, group, reader = group_with_offsets()
    reader.close()
    query = ConsumerGroupTopicPartitions(group)
    found = admin.list_consumer_group_offsets([query])[group].result(20)
    same({0: 5, 1: 0}, {each.partition: each.offset for each in found.topic_partitions}, "offsets")
    change = ConsumerGroupTopicPartitions(group, [TopicPartition(name, 0, 2)])
    admin.alter_consumer_group_offsets([change])[group].result(20)
    found = admin.list_consumer_group_offsets([query])[group].result(20)
    same(2, {each.partition: each.offset for each in found.topic_partitions}[0], "altered")


def admin_offsets():
    name = topic(1)
    client = producer()
    now = int(time.time() * 1000)
    for back in (50_000, 10_000, 90_000):
        client.produce(name, value=b"v", timestamp=now - back)
        client.flush(20)
    partition = TopicPartition(name, 0)
    for spec, expected in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 3), (OffsetSpec.max_timestamp(), 1), (OffsetSpec.for_timestamp(now - 20_000), 1)):
        found = admin.list_offsets({partition: spec}, isolation_level=IsolationLevel.READ_COMMITTED)[partition].result(20)
        same(expected, found.offset, str(spec))
    low = admin.delete_records([TopicPartition(name, 0, 2)])[TopicPartition(name, 0)].result(20)
    same(2, low.low_watermark, "low watermark")
    same(2, admin.list_offsets({partition: OffsetSpec.earliest()})[partition].result(20).offset, "earliest")


def admin_elections():
    name = topic(1)
    partition = TopicPartition(name, 0)
    found = admin.elect_leaders(ElectionType.PREFERRED, [partition]).result(20)
    same("ELECTION_NOT_NEEDED", found[partition].name() if found[partition] else None, "answer")


def admin_users():
    same({}, admin.describe_user_scram_credentials().result(20), "SCRAM users")


def cluster():
    found = admin.describe_cluster(include_authorized_operations=True).result(20)
    same(1, len(found.nodes), "nodes")
    same(BOOTSTRAP, f"{found.nodes[0].host}:{found.nodes[0].port}", "address")
    assert found.controller is not None and len(found.cluster_id) == 22, found.cluster_id


def unknown_topic():
    reader = consumer(allow_auto_create_topics=False)
    reader.subscribe([fresh("none")])
    error = fails(KafkaException, lambda: take(reader, 1, 20))
    same("UNKNOWN_TOPIC_OR_PART", code(error), "an unknown topic")
    reader.close()
    error = fails(KafkaException, lambda: produce(topic(1), [b"v"], 7))
    same("_UNKNOWN_PARTITION", code(error), "an unknown partition")


def wrong_session():
    reader = consumer(session_timeout_ms=2_000)
    reader.subscribe([topic(1)])
    error = fails(KafkaException, lambda: take(reader, 1, 20))
    same("INVALID_SESSION_TIMEOUT", code(error), "a session below the minimum")
    reader.close()


run(
    [(f"records: codec {name}", functools.partial(codec, name)) for name in ("none", "gzip", "snappy", "lz4", "zstd")]
    + [("records: headers, null keys, null values", shapes)]
    + [(f"records: acks={level}", functools.partial(acks, level)) for level in ("0", "1", "all")]
    + [
        ("records: five megabytes", big),
        ("records: one above max.message.bytes is refused", too_big),
        ("records: idempotence keeps order and numbers", idempotence),
        ("transactions: committed is seen, aborted is not", transactions),
        ("transactions: offsets of a group go with them", transactional_offsets),
        ("transactions: the second producer of an id fences the first", fencing),
    ]
    + [(f"groups: {name}", functools.partial(rebalance, name)) for name in ("range", "roundrobin", "cooperative-sticky")]
    + [
        ("groups: cooperative members keep what they keep", cooperative),
        ("groups: a static member comes back to its partitions", static_member),
        ("groups: a second static member of that id fences the first", fenced_instance),
        ("groups: subscription by a pattern finds new topics", pattern),
        ("groups: two programs without a common assignor", mixed_assignors),
        ("groups: a slow member's commit fails", slow_member),
        ("offsets: commit and go on", commits),
        ("offsets: seek, by time, watermarks, out of range", seeks),
        ("admin: topics", admin_topics),
        ("admin: partitions", admin_partitions),
        ("admin: configs", admin_configs),
        ("admin: groups", admin_groups),
        ("admin: offsets of groups", admin_group_offsets),
        ("admin: list offsets, delete records", admin_offsets),
        ("admin: elections", admin_elections),
        ("admin: SCRAM users", admin_users),
        ("admin: the cluster", cluster),
        ("wrong use: unknown topic and partition", unknown_topic),
        ("wrong use: a session timeout out of bounds", wrong_session),
    ]
)
