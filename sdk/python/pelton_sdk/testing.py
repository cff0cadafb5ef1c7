"""Runs a plugin natively, for unit tests.

    harness = Harness(Redact, {"field": "card"})
    records = harness.on_consume([Record(value=b"...")])

What the plugin asked of its host stands in `pelton_sdk.stub`: `lines`, `metrics`, `emitted`, `stores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from . import stub
from .batch import Batch, Record, encode_batch
from .kinds import Verdict, run_transform


@dataclass
class Judged:
    """What became of a batch: the records that go on, and (index, reason) of each that was rejected."""

    records: list[Record]
    rejected: list[tuple[int, str]]
    changed: bool


class Harness:
    """One configured plugin, and an empty host."""

    def __init__(self, plugin: type, config: dict[str, Any] | None = None, stores: list[str] | None = None):
        stub.reset()
        self.plugin = plugin()
        if stores is None:
            self.plugin.configure(config or {})
        else:
            self.plugin.configure(config or {}, stores)

    def on_send(self, records: list[Record], **origin: Any) -> Judged:
        """A producer's batch."""
        return self._judge(self.plugin.on_send, records, origin)

    def on_consume(self, records: list[Record], **origin: Any) -> Judged:
        """A batch on its way to a consumer."""
        return self._judge(self.plugin.on_consume, records, origin)

    def partition(self, records: list[Record], topic: str, partitions: int) -> list[int | None]:
        """The partition of each record."""
        return [self.plugin.partition(record, topic, partitions) for record in Batch(_encoded(records))]

    def process(self, records: list[Record]) -> Judged:
        """A batch of a job's step."""
        output, rejected = run_transform(self.plugin, _encoded(records))
        return Judged(list(Batch(output)) if output else [], rejected, True)

    def _judge(self, hook: Any, records: list[Record], origin: dict[str, Any]) -> Judged:
        data = _encoded(records)
        batch, verdict = Batch(data), Verdict()
        who = {"principal": "User:ANONYMOUS", "client_id": "test", "client_address": "/127.0.0.1"}
        hook(SimpleNamespace(**{**who, "topic": "topic", "partition": 0, **origin}), batch, verdict)
        tag, value = verdict.change(batch)
        kept = list(batch)
        if tag == "replace":
            kept = list(Batch(value)) if value else []
        elif tag == "drop":
            kept = [record for record in kept if record.offset_delta not in value]
        return Judged(kept, verdict.rejected, tag != "none")


def _encoded(records: list[Record]) -> bytes:
    for delta, record in enumerate(records):
        record.offset_delta = delta
    return encode_batch(records)
