//! `pelton plugin`: upload and list plugins, over the admin HTTP.

use super::connect::AdminClient;
use super::{AdminUrl, output};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use pelton_api::manifest::{PluginManifest, PluginRef};
use std::fs::File;
use std::path::PathBuf;

/// Upload and list plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Upload a WebAssembly module under a name and a version, which then never change.
    Upload(Upload),
    /// List the plugins.
    List(List),
}

/// Upload a WebAssembly module under a name and a version, which then never change.
#[derive(Debug, Args)]
pub struct Upload {
    /// Name and version, such as pv-count@1.
    #[arg(value_name = "NAME@VERSION")]
    plugin: PluginRef,
    /// The module, as a core module or a component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminUrl,
}

/// List the plugins.
#[derive(Debug, Args)]
pub struct List {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminUrl,
}

/// What this command reads of `/v1/status`.
#[derive(serde::Deserialize)]
struct Status {
    damaged_plugins: Vec<String>,
}

impl Plugin {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Upload(command) => command.run(),
            Self::List(command) => command.run(),
        }
    }
}

impl Upload {
    fn run(self) -> anyhow::Result<()> {
        let read = || format!("cannot read {}", self.file.display());
        let file = File::open(&self.file).with_context(read)?;
        let metadata = file.metadata().with_context(read)?;
        if !metadata.is_file() {
            bail!("{} is no file", self.file.display());
        }
        let bar = output::progress(Some(metadata.len()), "{bar:30} {bytes}/{total_bytes}  {msg}");
        bar.set_message("uploading, then compiling");
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        let mut body = bar.wrap_read(file);
        let path = format!("/v1/plugins/{}/versions/{}", self.plugin.name, self.plugin.version);
        let uploaded = AdminClient::new(&self.admin.admin).put(&path, ureq::SendBody::from_reader(&mut body));
        bar.finish_and_clear();
        let manifest: PluginManifest = uploaded?;
        if self.json {
            output::json(&manifest);
        } else {
            output::line(&format!(
                "{} is uploaded: {}, {}, sha256 {}",
                manifest.plugin,
                manifest.interface,
                output::size(manifest.size_bytes),
                manifest.digest
            ));
        }
        Ok(())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let plugins: Vec<PluginManifest> = AdminClient::new(&self.admin.admin).get("/v1/plugins")?;
        if self.json {
            output::json(&plugins);
            return Ok(());
        }
        output::table(
            &["PLUGIN", "INTERFACE", "SIZE", "SHA256"],
            plugins.into_iter().map(|plugin| {
                let size = output::size(plugin.size_bytes);
                vec![plugin.plugin.to_string(), plugin.interface, size, plugin.digest]
            }),
        );
        let status: Status = AdminClient::new(&self.admin.admin).get("/v1/status")?;
        for damage in status.damaged_plugins {
            output::note(&format!("damaged: {damage}"));
        }
        Ok(())
    }
}
