// {{name}}: refuses records without a key.
import { Batch, Interceptor, KEY, ON_SEND, Origin, Outcome, Wants, register } from "./pelton/assembly/interceptor";
export { pelton_alloc, pelton_interceptor_0_1 } from "./pelton/assembly/interceptor";

class {{Type}} extends Interceptor {
  describe(): Wants {
    const wants = new Wants();
    wants.hooks = ON_SEND;
    wants.reads = KEY;
    return wants;
  }

  configure(config: string): string | null {
    return config.trim() == "{}" ? null : "it takes no configuration";
  }

  onSend(_from: Origin, batch: Batch, out: Outcome): string | null {
    while (batch.next()) {
      if (batch.record.key.isNull) out.reject(batch.record, "it has no key");
    }
    return null;
  }
}

register(new {{Type}}());
