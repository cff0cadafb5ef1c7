package pelton

import (
	"encoding/binary"
	"errors"
)

var errOrder = errors.New("the plugin drops or changes records out of their order, or one twice")

// Outcome is what an interceptor makes of a batch. Left alone, the batch goes on as it is; records are dropped and changed
// in their order.
type Outcome struct {
	batch    *Batch
	rejected []Rejection
	dropped  []int32
	// drops says where the dropped records stand, until the first change.
	drops   [][2]int
	changed []byte
	// copied says up to where the old batch is in changed.
	copied int
	misuse error
}

// Reset begins the outcome of a batch and keeps its memory.
func (o *Outcome) Reset(batch *Batch) {
	*o = Outcome{
		batch: batch, rejected: o.rejected[:0], dropped: o.dropped[:0], drops: o.drops[:0], changed: o.changed[:0],
		copied: headerLen,
	}
}

// Drop takes a record of the input away.
func (o *Outcome) Drop(record *Record) {
	if !o.inOrder(record) {
		return
	}
	if len(o.changed) > 0 {
		o.changed = append(o.changed, o.batch.bytes[o.copied:record.from]...)
	} else {
		o.drops = append(o.drops, [2]int{record.from, record.to})
	}
	o.dropped = append(o.dropped, record.OffsetDelta)
	o.copied = record.to
}

// Change puts the record in place of what it was in the input. Its offset and timestamp stay.
func (o *Outcome) Change(record *Record) {
	if !o.inOrder(record) {
		return
	}
	if len(o.changed) == 0 {
		// The first change: the batch up to here, without what was dropped.
		copied := 0
		for _, drop := range o.drops {
			o.changed = append(o.changed, o.batch.bytes[copied:drop[0]]...)
			copied = drop[1]
		}
		o.copied = copied
	}
	o.changed = append(o.changed, o.batch.bytes[o.copied:record.from]...)
	base := o.batch.baseTimestamp
	if o.batch.logAppendTime {
		base = o.batch.maxTimestamp
	}
	o.changed = appendRecord(o.changed, record, base, record.OffsetDelta)
	o.copied = record.to
}

// Reject refuses a record. What becomes of it is the topic's choice (pelton.interceptors.on.error).
func (o *Outcome) Reject(record *Record, reason string) {
	o.rejected = append(o.rejected, Rejection{record.OffsetDelta, reason})
}

// Rejected are the records refused so far.
func (o *Outcome) Rejected() []Rejection { return o.rejected }

// Changed is the batch in its new form, nil when no record was changed. Dropped are the offset deltas of the records taken away.
func (o *Outcome) Changed() (changed []byte, dropped []int32, err error) {
	if o.misuse != nil || len(o.changed) == 0 {
		return nil, o.dropped, o.misuse
	}
	changed = append(o.changed, o.batch.bytes[o.copied:]...)
	o.copied = len(o.batch.bytes)
	o.changed = changed
	binary.BigEndian.PutUint32(changed[8:], uint32(len(changed)-12))
	binary.BigEndian.PutUint32(changed[57:], uint32(o.batch.count-int32(len(o.dropped))))
	return changed, o.dropped, nil
}

func (o *Outcome) inOrder(record *Record) bool {
	if record.to <= record.from || record.from < o.copied || record.to > len(o.batch.bytes) {
		o.misuse = errOrder
		return false
	}
	return true
}
