// Package pelton is the SDK for plugins in Go.
//
// A plugin registers itself from init, with one of the packages interceptor, partitioner and transform, and is built by the
// standard toolchain (1.24 or later) as a WASI reactor:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .
//
// This package reads batches in place, writes batches, and asks the host for what a plugin has: a log, metrics, and,
// where its world grants them, state, other topics, the time and random bytes. What it does not: files, network,
// environment; a plugin has none, and the time of Go's own clock stands (nearly) still.
//
// Natively built, the same code runs under package peltontest, so `go test` needs no Wasm.
//
// Invariant: the Wasm path and the native path differ in package internal/guest alone. No byte of the host is read past its end.
package pelton

// Parts is a set of the parts of a record.
type Parts uint8

// The parts of a record. What a plugin does not read arrives as nil, or as no headers.
const (
	Key     Parts = 1
	Value   Parts = 2
	Headers Parts = 4
)

// Rejection is a record of the input that the plugin refuses.
type Rejection struct {
	OffsetDelta int32
	// Reason is for a person to read.
	Reason string
}
