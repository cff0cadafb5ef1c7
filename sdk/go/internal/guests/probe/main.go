// Uses everything that an interceptor has; the engine's tests say what must come of it, for each SDK alike.
package main

import (
	"fmt"

	"pelton"
	"pelton/interceptor"
)

type probe struct{ traps bool }

func (p *probe) Configure(config []byte) error {
	p.traps = string(config) == `{"trap":true}`
	if !p.traps && string(config) != "{}" {
		return fmt.Errorf("no configuration is known, not %s", config)
	}
	return nil
}

func (p *probe) OnSend(from *interceptor.Origin, batch *pelton.Batch, out *pelton.Outcome) error {
	if p.traps {
		pelton.Log(pelton.Error, "about to trap")
		var nothing *probe
		nothing.traps = true
	}
	for record := range batch.Records() {
		switch {
		case record.Value == nil:
			out.Drop(record)
		case string(record.Value) == "one":
			record.Value = []byte("ONE")
			record.AddHeader("by", []byte(from.Principal))
			out.Change(record)
		default:
			out.Reject(record, "no "+string(record.Value))
		}
	}
	return nil
}

func (p *probe) OnConsume(to *interceptor.Origin, batch *pelton.Batch, _ *pelton.Outcome) error {
	var copies pelton.Writer
	for record := range batch.Records() {
		copies.Write(record)
	}
	store, key, count := pelton.Store(0), []byte(to.Principal), byte(1)
	if seen := store.Get(key); seen != nil {
		count = seen[0] + 1
	}
	store.Put(key, []byte{count})
	century := 0.0
	if interceptor.NowMs() > 1_000_000_000_000 {
		century = 1
	}
	pelton.Gauge("this_century", century)
	pelton.Log(pelton.Info, "seen %d, random %d", count, len(interceptor.Random(16)))
	return interceptor.Emit("copies", &copies)
}

func (p *probe) OnAcknowledgement(from *interceptor.Origin, what *interceptor.Acknowledgement) error {
	pelton.Count("acknowledged", uint64(what.RecordCount), pelton.Label{Name: "topic_name", Value: from.Topic})
	return nil
}

func (p *probe) OnCommit(commit *interceptor.Commit) error {
	var offsets []float64
	for _, committed := range commit.Offsets {
		offsets = append(offsets, float64(committed.Offset))
	}
	pelton.Observe("offsets", offsets)
	return nil
}

func init() {
	interceptor.Register(&probe{}, interceptor.Wants{
		Reads: pelton.Key | pelton.Value | pelton.Headers, Writes: pelton.Value | pelton.Headers, Drops: true,
		Reuse: interceptor.ForPrincipal,
	})
}

func main() {}
