//! Processes that are measured: their CPU time and memory from `/proc`, and how busy the rest of the machine was.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to stop when it is asked to.
const STOP: Duration = Duration::from_secs(120);

/// Bytes between a process and storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Storage {
    /// Read because they were not in the page cache.
    pub read: u64,
    /// Made dirty in the page cache, or written past it.
    pub written: u64,
}

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
        self.status_mib("VmHWM:")
    }

    /// Resident set now, in MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        self.status_mib("VmRSS:")
    }

    /// Forgets the largest resident set so far, so that [`Self::peak_rss_mib`] is that of what comes.
    pub fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
    }

    /// Bytes that it made the kernel read from and write to storage so far.
    pub fn storage(&self) -> Result<Storage> {
        storage(&fs::read_to_string(format!("/proc/{}/io", self.child.id()))?)
    }

    /// Ends it at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < STOP, "process {} did not stop within {} s", self.child.id(), STOP.as_secs());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn status_mib(&self, field: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| field.to_owned())?;
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

/// Runs a command to its end, and gives what it says on its standard output. It is killed when it takes too long.
pub fn run_to_end(mut command: Command, at_most: Duration) -> Result<String> {
    // To a file, not a pipe: nobody has to read while it runs.
    let said = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(said.reopen()?);
    let mut process = Process::start(command)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = process.child.try_wait()? {
            break status;
        }
        ensure!(began.elapsed() < at_most, "it did not end within {} s", at_most.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.success(), "it ended with {status}: {}", tail(said.path()));
    Ok(fs::read_to_string(said.path())?)
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// User and system time of all threads of this program so far, in seconds.
pub fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(pid: &str) -> Result<f64> {
    let [own, _] = cpu_times(pid)?;
    Ok(own)
}

/// Seconds of CPU of a process, and of those of its children that have ended.
fn cpu_times(pid: &str) -> Result<[f64; 2]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, children_user, children_system] = ticks[..] else {
        anyhow::bail!("/proc/PID/stat has only {} times", ticks.len());
    };
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok([(user + system) as f64 / 100.0, (children_user + children_system) as f64 / 100.0])
}

fn storage(io: &str) -> Result<Storage> {
    let field = |name: &str| -> Result<u64> {
        let line = io.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {io}"))?;
        Ok(line.trim().parse()?)
    };
    Ok(Storage { read: field("read_bytes:")?, written: field("write_bytes:")? })
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
    /// Reads `/proc/stat`, and the time of this program and of the clients that it ran to their end.
    pub fn now() -> Result<Self> {
        let (busy, stolen, all) = machine(&fs::read_to_string("/proc/stat")?)?;
        Ok(Self { busy, stolen, all, own: cpu_times("self")?.iter().sum() })
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
    fn bytes_of_storage_are_told_from_those_of_sockets() {
        let io = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n";
        assert_eq!(storage(io).unwrap(), Storage { read: 5, written: 6 });
        assert!(storage("rchar: 1\n").is_err());
    }

    #[test]
    fn a_command_is_heard_and_bounded() {
        let mut echo = command(Path::new("echo"));
        echo.arg("heard");
        assert_eq!(run_to_end(echo, Duration::from_secs(60)).unwrap(), "heard\n");
        let mut sleep = command(Path::new("sleep"));
        sleep.arg("60");
        assert!(run_to_end(sleep, Duration::from_millis(20)).is_err());
        assert!(run_to_end(command(Path::new("false")), Duration::from_secs(60)).is_err());
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
