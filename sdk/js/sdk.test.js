import assert from "node:assert/strict";
import { test } from "node:test";
import { Batch, Record, bytesOf, encodeBatch, murmur2, textOf } from "./pelton.js";

test("texts survive, and what is no UTF-8 is marked", () => {
  for (const text of ["", "plain", "äöü €", "𝄞 and 🦀", "x".repeat(20_000)]) {
    assert.deepEqual(bytesOf(text), new TextEncoder().encode(text));
    assert.equal(textOf(bytesOf(text)), text);
  }
  assert.equal(textOf(Uint8Array.of(0x61, 0xff, 0x62)), "a\ufffdb");
  assert.equal(textOf(Uint8Array.of(0xc0, 0x80)).includes("\ufffd"), true);
  assert.deepEqual(bytesOf("\ud800"), new TextEncoder().encode("\ud800"));
});

test("a batch is read as it was written", () => {
  const records = [
    new Record(0, 1_000, bytesOf("k"), bytesOf("v"), [["h", bytesOf("1")], ["n", null]]),
    new Record(3, 1_700_000_000_000, null, null, []),
    new Record(4, 999, bytesOf(""), bytesOf("y".repeat(70_000)), []),
  ];
  const batch = new Batch(encodeBatch(records, 1_000, 9));
  assert.equal(batch.length, 3);
  assert.equal(batch.lastOffsetDelta, 9);
  assert.deepEqual([...batch].map((r) => ({ ...r, key: textOf(r.key), value: textOf(r.value) })), [
    { offsetDelta: 0, timestampMs: 1_000, key: "k", value: "v", headers: [["h", bytesOf("1")], ["n", null]] },
    { offsetDelta: 3, timestampMs: 1_700_000_000_000, key: null, value: null, headers: [] },
    { offsetDelta: 4, timestampMs: 999, key: "", value: "y".repeat(70_000), headers: [] },
  ]);
});

test("a damaged batch is an error", () => {
  const whole = encodeBatch([new Record(0, 0, bytesOf("key"), bytesOf("value"), [])]);
  for (let cut = 0; cut < whole.length; cut++) {
    assert.throws(() => [...new Batch(whole.subarray(0, cut))]);
  }
});

test("murmur2 is Kafka's", () => {
  const cases = { 21: -973932308, foobar: -790332482, "a-little-bit-long-string": -985981536, abc: 479470107, "": 275646681 };
  for (const [text, hash] of Object.entries(cases)) assert.equal(murmur2(bytesOf(text)), hash & 0x7fffffff);
});
