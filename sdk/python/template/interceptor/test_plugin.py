import unittest

from pelton_sdk import Record
from pelton_sdk.testing import Harness
from plugin import Plugin


class PluginTest(unittest.TestCase):
    def test_records_with_the_word_are_dropped(self):
        judged = Harness(Plugin, {"word": "no"}).on_send([Record(value=b"yes"), Record(value=b"no"), Record()])
        self.assertEqual([record.offset_delta for record in judged.records], [0, 2])


if __name__ == "__main__":
    unittest.main()
