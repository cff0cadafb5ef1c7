// kafkajs, unmodified: node produce.js BOOTSTRAP TOPIC, records as lines KEY TAB VALUE on standard input.
// Prints KEY TAB PARTITION TAB OFFSET for each record: kafkajs tells the first offset of each partition's batch.
const { Kafka, Partitioners, logLevel } = require("kafkajs");
const fs = require("fs");

const [bootstrap, topic] = process.argv.slice(2);
const partitionOf = Partitioners.DefaultPartitioner();

async function main() {
  const lines = fs.readFileSync(0, "utf8").split("\n").filter(Boolean);
  const messages = lines.map((line) => ({ key: line.slice(0, line.indexOf("\t")), value: line.slice(line.indexOf("\t") + 1) }));
  const kafka = new Kafka({ clientId: "kafkajs", brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
  await admin.disconnect();
  const partitionMetadata = metadata.topics[0].partitions;
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const answers = await producer.send({ topic, acks: -1, messages });
  await producer.disconnect();
  const next = new Map(answers.map((answer) => [answer.partition, Number(answer.baseOffset)]));
  for (const message of messages) {
    const partition = partitionOf({ topic, partitionMetadata, message });
    console.log(`${message.key}\t${partition}\t${next.get(partition)}`);
    next.set(partition, next.get(partition) + 1);
  }
}

main().catch((error) => {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
});
