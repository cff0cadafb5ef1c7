// Package peltontest plays the host, so that a plugin's unit tests run natively: `go test`.
//
//	func TestDropsTombstones(t *testing.T) {
//		host := peltontest.NewInterceptor(t)
//		host.Configure(`{}`)
//		out := host.OnSend(peltontest.Record{Key: "a", Value: "1"}, peltontest.Record{Key: "b"})
//		if len(out.Records) != 1 {
//			t.Errorf("it left %v", out.Records)
//		}
//	}
//
// A call goes through the same bytes as in Wasm: a request is encoded, the SDK answers it, and the answer is decoded. The plugin is
// the one that the package under test registers from init, and one host plays at a time: do not use t.Parallel.
package peltontest

import (
	"errors"
	"fmt"
	"testing"

	"pelton"
	"pelton/internal/guest"
	"pelton/internal/wire"
)

// Record is a record as a test writes it. Key, Value and the values of headers are a string, []byte, or nil for null.
type Record struct {
	Key, Value  any
	Headers     []Header
	TimestampMs int64
	// OffsetDelta is set in what comes back.
	OffsetDelta int32
}

// Header is one header of a Record.
type Header struct {
	Name  string
	Value any
}

// Host is what a plugin sees of the host, and what it said to it.
type Host struct {
	t       testing.TB
	handler guest.Handler

	// Log has lines like "info: text".
	Log []string
	// Metrics has lines like "dropped{value=debug} 3".
	Metrics []string
	// State has values by "store/key".
	State map[string][]byte
	// Emitted has the records of each topic.
	Emitted map[string][]Record
	// Granted are the topics that may be emitted to; nil: all.
	Granted []string
	// NowMs is the time of day.
	NowMs int64
	// Random is the next byte of the random ones; they count up.
	Random byte
}

func newHost(t testing.TB, handler guest.Handler) *Host {
	host := &Host{t: t, handler: handler, State: map[string][]byte{}, Emitted: map[string][]Record{}}
	guest.Host = host.asked
	return host
}

func (h *Host) configure(request wire.Writer) error {
	guest.Host = h.asked
	_, err := h.call(1, request)
	return err
}

func (h *Host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("the plugin failed: %v", err)
	}
}

// call runs one call; the reader stands at the answer's value.
func (h *Host) call(number int32, request wire.Writer) (wire.Reader, error) {
	guest.Host = h.asked
	answer := append([]byte(nil), guest.Call(h.handler, number, request.Bytes)...)
	reader := wire.Reader{Rest: answer}
	if len(answer) > 0 && reader.U8() != 0 {
		return reader, errors.New(reader.Text())
	}
	return reader, nil
}

func (h *Host) asked(call int32, request []byte) []byte {
	reader := wire.Reader{Rest: request}
	answer := wire.Writer{}
	switch call {
	case guest.CallLog:
		level := [...]string{"error", "warn", "info", "debug"}[reader.U8()&3]
		h.Log = append(h.Log, level+": "+reader.Text())
	case guest.CallCount, guest.CallGauge, guest.CallObserve:
		h.metric(call, &reader)
	case guest.CallGetMany:
		store, list, values := reader.I32(), wire.Reader{Rest: reader.Bytes()}, wire.Writer{}
		for len(list.Rest) > 0 && !list.Bad {
			values.Nullable(h.State[stateKey(store, list.Bytes())])
		}
		answer.U8(0)
		answer.Blob(values.Bytes)
	case guest.CallPutMany:
		store, list := reader.I32(), wire.Reader{Rest: reader.Bytes()}
		for len(list.Rest) > 0 && !list.Bad {
			key := stateKey(store, list.Bytes())
			if value := list.Nullable(); value != nil {
				h.State[key] = append([]byte{}, value...)
			} else {
				delete(h.State, key)
			}
		}
	case guest.CallEmit:
		if err := h.emit(reader.Text(), reader.Bytes()); err != nil {
			answer.U8(1)
			answer.Text(err.Error())
		}
	case guest.CallNowMs:
		answer.U8(0)
		answer.I64(h.NowMs)
	case guest.CallRandom:
		bytes := make([]byte, reader.I32())
		for n := range bytes {
			bytes[n] = h.Random
			h.Random++
		}
		answer.U8(0)
		answer.Blob(bytes)
	}
	if reader.Bad || len(reader.Rest) > 0 {
		h.t.Errorf("the SDK made a malformed request of the call %d", call)
	}
	return answer.Bytes
}

func stateKey(store int32, key []byte) string { return fmt.Sprintf("%d/%s", store, key) }

func (h *Host) metric(call int32, reader *wire.Reader) {
	line := reader.Text()
	labels := ""
	for n := reader.I32(); n > 0; n-- {
		labels += "," + reader.Text() + "=" + reader.Text()
	}
	if labels != "" {
		line += "{" + labels[1:] + "}"
	}
	switch call {
	case guest.CallCount:
		line += fmt.Sprintf(" %d", reader.I64())
	case guest.CallGauge:
		line += fmt.Sprintf(" %g", reader.F64())
	default:
		for n := reader.I32(); n > 0; n-- {
			line += fmt.Sprintf(" %g", reader.F64())
		}
	}
	h.Metrics = append(h.Metrics, line)
}

func (h *Host) emit(topic string, batch []byte) error {
	granted := h.Granted == nil
	for _, name := range h.Granted {
		granted = granted || name == topic
	}
	if !granted {
		return fmt.Errorf("the topic %q is not granted", topic)
	}
	h.Emitted[topic] = append(h.Emitted[topic], h.read(batch)...)
	return nil
}

func bytesOf(field any) []byte {
	switch field := field.(type) {
	case nil:
		return nil
	case string:
		return append([]byte{}, field...)
	case []byte:
		return field
	default:
		panic(fmt.Sprintf("a field is a string, []byte or nil, not %T", field))
	}
}

func textOf(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return string(bytes)
}

// batch encodes the records; a timestamp that was not set counts up from an hour after the epoch.
func batch(records []Record) []byte {
	var writer pelton.Writer
	for n, given := range records {
		record := pelton.Record{Key: bytesOf(given.Key), Value: bytesOf(given.Value), TimestampMs: given.TimestampMs}
		if record.TimestampMs == 0 {
			record.TimestampMs = 3_600_000 + int64(n)
		}
		for _, header := range given.Headers {
			record.AddHeader(header.Name, bytesOf(header.Value))
		}
		writer.Write(&record)
	}
	return writer.Bytes()
}

// read decodes a batch of the plugin's.
func (h *Host) read(bytes []byte) (records []Record) {
	h.t.Helper()
	if len(bytes) == 0 {
		return nil
	}
	batch, err := pelton.Open(bytes)
	h.must(err)
	for record := range batch.Records() {
		read := Record{
			Key: textOf(record.Key), Value: textOf(record.Value),
			TimestampMs: record.TimestampMs, OffsetDelta: record.OffsetDelta,
		}
		for name, value := range record.Headers() {
			read.Headers = append(read.Headers, Header{name, textOf(value)})
		}
		records = append(records, read)
	}
	h.must(batch.Err())
	return records
}

func rejections(reader *wire.Reader) (rejected []pelton.Rejection) {
	for n := reader.I32(); n > 0 && !reader.Bad; n-- {
		rejected = append(rejected, pelton.Rejection{OffsetDelta: reader.I32(), Reason: reader.Text()})
	}
	return rejected
}
