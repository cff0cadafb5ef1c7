import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./pelton/testing/host.mjs";

const plugin = load(process.env.PELTON_MODULE);

test("keys of one group meet", () => {
  plugin.configure("{}");
  const [a, b, none, plain] = plugin.partition([{ key: "21:1" }, { key: "21:2" }, { key: null }, { key: "21" }], 100);
  assert.equal(a, b);
  assert.equal(none, -1);
  // murmur2("21") is -973932308 in the tests of Kafka itself.
  assert.equal(plain, (-973932308 & 0x7fffffff) % 100);
  assert.equal(a, plain);
});
