// Package guest is where a plugin and its host meet: calls come in, questions go out.
package guest

import (
	"fmt"
	"pelton/internal/wire"
)

// Handler answers one call. It writes the value of the answer, behind the byte that says "well".
type Handler func(call int32, request *wire.Reader, answer *wire.Writer) error

// The calls of the host.
const (
	CallLog     = 1
	CallCount   = 2
	CallGauge   = 3
	CallObserve = 4
	CallGetMany = 5
	CallPutMany = 6
	CallEmit    = 7
	CallNowMs   = 8
	CallRandom  = 9
)

// answer is used again by each call: the host has copied it by then.
var answer wire.Writer

// Call runs one call of the host, from its request to the answer. A panic of the plugin becomes an error.
func Call(handler Handler, call int32, request []byte) (bytes []byte) {
	defer func() {
		if panicked := recover(); panicked != nil {
			bytes = failed(fmt.Sprintf("panic: %v", panicked))
		}
	}()
	answer.Bytes = append(answer.Bytes[:0], 0)
	reader := wire.Reader{Rest: request}
	if err := handler(call, &reader, &answer); err != nil {
		return failed(err.Error())
	}
	if reader.Bad {
		return failed(wire.ErrShort.Error())
	}
	return answer.Bytes
}

func failed(text string) []byte {
	answer.Bytes = append(answer.Bytes[:0], 1)
	answer.Text(text)
	return answer.Bytes
}

// Ask asks the host; the answer is good until the call ends. What it answers without bytes is an empty reader.
func Ask(call int32, request []byte) (wire.Reader, error) { return read(ask(call, request)) }

// AskState asks the host for state. It is an import of its own: only a plugin that keeps state has it.
func AskState(call int32, request []byte) (wire.Reader, error) { return read(askState(call, request)) }

func read(answer []byte) (wire.Reader, error) {
	reader := wire.Reader{Rest: answer}
	if len(reader.Rest) > 0 && reader.U8() != 0 {
		return wire.Reader{}, fmt.Errorf("%s", reader.Text())
	}
	return reader, nil
}

// WriteRejections writes the records that a plugin refuses.
func WriteRejections(answer *wire.Writer, count int, rejection func(n int) (offsetDelta int32, reason string)) {
	answer.I32(int32(count))
	for n := range count {
		offsetDelta, reason := rejection(n)
		answer.I32(offsetDelta)
		answer.Text(reason)
	}
}
