import { defineTransform } from "pelton-sdk";

// Turns each value to upper case; records without a value go to the dead letters.
export const transform = defineTransform({
  process(batch, out) {
    for (const record of batch) {
      if (record.value === null) out.reject(record, "it has no value");
      else out.emit(record.key, record.text().toUpperCase(), record.headers);
    }
  },
});
