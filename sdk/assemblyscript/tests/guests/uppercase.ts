// Values in upper case: the smallest plugin that touches every byte. It measures the SDK, and tests the host of the flat contract.
import { Batch, Buffer, HEADERS, Interceptor, KEY, ON_SEND, Origin, Outcome, VALUE, Wants, register } from "../../assembly/interceptor";
export { pelton_alloc, pelton_interceptor_0_1 } from "../../assembly/interceptor";

class Uppercase extends Interceptor {
  private upper: Buffer = new Buffer();

  describe(): Wants {
    const wants = new Wants();
    wants.hooks = ON_SEND;
    wants.reads = KEY | VALUE | HEADERS;
    wants.writes = VALUE;
    return wants;
  }

  onSend(_from: Origin, batch: Batch, out: Outcome): string | null {
    const upper = this.upper;
    while (batch.next()) {
      const record = batch.record;
      if (!record.value.isNull) {
        upper.reset();
        upper.push(record.value);
        for (let at = upper.ptr, end = at + upper.len; at < end; at++) {
          const c = load<u8>(at);
          if (u8(c - 97) < 26) store<u8>(at, c ^ 32);
        }
        upper.into(record.value);
      }
      out.change(record);
    }
    return null;
  }
}

register(new Uppercase());
