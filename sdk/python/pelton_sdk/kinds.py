"""What a plugin derives from, and the way from the contract's bytes to its methods and back.

A plugin never sees bytes of a batch: it gets a `Batch` of records, and says what it wants by a `Verdict` (interceptor), by
numbers (partitioner) or by an `Output` (transform). What it raises becomes the contract's error, with its text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

from .batch import Batch, Record, encode_batch


class Verdict:
    """What an interceptor decides about a batch. A record that it does not speak of goes on as it is."""

    def __init__(self) -> None:
        self.dropped: set[int] = set()
        self.rejected: list[tuple[int, str]] = []
        self.edited: dict[int, Record] = {}

    def drop(self, record: Record) -> None:
        """Takes the record away."""
        self.dropped.add(record.offset_delta)

    def reject(self, record: Record, reason: str) -> None:
        """Refuses the record; the topic's policy says what becomes of it."""
        self.rejected.append((record.offset_delta, reason))

    def replace(self, record: Record, **fields: Any) -> None:
        """Gives the record another `key`, `value` or `headers`."""
        unknown = set(fields) - {"key", "value", "headers"}
        if unknown:
            raise TypeError(f"a record has no {unknown.pop()} that can be replaced")
        self.edited[record.offset_delta] = replace(self.edited.get(record.offset_delta, record), **fields)

    def change(self, batch: Batch) -> tuple[str, Any]:
        """The smallest answer: ("none", None), ("drop", deltas) or ("replace", bytes)."""
        if self.edited:
            kept = [self.edited.get(r.offset_delta, r) for r in batch if r.offset_delta not in self.dropped]
            data = encode_batch(kept, batch.base_timestamp_ms, batch.last_offset_delta) if kept else b""
            return "replace", data
        if self.dropped:
            return "drop", sorted(self.dropped)
        return "none", None


class Interceptor:
    """Stands on the way of the records of a topic, for every client. The hooks that a class overrides are called."""

    #: Parts of a record that it reads: some of "key", "value", "headers". The others arrive as None and [].
    reads: set[str] = set()
    #: Parts that it may change.
    writes: set[str] = set()
    #: Whether it may take records away.
    drops: bool = False
    #: "never", "for-everyone" or "for-principal": whether what it made of a batch on-consume holds for other reads.
    reuse: str = "never"

    def configure(self, config: dict[str, Any]) -> None:
        """Takes the configuration; raises ValueError to refuse it."""
        if config:
            raise ValueError(f"unknown key `{next(iter(config))}`; this plugin takes no configuration")

    def on_send(self, origin: Any, batch: Batch, verdict: Verdict) -> None:
        """Before a producer's batch is appended."""

    def on_acknowledgement(self, origin: Any, acknowledged: Any) -> None:
        """When the batch has been committed, or refused."""

    def on_consume(self, origin: Any, batch: Batch, verdict: Verdict) -> None:
        """Before a batch leaves to a consumer."""

    def on_commit(self, committed: Any) -> None:
        """When a group has committed offsets."""


class Partitioner:
    """Says which partition a record belongs to; by the record, the configuration and the number of partitions alone."""

    #: Parts of a record that it reads.
    reads: set[str] = {"key"}

    def configure(self, config: dict[str, Any]) -> None:
        """Takes the configuration; raises ValueError to refuse it."""
        if config:
            raise ValueError(f"unknown key `{next(iter(config))}`; this plugin takes no configuration")

    def partition(self, record: Record, topic: str, partitions: int) -> int | None:
        """0 to `partitions` - 1, or None where any will do."""
        raise NotImplementedError


class Output:
    """What a transform emits and rejects."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rejected: list[tuple[int, str]] = []
        self.timestamp_ms = 0

    def emit(
        self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]] | None = None
    ) -> None:
        """Emits a record, with the timestamp of the input record read last."""
        self.records.append(Record(key, value, headers or [], self.timestamp_ms, len(self.records)))

    def reject(self, record: Record, reason: str) -> None:
        """Sends a record to the job's dead-letter topic."""
        self.rejected.append((record.offset_delta, reason))


class Transform:
    """A step of a stream job."""

    def configure(self, config: dict[str, Any], stores: list[str]) -> None:
        """Takes the configuration and the names of the step's stores."""
        if config:
            raise ValueError(f"unknown key `{next(iter(config))}`; this plugin takes no configuration")

    def process(self, batch: Iterator[Record], out: Output) -> None:
        """Turns a batch into another."""
        raise NotImplementedError


def plugin_of(module: Any) -> type:
    """The one plugin class that a module defines."""
    kinds = (Interceptor, Partitioner, Transform)
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, kinds) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(item.__name__ for item in found) or "none"
        raise TypeError(f"{module.__name__} must define one class derived from Interceptor, Partitioner or Transform ({names})")
    return found[0]


def kind_of(plugin: type) -> str:
    """`interceptor`, `partitioner` or `transform`."""
    return next(kind.__name__.lower() for kind in (Interceptor, Partitioner, Transform) if issubclass(plugin, kind))


def hooks_of(plugin: type) -> list[str]:
    """The hooks that an interceptor's class overrides."""
    names = ["on_send", "on_acknowledgement", "on_consume", "on_commit"]
    return [name for name in names if getattr(plugin, name) is not getattr(Interceptor, name)]


def run_transform(plugin: Transform, data: bytes) -> tuple[bytes, list[tuple[int, str]]]:
    """One batch through a transform."""
    out = Output()

    def records() -> Iterator[Record]:
        for record in Batch(data):
            out.timestamp_ms = record.timestamp_ms
            yield record

    plugin.process(records(), out)
    return (encode_batch(out.records) if out.records else b""), out.rejected
