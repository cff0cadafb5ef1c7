"""Drops records whose value contains a word.

Configuration of the topic: pelton.plugin.{{name}}.config = {"word": "secret"}
"""

from pelton_sdk import Interceptor


class Plugin(Interceptor):
    # What it may see and do; a change of anything else is refused.
    reads = {"value"}
    drops = True

    def configure(self, config):
        self.word = config.get("word", "secret").encode()

    # Before a producer's batch is appended. Other hooks: on_acknowledgement, on_consume, on_commit.
    def on_send(self, origin, batch, verdict):
        for record in batch:
            if record.value is not None and self.word in record.value:
                verdict.drop(record)
