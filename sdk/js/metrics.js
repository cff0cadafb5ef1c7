// Numbers for the operator, in Prometheus' sense. Labels are an object: { client: "a" }.
import host from "pelton:plugin/metrics@0.1.1";

/** Adds to a counter. */
export const count = (name, labels = {}, by = 1) => host.count(name, Object.entries(labels), by);
/** Sets a gauge. */
export const gauge = (name, labels, value) => host.gauge(name, Object.entries(labels), value);
/** Adds observations to a histogram: all of a batch in one call. */
export const observe = (name, labels, values) => host.observe(name, Object.entries(labels), values);
