"""Keys with the same beginning, up to a delimiter, meet in one partition.

Configuration of the topic: pelton.plugin.{{name}}.config = {"delimiter": "-"}
"""

from pelton_sdk import Partitioner, murmur2


class Plugin(Partitioner):
    reads = {"key"}

    def configure(self, config):
        self.delimiter = config.get("delimiter", "-").encode()

    def partition(self, record, topic, partitions):
        if record.key is None:
            return None
        return murmur2(record.key.partition(self.delimiter)[0]) % partitions
