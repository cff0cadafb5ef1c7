import assert from "node:assert/strict";
import { test } from "node:test";
import { applied, batchOf, host, origin } from "pelton-sdk/testing.js";
import { interceptor } from "./plugin.js";

test("card numbers are blanked, other values stay", () => {
  host.reset();
  interceptor.configure("{}");
  const batch = batchOf([
    { key: "a", value: '{"card":"4000123412341234","sum":3}' },
    { value: "no json" },
    { value: null },
    { value: '{"sum":4}' },
  ]);
  const records = applied(batch, interceptor.onConsume(origin(), batch));
  assert.deepEqual(
    records.map((record) => record.text()),
    ['{"card":"**** 1234","sum":3}', "no json", null, '{"sum":4}'],
  );
  assert.equal(new TextDecoder().decode(records[0].key), "a");
  assert.deepEqual(host.metrics, [{ name: "redacted_records", labels: {}, count: 1 }]);
});

test("a misspelt configuration is refused with its key", () => {
  assert.throws(() => interceptor.configure('{"feild":"x"}'), (error) => String(error).includes("feild"));
});

test("it asks for the values alone", () => {
  const wants = interceptor.describe();
  assert.deepEqual(wants.hooks, { onSend: false, onAcknowledgement: false, onConsume: true, onCommit: false });
  assert.deepEqual(wants.reads, { key: false, value: true, headers: false });
});
