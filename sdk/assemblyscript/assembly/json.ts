// Reads JSON in place: a plugin's configuration, or a record's value.
//
// It finds fields, walks lists, and reads texts, whole numbers and truth values. It does not check that all of a text is JSON.
// What cannot be found or read is null, and the text is never read past its end.

import { Buffer, Slice } from "./bytes";

function blank(at: usize, end: usize): usize {
  while (at < end) {
    const c = load<u8>(at);
    if (c != 32 && c != 9 && c != 10 && c != 13) break;
    at++;
  }
  return at;
}

/** Behind a text that begins at `at` with its quotation mark; 0 when it does not end. */
function behindText(at: usize, end: usize): usize {
  for (at++; at < end; at++) {
    const c = load<u8>(at);
    if (c == 34) return at + 1;
    if (c == 92) at++;
  }
  return 0;
}

/** Behind the value that begins at `at`; 0 when there is none, or it does not end. */
function behindValue(at: usize, end: usize): usize {
  let depth = 0;
  while (at < end) {
    const c = load<u8>(at);
    if (c == 34) {
      at = behindText(at, end);
      if (at == 0) return 0;
    } else if (c == 123 || c == 91) {
      depth++;
      at++;
    } else if (c == 125 || c == 93) {
      if (depth == 0) return 0;
      depth--;
      at++;
    } else if (depth > 0) {
      at++;
    } else {
      const from = at;
      while (at < end) {
        const d = load<u8>(at);
        if (d == 44 || d == 125 || d == 93 || d <= 32) break;
        at++;
      }
      return at == from ? 0 : at;
    }
    if (depth == 0) return at;
  }
  return 0;
}

/** A walk over a list or an object: `while (walk.next()) { walk.name, walk.value }` */
export class Walk {
  /** Of a field: its name as it is written, without quotation marks. */
  name: Slice = new Slice();
  /** The value, as it is written. */
  value: Slice = new Slice();
  private at: usize;
  private end: usize;

  constructor(json: Slice) {
    this.at = json.ptr;
    this.end = json.ptr + json.len;
  }

  next(): bool {
    let at = blank(this.at, this.end);
    if (at >= this.end) return false;
    const opens = load<u8>(at);
    if (opens != 123 && opens != 91 && opens != 44) return false;
    at = blank(at + 1, this.end);
    let behind = behindValue(at, this.end);
    if (behind == 0) return false;
    this.value.set(at, i32(behind - at));
    at = blank(behind, this.end);
    if (at < this.end && load<u8>(at) == 58) {
      if (this.value.len < 2 || this.value.get(0) != 34) return false;
      this.name.set(this.value.ptr + 1, this.value.len - 2);
      at = blank(at + 1, this.end);
      behind = behindValue(at, this.end);
      if (behind == 0) return false;
      this.value.set(at, i32(behind - at));
    }
    this.at = behind;
    return true;
  }
}

/** The value of a field of an object, as it is written; a null slice when there is none. */
export function jsonField(object: Slice, name: string): Slice {
  const walk = new Walk(object);
  while (walk.next()) {
    if (walk.name.equals(name)) return walk.value;
  }
  return new Slice();
}

/** The text that a value is; null when it is none. */
export function jsonText(value: Slice): string | null {
  if (value.len < 2 || value.get(0) != 34) return null;
  const written = String.UTF8.decodeUnsafe(value.ptr + 1, value.len - 2);
  if (!written.includes("\\")) return written;
  let read = "";
  for (let n = 0; n < written.length; n++) {
    const c = written.charCodeAt(n);
    if (c != 92) {
      read += String.fromCharCode(c);
      continue;
    }
    n++;
    const escape = n < written.length ? written.charCodeAt(n) : 0;
    const known = "\"\\/bfnrt".indexOf(String.fromCharCode(escape));
    if (escape == 117 && n + 4 < written.length) {
      read += String.fromCharCode(i32(parseInt(written.substr(n + 1, 4), 16)));
      n += 4;
    } else if (known >= 0) {
      read += "\"\\/\b\f\n\r\t".charAt(known);
    } else {
      return null;
    }
  }
  return read;
}

/** Whether a value is a whole number of at most 18 digits; `jsonInteger` reads it. */
export function jsonIsInteger(value: Slice): bool {
  let n = value.len > 0 && value.get(0) == 45 ? 1 : 0;
  if (n == value.len || value.len > 18 + n) return false;
  for (; n < value.len; n++) {
    if (value.get(n) < 48 || value.get(n) > 57) return false;
  }
  return true;
}

/** The whole number that a value is; 0 when it is none. */
export function jsonInteger(value: Slice): i64 {
  if (!jsonIsInteger(value)) return 0;
  const negative = value.get(0) == 45;
  let sum: i64 = 0;
  for (let n = negative ? 1 : 0; n < value.len; n++) sum = sum * 10 + i64(value.get(n) - 48);
  return negative ? -sum : sum;
}

/** Bytes of a text, for the functions above. */
export function jsonOf(text: string): Slice {
  const bytes = new Buffer();
  bytes.pushString(text);
  return bytes.slice();
}
