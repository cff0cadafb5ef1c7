"""Records for other topics: those that the operator grants in `pelton.plugin.NAME.emit`."""

from . import stub
from .batch import Record, encode_batch

try:
    from wit_world.imports import emit as _host
except ImportError:
    _host = None


def to_topic(topic: str, records: list[Record]) -> None:
    """Appends records. Raises when the topic is not granted."""
    for delta, record in enumerate(records):
        record.offset_delta = delta
    batch = encode_batch(records)
    if _host is None:
        stub.emitted.append((topic, batch))
    else:
        _host.to_topic(topic, batch)
