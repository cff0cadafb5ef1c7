// Batches of record format v2: read in place, and written.
//
// No byte is read past the end of a batch, however it is formed: a damaged one ends the walk, and the SDK answers the call
// with an error.

import { Buffer, Slice } from "./bytes";

/** Parts of a record: key 1, value 2, headers 4. */
export const KEY: u8 = 1;
export const VALUE: u8 = 2;
export const HEADERS: u8 = 4;

export const HEADER_LEN: i32 = 61;

/** One record. A plugin may change key, value and headers, and hand it to `Outcome.change` or `Writer.write`. */
@final
export class Record {
  /** Counted from the batch's first record. */
  offsetDelta: i32 = 0;
  /** In the partition. Before the batch is appended it says nothing. */
  offset: i64 = 0;
  /** Milliseconds since the Unix epoch; -1 when the producer gave none. */
  timestampMs: i64 = 0;
  key: Slice = new Slice();
  value: Slice = new Slice();
  /** Encoded; walk them with `header`. */
  headers: Slice = new Slice();
  headerCount: i32 = 0;
  /** Where it stands in its batch. */
  from: usize = 0;
  to: usize = 0;
  private added: Buffer | null = null;

  /** The value of the first header of that name; a null slice when there is none. */
  header(name: string): Slice {
    const found = new Slice();
    const value = new Slice();
    cursor = this.headers.ptr;
    const end = this.headers.ptr + this.headers.len;
    for (let n = 0; n < this.headerCount; n++) {
      if (!readNullable(end, found) || found.isNull || !readNullable(end, value)) break;
      if (found.equals(name)) return value;
    }
    value.setNull();
    return value;
  }

  /** Adds a header behind those that the record has. */
  addHeader(name: string, value: Slice): void {
    const added = new Buffer();
    added.push(this.headers);
    pushVarlong(added, String.UTF8.byteLength(name));
    added.pushString(name);
    pushNullable(added, value);
    added.into(this.headers);
    this.headerCount += 1;
    const old = this.added;
    if (old !== null && old.ptr != 0) heap.free(old.ptr);
    this.added = added;
  }
}

// Where the reading functions stand. One reader runs at a time, and a global is cheaper than a second result.
let cursor: usize = 0;
let number: i64 = 0;

function readVarlong(end: usize): bool {
  if (cursor < end) {
    const first = load<u8>(cursor);
    if (first < 0x80) {
      cursor += 1;
      number = i64(first >> 1) ^ -i64(first & 1);
      return true;
    }
  }
  let bits: u64 = 0;
  for (let shift = 0; shift < 70 && cursor < end; shift += 7) {
    const byte = load<u8>(cursor);
    cursor += 1;
    if (shift == 63 && byte > 1) return false;
    bits |= u64(byte & 0x7f) << shift;
    if (byte < 0x80) {
      number = i64(bits >> 1) ^ -i64(bits & 1);
      return true;
    }
  }
  return false;
}

/** A length and as many bytes; -1 stands for null. */
function readNullable(end: usize, into: Slice): bool {
  if (!readVarlong(end) || number < -1 || number > i64(end - cursor)) return false;
  if (number < 0) {
    into.setNull();
  } else {
    into.set(cursor, i32(number));
    cursor += usize(number);
  }
  return true;
}

/** One batch, and where the walk over it stands: `while (batch.next()) { const record = batch.record; ... }` */
@final
export class Batch {
  /** The record that `next` went to. It is the same object for each. */
  record: Record = new Record();
  ptr: usize = 0;
  len: i32 = 0;
  count: i32 = 0;
  baseOffset: i64 = 0;
  baseTimestamp: i64 = 0;
  logAppendTime: bool = false;
  maxTimestamp: i64 = 0;
  damage: string | null = null;
  private at: usize = 0;
  private left: i32 = 0;

  get end(): usize {
    return this.ptr + this.len;
  }

  /** Opens one uncompressed batch; the error, or null. */
  open(bytes: Slice): string | null {
    const ptr = bytes.ptr;
    if (bytes.len < HEADER_LEN || load<u8>(ptr + 16) != 2) return "the input is no record batch of format v2";
    if (i32(bswap(load<u32>(ptr + 8))) != bytes.len - 12) return "the input is not exactly one record batch";
    const attributes = load<u8>(ptr + 22);
    if ((attributes & 7) != 0) return "the input batch is compressed";
    const count = i32(bswap(load<u32>(ptr + 57)));
    if (count < 0 || count > (bytes.len - HEADER_LEN) / 7) return "the input batch has fewer records than it says";
    this.ptr = ptr;
    this.len = bytes.len;
    this.count = count;
    this.baseOffset = i64(bswap(load<u64>(ptr)));
    this.baseTimestamp = i64(bswap(load<u64>(ptr + 27)));
    this.maxTimestamp = i64(bswap(load<u64>(ptr + 35)));
    this.logAppendTime = (attributes & 8) != 0;
    this.damage = null;
    this.at = ptr + HEADER_LEN;
    this.left = count;
    return null;
  }

  /** Goes to the next record; false at the end, and at damage. */
  next(): bool {
    if (this.left == 0) return false;
    if (!this.read()) {
      this.damage = "the input batch is damaged: the lengths of a record do not fit";
      this.left = 0;
      return false;
    }
    this.left -= 1;
    return true;
  }

  private read(): bool {
    const record = this.record;
    record.from = this.at;
    cursor = this.at;
    if (!readVarlong(this.end) || number < 6 || number > i64(this.end - cursor)) return false;
    const end = cursor + usize(number);
    cursor += 1; // attributes, of which there are none
    if (!readVarlong(end)) return false;
    record.timestampMs = this.logAppendTime ? this.maxTimestamp : this.baseTimestamp + number;
    if (!readVarlong(end) || number != i64(i32(number))) return false;
    record.offsetDelta = i32(number);
    record.offset = this.baseOffset + number;
    if (!readNullable(end, record.key) || !readNullable(end, record.value)) return false;
    if (!readVarlong(end) || number < 0 || number > i64(end - cursor) / 2) return false;
    record.headerCount = i32(number);
    record.headers.set(cursor, i32(end - cursor));
    record.to = end;
    this.at = end;
    return true;
  }
}

/** Writes one batch. */
@final
export class Writer {
  private bytes: Buffer = new Buffer();
  private baseTimestamp: i64 = 0;
  private maxTimestamp: i64 = 0;
  count: i32 = 0;

  /** Makes it empty again and keeps its memory. */
  reset(): void {
    this.count = 0;
  }

  /** Adds a record at the next offset, with its key, value, headers and timestamp. */
  write(record: Record): void {
    if (this.count == 0) {
      this.bytes.reset();
      this.bytes.reserve(HEADER_LEN);
      this.bytes.len = HEADER_LEN;
      this.baseTimestamp = record.timestampMs;
      this.maxTimestamp = record.timestampMs;
    }
    this.maxTimestamp = max(this.maxTimestamp, record.timestampMs);
    pushRecord(this.bytes, record, this.baseTimestamp, this.count);
    this.count += 1;
  }

  /** The batch so far; a null slice when it has no record. The host writes the CRC. */
  finish(): Slice {
    if (this.count == 0) return new Slice();
    const at = this.bytes.ptr;
    memory.fill(at, 0, HEADER_LEN);
    store<u32>(at + 8, bswap(u32(this.bytes.len - 12)));
    store<u32>(at + 12, u32.MAX_VALUE);
    store<u8>(at + 16, 2);
    store<u32>(at + 23, bswap(u32(this.count - 1)));
    store<u64>(at + 27, bswap(u64(this.baseTimestamp)));
    store<u64>(at + 35, bswap(u64(this.maxTimestamp)));
    memory.fill(at + 43, 0xff, 14); // no producer
    store<u32>(at + 57, bswap(u32(this.count)));
    return this.bytes.slice();
  }
}

function varlongLen(value: i64): i32 {
  const bits = (u64(value) << 1) ^ u64(value >> 63);
  return (70 - i32(clz(bits | 1))) / 7;
}

function nullableLen(slice: Slice): i32 {
  return slice.isNull ? 1 : varlongLen(slice.len) + slice.len;
}

function pushVarlong(to: Buffer, value: i64): void {
  let bits = (u64(value) << 1) ^ u64(value >> 63);
  to.reserve(10);
  let at = to.ptr + to.len;
  while (bits >= 0x80) {
    store<u8>(at++, u8(bits) | 0x80);
    bits >>= 7;
  }
  store<u8>(at++, u8(bits));
  to.len = i32(at - to.ptr);
}

function pushNullable(to: Buffer, slice: Slice): void {
  pushVarlong(to, slice.isNull ? -1 : slice.len);
  to.push(slice);
}

export function pushRecord(to: Buffer, record: Record, baseTimestamp: i64, delta: i32): void {
  const timestampDelta = record.timestampMs - baseTimestamp;
  const len =
    1 +
    varlongLen(timestampDelta) +
    varlongLen(delta) +
    nullableLen(record.key) +
    nullableLen(record.value) +
    varlongLen(record.headerCount) +
    record.headers.len;
  to.reserve(len + 10);
  pushVarlong(to, len);
  to.pushU8(0);
  pushVarlong(to, timestampDelta);
  pushVarlong(to, delta);
  pushNullable(to, record.key);
  pushNullable(to, record.value);
  pushVarlong(to, record.headerCount);
  to.push(record.headers);
}
