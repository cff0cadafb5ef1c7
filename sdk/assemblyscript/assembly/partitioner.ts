// Plugins that say which partition a record belongs to. The answer must depend on the record, the configuration and the
// number of partitions alone. The entry file of a plugin has these three lines:
//
//   import { Partitioner, register, ... } from "./pelton/assembly/partitioner";
//   export { pelton_alloc, pelton_partitioner_0_1 } from "./pelton/assembly/partitioner";
//   register(new MyPartitioner());

import { Slice } from "./bytes";
import { UNKNOWN_CALL, answer, bytes, closeCall, openCall, request } from "./call";
import { Batch, Record } from "./record";

export { Buffer, Slice } from "./bytes";
export { DEBUG, ERROR, INFO, Label, WARN, count, gauge, log, observe, pelton_alloc } from "./host";
export { Batch, HEADERS, KEY, Record, VALUE } from "./record";

/** A plugin overrides what it needs. A text that a method returns is an error; null says that all is well. */
export class Partitioner {
  /** The parts of a record that it reads. */
  reads(): u8 {
    return 0;
  }

  configure(_config: string): string | null {
    return null;
  }

  /** The partition of a record: 0 to `partitions - 1`, or -1 where any will do. */
  partition(_record: Record, _topic: Slice, _partitions: i32): i32 {
    return -1;
  }
}

/** The hash by which Kafka's own clients place a key: `murmur2(key) & 0x7fffffff` modulo the number of partitions. */
export function murmur2(key: Slice): u32 {
  const m: u32 = 0x5bd1e995;
  let hash: u32 = 0x9747b28c ^ u32(key.len);
  let at = 0;
  for (; at + 4 <= key.len; at += 4) {
    let k = load<u32>(key.ptr + at) * m;
    k ^= k >> 24;
    hash = (hash * m) ^ (k * m);
  }
  const left = key.len - at;
  if (left > 2) hash ^= u32(key.get(at + 2)) << 16;
  if (left > 1) hash ^= u32(key.get(at + 1)) << 8;
  if (left > 0) hash = (hash ^ u32(key.get(at))) * m;
  hash = (hash ^ (hash >> 13)) * m;
  return hash ^ (hash >> 15);
}

let plugin: Partitioner = new Partitioner();
const topic: Slice = new Slice();
const batch: Batch = new Batch();

/** Makes it the plugin of this module. */
export function register(partitioner: Partitioner): void {
  plugin = partitioner;
}

function partition(): string | null {
  request.bytes(bytes);
  request.bytes(topic);
  const partitions = request.i32();
  if (request.bad) return null;
  const error = batch.open(bytes);
  if (error !== null) return error;
  answer.pushI32(batch.count);
  while (batch.next()) answer.pushI32(plugin.partition(batch.record, topic, partitions));
  return batch.damage;
}

function dispatch(call: i32): string | null {
  if (call == 0) {
    answer.pushU8(plugin.reads());
  } else if (call == 1) {
    request.bytes(bytes);
    return request.bad ? null : plugin.configure(bytes.toString());
  } else if (call == 2) {
    return partition();
  } else {
    return UNKNOWN_CALL;
  }
  return null;
}

/** The plugin's export. */
export function pelton_partitioner_0_1(call: i32, ptr: usize, len: i32): u64 {
  openCall(ptr, len);
  return closeCall(dispatch(call));
}
