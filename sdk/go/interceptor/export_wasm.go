//go:build wasip1

package interceptor

import (
	"unsafe"

	"pelton/internal/guest"
)

//go:wasmexport pelton_interceptor_0_1
func export(call int32, ptr unsafe.Pointer, len int32) uint64 {
	return guest.Answer(Answer, call, ptr, len)
}
