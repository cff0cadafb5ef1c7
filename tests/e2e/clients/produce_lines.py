"""Produces each line of a file as a record without a key: BOOTSTRAP TOPIC FILE."""

import sys

from confluent_kafka import Producer

bootstrap, topic, path = sys.argv[1:4]
failed = []
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})


def delivered(error, _message):
    if error is not None:
        failed.append(error)


with open(path, "rb") as lines:
    for line in lines:
        while True:
            try:
                producer.produce(topic, value=line.rstrip(b"\n"), on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
left = producer.flush(60)
assert left == 0 and not failed, f"{left} lines were not delivered, {len(failed)} failed: {failed[:3]}"
