"""The time of day, for interceptors."""

from . import stub

try:
    from wit_world.imports import clock as _host
except ImportError:
    _host = None


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return stub.now_ms if _host is None else _host.now_ms()
