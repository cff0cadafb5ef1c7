// Lines for the operator. The host bounds their length and rate.
import host from "pelton:plugin/log@0.1.1";

export const error = (message) => host.write("error", String(message));
export const warn = (message) => host.write("warn", String(message));
export const info = (message) => host.write("info", String(message));
export const debug = (message) => host.write("debug", String(message));
