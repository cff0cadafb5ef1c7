// Records for other topics: those that the operator grants in `pelton.plugin.NAME.emit`.
import host from "pelton:plugin/emit@0.1.1";
import { Record, bytesOf, encodeBatch } from "./pelton.js";

/** Appends records, each { key, value, headers?, timestampMs? }. Throws when the topic is not granted. */
export function toTopic(topic, records) {
  const numbered = records.map(
    (record, n) =>
      new Record(n, record.timestampMs ?? -1, bytesOf(record.key ?? null), bytesOf(record.value ?? null), record.headers ?? []),
  );
  host.toTopic(topic, encodeBatch(numbered));
}
