//go:build !wasip1

package guest

// Host plays the host; package peltontest sets it.
var Host func(call int32, request []byte) []byte

func ask(call int32, request []byte) []byte {
	if Host == nil {
		panic("the host was asked outside of a test; see package peltontest")
	}
	return Host(call, request)
}

func askState(call int32, request []byte) []byte { return ask(call, request) }
