//! One test for each suite; FINDINGS.md in its folder says what passes.

use anyhow::Result;
use pelton_conformance::{in_go, in_java, in_node, in_python, in_shell, passes, transcript};

#[test]
fn java_clients() -> Result<()> {
    passes("java", in_java("java")?)
}

#[test]
fn confluent_kafka() -> Result<()> {
    passes("confluent-kafka", in_python("confluent-kafka")?)
}

#[test]
fn kafka_python() -> Result<()> {
    passes("kafka-python", in_python("kafka-python")?)
}

#[test]
fn aiokafka() -> Result<()> {
    passes("aiokafka", in_python("aiokafka")?)
}

#[test]
fn kafkajs() -> Result<()> {
    passes("kafkajs", in_node("kafkajs")?)
}

#[test]
fn franz_go() -> Result<()> {
    in_go("franz-go")?.map_or(Ok(()), |suite| passes("franz-go", suite))
}

#[test]
fn sarama() -> Result<()> {
    in_go("sarama")?.map_or(Ok(()), |suite| passes("sarama", suite))
}

#[test]
fn kcat() -> Result<()> {
    passes("kcat", in_shell("kcat"))
}

#[test]
fn kafka_connect() -> Result<()> {
    passes("connect", in_shell("connect"))
}

#[test]
fn spring_kafka() -> Result<()> {
    passes("spring", in_java("spring")?)
}

#[test]
fn kafka_command_line_tools() -> Result<()> {
    let broker = pelton_conformance::Broker::start()?;
    if matches!(broker, pelton_conformance::Broker::Kafka(_)) {
        pelton_conformance::typed(&broker, "kafka-tools/preparation.txt")?;
    }
    pelton_conformance::compares(&broker, transcript()?, "kafka-tools/transcript.txt")
}
