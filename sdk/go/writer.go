package pelton

import (
	"encoding/binary"
	"math/bits"
)

// Writer writes one batch. Its zero value is an empty one.
type Writer struct {
	bytes         []byte
	count         int32
	baseTimestamp int64
	maxTimestamp  int64
}

// Write adds a record at the next offset, with its key, value, headers and timestamp.
func (w *Writer) Write(record *Record) {
	if w.count == 0 {
		w.bytes = append(w.bytes[:0], make([]byte, headerLen)...)
		w.baseTimestamp, w.maxTimestamp = record.TimestampMs, record.TimestampMs
	}
	w.maxTimestamp = max(w.maxTimestamp, record.TimestampMs)
	w.bytes = appendRecord(w.bytes, record, w.baseTimestamp, w.count)
	w.count++
}

// Len is the number of records so far.
func (w *Writer) Len() int { return int(w.count) }

// Reset makes it an empty batch again and keeps its memory.
func (w *Writer) Reset() { w.count = 0 }

// Bytes is the batch so far; nil when it has no record. The host writes the CRC.
func (w *Writer) Bytes() []byte {
	if w.count == 0 {
		return nil
	}
	clear(w.bytes[:headerLen])
	binary.BigEndian.PutUint32(w.bytes[8:], uint32(len(w.bytes)-12))
	binary.BigEndian.PutUint32(w.bytes[12:], ^uint32(0))
	w.bytes[16] = 2
	binary.BigEndian.PutUint32(w.bytes[23:], uint32(w.count-1))
	binary.BigEndian.PutUint64(w.bytes[27:], uint64(w.baseTimestamp))
	binary.BigEndian.PutUint64(w.bytes[35:], uint64(w.maxTimestamp))
	for n := 43; n < 57; n++ { // no producer
		w.bytes[n] = 0xff
	}
	binary.BigEndian.PutUint32(w.bytes[57:], uint32(w.count))
	return w.bytes
}

func appendRecord(to []byte, record *Record, baseTimestamp int64, delta int32) []byte {
	timestampDelta := record.TimestampMs - baseTimestamp
	length := 1 + varintLen(timestampDelta) + varintLen(int64(delta)) + nullableLen(record.Key) +
		nullableLen(record.Value) + varintLen(int64(record.headerCount)) + len(record.headers)
	to = append(appendVarint(to, int64(length)), 0)
	to = appendVarint(appendVarint(to, timestampDelta), int64(delta))
	to = appendNullable(appendNullable(to, record.Key), record.Value)
	return append(appendVarint(to, int64(record.headerCount)), record.headers...)
}

func appendVarint(to []byte, value int64) []byte {
	rest := uint64(value)<<1 ^ uint64(value>>63)
	for ; rest >= 0x80; rest >>= 7 {
		to = append(to, byte(rest)|0x80)
	}
	return append(to, byte(rest))
}

func varintLen(value int64) int {
	return (bits.Len64(uint64(value)<<1^uint64(value>>63)|1) + 6) / 7
}

func appendNullable(to, bytes []byte) []byte {
	if bytes == nil {
		return append(to, 1)
	}
	return append(appendVarint(to, int64(len(bytes))), bytes...)
}

func nullableLen(bytes []byte) int {
	if bytes == nil {
		return 1
	}
	return varintLen(int64(len(bytes))) + len(bytes)
}
