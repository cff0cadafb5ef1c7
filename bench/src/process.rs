//! Processes that are measured: their CPU time and memory from `/proc`, and how busy the rest of the machine was.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};

/// A process that ends with the one that started it, and when it is dropped.
pub struct Process {
    child: Child,
}

/// A command that is killed when this program dies, however it dies. util-linux's `setpriv` arranges that and then
/// becomes the command, so the process id is the command's own.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Process {
    /// Starts what [`command`] made.
    pub fn start(mut command: Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child })
    }

    /// The process, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// User and system time of all its threads so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// Largest resident set so far, in MiB.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is measured any more, so it need not close its files.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn cpu_seconds(pid: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    ensure!(ticks.len() == 2, "/proc/PID/stat has no times");
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok((ticks[0] + ticks[1]) as f64 / 100.0)
}

/// What the machine has done so far, in seconds of CPU.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    busy: f64,
    stolen: f64,
    all: f64,
    own: f64,
}

/// What the machine did beside the measurement, as shares of all its CPU time.
#[derive(Debug, Clone, Copy)]
pub struct Beside {
    /// By processes that are neither measured nor the client.
    pub others: f64,
    /// By the hypervisor.
    pub stolen: f64,
}

impl Machine {
    /// Reads `/proc/stat`, and this program's own time.
    pub fn now() -> Result<Self> {
        let (busy, stolen, all) = machine(&fs::read_to_string("/proc/stat")?)?;
        Ok(Self { busy, stolen, all, own: cpu_seconds("self")? })
    }

    /// What was done beside since then. `measured`: CPU seconds of the measured processes meanwhile.
    pub fn beside(self, measured: f64) -> Result<Beside> {
        let now = Self::now()?;
        let all = (now.all - self.all).max(0.01);
        let others = now.busy - self.busy - (now.own - self.own) - measured;
        Ok(Beside { others: (others / all).max(0.0), stolen: (now.stolen - self.stolen) / all })
    }
}

/// The machine in one line: processors, memory, kernel.
pub fn machine_name() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unnamed processor");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: f64 = memory.split_whitespace().nth(1).context("/proc/meminfo")?.parse()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let model = model.trim_start_matches([' ', '\t', ':']);
    let gib = kib / 1024.0 / 1024.0;
    Ok(format!("{count} CPUs ({model}), {gib:.0} GiB of memory, Linux {}", kernel.trim()))
}

/// Busy, stolen and all time of the machine, in seconds.
fn machine(stat: &str) -> Result<(f64, f64, f64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).context("/proc/stat")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, idle, waiting, irq, soft, stolen, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat has only {} times", ticks.len());
    };
    let busy = user + nice + system + irq + soft;
    let seconds = |ticks: u64| ticks as f64 / 100.0;
    Ok((seconds(busy), seconds(stolen), seconds(busy + idle + waiting + stolen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_machine_are_told_apart() {
        let stat = "cpu  100 20 30 400 50 6 4 70 9 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(machine(stat).unwrap(), (1.6, 0.7, 6.8));
        assert!(machine("cpu  1 2\n").is_err());
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let mut process = Process::start({
            let mut sleep = command(Path::new("sleep"));
            sleep.arg("60");
            sleep
        })
        .unwrap();
        assert!(process.alive().unwrap());
        assert!(process.cpu_seconds().unwrap() >= 0.0);
        let stat = format!("/proc/{}/stat", process.child().id());
        drop(process);
        assert!(!Path::new(&stat).exists());
    }
}
