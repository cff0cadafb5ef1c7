"""confluent-kafka: committed, aborted and fenced transactions, offsets in a transaction: BOOTSTRAP."""

import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

bootstrap = sys.argv[1]
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.create_topics([NewTopic("source", 1, 1), NewTopic("ledger", 2, 1)]).values():
    future.result(30)


def producer(transactional_id):
    made = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id})
    made.init_transactions(30)
    return made


def consumer(group, isolation):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "isolation.level": isolation,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )


def drain(isolation):
    reader = consumer(f"drain-{isolation}", isolation)
    reader.assign([TopicPartition("ledger", partition, 0) for partition in (0, 1)])
    values, ended = [], set()
    while len(ended) < 2:
        message = reader.poll(30)
        assert message is not None, "nothing came for 30 s"
        if message.error():
            ended.add(message.partition())
        else:
            values.append(message.value().decode())
    reader.close()
    return sorted(values)


teller = producer("teller")
for number in range(6):
    teller.begin_transaction()
    for partition in (0, 1):
        teller.produce("ledger", value=f"t{number}p{partition}", partition=partition)
    if number % 2 == 0:
        teller.commit_transaction(30)
    else:
        teller.flush(30)
        teller.abort_transaction(30)
committed = [f"t{number}p{partition}" for number in (0, 2, 4) for partition in (0, 1)]
assert drain("read_committed") == committed, drain("read_committed")
assert len(drain("read_uncommitted")) == 12

# Offsets in the transaction: the group moves with it, or not at all.
plain = Producer({"bootstrap.servers": bootstrap})
for number in range(10):
    plain.produce("source", value=str(number))
plain.flush(30)
reader = consumer("movers", "read_committed")
reader.subscribe(["source"])
taken = []
while len(taken) < 10:
    message = reader.poll(30)
    assert message is not None
    if not message.error():
        taken.append(message)
here = [TopicPartition("source", 0)]
teller.begin_transaction()
teller.produce("ledger", value="moved and aborted", partition=0)
teller.send_offsets_to_transaction(reader.position(here), reader.consumer_group_metadata(), 30)
teller.abort_transaction(30)
assert reader.committed(here, 30)[0].offset < 0, "an aborted transaction moved the group"
teller.begin_transaction()
teller.produce("ledger", value="moved", partition=0)
teller.send_offsets_to_transaction(reader.position(here), reader.consumer_group_metadata(), 30)
teller.commit_transaction(30)
assert reader.committed(here, 30)[0].offset == 10
reader.close()

# A second instance fences the first.
teller.begin_transaction()
teller.produce("ledger", value="of a zombie", partition=0)
teller.flush(30)
heir = producer("teller")
try:
    teller.commit_transaction(30)
    raise AssertionError("a fenced producer committed")
except KafkaException as error:
    assert error.args[0].fatal() or error.args[0].txn_requires_abort(), error
heir.begin_transaction()
heir.produce("ledger", value="of the heir", partition=0)
heir.commit_transaction(30)
assert drain("read_committed") == sorted(committed + ["moved", "of the heir"]), drain("read_committed")
