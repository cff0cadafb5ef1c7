//! `pelton:plugin/metrics`: numbers for the operator.
//!
//! Invariant: what reaches the sink can be written into Prometheus' text form as it is: names are well-formed, no label comes twice
//! or bears a name of the host's, values are cut and escaped.

use super::log::escaped;
use super::{HostData, Stop};
use crate::observe::{MetricSink, Series};
use pelton_api::fault::Fault;
use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{AsContextMut, StoreContextMut};

/// Characters of a name.
const NAME_CHARS: usize = 100;
const LABELS: usize = 10;
/// Bytes of a label's value; the rest is cut.
const VALUE_BYTES: usize = 128;
/// Observations in one call.
const OBSERVATIONS: usize = 65_536;
/// Labels that the host sets itself, or that Prometheus' histograms have.
const RESERVED: [&str; 4] = ["plugin", "topic", "overflow", "le"];

/// Labels as a guest gives them.
pub(crate) type Labels = Vec<(String, String)>;

impl HostData {
    /// Adds to a counter.
    pub(crate) fn count(&self, name: &str, labels: Labels, by: u64) -> Result<(), Stop> {
        self.with_series(name, labels, |sink, series| sink.count(series, by))
    }

    /// Sets a gauge.
    pub(crate) fn gauge(&self, name: &str, labels: Labels, value: f64) -> Result<(), Stop> {
        self.with_series(name, labels, |sink, series| sink.gauge(series, value))
    }

    /// Adds observations to a histogram.
    pub(crate) fn observe(&self, name: &str, labels: Labels, values: &[f64]) -> Result<(), Stop> {
        if values.len() > OBSERVATIONS {
            let detail = format!("one call takes {OBSERVATIONS} observations, not {}", values.len());
            return Err(Stop::limit("metrics", detail));
        }
        self.with_series(name, labels, |sink, series| sink.observe(series, values))
    }

    fn with_series(
        &self,
        name: &str,
        mut labels: Labels,
        tell: impl FnOnce(&dyn MetricSink, &Series<'_>),
    ) -> Result<(), Stop> {
        check(name, &labels).map_err(Stop)?;
        for (_, value) in &mut labels {
            if value.len() > VALUE_BYTES || value.chars().any(char::is_control) {
                *value = escaped(value, VALUE_BYTES);
            }
        }
        let series = Series { plugin: &self.plugin.name, topic: &self.purpose.topic, name, labels: &labels };
        tell(&*self.plugin.engine.metrics, &series);
        Ok(())
    }
}

fn check(name: &str, labels: &[(String, String)]) -> Result<(), Fault> {
    let malformed = |what: &str, name: &str| {
        Fault::Malformed(format!(
            "{what} has letters, digits and `_`, at most {NAME_CHARS}; `{}` is none",
            escaped(name, NAME_CHARS)
        ))
    };
    if !is_name(name) {
        return Err(malformed("the name of a metric", name));
    }
    if labels.len() > LABELS {
        let detail = format!("a metric may have {LABELS} labels, not {}", labels.len());
        return Err(Fault::Limit { limit: "metrics", detail });
    }
    for (n, (label, _)) in labels.iter().enumerate() {
        if !is_name(label) || label.as_bytes()[0].is_ascii_digit() || label.starts_with("__") {
            return Err(malformed("the name of a label", label));
        }
        if RESERVED.contains(&label.as_str()) {
            return Err(Fault::Malformed(format!("the label `{label}` is the host's")));
        }
        if labels[..n].iter().any(|(other, _)| other == label) {
            return Err(Fault::Malformed(format!("the label `{label}` is given twice")));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_CHARS
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

pub(super) fn add_to(linker: &mut Linker<HostData>) -> wasmtime::Result<()> {
    let mut metrics = linker.instance("pelton:plugin/metrics@0.1.1")?;
    metrics.func_wrap("count", |cx: StoreContextMut<'_, HostData>, (name, labels, by): (WasmStr, Labels, u64)| {
        Ok(cx.data().count(&name.to_str(&cx)?, labels, by)?)
    })?;
    metrics.func_wrap(
        "gauge",
        |cx: StoreContextMut<'_, HostData>, (name, labels, value): (WasmStr, Labels, f64)| {
            Ok(cx.data().gauge(&name.to_str(&cx)?, labels, value)?)
        },
    )?;
    metrics.func_wrap(
        "observe",
        |mut cx: StoreContextMut<'_, HostData>, (name, labels, values): (WasmStr, Labels, WasmList<f64>)| {
            if values.len() > OBSERVATIONS {
                let detail = format!("one call takes {OBSERVATIONS} observations, not {}", values.len());
                return Err(Stop::limit("metrics", detail).into());
            }
            let values: Vec<f64> = values.iter(cx.as_context_mut())?.collect::<wasmtime::Result<_>>()?;
            Ok(cx.data().observe(&name.to_str(&cx)?, labels, &values)?)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Labels {
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
    }

    #[test]
    fn names_and_labels_are_held_to_prometheus_form() {
        assert_eq!(check("late_seconds", &labels(&["client_id", "x9"])), Ok(()));
        assert_eq!(check(&"n".repeat(NAME_CHARS), &[]), Ok(()));
        for name in ["", "a b", "a\nb", "é", "a{x=\"1\"}", &"n".repeat(NAME_CHARS + 1)] {
            assert!(matches!(check(name, &[]), Err(Fault::Malformed(_))), "{name}");
            assert!(matches!(check("a", &labels(&[name])), Err(Fault::Malformed(_))), "{name}");
        }
        for label in ["9x", "__name__", "plugin", "topic", "overflow", "le"] {
            assert!(matches!(check("a", &labels(&[label])), Err(Fault::Malformed(_))), "{label}");
        }
        assert!(matches!(check("a", &labels(&["x", "y", "x"])), Err(Fault::Malformed(_))));
        let many: Vec<String> = (0..=LABELS).map(|n| format!("l{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(check("a", &labels(&many)), Err(Fault::Limit { limit: "metrics", .. })));
    }
}
