"""confluent-kafka, unmodified: BOOTSTRAP TOPIC GROUP COUNT ISOLATION.

Reads so many records in a group, commits, and prints PARTITION TAB OFFSET TAB KEY TAB VALUE of each, then a line `committed`
with the offsets. Fails when a further record comes within two seconds.
"""

import sys
import time

from confluent_kafka import Consumer

bootstrap, topic, group, count, isolation = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "client.id": "confluent-reader",
        "group.id": group,
        "isolation.level": isolation,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 10_000,
    }
)
consumer.subscribe([topic])
lines = []
deadline = time.monotonic() + 120
while len(lines) < int(count):
    assert time.monotonic() < deadline, f"{len(lines)} of {count} records came"
    message = consumer.poll(1)
    if message is None:
        continue
    assert not message.error(), message.error()
    key = (message.key() or b"").decode()
    lines.append(f"{message.partition()}\t{message.offset()}\t{key}\t{(message.value() or b'').decode()}")
extra = consumer.poll(2)
assert extra is None or extra.error(), f"one too many: {extra.offset()} {extra.value()}"
offsets = consumer.commit(asynchronous=False)
print("\n".join(lines))
print("committed", *(f"{each.partition}:{each.offset}" for each in offsets))
consumer.close()
