//! What a stage costs the broker, and what it costs the load.

use crate::process::{self, Beside, Machine};
use crate::versus::rivals::Server;
use anyhow::Result;
use std::time::Instant;

/// Shares of shorter stages are noise: `/proc` counts in ticks of 10 ms.
const SHORTEST_S: f64 = 1.0;

/// Began with a stage.
pub struct Meter<'a> {
    server: &'a Server,
    machine: Machine,
    broker_s: f64,
    load_s: f64,
    began: Instant,
}

/// Measured at its end.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// CPU seconds of the broker.
    pub broker_s: f64,
    /// Shares of a core that the broker and the load used, in percent, of a stage that is long enough to tell.
    pub percent: Option<[f64; 2]>,
    /// Largest resident set of the broker meanwhile, in MiB.
    pub peak_rss_mib: f64,
    /// What the machine did beside it.
    pub beside: Beside,
}

impl<'a> Meter<'a> {
    /// Begins.
    pub fn start(server: &'a Server) -> Result<Self> {
        server.process().forget_peak()?;
        let (broker_s, load_s) = (server.process().cpu_seconds()?, process::own_cpu_seconds()?);
        Ok(Self { server, machine: Machine::now()?, broker_s, load_s, began: Instant::now() })
    }

    /// Ends.
    pub fn stop(self) -> Result<Used> {
        let seconds = self.began.elapsed().as_secs_f64();
        let broker_s = self.server.process().cpu_seconds()? - self.broker_s;
        let load_s = process::own_cpu_seconds()? - self.load_s;
        Ok(Used {
            broker_s,
            percent: (seconds >= SHORTEST_S).then(|| [broker_s, load_s].map(|cpu_s| 100.0 * cpu_s / seconds)),
            peak_rss_mib: self.server.process().peak_rss_mib()?,
            beside: self.machine.beside(broker_s)?,
        })
    }
}

impl Used {
    /// The figures of the shares, if there are any.
    pub fn shares(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.percent.into_iter().flat_map(|[broker, load]| [("cpu_percent", broker), ("load_percent", load)])
    }
}
