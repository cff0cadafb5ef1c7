// The time of day, for interceptors.
import host from "pelton:plugin/clock@0.1.1";

/** Milliseconds since the Unix epoch. */
export const nowMs = () => host.nowMs();
