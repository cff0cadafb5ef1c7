//! `pelton job`: run, list, describe and stop stream jobs, over the admin HTTP.

use super::{Asking, output};
use anyhow::Context;
use clap::{Args, Subcommand};
use pelton_api::job::{JobReport, TaskPhase};
use std::path::PathBuf;

/// Run, list, describe and stop stream jobs.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Run a job, from now on and after every restart, until it is stopped.
    Run(Run),
    /// List the jobs.
    List(List),
    /// Show the tasks of a job: where they stand, what they did, how far behind they are.
    Describe(Named),
    /// Stop a job: its tasks commit what they have processed and end.
    Stop(Named),
}

/// Run a job, from now on and after every restart, until it is stopped.
#[derive(Debug, Args)]
pub struct Run {
    /// The job's specification, in TOML.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    asking: Asking,
}

/// List the jobs.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    asking: Asking,
}

/// A job by name.
#[derive(Debug, Args)]
pub struct Named {
    /// Name of the job.
    #[arg(value_name = "JOB")]
    name: String,
    #[command(flatten)]
    asking: Asking,
}

impl Job {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(command) => command.run(),
            Self::List(command) => command.run(),
            Self::Describe(command) => {
                let report = command.asking.admin.client().get(&command.path("")?)?;
                print(&report, command.asking.json);
                Ok(())
            }
            Self::Stop(command) => {
                let report = command.asking.admin.client().post(&command.path("/stop")?)?;
                print(&report, command.asking.json);
                Ok(())
            }
        }
    }
}

impl Run {
    fn run(self) -> anyhow::Result<()> {
        let named = || format!("{}", self.file.display());
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", named()))?;
        let spec = pelton_jobs::validate::parse(&text).with_context(named)?;
        let body = serde_json::to_string(&spec)?;
        let report: JobReport = self.asking.admin.client().put(&format!("/v1/jobs/{}", spec.name), body.as_str())?;
        if self.asking.json {
            output::json(&report);
        } else {
            output::line(&format!("job {} runs with {} tasks", report.spec.name, report.tasks.len()));
        }
        Ok(())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let jobs: Vec<JobReport> = self.asking.admin.client().get("/v1/jobs")?;
        if self.asking.json {
            output::json(&jobs);
            return Ok(());
        }
        output::table(
            &["JOB", "STATE", "TASKS", "RUNNING", "LAG", "SOURCES", "SINK"],
            jobs.into_iter().map(|job| {
                let running = job.tasks.iter().filter(|task| task.phase == TaskPhase::Running).count();
                let lag: i64 = job.tasks.iter().map(|task| task.lag).sum();
                vec![
                    job.spec.name.clone(),
                    state(&job).to_owned(),
                    job.tasks.len().to_string(),
                    running.to_string(),
                    lag.to_string(),
                    job.spec.sources.join(","),
                    job.spec.sink,
                ]
            }),
        );
        Ok(())
    }
}

impl Named {
    /// The path of the job. A name that could mean another path never reaches the broker.
    fn path(&self, suffix: &str) -> anyhow::Result<String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(legal) && !self.name.starts_with('.'),
            "`{}` is no job name; `pelton job list` shows what there is",
            self.name
        );
        Ok(format!("/v1/jobs/{}{suffix}", self.name))
    }
}

fn state(job: &JobReport) -> &'static str {
    let any = |phase| job.tasks.iter().any(|task| task.phase == phase);
    match job.wanted {
        false => "stopped",
        true if job.problem.is_some() || any(TaskPhase::Failed) => "failing",
        true if job.tasks.is_empty() => "starting",
        true if any(TaskPhase::Restoring) => "restoring",
        true => "running",
    }
}

fn print(job: &JobReport, json: bool) {
    if json {
        output::json(job);
        return;
    }
    let (sources, sink) = (job.spec.sources.join(", "), &job.spec.sink);
    output::line(&format!("job {}: {}, reads {sources}, writes {sink}", job.spec.name, state(job)));
    if let Some(problem) = &job.problem {
        output::line(&format!("it cannot be started and is tried again: {problem}"));
    }
    if job.tasks.is_empty() {
        return;
    }
    let header = ["STEP", "PARTITION", "PHASE", "IN", "OUT", "REJECTED", "COMMITS", "LAG", "REPLAYED", "RESTORE MS"];
    output::table(
        &header,
        job.tasks.iter().map(|task| {
            vec![
                task.step.clone(),
                task.partition.to_string(),
                format!("{:?}", task.phase).to_lowercase(),
                task.records_in.to_string(),
                task.records_out.to_string(),
                task.records_rejected.to_string(),
                task.commits.to_string(),
                task.lag.to_string(),
                format!("{} in {}", task.recovery.changelog_records_replayed, task.recovery.commits_replayed),
                task.recovery.restore_ms.to_string(),
            ]
        }),
    );
    for task in &job.tasks {
        if let Some(error) = &task.last_error {
            output::line(&format!("{} {}: last error: {error}", task.step, task.partition));
        }
    }
}
