/* {{name}}: counts the records of each key in the step's first store. */
#define PELTON_TRANSFORM
#include "pelton.h"

static pelton_error configure(pelton_bytes config, const pelton_bytes *stores, uint32_t store_count) {
    (void)config;
    (void)stores;
    return store_count == 0 ? "the step needs a store; write stores = [\"counts\"] in the job" : NULL;
}

static pelton_error process(pelton_batch *batch, pelton_output *out) {
    pelton_record record;
    while (pelton_next(batch, &record)) {
        uint64_t count = 0;
        if (record.key.data == NULL) {
            pelton_reject(&out->rejected, &record, "it has no key");
            continue;
        }
        pelton_bytes old = pelton_state_get(0, record.key);
        if (old.len == sizeof count) pelton_copy((uint8_t *)&count, old.data, sizeof count);
        count++;
        pelton_state_put(0, record.key, (pelton_bytes){(const uint8_t *)&count, sizeof count});
        pelton_bytes text = pelton_text(pelton_format("%d", (long long)count));
        pelton_record counted = pelton_new_record(record.timestamp_ms, record.key, text);
        pelton_write(&out->emitted, &counted);
    }
    return NULL;
}

const pelton_transform pelton_plugin = {.configure = configure, .process = process};
