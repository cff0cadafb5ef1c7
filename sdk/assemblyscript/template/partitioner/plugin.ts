// {{name}}: places a record by the part of its key before the first colon, by Kafka's own hash.
import { KEY, Partitioner, Record, Slice, murmur2, register } from "./pelton/assembly/partitioner";
export { pelton_alloc, pelton_partitioner_0_1 } from "./pelton/assembly/partitioner";

class {{Type}} extends Partitioner {
  private group: Slice = new Slice();

  reads(): u8 {
    return KEY;
  }

  partition(record: Record, _topic: Slice, partitions: i32): i32 {
    const key = record.key;
    if (key.isNull) return -1; // any partition will do
    let len = 0;
    while (len < key.len && key.get(len) != 58) len++;
    this.group.set(key.ptr, len);
    return i32(murmur2(this.group) & 0x7fffffff) % partitions;
  }
}

register(new {{Type}}());
