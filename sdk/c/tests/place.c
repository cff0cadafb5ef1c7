/* A partitioner: the key's first byte, modulo. */
#define PELTON_PARTITIONER
#include "pelton.h"

static pelton_error partition(pelton_batch *batch, pelton_bytes topic, int32_t partitions, int32_t *answers) {
    pelton_record record;
    (void)topic;
    for (int32_t n = 0; pelton_next(batch, &record); n++) {
        if (record.key.data != NULL && record.key.len > 0) answers[n] = record.key.data[0] % partitions;
    }
    return NULL;
}

const pelton_partitioner pelton_plugin = {.reads = PELTON_KEY, .partition = partition};
