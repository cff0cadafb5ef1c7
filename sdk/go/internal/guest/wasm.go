//go:build wasip1

package guest

import "unsafe"

// room holds what the host writes before a call, and is used again by the next. What the host writes
// during a call gets rooms of its own, which live until the call ends.
var (
	room  []byte
	rooms [][]byte
	busy  bool
)

//go:wasmimport pelton host_0_1
func host(call int32, request unsafe.Pointer, len int32) uint64

//go:wasmimport pelton state_0_1
func state(call int32, request unsafe.Pointer, len int32) uint64

//go:wasmexport pelton_alloc
func alloc(len int32) unsafe.Pointer {
	if len <= 0 {
		len = 1
	}
	if busy {
		fresh := make([]byte, len)
		rooms = append(rooms, fresh)
		return unsafe.Pointer(unsafe.SliceData(fresh))
	}
	if cap(room) < int(len) {
		room = make([]byte, len)
	}
	room = room[:len]
	return unsafe.Pointer(unsafe.SliceData(room))
}

// Answer is what a world's export calls.
func Answer(handler Handler, call int32, ptr unsafe.Pointer, len int32) uint64 {
	busy = true
	var request []byte
	if len > 0 {
		request = unsafe.Slice((*byte)(ptr), len)
	}
	bytes := Call(handler, call, request)
	busy = false
	clear(rooms)
	rooms = rooms[:0]
	return packed(bytes)
}

func packed(bytes []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))<<32 | uint64(len(bytes))
}

func ask(call int32, request []byte) []byte {
	return unpacked(host(call, unsafe.Pointer(unsafe.SliceData(request)), int32(len(request))))
}

func askState(call int32, request []byte) []byte {
	return unpacked(state(call, unsafe.Pointer(unsafe.SliceData(request)), int32(len(request))))
}

func unpacked(answer uint64) []byte {
	if uint32(answer) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(answer>>32))), uint32(answer))
}
