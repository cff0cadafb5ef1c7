package peltontest

import (
	"testing"

	"pelton"
	"pelton/interceptor"
	"pelton/internal/wire"
	"pelton/partitioner"
	"pelton/transform"
)

// Interceptor calls the registered interceptor.
type Interceptor struct {
	*Host
	// Origin is who sends, reads and commits.
	Origin interceptor.Origin
}

// Result is what a hook made of a batch.
type Result struct {
	// Records are those that go on, in their new form.
	Records  []Record
	Rejected []pelton.Rejection
	// Changed says whether the batch is another than before.
	Changed bool
}

// NewInterceptor plays the host for the registered interceptor.
func NewInterceptor(t testing.TB) *Interceptor {
	origin := interceptor.Origin{
		Principal: "User:alice", ClientID: "tests", ClientAddress: "/127.0.0.1", Topic: "topic", Partition: 3,
	}
	return &Interceptor{newHost(t, interceptor.Answer), origin}
}

// Configure configures the plugin; the test fails when it refuses.
func (i *Interceptor) Configure(config string) {
	i.t.Helper()
	i.must(i.TryConfigure(config))
}

// TryConfigure configures the plugin, which may refuse.
func (i *Interceptor) TryConfigure(config string) error {
	request := wire.Writer{}
	request.Text(config)
	return i.configure(request)
}

// OnSend gives the plugin a producer's batch; the test fails when it fails.
func (i *Interceptor) OnSend(records ...Record) Result {
	i.t.Helper()
	result, err := i.TryOnSend(records...)
	i.must(err)
	return result
}

// TryOnSend gives the plugin a producer's batch.
func (i *Interceptor) TryOnSend(records ...Record) (Result, error) { return i.hook(2, records) }

// OnConsume gives the plugin a batch on its way to a consumer; the test fails when it fails.
func (i *Interceptor) OnConsume(records ...Record) Result {
	i.t.Helper()
	result, err := i.TryOnConsume(records...)
	i.must(err)
	return result
}

// TryOnConsume gives the plugin a batch on its way to a consumer.
func (i *Interceptor) TryOnConsume(records ...Record) (Result, error) { return i.hook(4, records) }

// OnAcknowledgement tells the plugin what became of a batch.
func (i *Interceptor) OnAcknowledgement(what interceptor.Acknowledgement) error {
	request := i.origin()
	request.I64(what.BaseOffset)
	request.I32(what.RecordCount)
	request.I64(what.AtMs)
	request.Bool(what.Error != nil)
	if what.Error != nil {
		request.Text(what.Error.Error())
	}
	_, err := i.call(3, request)
	return err
}

// OnCommit tells the plugin what a group has committed.
func (i *Interceptor) OnCommit(what interceptor.Commit) error {
	request := wire.Writer{}
	for _, text := range []string{what.Principal, what.ClientID, what.ClientAddress, what.Group, what.Member, what.Topic} {
		request.Text(text)
	}
	request.I32(int32(len(what.Offsets)))
	for _, committed := range what.Offsets {
		request.I32(committed.Partition)
		request.I64(committed.Offset)
	}
	request.Bool(what.Transactional)
	_, err := i.call(5, request)
	return err
}

func (i *Interceptor) origin() (request wire.Writer) {
	for _, text := range []string{i.Origin.Principal, i.Origin.ClientID, i.Origin.ClientAddress, i.Origin.Topic} {
		request.Text(text)
	}
	request.I32(i.Origin.Partition)
	return request
}

func (i *Interceptor) hook(number int32, records []Record) (result Result, err error) {
	before := batch(records)
	request := i.origin()
	request.Blob(before)
	reader, err := i.call(number, request)
	if err != nil {
		return result, err
	}
	switch reader.U8() {
	case 0:
		result.Records = i.read(before)
	case 1:
		dropped := map[int32]bool{}
		for n := reader.I32(); n > 0 && !reader.Bad; n-- {
			dropped[reader.I32()] = true
		}
		for _, record := range i.read(before) {
			if !dropped[record.OffsetDelta] {
				result.Records = append(result.Records, record)
			}
		}
		result.Changed = true
	default:
		result.Records = i.read(reader.Bytes())
		result.Changed = true
	}
	result.Rejected = rejections(&reader)
	if reader.Bad || len(reader.Rest) > 0 {
		i.t.Error("the SDK gave a malformed answer")
	}
	return result, nil
}

// Partitioner calls the registered partitioner.
type Partitioner struct{ *Host }

// NewPartitioner plays the host for the registered partitioner.
func NewPartitioner(t testing.TB) *Partitioner {
	return &Partitioner{newHost(t, partitioner.Answer)}
}

// Configure configures the plugin; the test fails when it refuses.
func (p *Partitioner) Configure(config string) {
	p.t.Helper()
	p.must(p.TryConfigure(config))
}

// TryConfigure configures the plugin, which may refuse.
func (p *Partitioner) TryConfigure(config string) error {
	request := wire.Writer{}
	request.Text(config)
	return p.configure(request)
}

// Partition gives the partitions of records with these keys; the test fails when the plugin fails.
func (p *Partitioner) Partition(count int32, keys ...any) []int32 {
	p.t.Helper()
	partitions, err := p.TryPartition(count, keys...)
	p.must(err)
	return partitions
}

// TryPartition gives the partitions of records with these keys.
func (p *Partitioner) TryPartition(count int32, keys ...any) ([]int32, error) {
	records := make([]Record, len(keys))
	for n, key := range keys {
		records[n].Key = key
	}
	return p.TryPartitionRecords(count, records...)
}

// TryPartitionRecords gives the partitions of records.
func (p *Partitioner) TryPartitionRecords(count int32, records ...Record) (partitions []int32, err error) {
	request := wire.Writer{}
	request.Blob(batch(records))
	request.Text("topic")
	request.I32(count)
	reader, err := p.call(2, request)
	if err != nil {
		return nil, err
	}
	for n := reader.I32(); n > 0 && !reader.Bad; n-- {
		partition := reader.I32()
		if partition < -1 || partition >= count {
			p.t.Errorf("there is no partition %d of %d", partition, count)
		}
		partitions = append(partitions, partition)
	}
	if len(partitions) != len(records) {
		p.t.Errorf("%d records have %d answers", len(records), len(partitions))
	}
	return partitions, nil
}

// Transform calls the registered step of a job.
type Transform struct{ *Host }

// NewTransform plays the host for the registered step.
func NewTransform(t testing.TB) *Transform {
	return &Transform{newHost(t, transform.Answer)}
}

// Configure configures the step, with the names of its stores; the test fails when it refuses.
func (s *Transform) Configure(config string, stores ...string) {
	s.t.Helper()
	s.must(s.TryConfigure(config, stores...))
}

// TryConfigure configures the step, which may refuse.
func (s *Transform) TryConfigure(config string, stores ...string) error {
	request := wire.Writer{}
	request.Text(config)
	request.I32(int32(len(stores)))
	for _, store := range stores {
		request.Text(store)
	}
	return s.configure(request)
}

// Process gives the step a batch: what it emits, and what it rejects; the test fails when it fails.
func (s *Transform) Process(records ...Record) ([]Record, []pelton.Rejection) {
	s.t.Helper()
	request := wire.Writer{}
	request.Blob(batch(records))
	reader, err := s.call(2, request)
	s.must(err)
	return s.read(reader.Bytes()), rejections(&reader)
}
