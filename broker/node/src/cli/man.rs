//! `pelton man`: the manual, one page for each command.

use super::{Cli, output};
use anyhow::Context;
use clap::{Args, CommandFactory as _};
use std::path::PathBuf;

/// Write the manual, one page for each command, into a directory.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n\
    \x20 pelton man --out ~/.local/share/man/man1\n\n\
    `man pelton-topic-create` then shows one of them.")]
pub struct Man {
    /// The directory; it is made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Man {
    /// Runs the command.
    pub fn run(&self) -> anyhow::Result<()> {
        let shown = self.out.display();
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make the directory {shown}"))?;
        clap_mangen::generate_to(Cli::command(), &self.out).with_context(|| format!("cannot write into {shown}"))?;
        output::note(&format!("the manual is in {shown}; `man {shown}/pelton.1` shows its first page"));
        Ok(())
    }
}
