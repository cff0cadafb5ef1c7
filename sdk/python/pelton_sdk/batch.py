"""Record batches in Kafka's format v2, as they cross between host and guest: read in place, written in one buffer."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Iterator

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size


@dataclass(slots=True)
class Record:
    """One record. Key and value are None for null."""

    key: bytes | None = None
    value: bytes | None = None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp_ms: int = 0
    offset_delta: int = 0

    def header(self, name: str) -> bytes | None:
        """The value of the last header of that name; None when there is none."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


class Batch:
    """A batch that the host gave. Iterating reads it; damage is a ValueError."""

    def __init__(self, data: bytes):
        if len(data) < HEADER_BYTES:
            raise ValueError("the batch is shorter than its header")
        fields = _HEADER.unpack_from(data)
        self._data = data
        self.base_offset = fields[0]
        self.last_offset_delta = fields[6]
        self.base_timestamp_ms = fields[7]
        self._count = fields[12]

    def __len__(self) -> int:
        return max(self._count, 0)

    def __iter__(self) -> Iterator[Record]:
        data, at = self._data, HEADER_BYTES
        for _ in range(self._count):
            length, at = _varint(data, at)
            end = at + length
            if length < 0 or end > len(data):
                raise ValueError("the batch ends within a record")
            timestamp, at = _varint(data, at + 1)
            delta, at = _varint(data, at)
            key, at = _nullable(data, at)
            value, at = _nullable(data, at)
            count, at = _varint(data, at)
            headers = []
            for _ in range(count):
                name, at = _nullable(data, at)
                content, at = _nullable(data, at)
                headers.append(((name or b"").decode("utf-8", "replace"), content))
            yield Record(key, value, headers, self.base_timestamp_ms + timestamp, delta)
            at = end


def encode_batch(records: list[Record], base_timestamp_ms: int | None = None, last_offset_delta: int = 0) -> bytes:
    """Records, with ascending offset deltas, as one batch. The host fills in offsets, producer and CRC."""
    base = base_timestamp_ms if base_timestamp_ms is not None else (records[0].timestamp_ms if records else 0)
    body = bytearray()
    newest = base
    for record in records:
        one = bytearray(b"\0")
        _write_varint(one, record.timestamp_ms - base)
        _write_varint(one, record.offset_delta)
        _write_nullable(one, record.key)
        _write_nullable(one, record.value)
        _write_varint(one, len(record.headers))
        for name, value in record.headers:
            _write_nullable(one, name.encode())
            _write_nullable(one, value)
        _write_varint(body, len(one))
        body += one
        newest = max(newest, record.timestamp_ms)
        last_offset_delta = max(last_offset_delta, record.offset_delta)
    size = HEADER_BYTES + len(body)
    return _HEADER.pack(0, size - 12, -1, 2, 0, 0, last_offset_delta, base, newest, -1, -1, -1, len(records)) + bytes(body)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the batch ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _nullable(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(data, at)
    if length < 0:
        return None, at
    end = at + length
    if end > len(data):
        raise ValueError("the batch ends within a field")
    return data[at:end], end


def _write_varint(out: bytearray, value: int) -> None:
    rest = (value << 1) ^ (value >> 63)
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)


def _write_nullable(out: bytearray, value: bytes | None) -> None:
    if value is None:
        _write_varint(out, -1)
    else:
        _write_varint(out, len(value))
        out += value
