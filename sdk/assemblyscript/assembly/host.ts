// What the host gives, and the memory of a call.

import { Buffer, Reader, Slice } from "./bytes";
import "./abort";

// @ts-ignore: decorator
@external("pelton", "host_0_1")
declare function host_0_1(call: i32, ptr: usize, len: i32): u64;

// Imported only by a plugin that keeps state.
// @ts-ignore: decorator
@external("pelton", "state_0_1")
declare function state_0_1(call: i32, ptr: usize, len: i32): u64;

/** Levels of the log. */
export const ERROR: u8 = 0;
export const WARN: u8 = 1;
export const INFO: u8 = 2;
export const DEBUG: u8 = 3;

// Garbage is collected after so many calls, and whenever the memory has grown.
const COLLECT_EVERY_CALLS = 64;

let busy: bool = false;
let calls: i32 = 0;
let pages: i32 = 0;
let request: usize = 0;
let requestCapacity: i32 = 0;
// Rooms that the host asked for during the call: a list through their first word.
let rooms: usize = 0;
const question: Buffer = new Buffer();
const answer: Reader = new Reader();

/** Room that the host writes to: the request of a call, or its answers during the call. */
export function pelton_alloc(len: i32): usize {
  if (busy) {
    const room = heap.alloc(8 + len);
    store<usize>(room, rooms);
    rooms = room;
    return room + 8;
  }
  if (requestCapacity < len) {
    if (request != 0) heap.free(request);
    requestCapacity = max(len, 4096);
    request = heap.alloc(requestCapacity);
  }
  return request;
}

/** Begins a call. Nothing managed is on the stack now, so this is where garbage may go. */
export function beginCall(): void {
  busy = true;
  calls += 1;
  if (calls % COLLECT_EVERY_CALLS == 0 || memory.size() > pages) {
    __collect();
    pages = memory.size();
  }
}

/** Ends a call: what the host has written during it is gone. */
export function endCall(): void {
  busy = false;
  while (rooms != 0) {
    const next = load<usize>(rooms);
    heap.free(rooms);
    rooms = next;
  }
}

function ask(call: i32): void {
  const packed = host_0_1(call, question.ptr, question.len);
  answer.open(usize(packed >> 32), i32(packed));
}

/** Writes a line for the operator. */
export function log(level: u8, text: string): void {
  question.reset();
  question.pushU8(level);
  question.pushText(text);
  ask(1);
}

/** One label of a series: its name, and its value. */
export class Label {
  constructor(
    public name: string,
    public value: string,
  ) {}
}

function series(name: string, labels: Label[]): void {
  question.reset();
  question.pushText(name);
  question.pushI32(labels.length);
  for (let n = 0; n < labels.length; n++) {
    question.pushText(labels[n].name);
    question.pushText(labels[n].value);
  }
}

/** Adds to a counter. */
export function count(name: string, by: u64, labels: Label[] = []): void {
  series(name, labels);
  question.pushI64(i64(by));
  ask(2);
}

/** Sets a gauge. */
export function gauge(name: string, value: f64, labels: Label[] = []): void {
  series(name, labels);
  question.pushF64(value);
  ask(3);
}

/** Adds observations to a histogram. */
export function observe(name: string, values: f64[], labels: Label[] = []): void {
  series(name, labels);
  question.pushI32(values.length);
  for (let n = 0; n < values.length; n++) question.pushF64(values[n]);
  ask(4);
}

/** The value under a key of a store (an interceptor has number 0); null when there is none. It stands until the call ends. */
export function stateGet(store: i32, key: Slice): Slice {
  question.reset();
  question.pushI32(store);
  question.pushI32(4 + key.len);
  question.pushBytes(key.ptr, key.len);
  const packed = state_0_1(5, question.ptr, question.len);
  answer.open(usize(packed >> 32), i32(packed));
  answer.u8();
  answer.i32(); // the length of the list, which has one value
  const len = answer.i32();
  if (answer.bad) unreachable();
  return len < 0 ? new Slice() : new Slice(answer.at, len);
}

/** Sets the value under a key; a null value deletes it. */
export function statePut(store: i32, key: Slice, value: Slice): void {
  question.reset();
  question.pushI32(store);
  question.pushI32(8 + key.len + value.len);
  question.pushBytes(key.ptr, key.len);
  if (value.isNull) question.pushI32(-1);
  else question.pushBytes(value.ptr, value.len);
  state_0_1(6, question.ptr, question.len);
}

/** Appends a batch to another topic, which the operator has granted; the error, or null. For interceptors. */
export function emitBatch(topic: string, batch: Slice): string | null {
  if (batch.len == 0) return null;
  question.reset();
  question.pushText(topic);
  question.pushBytes(batch.ptr, batch.len);
  ask(7);
  if (answer.u8() == 0) return null;
  const error = new Slice();
  answer.bytes(error);
  return error.toString();
}

/** Milliseconds since the Unix epoch. For interceptors. */
export function nowMs(): i64 {
  question.reset();
  ask(8);
  answer.u8();
  return answer.i64();
}

/** Unpredictable bytes, at most 64 KiB in one call; they stand until the call ends. For interceptors. */
export function random(length: i32): Slice {
  question.reset();
  question.pushI32(length);
  ask(9);
  answer.u8();
  const bytes = new Slice();
  answer.bytes(bytes);
  return bytes;
}
