/* Values in upper case: the smallest plugin that touches every byte. It measures the SDK, and tests the host of the
 * flat contract. */
#define PELTON_INTERCEPTOR
#include "pelton.h"

static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record;
    (void)from;
    while (pelton_next(batch, &record)) {
        uint8_t *upper = pelton_room(record.value.len);
        for (uint32_t n = 0; n < record.value.len; n++) {
            uint8_t c = record.value.data[n];
            upper[n] = (uint8_t)(c - 'a') < 26 ? c ^ 32 : c;
        }
        if (record.value.data != NULL) record.value.data = upper;
        pelton_change(out, &record);
    }
    return NULL;
}

const pelton_interceptor pelton_plugin = {
    .hooks = PELTON_ON_SEND,
    .reads = PELTON_KEY | PELTON_VALUE | PELTON_HEADERS,
    .writes = PELTON_VALUE,
    .on_send = on_send,
};
