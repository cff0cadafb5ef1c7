import unittest

from pelton_sdk import Record
from pelton_sdk.testing import Harness
from plugin import Plugin


class PluginTest(unittest.TestCase):
    def test_keys_with_the_same_beginning_meet(self):
        records = [Record(key=b"user-1"), Record(key=b"user-2"), Record()]
        first, second, none = Harness(Plugin).partition(records, "topic", 12)
        self.assertEqual(first, second)
        self.assertIsNone(none)


if __name__ == "__main__":
    unittest.main()
