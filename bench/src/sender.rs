//! librdkafka's producer with acks=all and idempotence, which knows how many records were acknowledged.

use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the queue of the producer may stay full: longer than `message.timeout.ms`, after which records fail.
pub const QUEUE_FULL_AT_MOST: Duration = Duration::from_secs(150);

/// How records are put together.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// `linger.ms`.
    pub linger_ms: u32,
    /// `batch.size`.
    pub batch_bytes: usize,
    /// `compression.type`.
    pub codec: &'static str,
}

#[derive(Default)]
struct Delivered {
    records: AtomicU64,
    failed: AtomicU64,
}

struct Acknowledged(Arc<Delivered>);

impl ClientContext for Acknowledged {}

impl ProducerContext<NoCustomPartitioner> for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::message::DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.records.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.0.failed.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// A producer.
pub struct Sender {
    producer: ThreadedProducer<Acknowledged>,
    delivered: Arc<Delivered>,
}

impl Sender {
    /// Makes it. It connects when it is given records.
    pub fn new(bootstrap: &str, batching: Batching) -> Result<Self> {
        let delivered = Arc::new(Delivered::default());
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", batching.linger_ms.to_string())
            .set("batch.size", batching.batch_bytes.to_string())
            .set("batch.num.messages", "1000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("compression.type", batching.codec)
            .set("message.timeout.ms", "120000")
            .create_with_context(Acknowledged(delivered.clone()))?;
        Ok(Self { producer, delivered })
    }

    /// Gives a record to the producer; waits while its queue is full.
    pub fn enqueue(&self, mut record: BaseRecord<'_, (), [u8]>) -> Result<()> {
        let mut full_since = None;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.none_failed()?;
                    let full = full_since.get_or_insert_with(Instant::now).elapsed();
                    ensure!(
                        full < QUEUE_FULL_AT_MOST,
                        "the queue was full for {} s; does the broker run?",
                        full.as_secs()
                    );
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until all is acknowledged, and gives how many records were, since it was made.
    pub fn finish(&self) -> Result<u64> {
        self.producer.flush(Duration::from_secs(300))?;
        self.none_failed()?;
        Ok(self.delivered.records.load(Ordering::Relaxed))
    }

    fn none_failed(&self) -> Result<()> {
        let failed = self.delivered.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not delivered");
        Ok(())
    }
}
