import { definePartitioner, murmur2 } from "pelton-sdk";

let delimiter = "-";

// Keys with the same beginning, up to a delimiter, meet in one partition.
export const partitioner = definePartitioner({
  reads: ["key"],

  // The configuration of the topic: pelton.plugin.{{name}}.config = {"delimiter": "-"}
  configure(config) {
    delimiter = config.delimiter ?? delimiter;
  },

  partition(record, _topic, partitions) {
    if (record.key === null) return null;
    const end = record.key.indexOf(delimiter.charCodeAt(0));
    return murmur2(end < 0 ? record.key : record.key.subarray(0, end)) % partitions;
  },
});
