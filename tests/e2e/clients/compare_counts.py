"""Compares the page-view counts in a topic with a count of the files: BOOTSTRAP TOPIC FILE...

Reads with isolation.level=read_committed. For each path the emitted counts must be 1, 2, 3 ... n in
order, without a gap (a lost view) or a repetition (a doubled one). Prints the sha256 of the lines
`path TAB count NEWLINE` in the byte order of the paths.
"""

import collections
import hashlib
import sys

from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, *paths = sys.argv[1:]

expected = collections.Counter()
for path in paths:
    with open(path, "rb") as lines:
        for line in lines:
            quoted = line.split(b'"')
            words = quoted[1].split(b" ") if len(quoted) > 1 else []
            if len(words) > 1 and words[1].startswith(b"/"):
                expected[words[1].split(b"?")[0].split(b"#")[0]] += 1

consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": "compare-counts",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
)
partitions = consumer.list_topics(topic, 30).topics[topic].partitions
consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
total = sum(expected.values())
counts = {}
read = 0
# The counts are on their way while they are read: what is missing is waited for, and once all are there a
# while more, so that one too many is seen as well.
while True:
    message = consumer.poll(120 if read < total else 2)
    if message is None:
        break
    assert not message.error(), message.error()
    key, count = message.key(), int(message.value())
    before = counts.get(key, 0)
    assert count == before + 1, f"{key}: {count} follows {before} at {message.partition()}/{message.offset()}"
    counts[key] = count
    read += 1
consumer.close()

differing = [key for key in counts.keys() | expected.keys() if counts.get(key) != expected.get(key)]
assert not differing, (
    f"{read} counts for {total} views; {len(differing)} paths differ (path, counted, true): "
    f"{[(key, counts.get(key), expected.get(key)) for key in differing[:10]]}"
)
digest = hashlib.sha256(b"".join(b"%s\t%d\n" % item for item in sorted(counts.items())))
print(digest.hexdigest())
