// What `abort` becomes (`asc --use abort=.../abort/peltonAbort`): the reason is logged, and the call traps.
//
// It stands alone, because everything that allocates depends on it.

// @ts-ignore: decorator
@external("pelton", "host_0_1")
declare function host_0_1(call: i32, ptr: usize, len: i32): u64;

/** Logs a line of level `error`, then traps. */
export function peltonAbort(message: string | null, file: string | null, line: u32, _column: u32): void {
  let text = message === null ? "it aborts" : message;
  if (file !== null) text += ", at " + file + ":" + line.toString();
  const len = String.UTF8.byteLength(text);
  const request = heap.alloc(5 + len);
  store<u8>(request, 0);
  store<i32>(request + 1, len);
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, request + 5);
  host_0_1(1, request, 5 + len);
  unreachable();
}
