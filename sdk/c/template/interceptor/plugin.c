/* {{name}}: refuses records without a key. */
#define PELTON_INTERCEPTOR
#include "pelton.h"
#include "pelton_json.h"

static pelton_error configure(pelton_bytes config) {
    pelton_bytes rest = config, name, value;
    while (pelton_json_next_field(&rest, &name, &value)) return pelton_format("`%b` is unknown", name);
    return NULL;
}

static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record;
    (void)from;
    while (pelton_next(batch, &record)) {
        if (record.key.data == NULL) pelton_reject(&out->rejected, &record, "it has no key");
    }
    return NULL;
}

const pelton_interceptor pelton_plugin = {
    .hooks = PELTON_ON_SEND,
    .reads = PELTON_KEY,
    .configure = configure,
    .on_send = on_send,
};
