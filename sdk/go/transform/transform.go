// Package transform is for steps of stream jobs: they turn one batch into another, with state.
package transform

import (
	"errors"

	"pelton"
	"pelton/internal/guest"
	"pelton/internal/wire"
)

var _ guest.Handler = Answer

// Transform is a step of a job. What it emits and puts into its stores becomes visible with the input's offsets, or not at all.
type Transform interface {
	// Process turns one batch into records that it emits. An error fails the batch: it is tried again.
	Process(batch *pelton.Batch, out *Output) error
}

// Configurer takes the configuration, which is JSON text, and the names of the step's stores, numbered in this order. An error
// refuses it.
type Configurer interface {
	Configure(config []byte, stores []string) error
}

// Output is what a step emits and refuses.
type Output struct {
	emitted  pelton.Writer
	rejected []pelton.Rejection
}

// Emit emits a record, with its key, value, headers and timestamp.
func (o *Output) Emit(record *pelton.Record) { o.emitted.Write(record) }

// Reject hands an input record that is of no use to the dead-letter topic, with the reason for a person to read.
func (o *Output) Reject(record *pelton.Record, reason string) {
	o.rejected = append(o.rejected, pelton.Rejection{OffsetDelta: record.OffsetDelta, Reason: reason})
}

var registered struct {
	plugin Transform
	output Output
}

// Register makes it the plugin of this module. It is called from init, once.
func Register(plugin Transform) { registered.plugin = plugin }

// Answer runs one call of the host on the registered plugin. It is for the SDK's own packages.
func Answer(call int32, request *wire.Reader, answer *wire.Writer) error {
	switch {
	case registered.plugin == nil:
		return errors.New("no plugin was registered: call transform.Register from init")
	case call == 1:
		config := request.Bytes()
		var stores []string
		for n := request.I32(); n > 0 && !request.Bad; n-- {
			stores = append(stores, request.Text())
		}
		if plugin, ok := registered.plugin.(Configurer); ok && !request.Bad {
			return plugin.Configure(config, stores)
		}
		return nil
	case call == 2:
		return process(request, answer)
	default:
		return errors.New("the host made a call that this plugin does not know; build it anew with the newest SDK")
	}
}

func process(request *wire.Reader, answer *wire.Writer) error {
	bytes := request.Bytes()
	if request.Bad {
		return wire.ErrShort
	}
	batch, err := pelton.Open(bytes)
	if err != nil {
		return err
	}
	out := &registered.output
	out.emitted.Reset()
	out.rejected = out.rejected[:0]
	if err := registered.plugin.Process(batch, out); err != nil {
		return err
	}
	if err := batch.Err(); err != nil {
		return err
	}
	answer.Blob(out.emitted.Bytes())
	guest.WriteRejections(answer, len(out.rejected), func(n int) (int32, string) {
		return out.rejected[n].OffsetDelta, out.rejected[n].Reason
	})
	return nil
}
