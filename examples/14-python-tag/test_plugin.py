import unittest

from pelton_sdk import Record, stub
from pelton_sdk.testing import Harness
from plugin import Tag


class TagTest(unittest.TestCase):
    def test_orders_are_tagged_and_what_is_none_is_rejected(self):
        values = [b'{"amount": 5}', b'{"amount": 1000}', b"no json", None, b"{}"]
        judged = Harness(Tag).on_send([Record(value=value, headers=[("a", b"b")]) for value in values], topic="orders")
        self.assertEqual(judged.records[0].headers, [("a", b"b"), ("size", b"small")])
        self.assertEqual(judged.records[1].header("size"), b"large")
        self.assertEqual([index for index, _ in judged.rejected], [2, 3, 4])
        self.assertEqual(stub.metrics, [{"name": "large_orders", "labels": {}, "count": 1}])

    def test_a_misspelt_configuration_is_refused(self):
        with self.assertRaisesRegex(ValueError, "larg"):
            Harness(Tag, {"larg": 5})


if __name__ == "__main__":
    unittest.main()
