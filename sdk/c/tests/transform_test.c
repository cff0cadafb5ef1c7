/* The SDK as a step of a job sees it. */
#define PELTON_NATIVE
#define PELTON_TRANSFORM
#include "pelton.h"

static pelton_error configure(pelton_bytes config, const pelton_bytes *stores, uint32_t store_count) {
    if (!pelton_equal(config, pelton_text("{}"))) return "no configuration is known";
    return store_count == 2 && pelton_equal(stores[1], pelton_text("second")) ? NULL : "two stores are needed";
}

/* Counts the records of each key in the second store; records without a key are of no use. */
static pelton_error process(pelton_batch *batch, pelton_output *out) {
    pelton_record record;
    while (pelton_next(batch, &record)) {
        if (record.key.data == NULL) {
            pelton_reject(&out->rejected, &record, "it has no key");
            continue;
        }
        pelton_bytes old = pelton_state_get(1, record.key);
        uint64_t count = 0;
        if (old.len == 8) pelton_copy((uint8_t *)&count, old.data, 8);
        count++;
        pelton_state_put(1, record.key, (pelton_bytes){(const uint8_t *)&count, 8});
        pelton_record counted = pelton_new_record(record.timestamp_ms, record.key,
                                                  pelton_text(pelton_format("%d", (long long)count)));
        pelton_write(&out->emitted, &counted);
    }
    return NULL;
}

const pelton_transform pelton_plugin = {.configure = configure, .process = process};

#include "pelton_test.h"

int main(void) {
    pelton_test_records in = {0};
    CHECK(strcmp(pelton_test_configure("{\"a\":1}"), "no configuration is known") == 0);
    CHECK(pelton_test_configure("{}") == NULL);
    pelton_test_add(&in, "a", "");
    pelton_test_add(&in, NULL, "");
    pelton_test_add(&in, "a", "");
    pelton_test_result *out = pelton_test_process(&in);
    CHECK(out->error == NULL && out->records.count == 2 && out->rejected == 1 && out->rejected_delta[0] == 1);
    CHECK(strcmp(out->records.list[1].value, "2") == 0 && out->records.list[1].timestamp_ms == 3600002);
    CHECK(strcmp(pelton_test_process(&in)->records.list[0].value, "3") == 0);
    pelton_test_records none = {0};
    pelton_test_add(&none, NULL, "");
    CHECK(pelton_test_process(&none)->records.count == 0);
    return pelton_test_done();
}
