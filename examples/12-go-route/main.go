// A partitioner that keeps noisy tenants apart: each tenant that the configuration names has partitions of its own, and all
// others share the rest.
//
//	{"separator": "/", "dedicated": {"acme": [0, 1], "globex": [2]}}
//
// The tenant is what stands before the separator in a record's key (`acme/order-17`). Within its partitions a key is placed by Kafka's
// own hash, so the order of each key holds. A record without a key may go anywhere.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pelton"
	"pelton/partitioner"
)

type tenants struct {
	separator []byte
	dedicated map[string][]int32
	// shared are the partitions that no tenant has to itself, for the number of partitions that was asked for last.
	shared []int32
	count  int32
}

func (t *tenants) Configure(config []byte) error {
	var given struct {
		Separator string             `json:"separator"`
		Dedicated map[string][]int32 `json:"dedicated"`
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	owner := map[int32]string{}
	for tenant, partitions := range given.Dedicated {
		if len(partitions) == 0 {
			return fmt.Errorf("tenant %q has no partitions", tenant)
		}
		for _, partition := range partitions {
			if other, taken := owner[partition]; taken || partition < 0 {
				return fmt.Errorf("partition %d of tenant %q is negative, or taken by %q", partition, tenant, other)
			}
			owner[partition] = tenant
		}
	}
	if given.Separator == "" {
		given.Separator = "/"
	}
	*t = tenants{separator: []byte(given.Separator), dedicated: given.Dedicated}
	return nil
}

func (t *tenants) Partition(batch *pelton.Batch, _ string, count int32, partitions []int32) error {
	if err := t.share(count); err != nil {
		return err
	}
	n := 0
	for record := range batch.Records() {
		if record.Key != nil {
			partitions[n] = t.place(record.Key)
		}
		n++
	}
	return nil
}

// share works out which partitions are nobody's.
func (t *tenants) share(count int32) error {
	if t.count == count {
		return nil
	}
	t.shared = t.shared[:0]
	for partition := range count {
		t.shared = append(t.shared, partition)
	}
	for tenant, partitions := range t.dedicated {
		for _, partition := range partitions {
			if partition >= count {
				return fmt.Errorf("tenant %q has partition %d, and the topic has %d", tenant, partition, count)
			}
			t.shared = slices.DeleteFunc(t.shared, func(shared int32) bool { return shared == partition })
		}
	}
	if len(t.shared) == 0 {
		return errors.New("the tenants have all partitions of the topic: none is left for the others")
	}
	t.count = count
	return nil
}

func (t *tenants) place(key []byte) int32 {
	own := t.shared
	if tenant, _, found := bytes.Cut(key, t.separator); found {
		if dedicated, has := t.dedicated[string(tenant)]; has {
			own = dedicated
		}
	}
	return own[int(partitioner.Murmur2(key)&0x7fffffff)%len(own)]
}

func init() { partitioner.Register(&tenants{}, pelton.Key) }

func main() {}
