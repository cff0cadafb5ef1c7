// A partitioner: the key's first byte, modulo.
package main

import (
	"pelton"
	"pelton/partitioner"
)

type place struct{}

func (place) Partition(batch *pelton.Batch, _ string, count int32, partitions []int32) error {
	n := 0
	for record := range batch.Records() {
		if len(record.Key) > 0 {
			partitions[n] = int32(record.Key[0]) % count
		}
		n++
	}
	return nil
}

func init() { partitioner.Register(place{}, pelton.Key) }

func main() {}
