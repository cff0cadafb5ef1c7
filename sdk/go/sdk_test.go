package pelton_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pelton"
	"pelton/interceptor"
	"pelton/internal/guest"
	"pelton/internal/wire"
	"pelton/partitioner"
	"pelton/peltontest"
	"pelton/transform"
)

// obedient does what a record's value tells it.
type obedient struct{}

func (obedient) OnSend(from *interceptor.Origin, batch *pelton.Batch, out *pelton.Outcome) error {
	var first pelton.Record
	for record := range batch.Records() {
		if record.OffsetDelta == 0 {
			first = *record
		}
		switch string(record.Value) {
		case "drop":
			out.Drop(record)
		case "reject":
			out.Reject(record, fmt.Sprintf("record %d of %s", record.Offset, from.Topic))
		case "change":
			record.Value = bytes.Repeat([]byte("changed "), 20)
			record.AddHeader("by", []byte(from.Principal))
			out.Change(record)
		case "nothing":
			record.Value = nil
			record.ClearHeaders()
			out.Change(record)
		case "again":
			out.Change(&first)
		case "fail":
			return errors.New("the record says so")
		case "panic":
			panic("no way")
		}
	}
	return nil
}

func (obedient) OnConsume(_ *interceptor.Origin, batch *pelton.Batch, _ *pelton.Outcome) error {
	var copies pelton.Writer
	var keys [][]byte
	store := pelton.Store(0)
	for record := range batch.Records() {
		copies.Write(record)
		keys = append(keys, bytes.Clone(record.Key))
	}
	values := store.GetMany(keys)
	for n, value := range values {
		if len(value) == 2 {
			values[n] = nil
		} else {
			values[n] = append(bytes.Clone(value), 'x')
		}
	}
	store.PutMany(keys, values)
	pelton.Observe("times", []float64{1, 2.5}, pelton.Label{Name: "a", Value: "b"})
	pelton.Gauge("now", float64(interceptor.NowMs()))
	pelton.Count("drawn", uint64(len(interceptor.Random(3))))
	pelton.Log(pelton.Warn, "%d records", batch.Len())
	return interceptor.Emit("copies", &copies)
}

func (obedient) OnAcknowledgement(_ *interceptor.Origin, what *interceptor.Acknowledgement) error {
	return what.Error
}

func (obedient) OnCommit(commit *interceptor.Commit) error {
	return fmt.Errorf("%s %s %v %v", commit.Group, commit.Topic, commit.Offsets, commit.Transactional)
}

type first struct{}

func (first) Partition(batch *pelton.Batch, _ string, count int32, partitions []int32) error {
	n := 0
	for record := range batch.Records() {
		if len(record.Key) > 0 {
			partitions[n] = int32(record.Key[0]) % count
		}
		n++
	}
	return nil
}

type echo struct{}

func (echo) Process(batch *pelton.Batch, out *transform.Output) error {
	for record := range batch.Records() {
		if record.Key == nil {
			out.Reject(record, "it has no key")
		} else {
			out.Emit(record)
		}
	}
	return nil
}

func init() {
	interceptor.Register(obedient{}, interceptor.Wants{Reads: pelton.Value, Writes: pelton.Value, Drops: true})
	partitioner.Register(first{}, pelton.Key)
	transform.Register(echo{})
}

func values(given ...any) []peltontest.Record {
	records := make([]peltontest.Record, len(given))
	for n, value := range given {
		records[n] = peltontest.Record{Key: "key", Value: value}
	}
	return records
}

func TestDropsAndChangesKeepOffsets(t *testing.T) {
	host := peltontest.NewInterceptor(t)
	if out := host.OnSend(values("a", nil, "")...); out.Changed || len(out.Records) != 3 {
		t.Errorf("an untouched batch became %v", out)
	}
	out := host.OnSend(values("drop", "a", "drop")...)
	if len(out.Records) != 1 || out.Records[0].OffsetDelta != 1 {
		t.Errorf("drops alone left %v", out.Records)
	}
	out = host.OnSend(values("drop", "a", "drop", "change", "b", "drop", "nothing", "c", "drop", "d")...)
	var deltas []int32
	for _, record := range out.Records {
		deltas = append(deltas, record.OffsetDelta)
		if record.TimestampMs != 3_600_000+int64(record.OffsetDelta) {
			t.Errorf("the timestamp of %d is %d", record.OffsetDelta, record.TimestampMs)
		}
	}
	if !slices.Equal(deltas, []int32{1, 3, 4, 6, 7, 9}) {
		t.Fatalf("left are %v", deltas)
	}
	changed := out.Records[1]
	if !strings.HasPrefix(changed.Value.(string), "changed ") || changed.Headers[0].Value != "User:alice" {
		t.Errorf("it was changed into %v", changed)
	}
	if out.Records[3].Value != nil || out.Records[5].Value != "d" {
		t.Errorf("the last records are %v", out.Records[3:])
	}
}

func TestRejectionsErrorsAndPanics(t *testing.T) {
	host := peltontest.NewInterceptor(t)
	out := host.OnSend(values("a", "reject", "change")...)
	if !out.Changed || len(out.Rejected) != 1 || out.Rejected[0] != (pelton.Rejection{OffsetDelta: 1, Reason: "record 1 of topic"}) {
		t.Errorf("rejected were %v", out.Rejected)
	}
	for _, value := range []string{"again", "fail", "panic"} {
		said := map[string]string{"again": "out of their order", "fail": "the record says so", "panic": "panic: no way"}[value]
		if _, err := host.TryOnSend(values("change", value)...); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestTheHostIsAsked(t *testing.T) {
	host := peltontest.NewInterceptor(t)
	host.NowMs = 1234
	records := []peltontest.Record{{Key: "a", Value: "1"}, {Key: "b"}}
	for range 3 {
		host.OnConsume(records...)
	}
	if len(host.State) != 0 {
		t.Errorf("the third time deletes, and left is %v", host.State)
	}
	host.OnConsume(records...)
	if string(host.State["0/a"]) != "x" || string(host.State["0/b"]) != "x" {
		t.Errorf("the state is %v", host.State)
	}
	if !slices.Equal(host.Metrics[:3], []string{"times{a=b} 1 2.5", "now 1234", "drawn 3"}) || host.Log[0] != "warn: 2 records" {
		t.Errorf("it said %v %v", host.Metrics, host.Log)
	}
	if copies := host.Emitted["copies"]; len(copies) != 8 || copies[0].Value != "1" || copies[1].Value != nil {
		t.Errorf("emitted were %v", copies)
	}
	host.Granted = []string{"others"}
	if _, err := host.TryOnConsume(records...); err == nil || !strings.Contains(err.Error(), "not granted") {
		t.Errorf("a topic that is not granted: %v", err)
	}
	if err := host.OnAcknowledgement(interceptor.Acknowledgement{Error: errors.New("NOT_LEADER")}); err == nil || err.Error() != "NOT_LEADER" {
		t.Errorf("an acknowledgement: %v", err)
	}
	err := host.OnCommit(interceptor.Commit{
		Group: "g", Topic: "t", Offsets: []interceptor.CommittedOffset{{1, 2}, {3, 4}}, Transactional: true,
	})
	if err == nil || err.Error() != "g t [{1 2} {3 4}] true" {
		t.Errorf("a commit: %v", err)
	}
}

func TestOtherWorlds(t *testing.T) {
	places := peltontest.NewPartitioner(t)
	if placed := places.Partition(10, "A", nil, "", "C"); !slices.Equal(placed, []int32{5, -1, -1, 7}) {
		t.Errorf("placed at %v", placed)
	}
	// From the tests of Kafka itself (UtilsTest).
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536} {
		if found := int32(partitioner.Murmur2([]byte(key))); found != hash {
			t.Errorf("murmur2 of %q is %d", key, found)
		}
	}
	step := peltontest.NewTransform(t)
	step.Configure("{}")
	emitted, rejected := step.Process(peltontest.Record{Key: "a", Value: "1"}, peltontest.Record{}, peltontest.Record{Key: "b"})
	if len(emitted) != 2 || emitted[1].Key != "b" || emitted[1].TimestampMs != 3_600_002 || rejected[0].OffsetDelta != 1 {
		t.Errorf("emitted %v, rejected %v", emitted, rejected)
	}
}

// Whatever byte of a request is damaged, and wherever it is cut: an answer, and no panic that is not the plugin's.
func TestDamagedRequestsAreAnswered(t *testing.T) {
	var writer pelton.Writer
	record := pelton.Record{Key: []byte("key"), Value: []byte("change"), TimestampMs: 5}
	record.AddHeader("h", nil)
	writer.Write(&record)
	writer.Write(&pelton.Record{Value: []byte("drop")})
	request := wire.Writer{}
	for range 4 {
		request.Text("x")
	}
	request.I32(0)
	request.Blob(writer.Bytes())
	for at := range request.Bytes {
		for _, damage := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			damaged := bytes.Clone(request.Bytes)
			damaged[at] = damage
			if answer := guest.Call(interceptor.Answer, 2, damaged); bytes.Contains(answer, []byte("panic")) {
				t.Fatalf("byte %d as %#x: %s", at, damage, answer)
			}
		}
		if answer := guest.Call(interceptor.Answer, 2, request.Bytes[:at]); answer[0] != 1 || bytes.Contains(answer, []byte("panic")) {
			t.Fatalf("cut at %d: %q", at, answer)
		}
	}
}
