"""The SDK for plugins written in Python: records instead of bytes, and the three kinds of plugin.

A plugin is a module with one class that derives from `Interceptor`, `Partitioner` or `Transform`. What a plugin may ask of
the host stands in modules of their own (`pelton_sdk.log`, `metrics`, `state`, `emit`, `clock`, `random`): it is granted what it
imports and nothing else. `python -m pelton_sdk.build PLUGIN.py OUT.wasm` builds it; `pelton_sdk.testing` runs it without Wasm.
"""

from .batch import Batch, Record, encode_batch
from .kinds import Interceptor, Partitioner, Transform, Verdict
from .partition import murmur2

__all__ = ["Batch", "Interceptor", "Partitioner", "Record", "Transform", "Verdict", "encode_batch", "murmur2"]
