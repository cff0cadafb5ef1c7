import unittest

from pelton_sdk import Batch, Interceptor, Partitioner, Record, encode_batch, murmur2, stub
from pelton_sdk.kinds import hooks_of
from pelton_sdk.testing import Harness


class Edits(Interceptor):
    reads = {"value"}
    writes = {"value"}
    drops = True

    def on_send(self, origin, batch, verdict):
        for record in batch:
            if record.value == b"drop":
                verdict.drop(record)
            elif record.value == b"reject":
                verdict.reject(record, "no")
            elif record.value == b"edit":
                verdict.replace(record, value=b"edited")


class ByKey(Partitioner):
    def partition(self, record, topic, partitions):
        return None if record.key is None else murmur2(record.key) % partitions


class Sdk(unittest.TestCase):
    def test_a_batch_is_read_as_it_was_written(self):
        records = [
            Record(b"k", b"v", [("h", b"1"), ("n", None)], 1_000, 0),
            Record(None, None, [], 1_700_000_000_000, 3),
            Record(b"", b"y" * 70_000, [], 999, 4),
        ]
        batch = Batch(encode_batch(records, 1_000, 9))
        self.assertEqual((len(batch), batch.last_offset_delta), (3, 9))
        self.assertEqual(list(batch), records)

    def test_a_damaged_batch_is_an_error(self):
        whole = encode_batch([Record(b"key", b"value")])
        for cut in range(len(whole)):
            with self.assertRaises(ValueError):
                list(Batch(whole[:cut]))

    def test_murmur2_is_kafkas(self):
        cases = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"": 275646681}
        for key, value in cases.items():
            self.assertEqual(murmur2(key), value & 0x7FFFFFFF)

    def test_an_interceptor_edits_drops_and_rejects(self):
        judged = Harness(Edits).on_send([Record(value=value) for value in (b"edit", b"drop", b"reject", None)])
        self.assertEqual([r.value for r in judged.records], [b"edited", b"reject", None])
        self.assertEqual([r.offset_delta for r in judged.records], [0, 2, 3])
        self.assertEqual(judged.rejected, [(2, "no")])
        self.assertEqual(hooks_of(Edits), ["on_send"])
        self.assertFalse(Harness(Edits).on_send([Record(value=b"stays")]).changed)

    def test_a_partitioner_answers_for_each_record(self):
        records = [Record(key=b"foobar"), Record(), Record(key=b"21")]
        expected = [murmur2(b"foobar") % 6, None, murmur2(b"21") % 6]
        self.assertEqual(Harness(ByKey).partition(records, "t", 6), expected)
        self.assertEqual(stub.lines, [])

    def test_a_configuration_is_refused_with_its_key(self):
        with self.assertRaisesRegex(ValueError, "colour"):
            Harness(Edits, {"colour": 1})


if __name__ == "__main__":
    unittest.main()
