"""kafka-python: admin, produce, a consumer group, commit, offsets by time: BOOTSTRAP."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

bootstrap = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.create_topics([NewTopic(name="py", num_partitions=2, replication_factor=1)])
assert "py" in admin.list_topics()

producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="gzip")
before = int(time.time() * 1000)
sent = [producer.send("py", key=b"k%d" % (n % 5), value=b"v%d" % n) for n in range(300)]
places = {(m.partition, m.offset) for m in (future.get(timeout=30) for future in sent)}
assert len(places) == 300
producer.close()


def read(count):
    consumer = KafkaConsumer(
        "py",
        bootstrap_servers=bootstrap,
        group_id="pythons",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=10_000 if count else 4_000,
    )
    seen = set()
    for message in consumer:
        seen.add((message.partition, message.offset))
        if count and len(seen) == count:
            break
    consumer.commit()
    consumer.close()
    return seen


assert read(300) == places
assert read(0) == set(), "committed records were read again"

consumer = KafkaConsumer(bootstrap_servers=bootstrap)
partitions = [TopicPartition("py", 0), TopicPartition("py", 1)]
assert sum(consumer.end_offsets(partitions).values()) == 300
assert all(found.offset == 0 for found in consumer.offsets_for_times({p: before for p in partitions}).values())
consumer.close()
admin.delete_topics(["py"])
admin.close()
