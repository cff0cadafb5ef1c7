"""Turns each value to upper case; records without a value go to the dead letters."""

from pelton_sdk import Transform


class Plugin(Transform):
    def process(self, batch, out):
        for record in batch:
            if record.value is None:
                out.reject(record, "it has no value")
            else:
                out.emit(record.key, record.value.upper(), record.headers)
