// Masks payment card numbers before they reach the disk: `4111 1111 1111 1111` becomes `**** **** **** 1111`.
//
// A card number is 13 to 19 digits, with single spaces or dashes between them, whose check digit is right (Luhn); so order numbers and
// timestamps stay as they are. Configuration: {"keep": 4, "mask": "*"}, both optional. How many were masked is counted
// in `pelton_plugin_masked`.

import { Batch, Buffer, Interceptor, ON_SEND, Origin, Outcome, Slice, VALUE, Wants, count, register } from "../../sdk/assemblyscript/assembly/interceptor";
import { Walk, jsonInteger, jsonIsInteger, jsonOf, jsonText } from "../../sdk/assemblyscript/assembly/json";
export { pelton_alloc, pelton_interceptor_0_1 } from "../../sdk/assemblyscript/assembly/interceptor";

const FEWEST_DIGITS = 13;
const MOST_DIGITS = 19;

// @ts-ignore: decorator
@inline
function isDigit(c: u8): bool {
  return u8(c - 48) < 10;
}

class CardMask extends Interceptor {
  private keep: i32 = 4;
  private mask: u8 = 42;
  private changed: Buffer = new Buffer();

  describe(): Wants {
    const wants = new Wants();
    wants.hooks = ON_SEND;
    wants.reads = VALUE;
    wants.writes = VALUE;
    return wants;
  }

  configure(config: string): string | null {
    const walk = new Walk(jsonOf(config));
    while (walk.next()) {
      if (walk.name.equals("keep")) {
        if (!jsonIsInteger(walk.value) || jsonInteger(walk.value) < 0 || jsonInteger(walk.value) > 6) {
          return "`keep` must be a whole number from 0 to 6";
        }
        this.keep = i32(jsonInteger(walk.value));
      } else if (walk.name.equals("mask")) {
        const mask = jsonText(walk.value);
        if (mask === null || mask.length != 1 || mask.charCodeAt(0) < 33 || mask.charCodeAt(0) > 126) {
          return "`mask` must be one visible ASCII character";
        }
        this.mask = u8(mask.charCodeAt(0));
      } else {
        return "`" + walk.name.toString() + "` is unknown; there are `keep` and `mask`";
      }
    }
    return null;
  }

  onSend(_from: Origin, batch: Batch, out: Outcome): string | null {
    let masked: u64 = 0;
    while (batch.next()) {
      const record = batch.record;
      const found = this.maskValue(record.value);
      if (found == 0) continue;
      masked += found;
      this.changed.into(record.value);
      out.change(record);
    }
    if (masked > 0) count("masked", masked);
    return null;
  }

  /** Writes the masked value into `changed` when there is a number in it; how many there were. */
  private maskValue(value: Slice): i32 {
    let found = 0;
    let at = 0;
    while (at < value.len) {
      if (!isDigit(value.get(at))) {
        at++;
        continue;
      }
      const end = this.endOfNumber(value, at);
      if (this.isCard(value, at, end)) {
        if (found == 0) {
          this.changed.reset();
          this.changed.push(value);
        }
        this.hide(at, end);
        found++;
      }
      at = end;
    }
    return found;
  }

  /** Behind the last digit of a run that begins at `at`; one space or dash may stand between two digits. */
  private endOfNumber(value: Slice, at: i32): i32 {
    let end = at + 1;
    while (end < value.len) {
      const c = value.get(end);
      if (isDigit(c)) end++;
      else if ((c == 32 || c == 45) && end + 1 < value.len && isDigit(value.get(end + 1))) end += 2;
      else break;
    }
    return end;
  }

  /** Whether the digits have the right number and check digit. */
  private isCard(value: Slice, from: i32, to: i32): bool {
    let digits = 0;
    let sum = 0;
    for (let at = to - 1; at >= from; at--) {
      const c = value.get(at);
      if (!isDigit(c)) continue;
      let digit = i32(c) - 48;
      if ((digits & 1) == 1) digit = digit > 4 ? digit * 2 - 9 : digit * 2;
      sum += digit;
      digits++;
    }
    return digits >= FEWEST_DIGITS && digits <= MOST_DIGITS && sum % 10 == 0;
  }

  private hide(from: i32, to: i32): void {
    let kept = this.keep;
    for (let at = to - 1; at >= from; at--) {
      if (!isDigit(load<u8>(this.changed.ptr + at))) continue;
      if (kept > 0) kept--;
      else this.changed.set(at, this.mask);
    }
  }
}

register(new CardMask());
