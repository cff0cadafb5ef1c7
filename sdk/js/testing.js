// Runs a plugin under node, without Wasm: `node --import pelton-sdk/testing.js --test`.
//
// The host's functions are stubs that a test reads: `host.lines`, `host.metrics`, `host.emitted`, `host.stores`.
import { register } from "node:module";
import { Batch, Record, bytesOf, encodeBatch } from "./pelton.js";

/** What a plugin has asked of the host. `reset()` empties it. */
export const host = (globalThis.peltonHost ??= {
  lines: [],
  metrics: [],
  emitted: [],
  stores: new Map(),
  nowMs: 0,
  reset() {
    this.lines.length = this.metrics.length = this.emitted.length = 0;
    this.stores.clear();
    this.nowMs = 0;
  },
});

const STUBS = {
  log: `write: (level, message) => host.lines.push([level, message])`,
  metrics: `count: (name, labels, by) => host.metrics.push({ name, labels: Object.fromEntries(labels), count: by }),
    gauge: (name, labels, value) => host.metrics.push({ name, labels: Object.fromEntries(labels), gauge: value }),
    observe: (name, labels, values) => host.metrics.push({ name, labels: Object.fromEntries(labels), values })`,
  state: `get: (store, key) => host.stores.get(store + ":" + key) ?? null,
    put: (store, key, value) => void host.stores.set(store + ":" + key, value),
    delete: (store, key) => void host.stores.delete(store + ":" + key)`,
  emit: `toTopic: (topic, batch) => host.emitted.push({ topic, batch })`,
  clock: `nowMs: () => host.nowMs`,
  random: `bytes: (count) => new Uint8Array(count)`,
};

const hooks = `
const stubs = ${JSON.stringify(STUBS)};
export function resolve(specifier, context, next) {
  if (specifier.startsWith("pelton:plugin/")) {
    const name = specifier.slice("pelton:plugin/".length).split("@")[0];
    const source = "const host = globalThis.peltonHost; export default { " + stubs[name] + " };";
    return { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
  }
  return next(specifier, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** A batch of records, each { key, value, headers?, timestampMs? }. */
export function batchOf(records) {
  return encodeBatch(
    records.map(
      (record, n) =>
        new Record(n, record.timestampMs ?? 0, bytesOf(record.key ?? null), bytesOf(record.value ?? null), record.headers ?? []),
    ),
  );
}

/** Who sends or reads, for a test. */
export const origin = (fields = {}) => ({
  principal: "User:ANONYMOUS",
  clientId: "test",
  clientAddress: "/127.0.0.1",
  topic: "topic",
  partition: 0,
  ...fields,
});

/** The records that go on, when a hook answered a batch with this outcome. */
export function applied(bytes, outcome) {
  const { change } = outcome;
  if (change.tag === "replace") return change.val.length === 0 ? [] : [...new Batch(change.val)];
  const records = [...new Batch(bytes)];
  return change.tag === "drop" ? records.filter((record) => !change.val.includes(record.offsetDelta)) : records;
}

/** The records of a batch that a plugin has written. */
export const recordsOf = (bytes) => (bytes.length === 0 ? [] : [...new Batch(bytes)]);
