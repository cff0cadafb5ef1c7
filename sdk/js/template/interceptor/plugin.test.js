import assert from "node:assert/strict";
import { test } from "node:test";
import { applied, batchOf, origin } from "pelton-sdk/testing.js";
import { interceptor } from "./plugin.js";

test("records with the word are dropped", () => {
  interceptor.configure('{"word":"no"}');
  const batch = batchOf([{ value: "yes" }, { value: "no" }, { value: null }]);
  const kept = applied(batch, interceptor.onSend(origin(), batch));
  assert.deepEqual(kept.map((record) => record.offsetDelta), [0, 2]);
});
