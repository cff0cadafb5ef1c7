"""confluent-kafka: admin, produce with every codec, a group of two consumers, commit, resume: BOOTSTRAP."""

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

bootstrap = sys.argv[1]
admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic("trip", 4, 1, config={"retention.ms": "86400000"})])["trip"].result(30)
resource = ConfigResource(ResourceType.TOPIC, "trip")
config = admin.describe_configs([resource])[resource].result(30)
assert config["retention.ms"].value == "86400000", config["retention.ms"]

COUNT = 400
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "compression.type": codec})
    for number in range(COUNT):
        producer.produce("trip", key=f"k{number % 7}", value=f"{codec} {number}" * 5, headers={"n": str(number)})
    assert producer.flush(30) == 0


def consumer():
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "travellers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
        }
    )


first, second = consumer(), consumer()
first.subscribe(["trip"])
second.subscribe(["trip"])
seen = []
deadline = time.time() + 60
while len(seen) < 5 * COUNT and time.time() < deadline:
    for one in (first, second):
        message = one.poll(0.05)
        if message is not None:
            assert message.error() is None, message.error()
            seen.append((message.partition(), message.offset()))
            one.commit(message=message, asynchronous=False)
assert len(seen) == 5 * COUNT == len(set(seen)), (len(seen), len(set(seen)))
assert {p.partition for one in (first, second) for p in one.assignment()} == {0, 1, 2, 3}
first.close()
second.close()

third = consumer()
third.subscribe(["trip"])
extra = third.poll(8)
assert extra is None, f"read again: {extra.partition()}/{extra.offset()}"
low, high = third.get_watermark_offsets(TopicPartition("trip", 0), timeout=30)
assert low == 0 and high > 0, (low, high)
third.close()
admin.delete_topics(["trip"])["trip"].result(30)
assert "trip" not in admin.list_topics(timeout=30).topics
