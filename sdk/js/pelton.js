// The SDK for plugins written in JavaScript: record batches (Kafka's format v2), and the three kinds of plugin.
//
// What it does: it turns the bytes that cross into records, and edits into the smallest answer (nothing, records to
// drop, or a new batch). What it does not: the host's functions stand in files of their own (log.js, state.js ...), so
// that a plugin imports, and is granted, only what it names.

const HEADER_BYTES = 61;
const CHUNK = 8192;

/** Bytes of a text, bytes as they are, null as null. */
export function bytesOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? encodeUtf8(value) : value;
}

/** Text of bytes; null of null. Bytes that are no UTF-8 become U+FFFD. */
export function textOf(value) {
  return value === null ? null : decodeUtf8(value);
}

// QuickJS has neither TextEncoder nor TextDecoder.
function encodeUtf8(text) {
  const out = new Uint8Array(text.length * 3);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code < 0x80) {
      out[length++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const low = code < 0xdc00 ? text.charCodeAt(at + 1) : NaN;
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at++;
      } else {
        code = 0xfffd;
      }
    }
    if (code < 0x800) {
      out[length++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        out[length++] = 0xe0 | (code >> 12);
      } else {
        out[length++] = 0xf0 | (code >> 18);
        out[length++] = 0x80 | ((code >> 12) & 0x3f);
      }
      out[length++] = 0x80 | ((code >> 6) & 0x3f);
    }
    out[length++] = 0x80 | (code & 0x3f);
  }
  return out.slice(0, length);
}

function decodeUtf8(bytes) {
  let text = "";
  let units = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    let code = first;
    if (first >= 0x80) {
      const more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : 0;
      code = more === 0 ? -1 : first & (0x3f >> more);
      for (let left = more; left > 0 && code >= 0; left--) {
        const next = bytes[at];
        if (next === undefined || (next & 0xc0) !== 0x80) code = -1;
        else {
          code = (code << 6) | (next & 0x3f);
          at++;
        }
      }
      const least = [0, 0x80, 0x800, 0x10000][more];
      if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
    }
    if (code < 0x10000) units.push(code);
    else units.push(0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    if (units.length >= CHUNK) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return text + String.fromCharCode.apply(null, units);
}

class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  varint() {
    // Zigzag of up to 64 bits; past 2^53 a number is not exact, which no length and no delta reaches.
    let value = 0;
    let scale = 1;
    for (let read = 0; read < 10; read++) {
      if (this.at >= this.bytes.length) throw new Error("the batch ends within a number");
      const byte = this.bytes[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    throw new Error("a number of the batch has more than ten bytes");
  }

  nullable() {
    const length = this.varint();
    if (length < 0) return null;
    const end = this.at + length;
    if (end > this.bytes.length) throw new Error("the batch ends within a field");
    const field = this.bytes.subarray(this.at, end);
    this.at = end;
    return field;
  }
}

class Writer {
  constructor(capacity) {
    this.bytes = new Uint8Array(Math.max(capacity, 256));
    this.length = 0;
  }

  room(count) {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  varint(value) {
    this.room(10);
    let rest = value >= 0 ? value * 2 : -value * 2 - 1;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  raw(field) {
    this.room(field.length);
    this.bytes.set(field, this.length);
    this.length += field.length;
  }

  nullable(field) {
    if (field === null) return this.varint(-1);
    this.varint(field.length);
    this.raw(field);
  }

  take() {
    return this.bytes.slice(0, this.length);
  }
}

/** One record. `key` and `value` are Uint8Array or null; `headers` a list of [name, Uint8Array or null]. */
export class Record {
  constructor(offsetDelta, timestampMs, key, value, headers) {
    this.offsetDelta = offsetDelta;
    this.timestampMs = timestampMs;
    this.key = key;
    this.value = value;
    this.headers = headers;
  }

  /** The value as text. */
  text() {
    return textOf(this.value);
  }

  /** The value of the last header of that name, or undefined. */
  header(name) {
    for (let at = this.headers.length - 1; at >= 0; at--) {
      if (this.headers[at][0] === name) return this.headers[at][1];
    }
    return undefined;
  }
}

/** A batch that the host gave. Iterating reads it; keys and values point into its bytes. */
export class Batch {
  constructor(bytes) {
    if (bytes.length < HEADER_BYTES) throw new Error("the batch is shorter than its header");
    this.bytes = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.baseOffset = Number(view.getBigInt64(0));
    this.lastOffsetDelta = view.getInt32(23);
    this.baseTimestampMs = Number(view.getBigInt64(27));
    this.maxTimestampMs = Number(view.getBigInt64(35));
    this.length = view.getInt32(57);
  }

  *[Symbol.iterator]() {
    const reader = new Reader(this.bytes, HEADER_BYTES);
    for (let n = 0; n < this.length; n++) {
      const length = reader.varint();
      const end = reader.at + length;
      reader.at += 1;
      const timestampMs = this.baseTimestampMs + reader.varint();
      const offsetDelta = reader.varint();
      const key = reader.nullable();
      const value = reader.nullable();
      const headers = [];
      for (let left = reader.varint(); left > 0; left--) {
        headers.push([textOf(reader.nullable()), reader.nullable()]);
      }
      reader.at = end;
      yield new Record(offsetDelta, timestampMs, key, value, headers);
    }
  }
}

/** Encodes records (with their offset deltas, ascending) as one batch. The host fills in the rest. */
export function encodeBatch(records, baseTimestampMs = records[0]?.timestampMs ?? 0, lastOffsetDelta = -1) {
  const body = new Writer(1024);
  const one = new Writer(256);
  let last = lastOffsetDelta;
  let maxTimestampMs = baseTimestampMs;
  for (const record of records) {
    one.length = 0;
    one.room(1);
    one.bytes[one.length++] = 0;
    one.varint(record.timestampMs - baseTimestampMs);
    one.varint(record.offsetDelta);
    one.nullable(bytesOf(record.key));
    one.nullable(bytesOf(record.value));
    one.varint(record.headers.length);
    for (const [name, value] of record.headers) {
      one.nullable(bytesOf(name));
      one.nullable(bytesOf(value));
    }
    body.varint(one.length);
    body.raw(one.bytes.subarray(0, one.length));
    last = Math.max(last, record.offsetDelta);
    maxTimestampMs = Math.max(maxTimestampMs, record.timestampMs);
  }
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setInt32(8, bytes.length - 12);
  view.setInt32(12, -1);
  bytes[16] = 2;
  view.setInt32(23, Math.max(last, 0));
  view.setBigInt64(27, BigInt(baseTimestampMs));
  view.setBigInt64(35, BigInt(maxTimestampMs));
  view.setBigInt64(43, -1n);
  view.setInt16(51, -1);
  view.setInt32(53, -1);
  view.setInt32(57, records.length);
  bytes.set(body.bytes.subarray(0, body.length), HEADER_BYTES);
  return bytes;
}

/** What an interceptor decides about a batch, record by record. A record that it does not speak of goes on as it is. */
export class Verdict {
  constructor() {
    this.dropped = new Set();
    this.rejected = [];
    this.edited = new Map();
  }

  /** Takes the record away. */
  drop(record) {
    this.dropped.add(record.offsetDelta);
  }

  /** Refuses the record; the topic's policy says what becomes of it. */
  reject(record, reason) {
    this.rejected.push({ offsetDelta: record.offsetDelta, reason: String(reason) });
  }

  /** Gives the record other fields: { key, value, headers }, each a text, bytes or (but for headers) null. */
  replace(record, fields) {
    const before = this.edited.get(record.offsetDelta) ?? record;
    const after = new Record(record.offsetDelta, record.timestampMs, before.key, before.value, before.headers);
    this.edited.set(record.offsetDelta, Object.assign(after, fields));
  }

  outcome(batch) {
    let change = { tag: "none" };
    if (this.edited.size > 0) {
      const kept = [];
      for (const record of batch) {
        if (!this.dropped.has(record.offsetDelta)) kept.push(this.edited.get(record.offsetDelta) ?? record);
      }
      const bytes = kept.length === 0 ? new Uint8Array() : encodeBatch(kept, batch.baseTimestampMs, batch.lastOffsetDelta);
      change = { tag: "replace", val: bytes };
    } else if (this.dropped.size > 0) {
      change = { tag: "drop", val: [...this.dropped].sort((a, b) => a - b) };
    }
    return { change, rejected: this.rejected };
  }
}

const PARTS = ["key", "value", "headers"];

function flags(names, all) {
  const unknown = (names ?? []).find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`\`${unknown}\` is none of ${all.join(", ")}`);
  return Object.fromEntries(all.map((name) => [name, (names ?? []).includes(name)]));
}

function described(error) {
  return error instanceof Error ? error.message : String(error);
}

/** Runs a function of the plugin; what it throws becomes the contract's error, which is a text. */
function guarded(call) {
  try {
    return call();
  } catch (error) {
    throw described(error);
  }
}

function parseConfig(text) {
  return text.trim() === "" ? {} : JSON.parse(text);
}

/**
 * Makes the interface `interceptor` of a plugin:
 *
 *     export const interceptor = defineInterceptor({
 *       reads: ["value"], writes: ["value"], drops: false, reuse: "for-everyone",
 *       configure(config) { ... },
 *       onConsume(to, batch, verdict) { for (const record of batch) { ... } },
 *     });
 *
 * The hooks that it has are the hooks that are called.
 */
export function defineInterceptor(plugin) {
  const batchHook = (hook) => (origin, bytes) =>
    guarded(() => {
      const batch = new Batch(bytes);
      const verdict = new Verdict();
      hook?.call(plugin, origin, batch, verdict);
      return verdict.outcome(batch);
    });
  return {
    describe: () => ({
      hooks: {
        onSend: typeof plugin.onSend === "function",
        onAcknowledgement: typeof plugin.onAcknowledgement === "function",
        onConsume: typeof plugin.onConsume === "function",
        onCommit: typeof plugin.onCommit === "function",
      },
      reads: flags(plugin.reads, PARTS),
      writes: flags(plugin.writes, PARTS),
      drops: plugin.drops === true,
      reuse: plugin.reuse ?? "never",
    }),
    configure: (text) => guarded(() => void plugin.configure?.(parseConfig(text))),
    onSend: batchHook(plugin.onSend),
    onConsume: batchHook(plugin.onConsume),
    onAcknowledgement: (origin, acknowledged) => guarded(() => void plugin.onAcknowledgement?.(origin, acknowledged)),
    onCommit: (committed) => guarded(() => void plugin.onCommit?.(committed)),
  };
}

/**
 * Makes the interface `partitioner` of a plugin: `partition(record, topic, partitions)` gives a number, or null where
 * any partition will do.
 */
export function definePartitioner(plugin) {
  return {
    describe: () => flags(plugin.reads ?? ["key"], PARTS),
    configure: (text) => guarded(() => void plugin.configure?.(parseConfig(text))),
    partition: (bytes, topic, partitions) =>
      guarded(() => Array.from(new Batch(bytes), (record) => plugin.partition(record, topic, partitions) ?? -1)),
  };
}

/**
 * Makes the interface `transform` of a plugin: `process(batch, out)`, where `out.emit(key, value, headers?)` emits
 * and `out.reject(record, reason)` sends a record to the dead letters.
 */
export function defineTransform(plugin) {
  return {
    configure: (text, stores) => guarded(() => void plugin.configure?.(parseConfig(text), stores)),
    process: (bytes) =>
      guarded(() => {
        const batch = new Batch(bytes);
        const records = [];
        const rejected = [];
        let timestampMs = batch.baseTimestampMs;
        const read = {
          length: batch.length,
          *[Symbol.iterator]() {
            for (const record of batch) {
              timestampMs = record.timestampMs;
              yield record;
            }
          },
        };
        plugin.process(read, {
          emit: (key, value, headers = []) => {
            records.push(new Record(records.length, timestampMs, bytesOf(key), bytesOf(value), headers));
          },
          reject: (record, reason) => rejected.push({ offsetDelta: record.offsetDelta, reason: String(reason) }),
        });
        return { output: records.length === 0 ? new Uint8Array() : encodeBatch(records), rejected };
      }),
  };
}

/** Kafka's murmur2, as a non-negative number: `toPositive(murmur2(key))` of the Java client. */
export function murmur2(key) {
  const M = 0x5bd1e995;
  const length = key.length;
  let hash = (0x9747b28c ^ length) | 0;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = key[at] | (key[at + 1] << 8) | (key[at + 2] << 16) | (key[at + 3] << 24);
    k = Math.imul(k, M);
    k ^= k >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(k, M);
  }
  const left = length - at;
  if (left > 0) {
    if (left === 3) hash ^= key[at + 2] << 16;
    if (left >= 2) hash ^= key[at + 1] << 8;
    hash = Math.imul(hash ^ key[at], M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return (hash ^ (hash >>> 15)) & 0x7fffffff;
}
