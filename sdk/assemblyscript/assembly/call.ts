// One call of the host, from its request to its answer, as it is in every world.

import { Buffer, Reader, Slice } from "./bytes";
import { beginCall, endCall } from "./host";

/** The request, which a world reads. */
export const request: Reader = new Reader();
/** The answer, which a world writes: it begins behind the byte that says whether all is well. */
export const answer: Buffer = new Buffer();
/** The configuration or the batch of the request. */
export const bytes: Slice = new Slice();

/** What a world says of a call that it does not know. */
export const UNKNOWN_CALL: string = "the host made a call that this plugin does not know; build it anew with the newest SDK";

/** Begins a call. */
export function openCall(ptr: usize, len: i32): void {
  beginCall();
  request.open(ptr, len);
  answer.reset();
  answer.pushU8(0);
}

/** Ends a call, with the error that it came to; null says that the answer is written. */
export function closeCall(error: string | null): u64 {
  if (error === null && request.bad) error = "the host's request is cut short; the plugin was built for another contract";
  if (error !== null) {
    answer.reset();
    answer.pushU8(1);
    answer.pushText(error);
  }
  endCall();
  return (u64(answer.ptr) << 32) | u64(answer.len);
}
