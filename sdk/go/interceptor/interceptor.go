// Package interceptor is for plugins on the way of a topic's records.
//
//	type filter struct{}
//
//	func (f *filter) OnSend(from *interceptor.Origin, batch *pelton.Batch, out *pelton.Outcome) error {
//		for record := range batch.Records() {
//			if record.Value == nil {
//				out.Drop(record)
//			}
//		}
//		return nil
//	}
//
//	func init() {
//		interceptor.Register(&filter{}, interceptor.Wants{Reads: pelton.Value, Drops: true})
//	}
//
// A plugin implements those of Configurer, Sender, Acknowledger, Consumer and Committer that it needs; the hooks are told by that.
package interceptor

import (
	"errors"

	"pelton"
	"pelton/internal/guest"
	"pelton/internal/wire"
)

// Wants says what the plugin needs and does. It is shown to the operator.
type Wants struct {
	// Reads are the parts of a record that it reads. The others are not given to it.
	Reads pelton.Parts
	// Writes are the parts that it may change.
	Writes pelton.Parts
	// Drops says whether it may take records away.
	Drops bool
	// Reuse says how often OnConsume must see a batch.
	Reuse Reuse
}

// Reuse says how often OnConsume must see a batch.
type Reuse uint8

// Never: on each delivery. ForEveryone: once. ForPrincipal: once for each principal.
const (
	Never        Reuse = 0
	ForEveryone  Reuse = 1
	ForPrincipal Reuse = 2
)

// Origin says who sends or reads, and where.
type Origin struct {
	Principal, ClientID, ClientAddress, Topic string
	Partition                                 int32
}

// Acknowledgement is what became of a producer's batch.
type Acknowledgement struct {
	// BaseOffset is -1 when the batch was refused.
	BaseOffset  int64
	RecordCount int32
	AtMs        int64
	// Error is nil when the batch was appended.
	Error error
}

// Commit has the offsets of one topic that a group has committed.
type Commit struct {
	Principal, ClientID, ClientAddress, Group, Member, Topic string
	Offsets                                                  []CommittedOffset
	// Transactional says whether they take effect only when a transaction commits.
	Transactional bool
}

// CommittedOffset is the next offset that a group will read of a partition.
type CommittedOffset struct {
	Partition int32
	Offset    int64
}

// Configurer takes the configuration, which is JSON text. An error refuses it.
type Configurer interface {
	Configure(config []byte) error
}

// Sender sees a producer's batch before it is appended. An error is a fault of the whole batch.
type Sender interface {
	OnSend(from *Origin, batch *pelton.Batch, out *pelton.Outcome) error
}

// Acknowledger sees what became of a producer's batch.
type Acknowledger interface {
	OnAcknowledgement(from *Origin, acknowledged *Acknowledgement) error
}

// Consumer sees a batch before it leaves to a consumer.
type Consumer interface {
	OnConsume(to *Origin, batch *pelton.Batch, out *pelton.Outcome) error
}

// Committer sees the offsets that a group has committed.
type Committer interface {
	OnCommit(commit *Commit) error
}

// Emit appends a batch to another topic, which the operator has granted (pelton.plugin.NAME.emit).
func Emit(topic string, batch *pelton.Writer) error {
	bytes := batch.Bytes()
	if bytes == nil {
		return nil
	}
	request := wire.Writer{}
	request.Text(topic)
	request.Blob(bytes)
	_, err := guest.Ask(guest.CallEmit, request.Bytes)
	return err
}

// NowMs is the time of day in milliseconds since the Unix epoch. Go's own clock does not tell it.
func NowMs() int64 {
	answer, _ := guest.Ask(guest.CallNowMs, nil)
	return answer.I64()
}

// Random gives unpredictable bytes, at most 64 KiB in one call.
func Random(count int) []byte {
	request := wire.Writer{}
	request.I32(int32(count))
	answer, _ := guest.Ask(guest.CallRandom, request.Bytes)
	return answer.Bytes()
}

// registered is the plugin of this module, and what a call needs again and again.
var registered struct {
	plugin  any
	wants   Wants
	origin  Origin
	outcome pelton.Outcome
}

// Register makes it the plugin of this module. It is called from init, once.
func Register(plugin any, wants Wants) {
	registered.plugin, registered.wants = plugin, wants
}

// Answer runs one call of the host on the registered plugin. It is for the SDK's own packages.
func Answer(call int32, request *wire.Reader, answer *wire.Writer) error {
	switch call {
	case 0:
		return describe(answer)
	case 1:
		config := request.Bytes()
		if plugin, ok := registered.plugin.(Configurer); ok && !request.Bad {
			return plugin.Configure(config)
		}
	case 2:
		if plugin, ok := registered.plugin.(Sender); ok {
			return filter(plugin.OnSend, request, answer)
		}
		return errors.New("it has no OnSend")
	case 3:
		return acknowledged(request)
	case 4:
		if plugin, ok := registered.plugin.(Consumer); ok {
			return filter(plugin.OnConsume, request, answer)
		}
		return errors.New("it has no OnConsume")
	case 5:
		return committed(request)
	default:
		return errors.New("the host made a call that this plugin does not know; build it anew with the newest SDK")
	}
	return nil
}

func describe(answer *wire.Writer) error {
	var hooks uint8
	if _, ok := registered.plugin.(Sender); ok {
		hooks |= 1
	}
	if _, ok := registered.plugin.(Acknowledger); ok {
		hooks |= 2
	}
	if _, ok := registered.plugin.(Consumer); ok {
		hooks |= 4
	}
	if _, ok := registered.plugin.(Committer); ok {
		hooks |= 8
	}
	if registered.plugin == nil {
		return errors.New("no plugin was registered: call interceptor.Register from init")
	}
	answer.U8(hooks)
	answer.U8(uint8(registered.wants.Reads))
	answer.U8(uint8(registered.wants.Writes))
	answer.Bool(registered.wants.Drops)
	answer.U8(uint8(registered.wants.Reuse))
	return nil
}

// readOrigin reads who sends or reads. Texts that are those of the call before are not made anew.
func readOrigin(request *wire.Reader) *Origin {
	origin := &registered.origin
	for _, text := range []*string{&origin.Principal, &origin.ClientID, &origin.ClientAddress, &origin.Topic} {
		if bytes := request.Bytes(); *text != string(bytes) {
			*text = string(bytes)
		}
	}
	origin.Partition = request.I32()
	return origin
}

func filter(hook func(*Origin, *pelton.Batch, *pelton.Outcome) error, request *wire.Reader, answer *wire.Writer) error {
	origin := readOrigin(request)
	bytes := request.Bytes()
	if request.Bad {
		return wire.ErrShort
	}
	batch, err := pelton.Open(bytes)
	if err != nil {
		return err
	}
	out := &registered.outcome
	out.Reset(batch)
	if err := hook(origin, batch, out); err != nil {
		return err
	}
	if err := batch.Err(); err != nil {
		return err
	}
	changed, dropped, err := out.Changed()
	if err != nil {
		return err
	}
	switch {
	case changed != nil:
		answer.U8(2)
		answer.Blob(changed)
	case len(dropped) > 0:
		answer.U8(1)
		answer.I32(int32(len(dropped)))
		for _, delta := range dropped {
			answer.I32(delta)
		}
	default:
		answer.U8(0)
	}
	guest.WriteRejections(answer, len(out.Rejected()), func(n int) (int32, string) {
		return out.Rejected()[n].OffsetDelta, out.Rejected()[n].Reason
	})
	return nil
}

func acknowledged(request *wire.Reader) error {
	origin := readOrigin(request)
	what := Acknowledgement{BaseOffset: request.I64(), RecordCount: request.I32(), AtMs: request.I64()}
	if request.U8() == 1 {
		what.Error = errors.New(request.Text())
	}
	plugin, ok := registered.plugin.(Acknowledger)
	if !ok || request.Bad {
		return nil
	}
	return plugin.OnAcknowledgement(origin, &what)
}

func committed(request *wire.Reader) error {
	what := Commit{
		Principal: request.Text(), ClientID: request.Text(), ClientAddress: request.Text(),
		Group: request.Text(), Member: request.Text(), Topic: request.Text(),
	}
	for n := request.I32(); n > 0 && !request.Bad; n-- {
		what.Offsets = append(what.Offsets, CommittedOffset{request.I32(), request.I64()})
	}
	what.Transactional = request.U8() == 1
	plugin, ok := registered.plugin.(Committer)
	if !ok || request.Bad {
		return nil
	}
	return plugin.OnCommit(&what)
}
