//! The course of a demo: set up, feed, kill and recover, wait for the end, compare.

use super::Input;
use super::access_log::Account;
use super::broker::ChildBroker;
use super::feed::{self, FeedState};
use super::kills::{self, Kill, Progress};
use super::observe::{self, ObserverState};
use super::report::{Recovery, Report};
use super::screen::Screen;
use crate::cli::connect::AdminClient;
use crate::cli::wire::{Cluster, Kind, NewTopic};
use anyhow::{anyhow, bail};
use pelton_api::job::{JobReport, JobSpec, TaskPhase};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The job, as the example has it.
const JOB: &str = include_str!("../../../../../examples/01-pv-count/job.toml");

/// How long nothing may move before the demo gives up.
const STALL: Duration = Duration::from_secs(120);

/// How long the job must be at rest, although not every line has come out, before the rest counts as lost.
const REST: Duration = Duration::from_secs(60);

/// The longest line that the topics take, in bytes: far above what Kafka takes by default, since a log is as it is.
const LINE_MAX_BYTES: &str = "16777216";

/// How often the demo looks.
const LOOK: Duration = Duration::from_millis(5);

/// One demo.
pub struct Run<'a> {
    /// The broker, which answers.
    pub broker: &'a mut ChildBroker,
    /// Turns true when the demo shall end early.
    pub stopped: &'a tokio::sync::watch::Receiver<bool>,
    /// Partitions of the topics.
    pub partitions: i32,
    /// The kills.
    pub plan: &'a [Kill],
}

impl Run<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// When something fails that no kill explains.
    pub fn run(self, plugin: &[u8], input: &Input, account: &Account) -> anyhow::Result<Report> {
        let spec = pelton_jobs::validate::parse(JOB)?;
        self.prepare(&spec, plugin)?;
        let began = Instant::now();
        let (fed, seen) = (Arc::new(FeedState::default()), Arc::new(ObserverState::default()));
        fed.allowed.store(kills::allowed(self.plan, 0), Ordering::Release);
        let bootstrap = self.broker.bootstrap();
        let dead_letters =
            spec.dead_letter.clone().unwrap_or_else(|| pelton_jobs::names::dead_letter_topic(&spec.name));
        let observer = observe::start(bootstrap, &spec.sink, &dead_letters, self.partitions, seen.clone())?;
        let feeder = feed::start(bootstrap, &spec.sources[0], input.clone(), account.lines, fed.clone())?;
        let course = Course {
            admin: AdminClient::new(self.broker.admin()),
            broker: self.broker,
            stopped: self.stopped,
            plan: self.plan,
            lines: account.lines,
            job: spec.name.clone(),
            screen: Screen::new(account.lines),
            moved: (0, 0, Instant::now()),
            feeder: Some(feeder),
            observer: Some(observer),
            fed,
            seen,
        };
        course.run(account, began)
    }

    fn prepare(&self, spec: &JobSpec, plugin: &[u8]) -> anyhow::Result<()> {
        create_topics(self.broker.bootstrap(), spec, self.partitions)?;
        let admin = AdminClient::new(self.broker.admin());
        let name = &spec.steps[0].plugin;
        let path = format!("/v1/plugins/{}/versions/{}", name.name, name.version);
        let _: serde_json::Value = admin.put(&path, plugin)?;
        let body = serde_json::to_string(spec)?;
        let _: JobReport = admin.put(&format!("/v1/jobs/{}", spec.name), body.as_str())?;
        Ok(())
    }
}

fn create_topics(bootstrap: &str, spec: &JobSpec, partitions: i32) -> anyhow::Result<()> {
    let configs = vec![("max.message.bytes", LINE_MAX_BYTES)];
    let names = spec.sources.iter().chain([&spec.sink]);
    let topics: Vec<NewTopic<'_>> =
        names.map(|name| NewTopic { name, partitions, replication_factor: 1, configs: configs.clone() }).collect();
    for (topic, result) in Cluster::connect(bootstrap)?.create_topics(&topics, false)? {
        match result {
            Ok(_) => {}
            Err(refused) if refused.kind() == Kind::TopicExists => {}
            Err(refused) => bail!("the topic {topic} was not created: {refused}"),
        }
    }
    Ok(())
}

struct Course<'a> {
    broker: &'a mut ChildBroker,
    admin: AdminClient,
    stopped: &'a tokio::sync::watch::Receiver<bool>,
    plan: &'a [Kill],
    lines: u64,
    job: String,
    screen: Screen,
    /// Acknowledged, handled, and when one of them last moved.
    moved: (u64, u64, Instant),
    fed: Arc<FeedState>,
    seen: Arc<ObserverState>,
    feeder: Option<JoinHandle<anyhow::Result<()>>>,
    observer: Option<JoinHandle<anyhow::Result<observe::Observed>>>,
}

impl Course<'_> {
    fn run(mut self, account: &Account, began: Instant) -> anyhow::Result<Report> {
        let result = self.follow();
        if result.is_err() {
            self.fed.stop.store(true, Ordering::Release);
            self.seen.stop.store(true, Ordering::Release);
        }
        let recoveries = result?;
        let elapsed = began.elapsed();
        self.seen.finish.store(true, Ordering::Release);
        let observed = joined(self.observer.take())?;
        let top = self.seen.top.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.screen.finish(&top);
        Ok(Report::new(account, &observed, recoveries, elapsed))
    }

    fn follow(&mut self) -> anyhow::Result<Vec<Recovery>> {
        self.wait_until_running()?;
        let mut recoveries = Vec::new();
        for (number, kill) in self.plan.iter().enumerate() {
            recoveries.push(self.kill(number, *kill)?);
        }
        while !self.fed.finished.load(Ordering::Acquire) {
            self.look()?;
        }
        joined(self.feeder.take())?;
        self.wait_for_rest()?;
        Ok(recoveries)
    }

    fn kill(&mut self, number: usize, kill: Kill) -> anyhow::Result<Recovery> {
        loop {
            let done = match kill.by {
                Progress::Fed => self.fed.sent.load(Ordering::Acquire),
                Progress::Counted => self.seen.handled.load(Ordering::Acquire),
            };
            if done >= kill.at_line {
                break;
            }
            self.look()?;
        }
        self.fed.allowed.store(kills::allowed(self.plan, number + 1), Ordering::Release);
        std::thread::sleep(kill.pause);
        self.broker.kill()?;
        let killed = Instant::now();
        let (lines_fed, lines_counted) = self.progress();
        let total = self.plan.len();
        let text = format!("kill {} of {total}: {lines_fed} lines fed, {lines_counted} counted", number + 1);
        self.screen.say(&text);
        self.broker.start_again()?;
        let ready = killed.elapsed();
        self.moved.2 = Instant::now();
        let (report, recovered) = self.wait_until_recovered()?;
        let recovery = Recovery {
            lines_fed,
            lines_counted,
            ready_ms: ready.as_millis() as u64,
            recovery_ms: recovered.duration_since(killed).as_millis() as u64,
            records_replayed: report.tasks.iter().map(|task| task.recovery.changelog_records_replayed).sum(),
            commits_replayed: report.tasks.iter().map(|task| task.recovery.commits_replayed).max().unwrap_or(0),
        };
        let text = format!(
            "recovered in {} ms, {} changelog records replayed",
            recovery.recovery_ms, recovery.records_replayed
        );
        self.screen.say(&text);
        Ok(recovery)
    }

    /// Waits until every task runs, and something has moved again if anything is left to move.
    fn wait_until_recovered(&mut self) -> anyhow::Result<(JobReport, Instant)> {
        // Answers that were on their way when the broker died have arrived by now.
        let before = self.progress();
        let mut moved_at = None;
        let mut running = None;
        loop {
            self.look()?;
            if moved_at.is_none() && self.progress() != before {
                moved_at = Some(Instant::now());
            }
            if running.is_none() {
                running = self.running()?.map(|report| (report, Instant::now()));
            }
            let Some((report, at)) = &running else { continue };
            // With nothing left to do nothing moves: then the tasks alone tell.
            let nothing_moves = at.elapsed() > Duration::from_secs(1) && self.nothing_pending();
            if moved_at.is_some() || nothing_moves {
                return Ok((report.clone(), moved_at.unwrap_or(*at)));
            }
        }
    }

    fn nothing_pending(&self) -> bool {
        let (acknowledged, handled) = self.progress();
        acknowledged >= self.fed.sent.load(Ordering::Acquire) && handled >= acknowledged
    }

    fn wait_until_running(&mut self) -> anyhow::Result<()> {
        while self.running()?.is_none() {
            self.look()?;
        }
        Ok(())
    }

    /// The job's report, if every task runs.
    fn running(&self) -> anyhow::Result<Option<JobReport>> {
        let report = self.report()?;
        let all = !report.tasks.is_empty() && report.tasks.iter().all(|task| task.phase == TaskPhase::Running);
        Ok(all.then_some(report))
    }

    fn report(&self) -> anyhow::Result<JobReport> {
        self.admin.get(&format!("/v1/jobs/{}", self.job))
    }

    /// Waits until the job has taken in all its input: no lag, twice in a row, with nothing done in between.
    fn wait_for_rest(&mut self) -> anyhow::Result<()> {
        let mut before: Option<(u64, u64, Instant)> = None;
        loop {
            for _ in 0..20 {
                self.look()?;
            }
            let rested = self.running()?.filter(|report| report.tasks.iter().all(|task| task.lag == 0));
            let Some(report) = rested else {
                before = None;
                continue;
            };
            let commits = report.tasks.iter().map(|task| task.commits).sum();
            let (_, handled) = self.progress();
            match before {
                Some((same, also, since)) if same == commits && also == handled => {
                    if handled >= self.lines || since.elapsed() > REST {
                        return Ok(());
                    }
                }
                _ => before = Some((commits, handled, Instant::now())),
            }
        }
    }

    fn progress(&self) -> (u64, u64) {
        (self.fed.acknowledged.load(Ordering::Acquire), self.seen.handled.load(Ordering::Acquire))
    }

    /// Shows where things stand, and fails when they cannot go on.
    fn look(&mut self) -> anyhow::Result<()> {
        std::thread::sleep(LOOK);
        if *self.stopped.borrow() {
            bail!("interrupted");
        }
        self.broker.check()?;
        let (acknowledged, handled) = self.progress();
        let top = self.seen.top.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.screen.show(acknowledged, handled, &top);
        if (self.moved.0, self.moved.1) != (acknowledged, handled) {
            self.moved = (acknowledged, handled, Instant::now());
        }
        if self.feeder.as_ref().is_some_and(JoinHandle::is_finished) && !self.fed.finished.load(Ordering::Acquire) {
            joined(self.feeder.take())?;
            bail!("the feeder ended early");
        }
        if self.observer.as_ref().is_some_and(JoinHandle::is_finished) {
            joined(self.observer.take())?;
            bail!("the reader of the counts ended early");
        }
        if self.moved.2.elapsed() > STALL {
            return Err(self.stalled());
        }
        Ok(())
    }

    fn stalled(&self) -> anyhow::Error {
        let report = self.report().ok();
        let error = report.and_then(|report| report.tasks.into_iter().find_map(|task| task.last_error));
        let error = error.unwrap_or_else(|| "no task names an error".to_owned());
        let (acknowledged, handled) = self.progress();
        anyhow!(
            "nothing has moved for {} seconds: {acknowledged} lines acknowledged, {handled} counted; {error}",
            STALL.as_secs()
        )
    }
}

/// The result of a thread.
fn joined<T>(thread: Option<JoinHandle<anyhow::Result<T>>>) -> anyhow::Result<T> {
    match thread.map(JoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(_)) => bail!("a thread of the demo panicked; this is a bug in Pelton"),
        None => bail!("a thread of the demo has ended before"),
    }
}
