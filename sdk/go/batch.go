package pelton

import (
	"encoding/binary"
	"errors"
	"iter"
)

const headerLen = 61

var errRecord = errors.New("the input batch is damaged: the lengths of a record do not fit")

// Batch is one batch of records, read in place.
type Batch struct {
	bytes         []byte
	count         int32
	baseOffset    int64
	baseTimestamp int64
	maxTimestamp  int64
	logAppendTime bool
	damage        error
	record        Record
}

// Record is one record. Key and Value are nil for null, which is not the same as empty, and point into the batch.
// A plugin may set them and hand the record to Outcome.Change or Writer.Write.
type Record struct {
	Key, Value []byte
	// OffsetDelta is the record's offset counted from the batch's first.
	OffsetDelta int32
	// Offset in the partition. Before the batch is appended it says nothing.
	Offset int64
	// TimestampMs counts from the Unix epoch; -1 when the producer gave none.
	TimestampMs int64

	headers     []byte
	headerCount int32
	from, to    int
}

// Open reads the header of one uncompressed batch of record format v2.
func Open(bytes []byte) (*Batch, error) {
	batch := new(Batch)
	return batch, batch.open(bytes)
}

func (b *Batch) open(bytes []byte) error {
	switch {
	case len(bytes) < headerLen || bytes[16] != 2:
		return errors.New("the input is no record batch of format v2")
	case int(binary.BigEndian.Uint32(bytes[8:])) != len(bytes)-12:
		return errors.New("the input is not exactly one record batch")
	case bytes[22]&7 != 0:
		return errors.New("the input batch is compressed")
	}
	count := int32(binary.BigEndian.Uint32(bytes[57:]))
	if count < 0 || int(count) > (len(bytes)-headerLen)/7 {
		return errors.New("the input batch has fewer records than it says")
	}
	*b = Batch{
		bytes:         bytes,
		count:         count,
		baseOffset:    int64(binary.BigEndian.Uint64(bytes)),
		baseTimestamp: int64(binary.BigEndian.Uint64(bytes[27:])),
		maxTimestamp:  int64(binary.BigEndian.Uint64(bytes[35:])),
		logAppendTime: bytes[22]&8 != 0,
	}
	return nil
}

// Len is the number of records.
func (b *Batch) Len() int { return int(b.count) }

// Err is what was found wrong with the batch while it was read. The SDK looks at it when the plugin has returned.
func (b *Batch) Err() error { return b.damage }

// Records walks over the records in their order. Each is good until the next; damage ends the walk and fails the call.
func (b *Batch) Records() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		at := headerLen
		for n := int32(0); n < b.count; n++ {
			if !b.read(&at) {
				b.damage = errRecord
				return
			}
			if !yield(&b.record) {
				return
			}
		}
	}
}

func (b *Batch) read(at *int) bool {
	record := &b.record
	record.from = *at
	length, ok := readVarint(b.bytes, at)
	if !ok || length < 6 || length > int64(len(b.bytes)-*at) {
		return false
	}
	end := *at + int(length)
	bytes := b.bytes[:end]
	*at++ // attributes, of which there are none
	timestampDelta, ok := readVarint(bytes, at)
	if !ok {
		return false
	}
	delta, ok := readVarint(bytes, at)
	if !ok || int64(int32(delta)) != delta {
		return false
	}
	if record.Key, ok = readNullable(bytes, at); !ok {
		return false
	}
	if record.Value, ok = readNullable(bytes, at); !ok {
		return false
	}
	headers, ok := readVarint(bytes, at)
	if !ok || headers < 0 || headers > int64(end-*at)/2 {
		return false
	}
	record.OffsetDelta = int32(delta)
	record.Offset = b.baseOffset + delta
	record.TimestampMs = b.baseTimestamp + timestampDelta
	if b.logAppendTime {
		record.TimestampMs = b.maxTimestamp
	}
	record.headers, record.headerCount = bytes[*at:end:end], int32(headers)
	record.to = end
	*at = end
	return true
}

// Headers walks over the headers in their order. Names may repeat; a value is nil for null.
func (r *Record) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		at := 0
		for n := int32(0); n < r.headerCount; n++ {
			name, ok := readNullable(r.headers, &at)
			if !ok || name == nil {
				return
			}
			value, ok := readNullable(r.headers, &at)
			if !ok || !yield(string(name), value) {
				return
			}
		}
	}
}

// Header is the value of the first header of that name, and whether there is one.
func (r *Record) Header(name string) ([]byte, bool) {
	at := 0
	for n := int32(0); n < r.headerCount; n++ {
		found, ok := readNullable(r.headers, &at)
		if !ok || found == nil {
			break
		}
		value, ok := readNullable(r.headers, &at)
		if !ok {
			break
		}
		if string(found) == name {
			return value, true
		}
	}
	return nil, false
}

// AddHeader adds a header behind those that the record has.
func (r *Record) AddHeader(name string, value []byte) {
	r.headers = appendNullable(appendNullable(r.headers[:len(r.headers):len(r.headers)], []byte(name)), value)
	r.headerCount++
}

// ClearHeaders takes all headers away.
func (r *Record) ClearHeaders() { r.headers, r.headerCount = nil, 0 }

func readVarint(bytes []byte, at *int) (int64, bool) {
	var bits uint64
	for shift := 0; shift < 70 && *at < len(bytes); shift += 7 {
		b := bytes[*at]
		*at++
		if shift == 63 && b > 1 {
			return 0, false
		}
		bits |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return int64(bits>>1) ^ -int64(bits&1), true
		}
	}
	return 0, false
}

// readNullable reads a length and as many bytes; -1 stands for null.
func readNullable(bytes []byte, at *int) ([]byte, bool) {
	length, ok := readVarint(bytes, at)
	if !ok || length < -1 || length > int64(len(bytes)-*at) {
		return nil, false
	}
	if length < 0 {
		return nil, true
	}
	from := *at
	*at += int(length)
	return bytes[from:*at:*at], true
}
