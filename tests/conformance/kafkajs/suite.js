// kafkajs, unmodified: node suite.js [BOOTSTRAP [CHECK...]].
const { AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, PartitionAssigners, logLevel } = require("kafkajs");
const assert = require("assert");
const { randomUUID } = require("crypto");
const lz4 = require("lz4-napi");
const snappy = require("kafkajs-snappy");
const { ZstdCodec } = require("zstd-codec");

const bootstrap = process.argv[2] || process.env.BOOTSTRAP;
const wanted = process.argv.slice(3);
const fresh = (what) => `${what}-${randomUUID().slice(0, 8)}`;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 5 } });
const admin = kafka.admin();

// The codecs that kafkajs leaves to others.
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
});
const zstd = new Promise((done) => ZstdCodec.run((library) => done(new library.Simple())));
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
});

async function topic(numPartitions, configs = {}) {
  const name = fresh("t");
  const configEntries = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
  await admin.createTopics({ topics: [{ topic: name, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true });
  return name;
}

async function produce(name, messages, config = {}, more = {}) {
  const producer = kafka.producer(config);
  await producer.connect();
  try {
    return await producer.send({ topic: name, messages, ...more });
  } finally {
    await producer.disconnect();
  }
}

async function eventually(seconds, what, holds) {
  const deadline = Date.now() + 1000 * seconds;
  while (!(await holds())) {
    assert(Date.now() < deadline, `after ${seconds} s still not: ${what}`);
    await sleep(50);
  }
}

async function fails(type, promise) {
  try {
    await promise;
  } catch (error) {
    for (let cause = error; cause; cause = cause.cause || cause.originalError) if (cause.type === type || cause.name === type) return cause;
    assert.fail(`expected ${type}, got ${error.name} ${error.type}: ${error.message}`);
  }
  assert.fail(`expected ${type}, but nothing failed`);
}

// A consumer of a group, with what it has read and what it has.
async function join(groupId, name, { run = {}, subscribe = {}, ...config } = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300, rebalanceTimeout: 6000, metadataMaxAge: 500, maxWaitTimeInMs: 200, ...config });
  const member = { consumer, messages: [], owned: [], joins: 0, crashed: null };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.owned = Object.values(payload.memberAssignment).flat();
    member.joins += 1;
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => (member.crashed = payload.error));
  await consumer.connect();
  await consumer.subscribe({ topics: [name], fromBeginning: true, ...subscribe });
  await consumer.run({ eachMessage: async ({ partition, message }) => void member.messages.push({ partition, ...message }), ...run });
  member.leave = () => consumer.disconnect();
  return member;
}

async function read(name, count, config = {}) {
  const member = await join(fresh("g"), name, config);
  try {
    await eventually(20, `${count} records`, () => member.messages.length >= count);
    return member.messages;
  } finally {
    await member.leave();
  }
}

const covered = (count, ...members) => {
  const all = members.flatMap((member) => member.owned);
  return members.every((member) => member.owned.length > 0) && all.length === count && new Set(all).size === count;
};

const checks = [];
const check = (name, body) => checks.push([name, body]);

for (const [name, type] of Object.entries({ none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD })) {
  check(`records: codec ${name}`, async () => {
    const to = await topic(1);
    const value = (n) => `${name} ${n} ${"x".repeat(n % 300)}`;
    const messages = [...Array(300).keys()].map((n) => ({ value: value(n), partition: 0 }));
    await produce(to, messages, {}, { compression: type });
    const found = await read(to, 300);
    assert.strictEqual(found.length, 300);
    found.forEach((message, n) => assert.strictEqual(message.value.toString(), value(n)));
  });
}

check("records: headers, null keys, null values", async () => {
  const to = await topic(1);
  await produce(to, [
    { value: "v", headers: { a: Buffer.from([0, 255]), b: ["1", "2"] } },
    { key: "k", value: null },
    { key: "", value: "", timestamp: "1577836800000" },
  ]);
  const found = await read(to, 3);
  assert.deepStrictEqual(found[0].headers.a, Buffer.from([0, 255]));
  assert.deepStrictEqual(found[0].headers.b.map(String), ["1", "2"]);
  assert.strictEqual(found[0].key, null);
  assert.strictEqual(found[1].value, null);
  assert.strictEqual(found[2].value.length, 0);
  assert.strictEqual(found[2].timestamp, "1577836800000");
});

check("records: large ones, too large ones", async () => {
  const small = await topic(1, { "max.message.bytes": "10000" });
  const large = await topic(1, { "max.message.bytes": "6000000" });
  const value = Buffer.alloc(4_000_000, "0123456789");
  await produce(large, [{ value }]);
  assert((await read(large, 1))[0].value.equals(value));
  await fails("MESSAGE_TOO_LARGE", produce(small, [{ value: value.subarray(0, 20_000) }]));
});

for (const acks of [0, 1, -1]) {
  check(`records: acks=${acks}`, async () => {
    const to = await topic(1);
    await produce(to, [...Array(100).keys()].map((n) => ({ value: `${n}` })), {}, { acks });
    assert.strictEqual((await read(to, 100)).length, 100);
  });
}

check("records: idempotence keeps order and numbers", async () => {
  const to = await topic(1);
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let n = 0; n < 100; n++) await producer.send({ topic: to, messages: [{ value: `${n}` }] });
  await producer.disconnect();
  assert.deepStrictEqual((await read(to, 100)).map(({ value }) => value.toString()), [...Array(100).keys()].map(String));
});

check("transactions: committed is seen, aborted is not", async () => {
  const to = await topic(1);
  const producer = kafka.producer({ transactionalId: fresh("id"), maxInFlightRequests: 1, idempotent: true });
  await producer.connect();
  for (let n = 0; n < 6; n++) {
    const transaction = await producer.transaction();
    await transaction.send({ topic: to, messages: [{ value: n % 2 ? "bad" : "good" }, { value: n % 2 ? "bad" : "good" }] });
    await (n % 2 ? transaction.abort() : transaction.commit());
  }
  await producer.disconnect();
  const found = await read(to, 6);
  assert.deepStrictEqual(found.map(({ value }) => value.toString()), Array(6).fill("good"));
  assert.strictEqual((await read(to, 12, { readUncommitted: true })).length, 12);
});

check("transactions: offsets of a group go with them", async () => {
  const from = await topic(1);
  const groupId = fresh("g");
  const producer = kafka.producer({ transactionalId: fresh("id"), maxInFlightRequests: 1, idempotent: true });
  await producer.connect();
  for (const [commit, expected] of [[false, "-1"], [true, "7"]]) {
    const transaction = await producer.transaction();
    const offsets = { consumerGroupId: groupId, topics: [{ topic: from, partitions: [{ partition: 0, offset: "7" }] }] };
    await eventually(10, "the transaction before is complete", () => transaction.sendOffsets(offsets).then(
      () => true,
      (error) => error.type === "CONCURRENT_TRANSACTIONS" ? false : Promise.reject(error),
    ));
    await (commit ? transaction.commit() : transaction.abort());
    await eventually(10, `${expected} is committed`, async () => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [from] });
      return partitions[0].offset === expected;
    });
  }
  await producer.disconnect();
});

check("groups: round robin, one comes, one goes", async () => {
  const name = await topic(6);
  const groupId = fresh("g");
  const config = { partitionAssigners: [PartitionAssigners.roundRobin] };
  const one = await join(groupId, name, config);
  await eventually(15, "one has all", () => covered(6, one));
  const two = await join(groupId, name, config);
  await eventually(20, "three each", () => covered(6, one, two));
  await two.leave();
  await eventually(20, "one has all again", () => covered(6, one));
  await one.leave();
});

check("groups: an assigner of one's own", async () => {
  const name = await topic(2);
  // Everything to the first member by id.
  const first = ({ cluster }) => ({
    name: "first",
    version: 1,
    async assign({ members, topics }) {
      const ids = members.map(({ memberId }) => memberId).sort();
      const all = Object.fromEntries(topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)]));
      return ids.map((memberId, n) => ({ memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 1, assignment: n === 0 ? all : {} }) }));
    },
    protocol: ({ topics }) => ({ name: "first", metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics }) }),
  });
  const groupId = fresh("g");
  const members = [await join(groupId, name, { partitionAssigners: [first] }), await join(groupId, name, { partitionAssigners: [first] })];
  await eventually(20, "one has both", () => members.map(({ owned }) => owned.length).sort().join() === "0,2");
  await Promise.all(members.map((member) => member.leave()));
});

check("groups: subscription by a pattern", async () => {
  const prefix = fresh("p");
  for (const n of [1, 2]) await admin.createTopics({ topics: [{ topic: `${prefix}-${n}`, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true });
  for (const n of [1, 2]) await produce(`${prefix}-${n}`, [{ value: `${n}` }]);
  const found = await read(new RegExp(`^${prefix}-.*`), 2);
  assert.deepStrictEqual(found.map(({ value }) => value.toString()).sort(), ["1", "2"]);
});

check("offsets: commit and go on", async () => {
  const name = await topic(1);
  const groupId = fresh("g");
  await produce(name, [...Array(50).keys()].map((n) => ({ value: `${n}` })));
  const member = await join(groupId, name, { run: { autoCommit: false } });
  await eventually(20, "50 records", () => member.messages.length === 50);
  await member.consumer.commitOffsets([{ topic: name, partition: 0, offset: "30", metadata: "thirty" }]);
  await member.leave();
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [name] });
  assert.deepStrictEqual([partitions[0].offset, partitions[0].metadata], ["30", "thirty"]);
  const next = await join(groupId, name, { run: { autoCommit: false } });
  await eventually(20, "20 records", () => next.messages.length === 20);
  assert.strictEqual(next.messages[0].value.toString(), "30");
  next.consumer.seek({ topic: name, partition: 0, offset: "45" });
  await eventually(20, "after a seek", () => next.messages.length === 25 && next.messages[20].value.toString() === "45");
  await next.leave();
});

check("offsets: by time", async () => {
  const name = await topic(1);
  const now = Date.now();
  for (let n = 0; n < 10; n++) await produce(name, [{ value: `${n}`, timestamp: `${now - 100_000 + 10_000 * n}` }]);
  const [found] = await admin.fetchTopicOffsetsByTimestamp(name, now - 55_000);
  assert.strictEqual(found.offset, "5");
  const [{ low, high }] = await admin.fetchTopicOffsets(name);
  assert.deepStrictEqual([low, high], ["0", "10"]);
});

check("admin: topics and partitions", async () => {
  const name = await topic(2);
  assert((await admin.listTopics()).includes(name));
  const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
  assert.strictEqual(topics[0].partitions.length, 2);
  assert.strictEqual(await admin.createTopics({ topics: [{ topic: name }] }), false);
  await fails("KafkaJSAggregateError", admin.createTopics({ topics: [{ topic: "no good", numPartitions: 1, replicationFactor: 1 }] }));
  await admin.createPartitions({ topicPartitions: [{ topic: name, count: 4 }] });
  await eventually(10, "four partitions", async () => (await admin.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length === 4);
  await admin.deleteTopics({ topics: [name] });
  await eventually(10, "gone", async () => !(await admin.listTopics()).includes(name));
});

check("admin: configs", async () => {
  const name = await topic(1, { "retention.ms": "777000" });
  const value = async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: ConfigResourceTypes.TOPIC, name }] });
    return resources[0].configEntries.find(({ configName }) => configName === "retention.ms").configValue;
  };
  assert.strictEqual(await value(), "777000");
  await admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries: [{ name: "retention.ms", value: "888000" }] }] });
  await eventually(10, "altered", async () => (await value()) === "888000");
});

check("admin: groups and their offsets", async () => {
  const name = await topic(1);
  const groupId = fresh("g");
  const member = await join(groupId, name);
  await eventually(15, "it has all", () => covered(1, member));
  const { groups } = await admin.listGroups();
  assert(groups.some((group) => group.groupId === groupId && group.protocolType === "consumer"));
  const described = (await admin.describeGroups([groupId])).groups[0];
  assert.deepStrictEqual([described.state, described.protocol, described.members.length], ["Stable", "RoundRobinAssigner", 1]);
  await fails("KafkaJSDeleteGroupsError", admin.deleteGroups([groupId]));
  await member.leave();
  const offset = async () => (await admin.fetchOffsets({ groupId, topics: [name], resolveOffsets: true }))[0].partitions[0].offset;
  await admin.setOffsets({ groupId, topic: name, partitions: [{ partition: 0, offset: "3" }] });
  assert.strictEqual(await offset(), "3");
  await admin.resetOffsets({ groupId, topic: name, earliest: true });
  assert.strictEqual(await offset(), "0");
  await admin.deleteGroups([groupId]);
});

check("admin: delete records, the cluster, reassignments", async () => {
  const name = await topic(1);
  await produce(name, [...Array(10).keys()].map((n) => ({ value: `${n}` })));
  // kafkajs deletes only in topics that it has asked for before.
  await admin.fetchTopicOffsets(name);
  await admin.deleteTopicRecords({ topic: name, partitions: [{ partition: 0, offset: "4" }] });
  assert.strictEqual((await admin.fetchTopicOffsets(name))[0].low, "4");
  const cluster = await admin.describeCluster();
  assert.strictEqual(cluster.brokers.length, 1);
  assert.strictEqual(cluster.clusterId.length, 22);
  assert.deepStrictEqual((await admin.listPartitionReassignments({ topics: [{ topic: name, partitions: [0] }] })).topics, []);
});

check("wrong use", async () => {
  await fails("INVALID_TOPIC_EXCEPTION", produce("no good", [{ value: "v" }]));
  const member = await join(fresh("g"), await topic(1), { sessionTimeout: 2000 });
  await eventually(15, "the session timeout is refused", () => member.crashed && member.crashed.type === "INVALID_SESSION_TIMEOUT");
  await member.leave();
});

async function main() {
  await admin.connect();
  let passed = 0;
  let failed = 0;
  for (const [name, body] of checks) {
    if (wanted.length && !wanted.some((part) => name.includes(part))) continue;
    const start = Date.now();
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("not done after 60 s")), 60_000)));
    try {
      await Promise.race([body(), late]);
      passed += 1;
      console.log(`ok     ${name} (${Date.now() - start} ms)`);
    } catch (error) {
      failed += 1;
      const where = (error.stack || "").split("\n").find((line) => line.includes("suite.js:")) || "";
      console.log(`FAILED ${name} (${Date.now() - start} ms): ${error.name}: ${error.message}`.replaceAll("\n", " ") + where.replace(/.*(suite\.js:\d+).*/, " ($1)"));
    } finally {
      clearTimeout(timer);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

main().catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
