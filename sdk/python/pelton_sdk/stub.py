"""The host of a test without Wasm: it keeps what a plugin asks of it. See `pelton_sdk.testing`."""

from __future__ import annotations

from typing import Any

lines: list[tuple[str, str]] = []
metrics: list[dict[str, Any]] = []
emitted: list[tuple[str, bytes]] = []
stores: dict[tuple[int, bytes], bytes] = {}
now_ms = 0


def reset() -> None:
    """Forgets everything."""
    global now_ms
    lines.clear()
    metrics.clear()
    emitted.clear()
    stores.clear()
    now_ms = 0
