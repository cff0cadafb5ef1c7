// Package wire has the encoding of the flat contract (sdk/wit/FLAT.md): little-endian numbers, texts and lists with their lengths.
package wire

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrShort says that a request is not what the contract has.
var ErrShort = errors.New("the host's request is cut short; the plugin was built for another contract")

// Reader reads a request of the host, or its answer. After a short read everything is zero and Bad is set.
type Reader struct {
	Rest []byte
	Bad  bool
}

func (r *Reader) take(n uint32) []byte {
	if r.Bad || uint64(len(r.Rest)) < uint64(n) {
		r.Bad = true
		return nil
	}
	taken := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return taken
}

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// I32 reads four bytes.
func (r *Reader) I32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// I64 reads eight bytes.
func (r *Reader) I64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// F64 reads eight bytes.
func (r *Reader) F64() float64 { return math.Float64frombits(uint64(r.I64())) }

// Bytes reads a list of bytes, in place.
func (r *Reader) Bytes() []byte { return r.take(uint32(r.I32())) }

// Text reads a text.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Writer appends to its bytes.
type Writer struct{ Bytes []byte }

// U8 writes one byte.
func (w *Writer) U8(v uint8) { w.Bytes = append(w.Bytes, v) }

// I32 writes four bytes.
func (w *Writer) I32(v int32) { w.Bytes = binary.LittleEndian.AppendUint32(w.Bytes, uint32(v)) }

// I64 writes eight bytes.
func (w *Writer) I64(v int64) { w.Bytes = binary.LittleEndian.AppendUint64(w.Bytes, uint64(v)) }

// F64 writes eight bytes.
func (w *Writer) F64(v float64) { w.I64(int64(math.Float64bits(v))) }

// Blob writes a list of bytes.
func (w *Writer) Blob(b []byte) {
	w.I32(int32(len(b)))
	w.Bytes = append(w.Bytes, b...)
}

// Text writes a text.
func (w *Writer) Text(s string) {
	w.I32(int32(len(s)))
	w.Bytes = append(w.Bytes, s...)
}

// Bool writes one byte.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Nullable reads a length, -1 for nil, and as many bytes.
func (r *Reader) Nullable() []byte {
	if n := r.I32(); n >= 0 {
		return r.take(uint32(n))
	}
	return nil
}

// Nullable writes a length, -1 for nil, and as many bytes.
func (w *Writer) Nullable(b []byte) {
	if b == nil {
		w.I32(-1)
	} else {
		w.Blob(b)
	}
}
