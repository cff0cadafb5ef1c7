"""Lines for the operator. The host bounds their length and rate."""

from . import stub

try:
    from wit_world.imports import log as _host
except ImportError:
    _host = None


def _write(level: str, message: str) -> None:
    if _host is None:
        stub.lines.append((level, message))
    else:
        _host.write(_host.Level[level.upper()], message)


def error(message: str) -> None:
    """Something failed that a person must look at."""
    _write("error", message)


def warn(message: str) -> None:
    """Something is odd, and the plugin goes on."""
    _write("warn", message)


def info(message: str) -> None:
    """What a person wants to know once."""
    _write("info", message)


def debug(message: str) -> None:
    """What helps to find a fault."""
    _write("debug", message)
