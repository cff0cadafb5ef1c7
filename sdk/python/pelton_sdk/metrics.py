"""Numbers for the operator, in Prometheus' sense. Labels are a dictionary."""

from . import stub

try:
    from wit_world.imports import metrics as _host
except ImportError:
    _host = None


def count(name: str, labels: dict[str, str] | None = None, by: int = 1) -> None:
    """Adds to a counter."""
    if _host is None:
        stub.metrics.append({"name": name, "labels": labels or {}, "count": by})
    else:
        _host.count(name, list((labels or {}).items()), by)


def gauge(name: str, labels: dict[str, str] | None, value: float) -> None:
    """Sets a gauge."""
    if _host is None:
        stub.metrics.append({"name": name, "labels": labels or {}, "gauge": value})
    else:
        _host.gauge(name, list((labels or {}).items()), value)


def observe(name: str, labels: dict[str, str] | None, values: list[float]) -> None:
    """Adds observations to a histogram: all of a batch in one call."""
    if _host is None:
        stub.metrics.append({"name": name, "labels": labels or {}, "values": values})
    else:
        _host.observe(name, list((labels or {}).items()), values)
