"""Tags each order with the size class of its amount, as a header, before it is appended.

Configuration: {"field": "amount", "large": 1000}. Orders that are no JSON are rejected.
"""

import json

from pelton_sdk import Interceptor, metrics


class Tag(Interceptor):
    reads = {"value", "headers"}
    writes = {"headers"}

    def configure(self, config):
        unknown = set(config) - {"field", "large"}
        if unknown:
            raise ValueError(f"unknown key `{unknown.pop()}`; there are `field` and `large`")
        self.field = config.get("field", "amount")
        self.large = config.get("large", 1000)

    def on_send(self, origin, batch, verdict):
        large = 0
        for record in batch:
            try:
                amount = json.loads(record.value)[self.field]
                size = "large" if amount >= self.large else "small"
            except (TypeError, ValueError, KeyError):
                verdict.reject(record, f"the order has no number `{self.field}`")
                continue
            large += size == "large"
            verdict.replace(record, headers=[*record.headers, ("size", size.encode())])
        metrics.count("large_orders", by=large)
