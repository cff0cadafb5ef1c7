"""From componentize-py's bindings to a plugin class. Imported by the module that `pelton_sdk.build` writes, and only there."""

from __future__ import annotations

import functools
import json
from typing import Any

from componentize_py_types import Err

from .batch import Batch
from .kinds import Verdict, hooks_of, run_transform


def _guarded(call: Any) -> Any:
    @functools.wraps(call)
    def guarded(*args: Any) -> Any:
        try:
            return call(*args)
        except Err:
            raise
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from error

    return guarded


def _config(text: str) -> Any:
    return json.loads(text) if text.strip() else {}


def _flags(flags: Any, names: Any) -> Any:
    value = flags(0)
    for name in names:
        value |= flags[name.upper()]
    return value


def interceptor(plugin: type) -> type:
    """The export `interceptor`."""
    from wit_world.exports import interceptor as types

    changes = {"none": lambda _: types.Change_None_(), "drop": types.Change_Drop, "replace": types.Change_Replace}
    made = plugin()

    def judged(hook: Any) -> Any:
        def run(origin: Any, data: bytes) -> Any:
            batch, verdict = Batch(data), Verdict()
            hook(origin, batch, verdict)
            tag, value = verdict.change(batch)
            rejected = [types.Rejection(delta, reason) for delta, reason in verdict.rejected]
            return types.Outcome(changes[tag](value), rejected)

        return run

    class Exported:
        def describe(self) -> Any:
            return types.Wants(
                _flags(types.Hooks, hooks_of(plugin)),
                _flags(types.Parts, plugin.reads),
                _flags(types.Parts, plugin.writes),
                plugin.drops,
                types.Reuse[plugin.reuse.replace("-", "_").upper()],
            )

        @_guarded
        def configure(self, config: str) -> None:
            made.configure(_config(config))

        @_guarded
        def on_send(self, from_: Any, batch: bytes) -> Any:
            return judged(made.on_send)(from_, batch)

        @_guarded
        def on_consume(self, to: Any, batch: bytes) -> Any:
            return judged(made.on_consume)(to, batch)

        @_guarded
        def on_acknowledgement(self, from_: Any, acknowledged: Any) -> None:
            made.on_acknowledgement(from_, acknowledged)

        @_guarded
        def on_commit(self, committed: Any) -> None:
            made.on_commit(committed)

    return Exported


def partitioner(plugin: type) -> type:
    """The export `partitioner`."""
    from wit_world.exports import partitioner as types

    made = plugin()

    class Exported:
        def describe(self) -> Any:
            return _flags(types.Parts, plugin.reads)

        @_guarded
        def configure(self, config: str) -> None:
            made.configure(_config(config))

        @_guarded
        def partition(self, batch: bytes, topic: str, partitions: int) -> list[int]:
            chosen = (made.partition(record, topic, partitions) for record in Batch(batch))
            return [-1 if number is None else number for number in chosen]

    return Exported


def transform(plugin: type) -> type:
    """The export `transform`."""
    from wit_world.exports import transform as types

    made = plugin()

    class Exported:
        @_guarded
        def configure(self, config: str, stores: list[str]) -> None:
            made.configure(_config(config), stores)

        @_guarded
        def process(self, batch: bytes) -> Any:
            output, rejected = run_transform(made, batch)
            return types.Processed(output, [types.Rejection(delta, reason) for delta, reason in rejected])

    return Exported
