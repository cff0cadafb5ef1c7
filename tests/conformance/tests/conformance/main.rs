//! Each client's suite, and the golden comparison with Apache Kafka.

mod golden;
mod suites;
