/* Uses everything that an interceptor has; the engine's tests say what must come of it, for each SDK alike. */
#define PELTON_INTERCEPTOR
#include "pelton.h"

static bool traps;

static pelton_error configure(pelton_bytes config) {
    traps = pelton_equal(config, pelton_text("{\"trap\":true}"));
    if (!traps && !pelton_equal(config, pelton_text("{}"))) return pelton_format("no configuration is known, not %b", config);
    return NULL;
}

static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record;
    if (traps) {
        pelton_log(PELTON_ERROR, "about to trap");
        __builtin_trap();
    }
    while (pelton_next(batch, &record)) {
        if (record.value.data == NULL) {
            pelton_drop(out, &record);
        } else if (pelton_equal(record.value, pelton_text("one"))) {
            record.value = pelton_text("ONE");
            pelton_add_header(&record, pelton_text("by"), from->principal);
            pelton_change(out, &record);
        } else {
            pelton_reject(&out->rejected, &record, pelton_format("no %b", record.value));
        }
    }
    return NULL;
}

static pelton_error on_consume(const pelton_origin *to, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record;
    pelton_writer copies = {0};
    (void)out;
    while (pelton_next(batch, &record)) pelton_write(&copies, &record);
    pelton_bytes seen = pelton_state_get(0, to->principal);
    uint8_t count = (uint8_t)(seen.data == NULL ? 1 : seen.data[0] + 1);
    pelton_state_put(0, to->principal, (pelton_bytes){&count, 1});
    pelton_gauge("this_century", NULL, 0, pelton_now_ms() > 1000000000000 ? 1 : 0);
    pelton_log(PELTON_INFO, pelton_format("seen %d, random %d", (long long)count, (long long)pelton_random(16).len));
    return pelton_emit("copies", &copies);
}

static pelton_error on_acknowledgement(const pelton_origin *from, const pelton_acknowledgement *what) {
    pelton_label label = {"topic_name", from->topic};
    pelton_count("acknowledged", &label, 1, (uint64_t)what->record_count);
    return NULL;
}

static pelton_error on_commit(pelton_commit *commit) {
    int32_t partition;
    int64_t offset;
    double offsets[8];
    uint32_t count = 0;
    while (count < 8 && pelton_next_offset(commit, &partition, &offset)) offsets[count++] = (double)offset;
    pelton_observe("offsets", NULL, 0, offsets, count);
    return NULL;
}

const pelton_interceptor pelton_plugin = {
    .hooks = PELTON_ON_SEND | PELTON_ON_ACKNOWLEDGEMENT | PELTON_ON_CONSUME | PELTON_ON_COMMIT,
    .reads = PELTON_KEY | PELTON_VALUE | PELTON_HEADERS,
    .writes = PELTON_VALUE | PELTON_HEADERS,
    .drops = true,
    .reuse = PELTON_FOR_PRINCIPAL,
    .configure = configure,
    .on_send = on_send,
    .on_acknowledgement = on_acknowledgement,
    .on_consume = on_consume,
    .on_commit = on_commit,
};
