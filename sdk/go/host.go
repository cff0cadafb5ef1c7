package pelton

import (
	"fmt"

	"pelton/internal/guest"
	"pelton/internal/wire"
)

// Level is how urgent a line of the log is.
type Level uint8

// The levels.
const (
	Error Level = 0
	Warn  Level = 1
	Info  Level = 2
	Debug Level = 3
)

// Label tells one series of a metric from another.
type Label struct{ Name, Value string }

// Log writes a line for the operator, formatted as by fmt.Sprintf. The host bounds its length, and their rate.
func Log(level Level, format string, values ...any) {
	request := wire.Writer{}
	request.U8(uint8(level))
	request.Text(fmt.Sprintf(format, values...))
	_, _ = guest.Ask(guest.CallLog, request.Bytes) // it answers nothing
}

// Count adds to a counter. The host exposes it as pelton_plugin_NAME, with the labels plugin and topic.
func Count(name string, by uint64, labels ...Label) {
	request := metric(name, labels)
	request.I64(int64(by))
	_, _ = guest.Ask(guest.CallCount, request.Bytes)
}

// Gauge sets a gauge.
func Gauge(name string, value float64, labels ...Label) {
	request := metric(name, labels)
	request.F64(value)
	_, _ = guest.Ask(guest.CallGauge, request.Bytes)
}

// Observe adds observations to a histogram, whose buckets suit seconds.
func Observe(name string, values []float64, labels ...Label) {
	request := metric(name, labels)
	request.I32(int32(len(values)))
	for _, value := range values {
		request.F64(value)
	}
	_, _ = guest.Ask(guest.CallObserve, request.Bytes)
}

func metric(name string, labels []Label) (request wire.Writer) {
	request.Text(name)
	request.I32(int32(len(labels)))
	for _, label := range labels {
		request.Text(label.Name)
		request.Text(label.Value)
	}
	return request
}

// Store is a state store: values under keys. A transform has those that its job names, numbered from 0; an interceptor has
// one, Store(0), for each partition. A partitioner has none.
type Store int32

// Get is the value under a key, nil when there is none.
func (s Store) Get(key []byte) []byte { return s.GetMany([][]byte{key})[0] }

// Put sets the value under a key; nil deletes it.
func (s Store) Put(key, value []byte) { s.PutMany([][]byte{key}, [][]byte{value}) }

// GetMany is the values under the keys, in one call of the host; nil where there is none.
func (s Store) GetMany(keys [][]byte) [][]byte {
	list := wire.Writer{}
	for _, key := range keys {
		list.Blob(key)
	}
	request := wire.Writer{}
	request.I32(int32(s))
	request.Blob(list.Bytes)
	answer, err := guest.AskState(guest.CallGetMany, request.Bytes)
	found := wire.Reader{Rest: answer.Bytes(), Bad: err != nil || answer.Bad}
	values := make([][]byte, len(keys))
	for n := range values {
		values[n] = found.Nullable()
	}
	if found.Bad {
		panic("the host answered with fewer values than keys were asked for")
	}
	return values
}

// PutMany sets the values under the keys, in one call of the host; a nil value deletes.
func (s Store) PutMany(keys, values [][]byte) {
	list := wire.Writer{}
	for n, key := range keys {
		list.Blob(key)
		list.Nullable(values[n])
	}
	request := wire.Writer{}
	request.I32(int32(s))
	request.Blob(list.Bytes)
	_, _ = guest.AskState(guest.CallPutMany, request.Bytes)
}
