//! `pelton cluster`.

use super::{json, refused};
use anyhow::{Context, Result, ensure};
use pelton_e2e::Pelton;

#[test]
fn a_cluster_shows_its_brokers_its_quorum_and_what_it_serves() -> Result<()> {
    let broker = Pelton::start()?;
    let cluster = json(&broker, &["cluster", "describe"])?;
    let port: i64 = broker.bootstrap.rsplit(':').next().context("a port")?.parse()?;
    ensure!(cluster["brokers"][0]["id"] == 1 && cluster["brokers"][0]["port"] == port, "{cluster}");
    ensure!(cluster["controller"] == 1 && cluster["cluster_id"].as_str().is_some_and(|id| id.len() == 22), "{cluster}");
    ensure!(cluster["quorum"]["leader"] == 1 && cluster["quorum"]["voters"][0]["id"] == 1, "{cluster}");
    ensure!(cluster["features"].as_array().is_some_and(|all| !all.is_empty()), "{cluster}");
    let table = broker.cli(&["cluster", "describe"])?;
    ensure!(table.contains("metadata: leader 1") && table.contains("transaction.version"), "{table}");

    let apis = json(&broker, &["cluster", "api-versions"])?;
    let produce = apis.as_array().context("a list")?.iter().find(|api| api["name"] == "Produce");
    ensure!(produce.is_some_and(|api| api["key"] == 0), "{apis}");
    Ok(())
}

#[test]
fn log_directories_show_what_lies_in_them() -> Result<()> {
    let broker = Pelton::start()?;
    broker.cli(&["topic", "create", "orders", "refunds", "--partitions", "2"])?;
    let directories = json(&broker, &["cluster", "log-dirs", "--topic", "orders"])?;
    let directory = &directories[0];
    let path = broker.data_dir();
    ensure!(directory["directory"].as_str().is_some_and(|at| at == path.to_string_lossy()), "{directories}");
    ensure!(directory["logs"].as_array().is_some_and(|logs| logs.len() == 2), "{directories}");
    ensure!(directory["failure"].is_null() && directory["free_bytes"].as_u64().is_some_and(|free| free > 0));
    let table = broker.cli(&["cluster", "log-dirs", "--partitions"])?;
    ensure!(table.contains("refunds") && table.contains("in use"), "{table}");
    refused(&broker, &["cluster", "log-dirs", "--topic", "nothing"], &["nothing", "pelton topic list"])?;
    refused(&broker, &["cluster", "log-dirs", "--broker", "9"], &["no broker 9"])
}
