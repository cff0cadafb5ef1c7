"""aiokafka, unmodified: suite.py [BOOTSTRAP [CHECK...]]."""

import asyncio
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from checks import bootstrap, fresh, run, same

BOOTSTRAP = bootstrap()


def asynchronous(body, *arguments):
    return lambda: asyncio.run(body(*arguments))


async def with_admin(body):
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        return await body(admin)
    finally:
        await admin.close()


async def lists(admin, name):
    return name in await admin.list_topics()


async def topic(partitions, **configs):
    name = fresh("t")
    wanted = {key.replace("_", "."): value for key, value in configs.items()}

    async def create(admin):
        answer = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=wanted)])
        same(0, answer.topic_errors[0][1], "error of the creation")
        # Apache Kafka's controller answers before its broker has heard of it.
        await eventually(10, f"{name} is known", lambda: lists(admin, name))

    await with_admin(create)
    return name


async def fails(with_error, awaitable):
    try:
        await awaitable
    except with_error as error:
        return error
    raise AssertionError(f"expected {with_error}, but nothing failed")


async def eventually(seconds, what, holds):
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        await asyncio.sleep(0.05)


# acks=all, since with aiokafka's own default of 1 a record is acknowledged before it is below the high watermark.
async def produce(to, values, partition=0, **config):
    async with AIOKafkaProducer(**{"bootstrap_servers": BOOTSTRAP, "linger_ms": 5, "acks": "all", **config}) as client:
        sent = [await client.send(to, value=value, partition=partition) for value in values]
        answers = [await each for each in sent]
        return [answer and answer.offset for answer in answers]


def consumer(*topics, **config):
    wanted = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "session_timeout_ms": 6_000, "heartbeat_interval_ms": 300, "metadata_max_age_ms": 500}
    return AIOKafkaConsumer(*topics, bootstrap_servers=BOOTSTRAP, **{**wanted, **config})


async def take(client, count, seconds=20):
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        for records in (await client.getmany(timeout_ms=200)).values():
            found += records
    return found


async def all_of(name, partition=0, isolation="read_committed"):
    async with consumer(isolation_level=isolation) as reader:
        at = TopicPartition(name, partition)
        reader.assign([at])
        await reader.seek_to_beginning(at)
        end, values, deadline = (await reader.end_offsets([at]))[at], [], time.monotonic() + 20
        while await reader.position(at) < end:
            assert time.monotonic() < deadline, f"stands before the end {end}"
            values += [record.value for records in (await reader.getmany(timeout_ms=200)).values() for record in records]
        return values


async def codec(name):
    to = await topic(2)
    values = [f"{name} {n} {'x' * (n % 300)}".encode() for n in range(300)]
    for partition in (0, 1):
        same(list(range(300)), await produce(to, values, partition, compression_type=name), "offsets")
    async with consumer(to, group_id=fresh("g")) as reader:
        found = await take(reader, 600)
    same(600, len(found), "records")
    for record in found:
        same(values[record.offset], record.value, "value")


async def shapes():
    to = await topic(1)
    headers = [("a", b"\x00\xff"), ("a", b""), ("ü", "é".encode())]
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all") as client:
        await client.send_and_wait(to, b"v", headers=headers)
        await client.send_and_wait(to, None, key=b"k")
        await client.send_and_wait(to, b"", key=b"", timestamp_ms=1_577_836_800_000)
    async with consumer(to, group_id=fresh("g")) as reader:
        found = await take(reader, 3)
    same(headers, [tuple(header) for header in found[0].headers], "headers")
    same((None, b"v"), (found[0].key, found[0].value), "a null key")
    same((b"k", None), (found[1].key, found[1].value), "a tombstone")
    same((b"", b"", 1_577_836_800_000), (found[2].key, found[2].value, found[2].timestamp), "empty, with a time")


async def sizes():
    small, large = await topic(1, max_message_bytes="10000"), await topic(1, max_message_bytes="6000000")
    value = bytes(range(256)) * 15_000
    await produce(large, [value], max_request_size=8_000_000)
    same([value], await all_of(large), "values")
    await fails(errors.MessageSizeTooLargeError, produce(small, [b"x" * 20_000]))


async def acks(level):
    to = await topic(1)
    await produce(to, [b"v"] * 100, acks=level)

    async def there():
        return len(await all_of(to)) == 100

    await eventually(10, "100 records", there)


async def idempotence():
    to = await topic(1)
    values = [str(n).encode() for n in range(2000)]
    await produce(to, values, enable_idempotence=True, max_batch_size=300)
    same(values, await all_of(to), "records")


async def transactions():
    to = await topic(1)
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=fresh("id")) as client:
        for n in range(6):
            await client.begin_transaction()
            for _ in range(5):
                await client.send(to, b"good" if n % 2 == 0 else b"bad")
            await client.flush()
            await (client.commit_transaction() if n % 2 == 0 else client.abort_transaction())
    same([b"good"] * 15, await all_of(to), "committed records")
    same(30, len(await all_of(to, isolation="read_uncommitted")), "all records")


async def transactional_offsets():
    to, group = await topic(1), fresh("g")
    await produce(to, [b"v"] * 10)
    at = TopicPartition(to, 0)
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=fresh("id")) as client:
        async with consumer(to, group_id=group) as reader:
            same(10, len(await take(reader, 10)), "records")
            for commit, expected in ((False, None), (True, 7)):
                await client.begin_transaction()
                await client.send_offsets_to_transaction({at: 7}, group)
                await (client.commit_transaction() if commit else client.abort_transaction())

                # aiokafka does not ask for stable offsets, so it may look before the marker is written.
                async def known():
                    return await reader.committed(at) == expected

                await eventually(10, f"{expected} is committed", known)


async def fencing():
    to, name = await topic(1), fresh("id")
    first = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=name)
    await first.start()
    await first.begin_transaction()
    await first.send_and_wait(to, b"lost")
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=name) as second:
        await second.begin_transaction()
        await second.send_and_wait(to, b"kept")
        await second.commit_transaction()

    async def late():
        await first.send_and_wait(to, b"late")
        await first.commit_transaction()

    # Kafka's partition and coordinator may tell; aiokafka knows both words for it.
    await fails((errors.ProducerFenced, errors.InvalidProducerEpoch), late())
    same([b"kept"], await all_of(to), "records")
    try:
        await asyncio.wait_for(first.stop(), 5)
    except (errors.KafkaError, asyncio.TimeoutError):
        pass


class Member(ConsumerRebalanceListener):
    def __init__(self, group, name=None, assignor=RangePartitionAssignor, pattern=None, **config):
        self.events = []
        self.client = consumer(group_id=group, partition_assignment_strategy=(assignor,), **config)
        self.client.subscribe(topics=[name] if name else (), pattern=pattern, listener=self)

    async def on_partitions_revoked(self, revoked):
        self.events += [f"revoked {each.partition}" for each in revoked]

    async def on_partitions_assigned(self, assigned):
        self.events += [f"assigned {each.partition}" for each in assigned]

    async def __aenter__(self):
        await self.client.start()
        return self

    async def __aexit__(self, *_):
        await self.client.stop()

    async def owned(self):
        await self.client.getmany(timeout_ms=20)
        return set(self.client.assignment())


def covering(count, *members):
    async def covered():
        owned = [await member.owned() for member in members]
        return all(owned) and sum(map(len, owned)) == count and len(set().union(*owned)) == count

    return covered


async def rebalance(assignor):
    name, group = await topic(4), fresh("g")
    async with Member(group, name, assignor) as one:
        await eventually(20, "one has all", covering(4, one))
        async with Member(group, name, assignor) as two:
            await eventually(20, "two each", covering(4, one, two))
        await eventually(20, "one has all again", covering(4, one))


async def static_member():
    name, group = await topic(4), fresh("g")
    async with Member(group, name, group_instance_id="stays") as stays:
        async with Member(group, name, group_instance_id="goes") as goes:
            await eventually(20, "two each", covering(4, stays, goes))
            had = await goes.owned()
        stays.events.clear()
        async with Member(group, name, group_instance_id="goes") as back:
            await eventually(20, "its partitions again", covering(4, stays, back))
            same(had, await back.owned(), "partitions")
        same([], stays.events, "what the other one saw")


async def pattern():
    prefix = fresh("p")
    await with_admin(lambda admin: admin.create_topics([NewTopic(f"{prefix}-1", 2, 1)]))
    async with Member(fresh("g"), pattern=f"^{prefix}-.*") as member:
        await eventually(20, "two partitions", covering(2, member))
        await with_admin(lambda admin: admin.create_topics([NewTopic(f"{prefix}-2", 2, 1)]))
        await eventually(20, "four partitions", covering(4, member))


async def slow_member():
    name, group = await topic(1), fresh("g")
    await produce(name, [b"v"])
    async with consumer(name, group_id=group, max_poll_interval_ms=3_000, partition_assignment_strategy=(RangePartitionAssignor,)) as late:
        same(1, len(await take(late, 1)), "records")
        # aiokafka leaves when nobody asks for records for longer than max.poll.interval.ms.
        async with Member(group, name) as other:
            await eventually(30, "the other has it", covering(1, other))
            await fails((errors.CommitFailedError, errors.IllegalStateError), late.commit({TopicPartition(name, 0): 1}))


async def commits():
    name, group = await topic(1), fresh("g")
    await produce(name, [str(n).encode() for n in range(50)])
    at = TopicPartition(name, 0)
    async with consumer(name, group_id=group) as reader:
        same(50, len(await take(reader, 50)), "records")
        await reader.commit({at: (30, "thirty")})
        same(30, await reader.committed(at), "committed")
    async with consumer(name, group_id=group) as reader:
        same(b"30", (await take(reader, 1))[0].value, "where the next one goes on")


async def seeks():
    name, now = await topic(1), int(time.time() * 1000)
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all") as client:
        for n in range(10):
            await client.send_and_wait(name, str(n).encode(), timestamp_ms=now - 100_000 + 10_000 * n)
    at = TopicPartition(name, 0)
    async with consumer() as reader:
        reader.assign([at])
        same(5, (await reader.offsets_for_times({at: now - 55_000}))[at].offset, "offset by time")
        same(None, (await reader.offsets_for_times({at: now + 10_000}))[at], "after the last")
        same(({at: 0}, {at: 10}), (await reader.beginning_offsets([at]), await reader.end_offsets([at])), "beginning and end")
        reader.seek(at, 5)
        same(b"5", (await take(reader, 1))[0].value, "after a seek")
    async with consumer(auto_offset_reset="none") as strict:
        strict.assign([at])
        strict.seek(at, 1000)
        await fails(errors.OffsetOutOfRangeError, take(strict, 1, 10))


async def admin_topics():
    name = await topic(2)

    async def gone(admin):
        return not await lists(admin, name)

    async def has_four(admin):
        return len((await admin.describe_topics([name]))[0]["partitions"]) == 4

    async def body(admin):
        same(2, len((await admin.describe_topics([name]))[0]["partitions"]), "partitions")
        same(36, (await admin.create_topics([NewTopic(name, 1, 1)])).topic_errors[0][1], "TOPIC_ALREADY_EXISTS")
        same(17, (await admin.create_topics([NewTopic("no good", 1, 1)])).topic_errors[0][1], "INVALID_TOPIC_EXCEPTION")
        await admin.create_partitions({name: NewPartitions(4)})
        await eventually(10, "four partitions", lambda: has_four(admin))
        await admin.delete_topics([name])
        await eventually(10, "gone", lambda: gone(admin))

    await with_admin(body)


async def admin_configs():
    name = await topic(1, retention_ms="777000")
    resource = ConfigResource(ConfigResourceType.TOPIC, name)

    async def body(admin):
        async def says(value):
            return value in str(await admin.describe_configs([resource]))

        assert await says("777000"), "retention.ms"
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "888000"})])
        await eventually(10, "altered", lambda: says("888000"))

    await with_admin(body)


async def admin_groups():
    name, group = await topic(1), fresh("g")
    await produce(name, [b"v"] * 5)
    at = TopicPartition(name, 0)

    async def body(admin):
        async with Member(group, name) as member:
            await eventually(20, "it has all", covering(1, member))
            await member.client.commit({at: 3})
            assert any(each[0] == group for each in await admin.list_consumer_groups()), "it is listed"
            described = str(await admin.describe_consumer_groups([group]))
            assert "Stable" in described and "range" in described, described
        same(3, (await admin.list_consumer_group_offsets(group))[at].offset, "offset")

    await with_admin(body)


async def admin_records():
    name = await topic(1)
    await produce(name, [b"v"] * 10)
    at = TopicPartition(name, 0)
    await with_admin(lambda admin: admin.delete_records({at: RecordsToDelete(before_offset=4)}))
    same(6, len(await all_of(name)), "records")
    assert len((await with_admin(lambda admin: admin.describe_cluster()))["brokers"]) == 1, "brokers"


async def wrong_use():
    name = await topic(1)

    async def short():
        async with consumer(name, group_id=fresh("g"), session_timeout_ms=2_000) as reader:
            await take(reader, 1, 10)

    await fails(errors.InvalidSessionTimeoutError, short())


run(
    [(f"records: codec {name}", asynchronous(codec, name)) for name in (None, "gzip", "snappy", "lz4", "zstd")]
    + [("records: headers, null keys, null values", asynchronous(shapes)), ("records: large ones, too large ones", asynchronous(sizes))]
    + [(f"records: acks={level}", asynchronous(acks, level)) for level in (0, 1, "all")]
    + [
        ("records: idempotence keeps order and numbers", asynchronous(idempotence)),
        ("transactions: committed is seen, aborted is not", asynchronous(transactions)),
        ("transactions: offsets of a group go with them", asynchronous(transactional_offsets)),
        ("transactions: the second producer of an id fences the first", asynchronous(fencing)),
    ]
    + [
        (f"groups: {assignor.__name__}", asynchronous(rebalance, assignor))
        for assignor in (RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor)
    ]
    + [
        ("groups: a static member comes back to its partitions", asynchronous(static_member)),
        ("groups: subscription by a pattern finds new topics", asynchronous(pattern)),
        ("groups: a slow member's commit fails", asynchronous(slow_member)),
        ("offsets: commit and go on", asynchronous(commits)),
        ("offsets: seek, by time, out of range", asynchronous(seeks)),
        ("admin: topics and partitions", asynchronous(admin_topics)),
        ("admin: configs", asynchronous(admin_configs)),
        ("admin: groups and their offsets", asynchronous(admin_groups)),
        ("admin: delete records, the cluster", asynchronous(admin_records)),
        ("wrong use", asynchronous(wrong_use)),
    ]
)
