/* Takes records away whose header says that nobody wants them: log lines of level `debug`, for instance.
 *
 * Configuration: {"header": "level", "drop": ["debug", "trace"]}. Records without the header stay. How many went is
 * counted in `pelton_plugin_dropped`, by the header's value.
 *
 * It reads headers alone, so the engine copies neither keys nor values, however large they are.
 */
#define PELTON_INTERCEPTOR
#include "pelton.h"
#include "pelton_json.h"

enum { MOST_VALUES = 32 };

static struct {
    pelton_bytes header;
    pelton_bytes drop[MOST_VALUES];
    uint32_t count;
} config;

static pelton_error configure(pelton_bytes json) {
    pelton_bytes rest, name, value, text;
    config.count = 0;
    config.header = (pelton_bytes){NULL, 0};
    for (rest = json; pelton_json_next_field(&rest, &name, &value);) {
        if (pelton_equal(name, pelton_text("header"))) {
            if (!pelton_json_text(value, &text)) return "`header` must be the name of a header";
            config.header = pelton_keep_bytes(text);
        } else if (pelton_equal(name, pelton_text("drop"))) {
            for (pelton_bytes list = value, element; pelton_json_next(&list, &element);) {
                if (!pelton_json_text(element, &text)) return "`drop` must be a list of texts";
                if (config.count == MOST_VALUES) return "`drop` may list 32 values at most";
                config.drop[config.count++] = pelton_keep_bytes(text);
            }
        } else {
            return pelton_format("`%b` is unknown; there are `header` and `drop`", name);
        }
    }
    if (config.header.data == NULL || config.count == 0) {
        return "the configuration needs a header and values to drop: {\"header\": \"level\", \"drop\": [\"debug\"]}";
    }
    return NULL;
}

static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
    uint64_t dropped[MOST_VALUES] = {0};
    pelton_record record;
    (void)from;
    while (pelton_next(batch, &record)) {
        pelton_bytes value = pelton_header_value(&record, config.header);
        if (value.data == NULL) continue;
        for (uint32_t n = 0; n < config.count; n++) {
            if (!pelton_equal(value, config.drop[n])) continue;
            pelton_drop(out, &record);
            dropped[n]++;
            break;
        }
    }
    for (uint32_t n = 0; n < config.count; n++) {
        pelton_label label = {"value", config.drop[n]};
        if (dropped[n] > 0) pelton_count("dropped", &label, 1, dropped[n]);
    }
    return NULL;
}

const pelton_interceptor pelton_plugin = {
    .hooks = PELTON_ON_SEND,
    .reads = PELTON_HEADERS,
    .drops = true,
    .configure = configure,
    .on_send = on_send,
};
