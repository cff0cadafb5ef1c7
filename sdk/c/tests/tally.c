/* A step of a job: how often each key was seen, in the store of that number. */
#define PELTON_TRANSFORM
#include "pelton.h"

static pelton_error configure(pelton_bytes config, const pelton_bytes *stores, uint32_t store_count) {
    (void)config;
    if (store_count != 1 || !pelton_equal(stores[0], pelton_text("tally"))) return "it needs the store `tally`";
    return NULL;
}

static pelton_error process(pelton_batch *batch, pelton_output *out) {
    pelton_record record;
    while (pelton_next(batch, &record)) {
        if (record.key.data == NULL) {
            pelton_reject(&out->rejected, &record, "it has no key");
            continue;
        }
        pelton_bytes old = pelton_state_get(0, record.key);
        uint8_t count = (uint8_t)(old.data == NULL ? 1 : old.data[0] + 1);
        pelton_state_put(0, record.key, (pelton_bytes){&count, 1});
        pelton_record tallied = pelton_new_record(record.timestamp_ms, record.key, pelton_text(pelton_format("%d", (long long)count)));
        pelton_write(&out->emitted, &tallied);
    }
    return NULL;
}

const pelton_transform pelton_plugin = {.configure = configure, .process = process};
