// Uses everything that an interceptor has; the engine's tests say what must come of it, for each SDK alike.
import {
  Acknowledgement, Batch, Buffer, Commit, HEADERS, FOR_PRINCIPAL, INFO, Interceptor, KEY, Label, ON_ACKNOWLEDGEMENT, ON_COMMIT, ON_CONSUME,
  ON_SEND, Origin, Outcome, VALUE, Wants, Writer, count, emit, gauge, log, nowMs, observe, random, register, stateGet, statePut,
} from "../../assembly/interceptor";
export { pelton_alloc, pelton_interceptor_0_1 } from "../../assembly/interceptor";

class Probe extends Interceptor {
  private traps: bool = false;
  private changed: Buffer = new Buffer();

  describe(): Wants {
    const wants = new Wants();
    wants.hooks = ON_SEND | ON_ACKNOWLEDGEMENT | ON_CONSUME | ON_COMMIT;
    wants.reads = KEY | VALUE | HEADERS;
    wants.writes = VALUE | HEADERS;
    wants.drops = true;
    wants.reuse = FOR_PRINCIPAL;
    return wants;
  }

  configure(config: string): string | null {
    this.traps = config == '{"trap":true}';
    if (!this.traps && config != "{}") return "no configuration is known, not " + config;
    return null;
  }

  onSend(from: Origin, batch: Batch, out: Outcome): string | null {
    if (this.traps) throw new Error("about to trap");
    while (batch.next()) {
      const record = batch.record;
      if (record.value.isNull) {
        out.drop(record);
      } else if (record.value.equals("one")) {
        this.changed.reset();
        this.changed.pushString("ONE");
        this.changed.into(record.value);
        record.addHeader("by", from.principal);
        out.change(record);
      } else {
        out.reject(record, "no " + record.value.toString());
      }
    }
    return null;
  }

  onConsume(to: Origin, batch: Batch, _out: Outcome): string | null {
    const copies = new Writer();
    while (batch.next()) copies.write(batch.record);
    const seen = stateGet(0, to.principal);
    const times = new Buffer();
    times.pushU8(seen.isNull ? 1 : seen.get(0) + 1);
    statePut(0, to.principal, times.slice());
    gauge("this_century", nowMs() > 1000000000000 ? 1 : 0);
    log(INFO, "seen " + times.slice().get(0).toString() + ", random " + random(16).len.toString());
    return emit("copies", copies);
  }

  onAcknowledgement(from: Origin, what: Acknowledgement): string | null {
    count("acknowledged", what.recordCount, [new Label("topic_name", from.topic.toString())]);
    return null;
  }

  onCommit(commit: Commit): string | null {
    const offsets: f64[] = [];
    while (commit.next()) offsets.push(f64(commit.offset));
    observe("offsets", offsets);
    return null;
  }
}

register(new Probe());
