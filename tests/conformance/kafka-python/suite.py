"""kafka-python, unmodified: suite.py [BOOTSTRAP [CHECK...]]."""

import functools
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from checks import bootstrap, eventually, fails, fresh, run, same
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, MemberToRemove, OffsetSpec
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.structs import OffsetAndMetadata

BOOTSTRAP = bootstrap()
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)


def topic(partitions, **configs):
    name = fresh("t")
    wanted = {key.replace("_", "."): value for key, value in configs.items()}
    admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": wanted}}, wait_for_metadata=True)
    return name


def producer(**config):
    return KafkaProducer(**{"bootstrap_servers": BOOTSTRAP, "linger_ms": 5, "delivery_timeout_ms": 40_000, **config})


def consumer(*topics, **config):
    wanted = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "group_id": fresh("g"), "session_timeout_ms": 6_000, "heartbeat_interval_ms": 300, "metadata_max_age_ms": 500, "fetch_max_wait_ms": 100}
    client = KafkaConsumer(bootstrap_servers=BOOTSTRAP, **{**wanted, **config})
    knows(client, *topics)
    if topics:
        client.subscribe(topics)
    return client


def knows(client, *topics):
    """A leader that joins before it has heard of the topic assigns nothing, and kafka-python sometimes leaves it at that."""
    for name in topics:
        client.partitions_for_topic(name)


def produce(to, values, partition=0, **config):
    client = producer(**config)
    sent = [client.send(to, value=value, partition=partition) for value in values]
    client.flush(30)
    offsets = [each.get(20).offset for each in sent]
    client.close()
    return offsets


def take(client, count, seconds=20):
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        for records in client.poll(200).values():
            found += records
    return found


def all_of(name, partition=0, isolation="read_committed"):
    reader = consumer(isolation_level=isolation, group_id=None)
    at = TopicPartition(name, partition)
    reader.assign([at])
    reader.seek_to_beginning(at)
    end, values, deadline = reader.end_offsets([at])[at], [], time.monotonic() + 20
    while reader.position(at) < end:
        assert time.monotonic() < deadline, f"stands at {reader.position(at)}, the end is {end}"
        values += [record.value for records in reader.poll(200).values() for record in records]
    reader.close()
    return values


def codec(name):
    to = topic(2)
    values = [f"{name} {n} {'x' * (n % 300)}".encode() for n in range(300)]
    for partition in (0, 1):
        same(list(range(300)), produce(to, values, partition, compression_type=name), "offsets")
    reader = consumer(to)
    found = take(reader, 600)
    same(600, len(found), "records")
    for record in found:
        same(values[record.offset], record.value, "value")
    reader.close()


def shapes():
    to = topic(1)
    client = producer()
    headers = [("a", b"\x00\xff"), ("a", b""), ("ü", "é".encode())]
    client.send(to, value=b"v", headers=headers)
    client.send(to, key=b"k", value=None)
    client.send(to, key=b"", value=b"", timestamp_ms=1_577_836_800_000)
    client.flush(20)
    reader = consumer(to)
    found = take(reader, 3)
    same(headers, [tuple(header) for header in found[0].headers], "headers")
    same((None, b"v"), (found[0].key, found[0].value), "a null key")
    same((b"k", None), (found[1].key, found[1].value), "a tombstone")
    same((b"", b"", 1_577_836_800_000), (found[2].key, found[2].value, found[2].timestamp), "empty, with a time")
    reader.close()


def sizes():
    small, large = topic(1, max_message_bytes="10000"), topic(1, max_message_bytes="6000000")
    value = bytes(range(256)) * 15_000
    produce(large, [value], max_request_size=8_000_000)
    reader = consumer(large)
    same(value, take(reader, 1)[0].value, "value")
    reader.close()
    fails(errors.MessageSizeTooLargeError, lambda: produce(small, [b"x" * 20_000]))


def acks(level):
    to = topic(1)
    produce(to, [b"v"] * 100, acks=level, enable_idempotence=False)
    eventually(10, "100 records", lambda: len(all_of(to)) == 100)


def idempotence():
    to = topic(1)
    values = [str(n).encode() for n in range(2000)]
    produce(to, values, enable_idempotence=True, batch_size=200, linger_ms=0)
    same(values, all_of(to), "records")


def transactions():
    to = topic(1)
    client = producer(transactional_id=fresh("id"))
    client.init_transactions()
    for n in range(6):
        client.begin_transaction()
        for _ in range(5):
            client.send(to, value=b"good" if n % 2 == 0 else b"bad")
        client.flush(20)
        client.commit_transaction() if n % 2 == 0 else client.abort_transaction()
    client.close()
    same([b"good"] * 15, all_of(to), "committed records")
    same(30, len(all_of(to, isolation="read_uncommitted")), "all records")


def transactional_offsets():
    to, group = topic(1), fresh("g")
    produce(to, [b"v"] * 10)
    reader = consumer(to, group_id=group)
    same(10, len(take(reader, 10)), "records")
    at = TopicPartition(to, 0)
    client = producer(transactional_id=fresh("id"))
    client.init_transactions()
    for commit, expected in ((False, None), (True, 7)):
        client.begin_transaction()
        client.send_offsets_to_transaction({at: OffsetAndMetadata(7, "", -1)}, reader.group_metadata())
        client.commit_transaction() if commit else client.abort_transaction()
        eventually(10, f"{expected} is committed", lambda: reader.committed(at) == expected)
    client.close(), reader.close()


def fencing():
    to, name = topic(1), fresh("id")
    first = producer(transactional_id=name)
    first.init_transactions()
    first.begin_transaction()
    first.send(to, value=b"lost").get(20)
    second = producer(transactional_id=name)
    second.init_transactions()
    second.begin_transaction()
    second.send(to, value=b"kept")
    second.commit_transaction()
    fails(errors.KafkaError, lambda: (first.send(to, value=b"late"), first.commit_transaction()))
    same([b"kept"], all_of(to), "records")
    second.close()


class Member(ConsumerRebalanceListener):
    def __init__(self, group, name, assignor=RangePartitionAssignor, **config):
        self.events = []
        self.error = None
        self.stopped = False
        self.mine = set()
        self.client = consumer(group_id=group, partition_assignment_strategy=(assignor,), **config)
        knows(self.client, name)
        self.client.subscribe(topics=[name], listener=self)
        # A thread for each, as in a program: kafka-python gets stuck in rebalances when one thread polls several in turn.
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def on_partitions_revoked(self, revoked):
        self.events += [f"revoked {each.partition}" for each in revoked]

    def on_partitions_assigned(self, assigned):
        self.events += [f"assigned {each.partition}" for each in assigned]

    def poll(self):
        try:
            while not self.stopped:
                self.client.poll(100)
                self.mine = set(self.client.assignment())
        except Exception as error:
            self.error = error
        finally:
            self.mine = set()
            self.client.close()

    def owned(self):
        if self.error:
            raise self.error
        return self.mine

    def told(self):
        """Whether its listener has heard of what it has."""
        heard = set()
        for event in list(self.events):
            what, number = event.split()
            (heard.add if what == "assigned" else heard.discard)(int(number))
        return heard == {each.partition for each in self.owned()}

    def leave(self):
        self.stopped = True
        self.thread.join(10)


def covered(count, *members):
    owned = [member.owned() for member in members]
    return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count


def rebalance(assignor):
    name, group = topic(4), fresh("g")
    one = Member(group, name, assignor)
    eventually(20, "one has all", lambda: covered(4, one))
    two = Member(group, name, assignor)
    eventually(20, "two each", lambda: covered(4, one, two) and len(one.owned()) == 2)
    two.leave()
    eventually(20, "one has all again", lambda: covered(4, one))
    one.leave()


def static_member():
    name, group = topic(4), fresh("g")
    stays = Member(group, name, group_instance_id="stays")
    goes = Member(group, name, group_instance_id="goes")
    eventually(20, "two each", lambda: covered(4, stays, goes) and stays.told() and goes.told())
    had = goes.owned()
    stays.events.clear()
    goes.leave()
    back = Member(group, name, group_instance_id="goes")
    eventually(20, "its partitions again", lambda: covered(4, stays, back))
    same(had, back.owned(), "partitions")
    same([], stays.events, "what the other one saw")
    stays.leave(), back.leave()


def slow_member():
    name, group = topic(1), fresh("g")
    produce(name, [b"v"])
    late = consumer(name, group_id=group, max_poll_interval_ms=2_000)
    same(1, len(take(late, 1)), "records")
    eventually(20, "it has lost its place", lambda: not admin.describe_groups([group])[group]["members"])
    other = Member(group, name)
    eventually(20, "the other has it", lambda: covered(1, other))
    fails(errors.CommitFailedError, late.commit)
    other.leave()


def mixed_assignors():
    name, group = topic(2), fresh("g")
    one = Member(group, name, RangePartitionAssignor)
    eventually(20, "one has all", lambda: covered(2, one))
    two = Member(group, name, RoundRobinPartitionAssignor)

    def refused():
        return isinstance(two.error, errors.InconsistentGroupProtocolError)

    eventually(20, "the second is refused", refused)
    assert covered(2, one), "the first has all still"
    one.leave()


def commits():
    name, group = topic(1), fresh("g")
    produce(name, [str(n).encode() for n in range(50)])
    at = TopicPartition(name, 0)
    reader = consumer(name, group_id=group)
    same(50, len(take(reader, 50)), "records")
    reader.commit({at: OffsetAndMetadata(30, "thirty", -1)})
    found = reader.committed(at, metadata=True)
    same((30, "thirty"), (found.offset, found.metadata), "committed")
    reader.close()
    reader = consumer(name, group_id=group)
    same(b"30", take(reader, 1)[0].value, "where the next one goes on")
    reader.close()


def seeks():
    name, now = topic(1), int(time.time() * 1000)
    client = producer()
    for n in range(10):
        client.send(name, value=str(n).encode(), timestamp_ms=now - 100_000 + 10_000 * n).get(20)
    at = TopicPartition(name, 0)
    reader = consumer(group_id=None)
    reader.assign([at])
    same(5, reader.offsets_for_times({at: now - 55_000})[at].offset, "offset by time")
    same(None, reader.offsets_for_times({at: now + 10_000})[at], "after the last")
    same(({at: 0}, {at: 10}), (reader.beginning_offsets([at]), reader.end_offsets([at])), "beginning and end")
    reader.seek(at, 5)
    same(b"5", take(reader, 1)[0].value, "after a seek")
    reader.close()
    strict = consumer(group_id=None, auto_offset_reset="none")
    strict.assign([at])
    strict.seek(at, 1000)
    fails(errors.OffsetOutOfRangeError, lambda: take(strict, 1, 10))


def admin_topics():
    name = topic(3)
    assert name in admin.list_topics()
    found = admin.describe_topics([name])[0]
    same(3, len(found["partitions"]), "partitions")
    found = admin.describe_topic_partitions([name], response_partition_limit=2)
    same(2, len(found["topics"][0]["partitions"]), "partitions of the first page")
    assert found["next_cursor"], "there is a second page"
    fails(errors.TopicAlreadyExistsError, lambda: admin.create_topics({name: {}}))
    fails(errors.InvalidTopicError, lambda: admin.create_topics({"no good": {}}))
    fails(errors.InvalidReplicationFactorError, lambda: admin.create_topics({fresh("t"): {"num_partitions": 1, "replication_factor": 3}}))
    admin.create_topics({f"{name}-v": {"num_partitions": 2}}, validate_only=True)
    assert f"{name}-v" not in admin.list_topics()
    admin.create_partitions({name: 5})
    eventually(10, "five partitions", lambda: len(admin.describe_topics([name])[0]["partitions"]) == 5)
    fails(errors.InvalidPartitionsError, lambda: admin.create_partitions({name: 2}))
    admin.delete_topics([name])
    eventually(10, "gone", lambda: name not in admin.list_topics())


def admin_configs():
    name = topic(1, retention_ms="777000")
    found = admin.describe_configs([ConfigResource("TOPIC", name)], include_synonyms=True, config_filter="all")
    configs = next(iter(found.values()))[name]
    same("777000", configs["retention.ms"]["value"], "retention.ms")
    admin.alter_configs([ConfigResource("TOPIC", name, {"retention.ms": ("DELETE", None), "cleanup.policy": ("APPEND", "compact")})])

    def altered():
        configs = next(iter(admin.describe_configs([ConfigResource("TOPIC", name)], config_filter="all").values()))[name]
        return (configs["retention.ms"]["value"], configs["cleanup.policy"]["value"]) == ("604800000", "delete,compact")

    eventually(10, "both are altered", altered)
    assert admin.list_config_resources(["BROKER"])


def admin_groups():
    name, group = topic(2), fresh("g")
    produce(name, [b"v"] * 5)
    at = TopicPartition(name, 0)
    member = Member(group, name)
    eventually(20, "it has all", lambda: covered(2, member))
    assert any(group in str(each) for each in admin.list_groups()), "it is listed"
    assert any(group in str(each) for each in admin.list_groups(states_filter=["Stable"], types_filter=["classic"])), "by state and type"
    found = admin.describe_groups([group])[group]
    same(("Stable", "range", 1), (str(found["group_state"]), found["protocol_data"], len(found["members"])), "description")
    refused = str(admin.delete_groups([group]))
    assert "NonEmptyGroupError" in refused, f"not while it is used: {refused}"
    admin.remove_group_members(group, [MemberToRemove(member_id=found["members"][0]["member_id"])])
    member.leave()
    admin.alter_group_offsets(group, {at: OffsetAndMetadata(5, "", -1)})
    same(5, admin.list_group_offsets({group: None})[group][at].offset, "offset")
    admin.alter_group_offsets(group, {at: OffsetAndMetadata(2, "", -1)})
    same(2, admin.list_group_offsets({group: None})[group][at].offset, "altered")
    admin.reset_group_offsets(group, {at: OffsetSpec.LATEST})
    same(5, admin.list_group_offsets({group: None})[group][at].offset, "reset")
    admin.delete_group_offsets(group, [at])
    admin.delete_groups([group])
    eventually(10, "gone", lambda: not any(group in str(each) for each in admin.list_groups()))


def admin_offsets():
    name, now = topic(1), int(time.time() * 1000)
    client = producer()
    for back in (50_000, 10_000, 90_000):
        client.send(name, value=b"v", timestamp_ms=now - back).get(20)
    at = TopicPartition(name, 0)
    for spec, expected in ((OffsetSpec.EARLIEST, 0), (OffsetSpec.LATEST, 3), (OffsetSpec.MAX_TIMESTAMP, 1)):
        same(expected, admin.list_partition_offsets({at: spec})[at].offset, str(spec))
    admin.delete_records({at: 2})
    same(2, admin.list_partition_offsets({at: OffsetSpec.EARLIEST})[at].offset, "earliest")


def admin_cluster():
    same(1, len(admin.describe_cluster()["brokers"]), "brokers")
    assert admin.describe_log_dirs(), "log directories"
    assert "transaction.version" in str(admin.describe_features()), "features"
    assert "voters" in str(admin.describe_metadata_quorum()), "a quorum"
    same({}, admin.list_partition_reassignments(), "reassignments")
    name = topic(1)
    # An election that is not needed is no error to kafka-python, any other answer is.
    admin.elect_leaders(0, {name: [0]})


def admin_transactions():
    to, name = topic(1), fresh("id")
    client = producer(transactional_id=name)
    client.init_transactions()
    client.begin_transaction()
    client.send(to, value=b"open").get(20)
    listed = [each for every in admin.list_transactions().values() for each in every if each.transactional_id == name]
    same(1, len(listed), "listed")
    assert "ongoing" in str(admin.describe_transactions([name])[name].state).lower(), "its state"
    at = TopicPartition(to, 0)
    producers = admin.describe_producers([at])[at].active_producers
    same([listed[0].producer_id], [each.producer_id for each in producers], "producers of the partition")
    client.abort_transaction()
    client.close()


def wrong_use():
    # kafka-python refuses a bad topic name by itself.
    reader = consumer(topic(1), session_timeout_ms=2_000)
    fails(errors.InvalidSessionTimeoutError, lambda: take(reader, 1, 20))


run(
    [(f"records: codec {name}", functools.partial(codec, name)) for name in (None, "gzip", "snappy", "lz4", "zstd")]
    + [("records: headers, null keys, null values", shapes), ("records: large ones, too large ones", sizes)]
    + [(f"records: acks={level}", functools.partial(acks, level)) for level in (0, 1, "all")]
    + [
        ("records: idempotence keeps order and numbers", idempotence),
        ("transactions: committed is seen, aborted is not", transactions),
        ("transactions: offsets of a group go with them", transactional_offsets),
        ("transactions: the second producer of an id fences the first", fencing),
    ]
    + [
        (f"groups: {assignor.__name__}", functools.partial(rebalance, assignor))
        for assignor in (RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor, CooperativeStickyAssignor)
    ]
    + [
        ("groups: a static member comes back to its partitions", static_member),
        ("groups: two programs without a common assignor", mixed_assignors),
        ("groups: a slow member's commit fails", slow_member),
        ("offsets: commit and go on", commits),
        ("offsets: seek, by time, out of range", seeks),
        ("admin: topics and partitions", admin_topics),
        ("admin: configs", admin_configs),
        ("admin: groups and their offsets", admin_groups),
        ("admin: list offsets, delete records", admin_offsets),
        ("admin: the cluster", admin_cluster),
        ("admin: transactions", admin_transactions),
        ("wrong use", wrong_use),
    ]
)
