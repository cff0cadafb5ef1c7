//! The threads of the control listener: they accept and serve its connections and nobody else's, so that control
//! requests never wait for a thread that data requests keep busy.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// How many there are. One more than one, since a request may hold a thread for some milliseconds.
const THREADS: usize = 2;

/// The threads; they end when this is dropped, whatever their connections are at.
#[derive(Debug)]
pub struct ControlThreads(Option<Runtime>);

impl ControlThreads {
    /// Starts them.
    ///
    /// # Errors
    /// What the operating system says when it gives no thread.
    pub fn start() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(THREADS).thread_name("pelton-control").enable_all();
        threads.build().map(|runtime| Self(Some(runtime)))
    }

    /// The way to them.
    pub fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for ControlThreads {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which a thread of another runtime must not do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
