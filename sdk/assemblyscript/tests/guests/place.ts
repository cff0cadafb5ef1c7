// A partitioner: the key's first byte, modulo.
import { KEY, Partitioner, Record, Slice, register } from "../../assembly/partitioner";
export { pelton_alloc, pelton_partitioner_0_1 } from "../../assembly/partitioner";

class Place extends Partitioner {
  reads(): u8 {
    return KEY;
  }

  partition(record: Record, _topic: Slice, partitions: i32): i32 {
    return record.key.len > 0 ? i32(record.key.get(0)) % partitions : -1;
  }
}

register(new Place());
