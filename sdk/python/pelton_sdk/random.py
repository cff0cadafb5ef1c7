"""Unpredictable bytes, for interceptors. (Python's own `random` and `secrets` have no entropy in the sandbox.)"""

try:
    from wit_world.imports import random as _host
except ImportError:
    _host = None


def random_bytes(count: int) -> bytes:
    """So many bytes, 65,536 at most; zeros in a test."""
    return bytes(count) if _host is None else bytes(_host.bytes(count))
