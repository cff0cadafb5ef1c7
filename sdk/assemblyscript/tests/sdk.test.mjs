// The SDK through built modules. Run by test.sh, which names their folder in PELTON_GUESTS.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBatch, load } from "../testing/host.mjs";

const guest = (name) => load(`${process.env.PELTON_GUESTS}/${name}.wasm`);
const values = (...list) => list.map((value) => ({ key: "k", value }));

test("drops and changes keep offsets and timestamps", () => {
  const probe = guest("probe");
  assert.deepEqual(probe.describe(), [15, 7, 6, 1, 2]);
  probe.configure("{}");
  const out = probe.onSend(values(null, "one", null, "two", null, "one", null));
  assert.deepEqual(out.records.map((record) => [record.offsetDelta, record.value]), [[1, "ONE"], [3, "two"], [5, "ONE"]]);
  assert.deepEqual(out.records[0].headers, [["by", "User:alice"]]);
  assert.deepEqual(out.records.map((record) => record.timestampMs - 3_600_000), [1, 3, 5]);
  assert.deepEqual(out.rejected, [{ offsetDelta: 3, reason: "no two" }]);
  const dropped = probe.onSend(values(null, "a", null));
  assert.deepEqual(dropped.records.map((record) => record.offsetDelta), [1]);
  assert.equal(probe.onSend([]).changed, false);
});

test("the host is asked", () => {
  const probe = guest("probe");
  probe.configure("{}");
  probe.nowMs = 1_700_000_000_000;
  for (let n = 0; n < 3; n++) assert.equal(probe.onConsume(values("a", null)).changed, false);
  assert.deepEqual([...probe.state.get("0/User:alice")], [3]);
  assert.equal(probe.log.at(-1), "info: seen 3, random 16");
  assert.deepEqual(probe.emitted.map(({ topic, records }) => [topic, records.length, records[1].value]), Array(3).fill(["copies", 2, null]));
  probe.granted = ["others"];
  assert.throws(() => probe.onConsume(values("a")), /not granted/);
  probe.metrics.length = 0;
  probe.onAcknowledgement({ recordCount: 7 });
  probe.onCommit({ offsets: [[0, 5], [1, 9]] });
  assert.deepEqual(probe.metrics, ["acknowledged{topic_name=topic} 7", "offsets 5 9"]);
});

test("an exception is logged before it traps", () => {
  const probe = guest("probe");
  probe.configure('{"trap":true}');
  assert.throws(() => probe.onSend(values("a")), /unreachable/);
  assert.match(probe.log[0], /^error: about to trap, at .*probe\.ts:\d+$/);
});

test("records are placed", () => {
  const place = guest("place");
  assert.deepEqual(place.describe(), [1]);
  assert.deepEqual(place.partition([{ key: "A" }, { key: null }, { key: "" }, { key: "C" }], 10), [5, -1, -1, 7]);
});

test("damaged batches are answered with an error, never with a trap", () => {
  const upper = guest("uppercase");
  const batch = encodeBatch([{ key: "key", value: "value", headers: [["h", null]] }, { key: null, value: "x" }]);
  const send = (bytes) => {
    const request = { bytes: [] };
    for (let n = 0; n < 4; n++) request.bytes.push(1, 0, 0, 0, 120);
    request.bytes.push(0, 0, 0, 0, ...new Uint8Array(Uint32Array.of(bytes.length).buffer), ...bytes);
    try {
      upper.call(2, request);
    } catch (error) {
      assert.equal(error.constructor, Error, `a trap: ${error}`);
    }
  };
  for (let at = 0; at < batch.length; at++) {
    for (const damage of [0, 1, 0x7f, 0x80, 0xff]) {
      const damaged = batch.slice();
      damaged[at] = damage;
      send(damaged);
    }
    send(batch.slice(0, at));
  }
  assert.equal(upper.onSend(values("abc")).records[0].value, "ABC");
});
