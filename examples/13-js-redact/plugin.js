// Blanks the card numbers of payments before they reach any consumer.
//
// Configuration: {"field": "card"}. What is no JSON object is left as it is.
import { defineInterceptor } from "pelton-sdk";
import * as metrics from "pelton-sdk/metrics.js";

let field = "card";

export const interceptor = defineInterceptor({
  reads: ["value"],
  writes: ["value"],
  reuse: "for-everyone",

  configure(config) {
    for (const name of Object.keys(config)) {
      if (name !== "field") throw new Error(`unknown key \`${name}\`; there is only \`field\``);
    }
    field = config.field ?? "card";
  },

  onConsume(_to, batch, verdict) {
    let redacted = 0;
    for (const record of batch) {
      let payment;
      try {
        payment = JSON.parse(record.text());
      } catch {
        continue;
      }
      if (payment === null || typeof payment[field] !== "string") continue;
      payment[field] = `**** ${payment[field].slice(-4)}`;
      verdict.replace(record, { value: JSON.stringify(payment) });
      redacted += 1;
    }
    if (redacted > 0) metrics.count("redacted_records", {}, redacted);
  },
});
