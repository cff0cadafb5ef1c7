//! What is rendered, and what a flood comes to.

use super::*;

fn plugin(text: &str) -> PluginRef {
    text.parse().unwrap()
}

fn with_labels(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn numbers_are_rendered_as_prometheus_reads_them() {
    let metrics = Metrics::new();
    let mask = plugin("mask@1");
    let labels = with_labels(&[("field", "a\"b\\c")]);
    let series = |name: &'static str| Series { plugin: &mask, topic: "orders", name, labels: &labels };
    metrics.count(&series("masked"), 2);
    metrics.count(&series("masked"), 3);
    metrics.gauge(&Series { labels: &[], topic: "", ..series("level") }, f64::INFINITY);
    metrics.observe(&Series { labels: &[], ..series("late_seconds") }, &[0.0005, 0.3, 61.0, f64::NAN, 0.3]);
    let text = metrics.render();
    for line in [
        "# TYPE pelton_plugin_masked counter",
        "pelton_plugin_masked{plugin=\"mask@1\",topic=\"orders\",field=\"a\\\"b\\\\c\"} 5",
        "# TYPE pelton_plugin_level gauge",
        "pelton_plugin_level{plugin=\"mask@1\"} +Inf",
        "# TYPE pelton_plugin_late_seconds histogram",
        "pelton_plugin_late_seconds_bucket{plugin=\"mask@1\",topic=\"orders\",le=\"0.0005\"} 1",
        "pelton_plugin_late_seconds_bucket{plugin=\"mask@1\",topic=\"orders\",le=\"0.25\"} 1",
        "pelton_plugin_late_seconds_bucket{plugin=\"mask@1\",topic=\"orders\",le=\"0.5\"} 3",
        "pelton_plugin_late_seconds_bucket{plugin=\"mask@1\",topic=\"orders\",le=\"60\"} 3",
        "pelton_plugin_late_seconds_bucket{plugin=\"mask@1\",topic=\"orders\",le=\"+Inf\"} 4",
        "pelton_plugin_late_seconds_count{plugin=\"mask@1\",topic=\"orders\"} 4",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    metrics.forget(&mask);
    assert_eq!(metrics.render(), "");
}

#[test]
fn one_name_of_two_sorts_is_two_families() {
    let metrics = Metrics::new();
    let (one, other) = (plugin("a@1"), plugin("b@1"));
    metrics.count(&Series { plugin: &one, topic: "", name: "x", labels: &[] }, 1);
    metrics.gauge(&Series { plugin: &other, topic: "", name: "x", labels: &[] }, 0.5);
    let text = metrics.render();
    assert!(text.contains("pelton_plugin_x_counter{plugin=\"a@1\"} 1\n"), "{text}");
    assert!(text.contains("pelton_plugin_x_gauge{plugin=\"b@1\"} 0.5\n"), "{text}");
}

#[test]
fn a_flood_of_series_ends_in_the_overflow() {
    let metrics = Metrics::new();
    let (flood, neighbour) = (plugin("flood@1"), plugin("good@1"));
    for n in 0..5_000 {
        let labels = with_labels(&[("n", &n.to_string())]);
        metrics.count(&Series { plugin: &flood, topic: "t", name: "known", labels: &labels }, 1);
    }
    for n in 0..5_000 {
        let name = format!("new_{n}");
        metrics.gauge(&Series { plugin: &flood, topic: "t", name: &name, labels: &[] }, 1.0);
    }
    metrics.count(&Series { plugin: &neighbour, topic: "t", name: "known", labels: &[] }, 7);
    let text = metrics.render();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples, SERIES_A_PLUGIN + 3, "{samples} lines");
    assert!(text.contains("pelton_plugin_known{plugin=\"flood@1\",overflow=\"true\"} 4000\n"));
    assert!(text.contains("pelton_plugin_overflow{plugin=\"flood@1\",overflow=\"true\"} 5000\n"));
    assert!(text.contains("pelton_plugin_known{plugin=\"good@1\",topic=\"t\"} 7\n"));
}
