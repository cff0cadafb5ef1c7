import { defineInterceptor } from "pelton-sdk";

let word = "secret";

export const interceptor = defineInterceptor({
  // What it may see and do; a change of anything else is refused.
  reads: ["value"],
  drops: true,

  // The configuration of the topic: pelton.plugin.{{name}}.config = {"word": "secret"}
  configure(config) {
    word = config.word ?? word;
  },

  // Before a producer's batch is appended. Other hooks: onAcknowledgement, onConsume, onCommit.
  onSend(_from, batch, verdict) {
    for (const record of batch) {
      if (record.text()?.includes(word)) verdict.drop(record);
    }
  },
});
