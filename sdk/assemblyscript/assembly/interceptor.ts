// Plugins on the way of a topic's records. The entry file of a plugin has these three lines:
//
//   import { Interceptor, register, ... } from "./pelton/assembly/interceptor";
//   export { pelton_alloc, pelton_interceptor_0_1 } from "./pelton/assembly/interceptor";
//   register(new MyInterceptor());

import { Buffer, Reader, Slice } from "./bytes";
import { UNKNOWN_CALL, answer, bytes, closeCall, openCall, request } from "./call";
import { emitBatch } from "./host";
import { Batch, HEADER_LEN, Record, Writer, pushRecord } from "./record";

export { Buffer, Slice } from "./bytes";
export * from "./host";
export { Batch, HEADERS, KEY, Record, VALUE, Writer } from "./record";

/** Hooks: on-send 1, on-acknowledgement 2, on-consume 4, on-commit 8. */
export const ON_SEND: u8 = 1;
export const ON_ACKNOWLEDGEMENT: u8 = 2;
export const ON_CONSUME: u8 = 4;
export const ON_COMMIT: u8 = 8;

/** How often `onConsume` must see a batch. */
export const NEVER: u8 = 0;
export const FOR_EVERYONE: u8 = 1;
export const FOR_PRINCIPAL: u8 = 2;

/** What the plugin needs and does. It is shown to the operator. */
export class Wants {
  hooks: u8 = 0;
  reads: u8 = 0;
  writes: u8 = 0;
  drops: bool = false;
  reuse: u8 = NEVER;
}

/** Who sends or reads, and where. */
@final
export class Origin {
  principal: Slice = new Slice();
  clientId: Slice = new Slice();
  clientAddress: Slice = new Slice();
  topic: Slice = new Slice();
  partition: i32 = 0;

  read(request: Reader): void {
    request.bytes(this.principal);
    request.bytes(this.clientId);
    request.bytes(this.clientAddress);
    request.bytes(this.topic);
    this.partition = request.i32();
  }
}

/** What became of a producer's batch. */
@final
export class Acknowledgement {
  /** -1 when the batch was refused. */
  baseOffset: i64 = 0;
  recordCount: i32 = 0;
  atMs: i64 = 0;
  /** Null when the batch was appended. */
  error: Slice = new Slice();
}

/** The offsets of one topic that a group has committed: `while (commit.next()) { commit.partition, commit.offset }` */
@final
export class Commit {
  principal: Slice = new Slice();
  clientId: Slice = new Slice();
  clientAddress: Slice = new Slice();
  group: Slice = new Slice();
  member: Slice = new Slice();
  topic: Slice = new Slice();
  transactional: bool = false;
  partition: i32 = 0;
  offset: i64 = 0;
  at: usize = 0;
  left: i32 = 0;

  next(): bool {
    if (this.left <= 0) return false;
    this.left -= 1;
    this.partition = load<i32>(this.at);
    this.offset = load<i64>(this.at + 4);
    this.at += 12;
    return true;
  }
}

/** What becomes of a batch. Left alone, it goes on as it is. Records are dropped and changed in their order. */
@final
export class Outcome {
  batch: Batch = new Batch();
  misuse: bool = false;
  private rejected: Buffer = new Buffer();
  private rejections: i32 = 0;
  private dropped: Buffer = new Buffer();
  private drops: i32 = 0;
  // Where the dropped records stand, until the first change.
  private spans: Buffer = new Buffer();
  private changed: Buffer = new Buffer();
  private copied: usize = 0;

  reset(): void {
    this.misuse = false;
    this.rejected.reset();
    this.rejections = 0;
    this.dropped.reset();
    this.drops = 0;
    this.spans.reset();
    this.changed.reset();
    this.copied = this.batch.ptr + HEADER_LEN;
  }

  /** Takes a record of the input away. */
  drop(record: Record): void {
    if (!this.inOrder(record)) return;
    if (this.changed.len > 0) {
      this.changed.pushRaw(this.copied, i32(record.from - this.copied));
    } else {
      this.spans.pushI32(i32(record.from));
      this.spans.pushI32(i32(record.to));
      this.dropped.pushI32(record.offsetDelta);
    }
    this.drops += 1;
    this.copied = record.to;
  }

  /** Puts the record in place of what it was in the input. Offset and timestamp stay. */
  change(record: Record): void {
    if (!this.inOrder(record)) return;
    const batch = this.batch;
    const changed = this.changed;
    if (changed.len == 0) {
      // The first change: the batch up to here, without what was dropped.
      changed.reserve(batch.len + batch.len / 8 + record.value.len);
      let copied = batch.ptr;
      for (let at = 0; at < this.spans.len; at += 8) {
        const from = usize(load<u32>(this.spans.ptr + at));
        changed.pushRaw(copied, i32(from - copied));
        copied = usize(load<u32>(this.spans.ptr + at, 4));
      }
      this.copied = copied;
    }
    changed.pushRaw(this.copied, i32(record.from - this.copied));
    pushRecord(changed, record, batch.logAppendTime ? batch.maxTimestamp : batch.baseTimestamp, record.offsetDelta);
    this.copied = record.to;
  }

  /** Refuses a record. What becomes of it is the topic's choice. */
  reject(record: Record, reason: string): void {
    this.rejected.pushI32(record.offsetDelta);
    this.rejected.pushText(reason);
    this.rejections += 1;
  }

  private inOrder(record: Record): bool {
    if (record.from < this.copied || record.to <= record.from || record.to > this.batch.end) this.misuse = true;
    return !this.misuse;
  }

  write(answer: Buffer): void {
    const changed = this.changed;
    if (changed.len > 0) {
      changed.pushRaw(this.copied, i32(this.batch.end - this.copied));
      store<u32>(changed.ptr + 8, bswap(u32(changed.len - 12)));
      store<u32>(changed.ptr + 57, bswap(u32(this.batch.count - this.drops)));
      answer.pushU8(2);
      answer.pushBytes(changed.ptr, changed.len);
    } else if (this.drops > 0) {
      answer.pushU8(1);
      answer.pushI32(this.drops);
      answer.pushRaw(this.dropped.ptr, this.dropped.len);
    } else {
      answer.pushU8(0);
    }
    answer.pushI32(this.rejections);
    answer.pushRaw(this.rejected.ptr, this.rejected.len);
  }
}

/** A plugin overrides what it needs. A text that a method returns is an error; null says that all is well. */
export class Interceptor {
  describe(): Wants {
    return new Wants();
  }

  configure(_config: string): string | null {
    return null;
  }

  onSend(_from: Origin, _batch: Batch, _out: Outcome): string | null {
    return null;
  }

  onAcknowledgement(_from: Origin, _acknowledged: Acknowledgement): string | null {
    return null;
  }

  onConsume(_to: Origin, _batch: Batch, _out: Outcome): string | null {
    return null;
  }

  onCommit(_commit: Commit): string | null {
    return null;
  }
}

/** Appends a batch to another topic, which the operator has granted; the error, or null. */
export function emit(topic: string, writer: Writer): string | null {
  return emitBatch(topic, writer.finish());
}

let plugin: Interceptor = new Interceptor();
const origin: Origin = new Origin();
const out: Outcome = new Outcome();

/** Makes it the plugin of this module. */
export function register(interceptor: Interceptor): void {
  plugin = interceptor;
}

function describe(): void {
  const wants = plugin.describe();
  answer.pushU8(wants.hooks);
  answer.pushU8(wants.reads);
  answer.pushU8(wants.writes);
  answer.pushU8(u8(wants.drops));
  answer.pushU8(wants.reuse);
}

function hook(call: i32): string | null {
  origin.read(request);
  request.bytes(bytes);
  if (request.bad) return null;
  const batch = out.batch;
  let error = batch.open(bytes);
  if (error !== null) return error;
  out.reset();
  error = call == 2 ? plugin.onSend(origin, batch, out) : plugin.onConsume(origin, batch, out);
  if (error !== null) return error;
  if (batch.damage !== null) return batch.damage;
  if (out.misuse) return "the plugin drops or changes records out of their order, or one twice";
  out.write(answer);
  return null;
}

function acknowledged(): string | null {
  const what = new Acknowledgement();
  origin.read(request);
  what.baseOffset = request.i64();
  what.recordCount = request.i32();
  what.atMs = request.i64();
  if (request.u8() == 1) request.bytes(what.error);
  return request.bad ? null : plugin.onAcknowledgement(origin, what);
}

function committed(): string | null {
  const what = new Commit();
  request.bytes(what.principal);
  request.bytes(what.clientId);
  request.bytes(what.clientAddress);
  request.bytes(what.group);
  request.bytes(what.member);
  request.bytes(what.topic);
  what.left = request.i32();
  what.at = request.at;
  if (u64(u32(what.left)) * 12 > u64(request.end - request.at)) {
    request.bad = true;
    return null;
  }
  request.at += usize(what.left) * 12;
  what.transactional = request.u8() == 1;
  return request.bad ? null : plugin.onCommit(what);
}

function dispatch(call: i32): string | null {
  if (call == 0) {
    describe();
  } else if (call == 1) {
    request.bytes(bytes);
    return request.bad ? null : plugin.configure(bytes.toString());
  } else if (call == 2 || call == 4) {
    return hook(call);
  } else if (call == 3) {
    return acknowledged();
  } else if (call == 5) {
    return committed();
  } else {
    return UNKNOWN_CALL;
  }
  return null;
}

/** The plugin's export. */
export function pelton_interceptor_0_1(call: i32, ptr: usize, len: i32): u64 {
  openCall(ptr, len);
  return closeCall(dispatch(call));
}
