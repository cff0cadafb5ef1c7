import assert from "node:assert/strict";
import { test } from "node:test";
import { batchOf } from "pelton-sdk/testing.js";
import { partitioner } from "./plugin.js";

test("keys with the same beginning meet", () => {
  partitioner.configure("{}");
  const batch = batchOf([{ key: "user-1" }, { key: "user-2" }, { key: null }]);
  const [first, second, none] = partitioner.partition(batch, "topic", 12);
  assert.equal(first, second);
  assert.equal(none, -1);
});
