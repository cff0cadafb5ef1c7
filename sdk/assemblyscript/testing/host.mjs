// The host, played by node, so that a plugin's unit tests run without a broker: they call the built module.
//
//     import { test } from "node:test";
//     import assert from "node:assert/strict";
//     import { load } from "./pelton/testing/host.mjs";
//
//     const plugin = load("build/my-plugin.wasm");
//
//     test("tombstones are dropped", () => {
//       plugin.configure("{}");
//       assert.equal(plugin.onSend([{ key: "a", value: null }]).records.length, 0);
//     });
//
// Requests and answers are the bytes of the flat contract (sdk/wit/FLAT.md), as a broker writes and reads them.

import { readFileSync } from "node:fs";

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** Writes little-endian numbers, texts and lists. */
class Writer {
  bytes = [];
  u8(value) { this.bytes.push(value & 0xff); return this; }
  number(value, size) {
    for (let rest = BigInt.asUintN(size * 8, BigInt(value)), n = 0; n < size; n++, rest >>= 8n) this.u8(Number(rest & 0xffn));
    return this;
  }
  i32(value) { return this.number(value, 4); }
  i64(value) { return this.number(value, 8); }
  raw(bytes) { for (const byte of bytes) this.bytes.push(byte); return this; }
  blob(bytes) { return this.i32(bytes.length).raw(bytes); }
  text(value) { return this.blob(utf8.encode(value)); }
}

/** Reads them; a short read throws. */
class Reader {
  constructor(bytes) { this.bytes = bytes; this.at = 0; }
  take(length) {
    if (this.at + length > this.bytes.length) throw new Error("the module's bytes are cut short");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  view(length) { const taken = this.take(length); return new DataView(taken.buffer, taken.byteOffset, length); }
  u8() { return this.take(1)[0]; }
  i32() { return this.view(4).getInt32(0, true); }
  u32() { return this.view(4).getUint32(0, true); }
  i64() { return this.view(8).getBigInt64(0, true); }
  f64() { return this.view(8).getFloat64(0, true); }
  blob() { return this.take(this.u32()); }
  text() { return text.decode(this.blob()); }
  end() { if (this.at !== this.bytes.length) throw new Error("there are bytes behind the module's answer"); }
}

const bytesOf = (field) => (field == null ? null : typeof field === "string" ? utf8.encode(field) : field);
const textOf = (bytes) => (bytes == null ? null : text.decode(bytes));

function varint(value) {
  const out = [];
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  return out;
}

function readVarint(reader) {
  let bits = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.u8();
    bits |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return Number((bits >> 1n) ^ -(bits & 1n));
  }
}

const nullable = (bytes) => (bytes == null ? varint(-1) : [...varint(bytes.length), ...bytes]);

function readNullable(reader) {
  const length = readVarint(reader);
  return length < 0 ? null : reader.take(length);
}

/** Encodes records ({key, value, headers: [[name, value]], timestampMs}) as one batch. */
export function encodeBatch(records) {
  const base = records[0]?.timestampMs ?? 3_600_000;
  const body = [];
  records.forEach((record, n) => {
    const headers = record.headers ?? [];
    const bytes = [
      0, ...varint((record.timestampMs ?? base + n) - base), ...varint(n), ...nullable(bytesOf(record.key)),
      ...nullable(bytesOf(record.value)), ...varint(headers.length),
      ...headers.flatMap(([name, value]) => [...nullable(bytesOf(name)), ...nullable(bytesOf(value))]),
    ];
    for (const byte of varint(bytes.length)) body.push(byte);
    for (const byte of bytes) body.push(byte);
  });
  const batch = new Uint8Array(61 + body.length);
  const view = new DataView(batch.buffer);
  view.setInt32(8, batch.length - 12);
  batch[16] = 2;
  view.setInt32(23, records.length - 1);
  view.setBigInt64(27, BigInt(base));
  view.setBigInt64(35, BigInt(base + records.length));
  batch.fill(0xff, 43, 57);
  view.setInt32(57, records.length);
  batch.set(body, 61);
  return batch;
}

/** Decodes one batch. */
export function decodeBatch(batch) {
  if (batch.length === 0) return [];
  const view = new DataView(batch.buffer, batch.byteOffset, batch.length);
  if (batch.length < 61 || batch[16] !== 2 || view.getInt32(8) !== batch.length - 12) throw new Error("not one whole batch");
  const reader = new Reader(batch);
  reader.take(61);
  const records = [];
  for (let n = view.getInt32(57); n > 0; n--) {
    const length = readVarint(reader);
    const end = reader.at + length;
    reader.u8();
    const timestampMs = Number(view.getBigInt64(27)) + readVarint(reader);
    const offsetDelta = readVarint(reader);
    const record = { offsetDelta, timestampMs, key: textOf(readNullable(reader)), value: textOf(readNullable(reader)), headers: [] };
    for (let left = readVarint(reader); left > 0; left--) {
      record.headers.push([textOf(readNullable(reader)), textOf(readNullable(reader))]);
    }
    if (reader.at !== end) throw new Error("the lengths of a record do not fit");
    records.push(record);
  }
  reader.end();
  return records;
}

/** A module with its host. What it said stands in `log`, `metrics`, `state` and `emitted`. */
export class Plugin {
  log = [];
  metrics = [];
  state = new Map();
  emitted = [];
  /** Topics that may be emitted to; null: all. */
  granted = null;
  nowMs = 1_000;
  origin = { principal: "User:alice", clientId: "tests", clientAddress: "/127.0.0.1", topic: "topic", partition: 3 };

  constructor(bytes) {
    const module = new WebAssembly.Module(bytes);
    const asked = (serve) => (call, ptr, len) => {
      const request = new Reader(this.#memory().slice(ptr >>> 0, (ptr >>> 0) + len));
      const answer = serve.call(this, call, request);
      request.end();
      return answer === undefined ? 0n : this.#give(Uint8Array.from(answer.bytes));
    };
    const { exports } = new WebAssembly.Instance(module, {
      pelton: { host_0_1: asked(this.#host), state_0_1: asked(this.#stateCall) },
    });
    this.exports = exports;
    exports._initialize?.();
    this.world = Object.keys(exports).find((name) => /^pelton_(interceptor|partitioner|transform)_0_1$/.test(name));
    if (this.world === undefined) throw new Error("the module exports no world of the flat contract");
  }

  #memory() {
    return new Uint8Array(this.exports.memory.buffer);
  }

  #give(bytes) {
    const ptr = this.exports.pelton_alloc(bytes.length) >>> 0;
    this.#memory().set(bytes, ptr);
    return (BigInt(ptr) << 32n) | BigInt(bytes.length);
  }

  #host(call, request) {
    const labels = () => {
      const found = [];
      for (let n = request.u32(); n > 0; n--) found.push(`${request.text()}=${request.text()}`);
      return found.length ? `{${found.join(",")}}` : "";
    };
    if (call === 1) {
      const level = ["error", "warn", "info", "debug"][request.u8()];
      this.log.push(`${level}: ${request.text()}`);
    } else if (call === 2) {
      this.metrics.push(`${request.text()}${labels()} ${request.i64()}`);
    } else if (call === 3) {
      this.metrics.push(`${request.text()}${labels()} ${request.f64()}`);
    } else if (call === 4) {
      let line = `${request.text()}${labels()}`;
      for (let n = request.u32(); n > 0; n--) line += ` ${request.f64()}`;
      this.metrics.push(line);
    } else if (call === 7) {
      const topic = request.text();
      const records = decodeBatch(request.blob());
      if (this.granted !== null && !this.granted.includes(topic)) return new Writer().u8(1).text(`the topic ${topic} is not granted`);
      this.emitted.push({ topic, records });
    } else if (call === 8) {
      return new Writer().u8(0).i64(this.nowMs);
    } else if (call === 9) {
      return new Writer().u8(0).blob(Array.from({ length: request.i32() }, (_, n) => (n * 37 + 11) & 0xff));
    } else {
      throw new Error(`the host has no call ${call}`);
    }
    return undefined;
  }

  #stateCall(call, request) {
    const store = request.i32();
    const list = new Reader(request.blob());
    const values = new Writer();
    while (list.at < list.bytes.length) {
      const key = `${store}/${list.text()}`;
      if (call === 5) {
        const value = this.state.get(key);
        if (value === undefined) values.i32(-1);
        else values.blob(value);
      } else {
        const length = list.i32();
        if (length < 0) this.state.delete(key);
        else this.state.set(key, list.take(length).slice());
      }
    }
    return call === 5 ? new Writer().u8(0).blob(values.bytes) : undefined;
  }

  /** One call: the answer's value as a reader. An error of the plugin is thrown. */
  call(number, request) {
    const bytes = Uint8Array.from(request.bytes);
    const given = bytes.length === 0 ? 0n : this.#give(bytes);
    const packed = BigInt.asUintN(64, this.exports[this.world](number, Number(given >> 32n) | 0, bytes.length));
    const [ptr, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
    const answer = new Reader(this.#memory().slice(ptr, ptr + length));
    if (length > 0 && answer.u8() !== 0) throw new Error(answer.text());
    return answer;
  }

  describe() {
    return [...this.call(0, new Writer()).bytes.subarray(1)];
  }

  configure(config) {
    this.call(1, new Writer().text(config)).end();
  }

  #origin() {
    const { principal, clientId, clientAddress, topic, partition } = this.origin;
    return new Writer().text(principal).text(clientId).text(clientAddress).text(topic).i32(partition);
  }

  #hook(number, records) {
    const before = encodeBatch(records);
    const answer = this.call(number, this.#origin().blob(before));
    const change = answer.u8();
    let left = decodeBatch(before);
    if (change === 1) {
      const dropped = new Set();
      for (let n = answer.u32(); n > 0; n--) dropped.add(answer.i32());
      left = left.filter((record) => !dropped.has(record.offsetDelta));
    } else if (change === 2) {
      left = decodeBatch(answer.blob());
    }
    const rejected = [];
    for (let n = answer.u32(); n > 0; n--) rejected.push({ offsetDelta: answer.i32(), reason: answer.text() });
    answer.end();
    return { records: left, rejected, changed: change !== 0 };
  }

  onSend(records) {
    return this.#hook(2, records);
  }

  onConsume(records) {
    return this.#hook(4, records);
  }

  onAcknowledgement({ baseOffset = 0, recordCount = 1, atMs = 0, error = null }) {
    const request = this.#origin().i64(baseOffset).i32(recordCount).i64(atMs).u8(error === null ? 0 : 1);
    this.call(3, error === null ? request : request.text(error)).end();
  }

  onCommit({ group = "group", member = "member", offsets = [], transactional = false }) {
    const { principal, clientId, clientAddress, topic } = this.origin;
    const request = new Writer().text(principal).text(clientId).text(clientAddress).text(group).text(member).text(topic);
    request.i32(offsets.length);
    for (const [partition, offset] of offsets) request.i32(partition).i64(offset);
    this.call(5, request.u8(transactional ? 1 : 0)).end();
  }

  /** The partitions of the records. */
  partition(records, partitions) {
    const answer = this.call(2, new Writer().blob(encodeBatch(records)).text(this.origin.topic).i32(partitions));
    const placed = Array.from({ length: answer.u32() }, () => answer.i32());
    answer.end();
    return placed;
  }
}

/** Loads a built module. */
export function load(path) {
  return new Plugin(readFileSync(path));
}
