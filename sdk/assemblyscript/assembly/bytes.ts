// Bytes of the module's memory: slices that somebody else owns, and buffers that grow.
//
// Both are addresses, not managed objects, so a batch is read and written without an allocation for each record.

/** Bytes at an address. `ptr` is 0 for null, which is not the same as empty. */
@final
export class Slice {
  constructor(
    public ptr: usize = 0,
    public len: i32 = 0,
  ) {}

  @inline get isNull(): bool {
    return this.ptr == 0;
  }

  /** The byte at an index, which must be below `len`. */
  @inline get(index: i32): u8 {
    return load<u8>(this.ptr + index);
  }

  set(ptr: usize, len: i32): void {
    this.ptr = ptr;
    this.len = len;
  }

  setNull(): void {
    this.set(0, 0);
  }

  /** A slice of its own of the same bytes; slices of records change with each step. */
  clone(): Slice {
    return new Slice(this.ptr, this.len);
  }

  /** The text, from UTF-8; empty for null. */
  toString(): string {
    return this.ptr == 0 ? "" : String.UTF8.decodeUnsafe(this.ptr, this.len);
  }

  /** Whether the bytes are those of the text, in UTF-8. */
  equals(text: string): bool {
    if (this.ptr == 0 || this.len != String.UTF8.byteLength(text)) return false;
    const encoded = String.UTF8.encode(text);
    return memory.compare(this.ptr, changetype<usize>(encoded), this.len) == 0;
  }

  /** Whether both are the same bytes; null is the same as null alone. */
  same(other: Slice): bool {
    if (this.ptr == 0 || other.ptr == 0) return this.ptr == other.ptr;
    return this.len == other.len && memory.compare(this.ptr, other.ptr, this.len) == 0;
  }
}

/** Bytes that grow. A buffer keeps its memory when it is reset, so one that is used again and again stops allocating. */
@final
export class Buffer {
  ptr: usize = 0;
  len: i32 = 0;
  private capacity: i32 = 0;

  reset(): void {
    this.len = 0;
  }

  /** Makes room for `more` further bytes. */
  reserve(more: i32): void {
    const needed = this.len + more;
    if (needed <= this.capacity) return;
    if (needed < 0) unreachable();
    const capacity = max(max(needed, this.capacity * 2), 64);
    // `heap.realloc` wants something to make longer.
    this.ptr = this.ptr == 0 ? heap.alloc(capacity) : heap.realloc(this.ptr, capacity);
    this.capacity = capacity;
  }

  @inline pushU8(value: u8): void {
    this.reserve(1);
    store<u8>(this.ptr + this.len, value);
    this.len += 1;
  }

  pushI32(value: i32): void {
    this.reserve(4);
    store<i32>(this.ptr + this.len, value);
    this.len += 4;
  }

  pushI64(value: i64): void {
    this.reserve(8);
    store<i64>(this.ptr + this.len, value);
    this.len += 8;
  }

  pushF64(value: f64): void {
    this.pushI64(reinterpret<i64>(value));
  }

  pushRaw(ptr: usize, len: i32): void {
    this.reserve(len);
    let to = this.ptr + this.len;
    this.len += len;
    // Short pieces are cheaper word by word than by the engine's bulk copy, which is a call of its own.
    if (len > 64) {
      memory.copy(to, ptr, len);
      return;
    }
    for (; len >= 8; len -= 8, to += 8, ptr += 8) store<u64>(to, load<u64>(ptr));
    for (; len > 0; len--, to++, ptr++) store<u8>(to, load<u8>(ptr));
  }

  push(slice: Slice): void {
    this.pushRaw(slice.ptr, slice.len);
  }

  /** The text in UTF-8, without its length. */
  pushString(text: string): void {
    const len = String.UTF8.byteLength(text);
    this.reserve(len);
    String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, this.ptr + this.len);
    this.len += len;
  }

  /** A length and as many bytes. */
  pushBytes(ptr: usize, len: i32): void {
    this.pushI32(len);
    this.pushRaw(ptr, len);
  }

  /** A length and the text. */
  pushText(text: string): void {
    this.pushI32(String.UTF8.byteLength(text));
    this.pushString(text);
  }

  /** Sets a byte that is there already. */
  @inline set(index: i32, value: u8): void {
    store<u8>(this.ptr + index, value);
  }

  /** Its bytes as they are now. They stand until it grows. An empty buffer is empty, not null. */
  slice(): Slice {
    this.reserve(1);
    return new Slice(this.ptr, this.len);
  }

  /** Lets the slice be its bytes, without making a new one. */
  into(slice: Slice): void {
    this.reserve(1);
    slice.set(this.ptr, this.len);
  }

  toString(): string {
    return this.len == 0 ? "" : String.UTF8.decodeUnsafe(this.ptr, this.len);
  }
}

/** Reads a request of the host, or its answer. After a short read everything is zero and `bad` is set. */
@final
export class Reader {
  at: usize = 0;
  end: usize = 0;
  bad: bool = false;

  open(ptr: usize, len: i32): void {
    this.at = ptr;
    this.end = ptr + len;
    this.bad = false;
  }

  private take(len: u32): usize {
    if (this.bad || u64(this.at) + u64(len) > u64(this.end)) {
      this.bad = true;
      return 0;
    }
    this.at += len;
    return this.at - len;
  }

  u8(): u8 {
    const at = this.take(1);
    return at == 0 ? 0 : load<u8>(at);
  }

  i32(): i32 {
    const at = this.take(4);
    return at == 0 ? 0 : load<i32>(at);
  }

  i64(): i64 {
    const at = this.take(8);
    return at == 0 ? 0 : load<i64>(at);
  }

  bytes(into: Slice): void {
    const len = this.i32();
    into.set(this.take(u32(len)), len);
    if (this.bad) into.setNull();
  }
}
