//! `pelton plugin list`, `describe` and `delete`: what the registry holds.

use crate::cli::{Asking, output, time};
use clap::Args;
use pelton_api::interceptor::{Parts, Reuse, Wants};
use pelton_api::manifest::{ModuleFacts, PluginKind, PluginManifest, PluginRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// List the plugins.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    asking: Asking,
}

/// Show what a plugin is, what it may do, and where it is used.
///
/// Example: pelton plugin describe mask@2
#[derive(Debug, Args)]
pub struct Describe {
    /// Name and version, such as pv-count@1.
    #[arg(value_name = "NAME@VERSION")]
    plugin: PluginRef,
    #[command(flatten)]
    asking: Asking,
}

/// Delete a version of a plugin that nothing uses.
///
/// The version can be uploaded again afterwards, with the same or with other bytes.
#[derive(Debug, Args)]
pub struct Delete {
    /// Name and version, such as pv-count@1.
    #[arg(value_name = "NAME@VERSION")]
    plugin: PluginRef,
    #[command(flatten)]
    asking: Asking,
}

/// What this command reads of `/v1/status`.
#[derive(Deserialize)]
struct Damages {
    damaged_plugins: Vec<String>,
}

/// What the admin HTTP says of one plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Described {
    /// The registry's entry.
    pub manifest: PluginManifest,
    /// Topics and jobs that use it.
    #[serde(default)]
    pub used_by: Vec<Value>,
}

impl List {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let client = self.asking.admin.client();
        let plugins: Vec<PluginManifest> = client.get("/v1/plugins")?;
        if self.asking.json {
            output::json(&plugins);
            return Ok(());
        }
        output::table(
            &["PLUGIN", "KIND", "INTERFACE", "SIZE", "SIGNED BY", "UPLOADED", "SHA256"],
            plugins.into_iter().map(|plugin| {
                vec![
                    plugin.plugin.to_string(),
                    plugin.facts.kind.to_string(),
                    plugin.facts.interface,
                    output::size(plugin.size_bytes),
                    plugin.signed_by.unwrap_or_else(|| "-".to_owned()),
                    time::display(plugin.uploaded_at_ms),
                    plugin.digest,
                ]
            }),
        );
        let status: Damages = client.get("/v1/status")?;
        for damage in status.damaged_plugins {
            output::note(&format!("damaged: {damage}"));
        }
        Ok(())
    }
}

impl Describe {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let described: Described = self.asking.admin.client().get(&path(&self.plugin))?;
        if self.asking.json {
            output::json(&described);
            return Ok(());
        }
        let manifest = &described.manifest;
        output::line(&format!("{}: {}, {}", manifest.plugin, manifest.facts.kind, manifest.facts.interface));
        print_capabilities(&manifest.facts);
        output::line(&format!("  size       {}", output::size(manifest.size_bytes)));
        output::line(&format!("  sha256     {}", manifest.digest));
        let by = manifest.uploaded_by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        output::line(&format!("  uploaded   {}{by}", time::display(manifest.uploaded_at_ms)));
        if let Some(author) = &manifest.provenance.author {
            output::line(&format!("  author     {author}"));
        }
        if let Some(digest) = &manifest.provenance.source_digest {
            output::line(&format!("  source     sha256 {digest}, as the uploader states it"));
        }
        let signed = match (&manifest.signed_by, &manifest.provenance.public_key) {
            (Some(name), _) => format!("by the trusted key {name}"),
            (None, Some(key)) => format!("by {key}, which is not among the trusted keys"),
            (None, None) => "no".to_owned(),
        };
        output::line(&format!("  signed     {signed}"));
        if described.used_by.is_empty() {
            output::line("  used by    nothing");
        }
        for user in &described.used_by {
            let text = user.as_str().map_or_else(|| user.to_string(), str::to_owned);
            output::line(&format!("  used by    {text}"));
        }
        Ok(())
    }
}

impl Delete {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let answer: Value = self.asking.admin.client().delete(&path(&self.plugin))?;
        if self.asking.json {
            output::json(&answer);
        } else {
            output::line(&format!("{} is deleted", self.plugin));
        }
        Ok(())
    }
}

/// The path of one version in the admin HTTP.
pub fn path(plugin: &PluginRef) -> String {
    format!("/v1/plugins/{}/versions/{}", plugin.name, plugin.version)
}

/// Prints what a plugin reads, changes and asks of the host, in words.
pub fn print_capabilities(facts: &ModuleFacts) {
    for line in capabilities(facts) {
        output::line(&format!("  {line}"));
    }
}

fn capabilities(facts: &ModuleFacts) -> Vec<String> {
    let mut lines = Vec::new();
    match facts.kind {
        PluginKind::Interceptor => lines.extend(facts.wants.iter().flat_map(of_interceptor)),
        PluginKind::Partitioner => {
            let reads = facts.reads.map_or_else(|| "nothing".to_owned(), parts);
            lines.push(format!("reads      {reads}"));
        }
        PluginKind::Transform => lines.push("reads      key, value, headers, as a step of a job".to_owned()),
    }
    let used = facts.imports.iter().map(|import| match import.as_str() {
        "log" => "log lines".to_owned(),
        "metrics" => "metrics".to_owned(),
        "state" => "state".to_owned(),
        "emit" => "records for other topics".to_owned(),
        "clock" => "the time".to_owned(),
        "random" => "randomness".to_owned(),
        other => other.to_owned(),
    });
    let used: Vec<String> = used.collect();
    lines.push(format!(
        "uses       {}",
        if used.is_empty() { "nothing of the host".to_owned() } else { used.join(", ") }
    ));
    lines
}

fn of_interceptor(wants: &Wants) -> Vec<String> {
    let hooks: Vec<&str> = wants.hooks.iter().map(|hook| hook.name()).collect();
    let reuse = match wants.reuse {
        Reuse::Never => "called for each delivery",
        Reuse::ForEveryone => "what it made of a batch holds for all consumers",
        Reuse::ForPrincipal => "what it made of a batch holds for all consumers of a principal",
    };
    let mut lines = vec![
        format!("hooks      {}", if hooks.is_empty() { "none".to_owned() } else { hooks.join(", ") }),
        format!("reads      {}", parts(wants.reads)),
        format!("may change {}", parts(wants.writes)),
        format!("may drop   {}", if wants.drops { "records" } else { "nothing" }),
    ];
    if wants.hooks.has(pelton_api::interceptor::Hook::OnConsume) {
        lines.push(format!("on-consume {reuse}"));
    }
    lines
}

fn parts(parts: Parts) -> String {
    let named = [(parts.key, "key"), (parts.value, "value"), (parts.headers, "headers")];
    let present: Vec<&str> = named.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
    if present.is_empty() { "nothing".to_owned() } else { present.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_api::interceptor::{Hook, HookSet};
    use pelton_api::manifest::Abi;

    #[test]
    fn capabilities_are_told_in_words() {
        let wants = Wants {
            hooks: HookSet::default().with(Hook::OnSend).with(Hook::OnConsume),
            reads: Parts { key: true, value: true, headers: false },
            writes: Parts { value: true, ..Parts::NONE },
            drops: true,
            reuse: Reuse::ForPrincipal,
        };
        let facts = ModuleFacts {
            kind: PluginKind::Interceptor,
            interface: "pelton:plugin/interceptor@0.1.1".into(),
            abi: Abi::Component,
            imports: vec!["log".into(), "emit".into()],
            wants: Some(wants),
            reads: None,
        };
        let lines = capabilities(&facts);
        assert_eq!(
            lines,
            [
                "hooks      on-send, on-consume",
                "reads      key, value",
                "may change value",
                "may drop   records",
                "on-consume what it made of a batch holds for all consumers of a principal",
                "uses       log lines, records for other topics",
            ]
        );
    }
}
