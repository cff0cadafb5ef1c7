//! `/metrics`: the numbers of the broker and of its plugins, for Prometheus: one text, whoever counts.

use super::Shared;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use pelton_hooks::breaker::BreakerState;
use pelton_hooks::report::{HookReport, LinkReport, TopicReport};
use std::fmt::Write;

/// The numbers of the broker and of its plugins, as Prometheus reads them.
///
/// What the broker counts, with Kafka's meanings; what plugins count themselves, under `pelton_plugin_NAME`; and what the
/// chains count of them, by topic, plugin and hook.
#[utoipa::path(
    get, path = "/metrics", tag = "broker",
    responses((status = 200, description = "Prometheus' text format, version 0.0.4", body = String,
        content_type = "text/plain")),
)]
pub(super) async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    // Never closed.
    let _turn = shared.scrapes.acquire().await;
    let mut text = shared.platform().broker.exposition().await;
    text.push_str(&shared.live().metrics.render());
    render_chains(&mut text, &shared.platform().chains.reports());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// A number of one hook of one plugin.
struct Family {
    name: &'static str,
    help: &'static str,
    value: fn(&HookReport) -> f64,
}

const FAMILIES: [Family; 7] = [
    Family { name: "calls", help: "Calls of plugins.", value: |hook| hook.calls as f64 },
    Family { name: "records", help: "Records that plugins were given.", value: |hook| hook.records as f64 },
    Family { name: "dropped_records", help: "Records that plugins took away.", value: |hook| hook.dropped as f64 },
    Family { name: "rejected_records", help: "Records that plugins refused.", value: |hook| hook.rejected as f64 },
    Family { name: "faults", help: "Calls of plugins that failed.", value: |hook| hook.faults as f64 },
    Family {
        name: "bypassed",
        help: "Calls that were not made because the circuit was open.",
        value: |hook| hook.bypassed as f64,
    },
    Family { name: "seconds", help: "Time spent in plugins.", value: |hook| hook.busy_ns as f64 / 1e9 },
];

fn links(report: &TopicReport) -> impl Iterator<Item = &LinkReport> {
    report.interceptors.iter().chain(&report.partitioner)
}

/// Writes what the chains count. A name of a topic or a plugin needs no escaping: letters, digits and `.-_@`.
fn render_chains(text: &mut String, reports: &[TopicReport]) {
    for Family { name, help, value } in FAMILIES {
        let name = format!("pelton_interceptor_{name}_total");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for report in reports {
            for link in links(report) {
                for hook in &link.hooks {
                    let (topic, plugin) = (&report.topic, &link.plugin);
                    let labels = format!("topic=\"{topic}\",plugin=\"{plugin}\",hook=\"{}\"", hook.hook.name());
                    let _ = writeln!(text, "{name}{{{labels}}} {}", value(hook));
                }
            }
        }
    }
    let name = "pelton_interceptor_breaker_open";
    let help = "Whether the circuit of a plugin is open (1), so that it is not called.";
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for report in reports {
        for link in links(report) {
            let open = u8::from(link.breaker != BreakerState::Closed);
            let _ = writeln!(text, "{name}{{topic=\"{}\",plugin=\"{}\"}} {open}", report.topic, link.plugin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_api::interceptor::Hook;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_names_the_numbers_of_the_chains() {
        let mut text = String::new();
        render_chains(&mut text, &[]);
        let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let document = include_str!("../../../server/METRICS.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `pelton_interceptor_")?.split('`').next());
        let documented: BTreeSet<String> = rows.map(|name| format!("pelton_interceptor_{name}")).collect();
        assert_eq!(told.map(str::to_owned).collect::<BTreeSet<_>>(), documented);
    }

    #[test]
    fn the_numbers_of_the_chains_are_told_in_prometheus_words() {
        let hook = HookReport {
            hook: Hook::OnSend,
            calls: 7,
            records: 700,
            changed: 1,
            dropped: 2,
            rejected: 3,
            faults: 4,
            bypassed: 5,
            busy_ns: 1_500_000_000,
        };
        let link = LinkReport {
            plugin: "mask@1".to_owned(),
            digest: String::new(),
            breaker: BreakerState::Open,
            hooks: vec![hook],
            state_bytes: 0,
            last_fault: None,
        };
        let report = TopicReport {
            topic: "a.b".to_owned(),
            identity: "x".to_owned(),
            attached_at_ms: 0,
            interceptors: vec![link],
            partitioner: None,
            shadow: None,
            cache_hits: 0,
            cache_misses: 0,
        };
        let mut text = String::new();
        render_chains(&mut text, &[report]);
        let labels = "topic=\"a.b\",plugin=\"mask@1\"";
        for line in [
            format!("pelton_interceptor_calls_total{{{labels},hook=\"on-send\"}} 7"),
            format!("pelton_interceptor_faults_total{{{labels},hook=\"on-send\"}} 4"),
            format!("pelton_interceptor_seconds_total{{{labels},hook=\"on-send\"}} 1.5"),
            format!("pelton_interceptor_breaker_open{{{labels}}} 1"),
            "# TYPE pelton_interceptor_calls_total counter".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
