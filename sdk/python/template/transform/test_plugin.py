import unittest

from pelton_sdk import Record
from pelton_sdk.testing import Harness
from plugin import Plugin


class PluginTest(unittest.TestCase):
    def test_values_are_turned_to_upper_case(self):
        judged = Harness(Plugin, stores=[]).process([Record(value=b"a"), Record()])
        self.assertEqual([record.value for record in judged.records], [b"A"])
        self.assertEqual(judged.rejected, [(1, "it has no value")])


if __name__ == "__main__":
    unittest.main()
