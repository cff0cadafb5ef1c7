//! `pelton completions`: what a shell needs to complete the commands.

use super::{Cli, output};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print what a shell needs to complete the commands of this program.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n\
    \x20 pelton completions bash > /etc/bash_completion.d/pelton\n\
    \x20 pelton completions zsh > ~/.zfunc/_pelton\n\
    \x20 pelton completions fish > ~/.config/fish/completions/pelton.fish")]
pub struct Completions {
    /// The shell that is to complete them.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run(&self) {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pelton", &mut script);
        output::bytes(&script);
    }
}
