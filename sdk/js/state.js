// The plugin's stores: of a job's step those that its specification names, of an interceptor store 0 alone.
import host from "pelton:plugin/state@0.1.1";
import { bytesOf } from "./pelton.js";

/** The value under a key, or null. */
export const get = (key, store = 0) => host.get(store, bytesOf(key));
/** Sets the value under a key. */
export const put = (key, value, store = 0) => host.put(store, bytesOf(key), bytesOf(value));
/** Removes a key. */
export const remove = (key, store = 0) => host.delete(store, bytesOf(key));
