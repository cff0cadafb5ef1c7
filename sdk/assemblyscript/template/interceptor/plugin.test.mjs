import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./pelton/testing/host.mjs";

const plugin = load(process.env.PELTON_MODULE);

test("records without a key are refused", () => {
  plugin.configure("{}");
  const out = plugin.onSend([{ key: "a", value: "1" }, { key: null, value: "2" }]);
  assert.deepEqual(out.rejected, [{ offsetDelta: 1, reason: "it has no key" }]);
  assert.equal(out.changed, false);
});

test("a configuration is refused", () => {
  assert.throws(() => plugin.configure('{"a": 1}'), /no configuration/);
});
