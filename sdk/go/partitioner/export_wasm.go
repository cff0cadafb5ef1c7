//go:build wasip1

package partitioner

import (
	"unsafe"

	"pelton/internal/guest"
)

//go:wasmexport pelton_partitioner_0_1
func export(call int32, ptr unsafe.Pointer, len int32) uint64 {
	return guest.Answer(Answer, call, ptr, len)
}
