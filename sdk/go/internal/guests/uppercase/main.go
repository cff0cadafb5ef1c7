// Values in upper case: the smallest plugin that touches every byte. It measures the SDK, and tests the host of the flat contract.
package main

import (
	"pelton"
	"pelton/interceptor"
)

type uppercase struct{ upper []byte }

func (u *uppercase) OnSend(_ *interceptor.Origin, batch *pelton.Batch, out *pelton.Outcome) error {
	for record := range batch.Records() {
		if record.Value != nil {
			u.upper = append(u.upper[:0], record.Value...)
			for n, c := range u.upper {
				if c-'a' < 26 {
					u.upper[n] = c ^ 32
				}
			}
			record.Value = u.upper
		}
		out.Change(record)
	}
	return nil
}

func init() {
	interceptor.Register(&uppercase{}, interceptor.Wants{
		Reads: pelton.Key | pelton.Value | pelton.Headers, Writes: pelton.Value,
	})
}

func main() {}
