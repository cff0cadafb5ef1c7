// Package partitioner is for plugins that say which partition a record belongs to.
//
// The answer must depend on the record, the configuration and the number of partitions alone: a producer's client and
// the broker both go by it.
package partitioner

import (
	"errors"

	"pelton"
	"pelton/internal/guest"
	"pelton/internal/wire"
)

var _ guest.Handler = Answer

// Partitioner gives each record its partition.
type Partitioner interface {
	// Partition sets partitions[n] for the n-th record: 0 to count-1, or -1 (as it begins) where any will do.
	Partition(batch *pelton.Batch, topic string, count int32, partitions []int32) error
}

// Configurer takes the configuration, which is JSON text. An error refuses it.
type Configurer interface {
	Configure(config []byte) error
}

var registered struct {
	plugin     Partitioner
	reads      pelton.Parts
	partitions []int32
}

// Register makes it the plugin of this module, with the parts of a record that it reads. It is called from init, once.
func Register(plugin Partitioner, reads pelton.Parts) {
	registered.plugin, registered.reads = plugin, reads
}

// Answer runs one call of the host on the registered plugin. It is for the SDK's own packages.
func Answer(call int32, request *wire.Reader, answer *wire.Writer) error {
	if registered.plugin == nil {
		return errors.New("no plugin was registered: call partitioner.Register from init")
	}
	switch call {
	case 0:
		answer.U8(uint8(registered.reads))
	case 1:
		config := request.Bytes()
		if plugin, ok := registered.plugin.(Configurer); ok && !request.Bad {
			return plugin.Configure(config)
		}
	case 2:
		return partition(request, answer)
	default:
		return errors.New("the host made a call that this plugin does not know; build it anew with the newest SDK")
	}
	return nil
}

func partition(request *wire.Reader, answer *wire.Writer) error {
	bytes, topic, count := request.Bytes(), request.Text(), request.I32()
	if request.Bad {
		return wire.ErrShort
	}
	batch, err := pelton.Open(bytes)
	if err != nil {
		return err
	}
	if cap(registered.partitions) < batch.Len() {
		registered.partitions = make([]int32, batch.Len())
	}
	partitions := registered.partitions[:batch.Len()]
	for n := range partitions {
		partitions[n] = -1
	}
	if err := registered.plugin.Partition(batch, topic, count, partitions); err != nil {
		return err
	}
	if err := batch.Err(); err != nil {
		return err
	}
	answer.I32(int32(len(partitions)))
	for _, partition := range partitions {
		answer.I32(partition)
	}
	return nil
}

// Murmur2 is the hash by which Kafka's own clients place a key: Murmur2(key) & 0x7fffffff modulo the number of partitions.
func Murmur2(key []byte) uint32 {
	const m = 0x5bd1e995
	hash := uint32(0x9747b28c) ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> 24
		hash = hash*m ^ k*m
	}
	switch len(key) {
	case 3:
		hash ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		hash ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		hash = (hash ^ uint32(key[0])) * m
	}
	hash = (hash ^ hash>>13) * m
	return hash ^ hash>>15
}
