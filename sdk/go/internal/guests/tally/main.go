// A step of a job: how often each key was seen, in its store.
package main

import (
	"errors"
	"strconv"

	"pelton"
	"pelton/transform"
)

type tally struct{}

func (tally) Configure(_ []byte, stores []string) error {
	if len(stores) != 1 || stores[0] != "tally" {
		return errors.New("it needs the store `tally`")
	}
	return nil
}

func (tally) Process(batch *pelton.Batch, out *transform.Output) error {
	store := pelton.Store(0)
	for record := range batch.Records() {
		if record.Key == nil {
			out.Reject(record, "it has no key")
			continue
		}
		count := byte(1)
		if seen := store.Get(record.Key); seen != nil {
			count = seen[0] + 1
		}
		store.Put(record.Key, []byte{count})
		out.Emit(&pelton.Record{Key: record.Key, Value: strconv.AppendInt(nil, int64(count), 10), TimestampMs: record.TimestampMs})
	}
	return nil
}

func init() { transform.Register(tally{}) }

func main() {}
