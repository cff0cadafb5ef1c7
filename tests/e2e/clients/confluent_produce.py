"""confluent-kafka, unmodified: BOOTSTRAP TOPIC PARTITIONER, records as lines KEY TAB VALUE on standard input.

Prints KEY TAB PARTITION TAB OFFSET for each record, or KEY TAB error TAB CODE: MESSAGE.
"""

import sys

from confluent_kafka import Producer

bootstrap, topic, partitioner = sys.argv[1:]
producer = Producer(
    {
        "bootstrap.servers": bootstrap,
        "client.id": "confluent",
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": partitioner,
        "message.timeout.ms": 60_000,
    }
)
answers = []


def answered(key):
    def callback(error, message):
        if error:
            answers.append(f"{key}\terror\t{error.name()}: {error.str()}")
        else:
            answers.append(f"{key}\t{message.partition()}\t{message.offset()}")

    return callback


for line in sys.stdin:
    key, _, value = line.rstrip("\n").partition("\t")
    producer.produce(topic, key=key, value=value, on_delivery=answered(key))
    producer.poll(0)
assert producer.flush(120) == 0
print("\n".join(answers))
