// Run by build.sh, which names the module in PELTON_MODULE.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../sdk/assemblyscript/testing/host.mjs";

const plugin = load(process.env.PELTON_MODULE);
const sent = (...values) => plugin.onSend(values.map((value) => ({ key: "k", value, headers: [["h", "1"]] })));

test("card numbers are masked, and nothing else", () => {
  plugin.configure("{}");
  plugin.metrics.length = 0;
  const out = sent(
    '{"card": "4111 1111 1111 1111", "order": 1234567890123456}',
    "5500-0000-0000-0004 and 340000000000009.",
    "4111111111111112 has a wrong check digit",
    "411111111111",
    null,
    "",
  );
  assert.deepEqual(out.records.map((record) => record.value), [
    '{"card": "**** **** **** 1111", "order": 1234567890123456}',
    "****-****-****-0004 and ***********0009.",
    "4111111111111112 has a wrong check digit",
    "411111111111",
    null,
    "",
  ]);
  assert.deepEqual(out.records.map((record) => [record.offsetDelta, record.key, record.headers]),
    out.records.map((_, n) => [n, "k", [["h", "1"]]]));
  assert.deepEqual(plugin.metrics, ["masked 3"]);
});

test("a batch without card numbers is left alone", () => {
  const out = sent("nothing here", "2024-01-01 12:00:00");
  assert.equal(out.changed, false);
});

test("the configuration is obeyed, and a wrong one is refused", () => {
  plugin.configure('{"keep": 0, "mask": "#"}');
  assert.equal(sent("4111111111111111").records[0].value, "#".repeat(16));
  assert.throws(() => plugin.configure('{"keep": 7}'), /0 to 6/);
  assert.throws(() => plugin.configure('{"mask": "ab"}'), /one visible/);
  assert.throws(() => plugin.configure('{"kept": 1}'), /`kept` is unknown/);
});

test("a thousand calls need no more memory than ten", () => {
  plugin.configure("{}");
  const value = "4111111111111111 ".repeat(200);
  for (let n = 0; n < 10; n++) sent(value, value);
  const size = plugin.exports.memory.buffer.byteLength;
  for (let n = 0; n < 1000; n++) sent(value, value);
  assert.equal(plugin.exports.memory.buffer.byteLength, size);
});
