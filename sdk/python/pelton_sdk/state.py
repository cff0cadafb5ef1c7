"""The plugin's stores: of a job's step those that its specification names, of an interceptor store 0 alone."""

from . import stub

try:
    from wit_world.imports import state as _host
except ImportError:
    _host = None


def get(key: bytes, store: int = 0) -> bytes | None:
    """The value under a key."""
    return stub.stores.get((store, key)) if _host is None else _host.get(store, key)


def put(key: bytes, value: bytes, store: int = 0) -> None:
    """Sets the value under a key."""
    if _host is None:
        stub.stores[(store, key)] = value
    else:
        _host.put(store, key, value)


def delete(key: bytes, store: int = 0) -> None:
    """Removes a key."""
    if _host is None:
        stub.stores.pop((store, key), None)
    else:
        _host.delete(store, key)
