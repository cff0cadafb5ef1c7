// Unpredictable bytes, for interceptors.
import host from "pelton:plugin/random@0.1.1";

/** So many bytes, 65,536 at most. */
export const bytes = (count) => Uint8Array.from(host.bytes(count));
