import assert from "node:assert/strict";
import { test } from "node:test";
import { batchOf, recordsOf } from "pelton-sdk/testing.js";
import { transform } from "./plugin.js";

test("values are turned to upper case", () => {
  transform.configure("{}", []);
  const { output, rejected } = transform.process(batchOf([{ value: "a" }, { value: null }]));
  assert.deepEqual(recordsOf(output).map((record) => record.text()), ["A"]);
  assert.equal(rejected[0].offsetDelta, 1);
});
