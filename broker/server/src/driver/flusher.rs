//! Threads that wait for the medium, so that no shard has to.
//!
//! A shard asks for one sync of a log at a time; whatever is appended meanwhile is covered by the next one,
//! which is group commit. A sync that fails is reported and never tried again.

use super::Letter;
use pelton_core::model::TopicPartition;
use pelton_log::{FlushHandle, OsDisk};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// One sync.
pub(super) struct Sync {
    pub shard: usize,
    pub partition: TopicPartition,
    pub generation: u64,
    pub handle: FlushHandle<OsDisk>,
}

/// The way to the threads. They end when the last shard has.
#[derive(Clone)]
pub(super) struct Flusher {
    work: Sender<Sync>,
}

impl Flusher {
    /// Starts the threads.
    pub fn start(threads: usize, shards: Vec<Sender<Letter>>) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (work, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let mut handles = Vec::with_capacity(threads);
        for index in 0..threads {
            let (waiting, shards) = (waiting.clone(), shards.clone());
            let builder = std::thread::Builder::new().name(format!("pelton-flush-{index}"));
            handles.push(builder.spawn(move || run(&waiting, &shards))?);
        }
        Ok((Self { work }, handles))
    }

    /// Hands a sync over.
    pub fn submit(&self, sync: Sync) {
        // The threads live as long as this sender.
        let _ = self.work.send(sync);
    }
}

fn run(waiting: &Mutex<Receiver<Sync>>, shards: &[Sender<Letter>]) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Sync { shard, partition, generation, handle }) = next else { return };
        let result = handle.sync().map_err(|error| error.to_string());
        let _ = shards[shard].send(Letter::Synced { partition, generation, result });
    }
}
