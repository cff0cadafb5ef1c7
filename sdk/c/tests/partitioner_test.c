/* The SDK as a partitioner sees it. */
#define PELTON_NATIVE
#define PELTON_PARTITIONER
#include "pelton.h"

static pelton_error partition(pelton_batch *batch, pelton_bytes topic, int32_t partitions, int32_t *answers) {
    pelton_record record;
    if (!pelton_equal(topic, pelton_text("topic"))) return "another topic";
    for (int32_t n = 0; pelton_next(batch, &record); n++) {
        if (record.key.data != NULL) answers[n] = (record.key.data[0] - 'a') % partitions;
    }
    return NULL;
}

const pelton_partitioner pelton_plugin = {.reads = PELTON_KEY, .partition = partition};

#include "pelton_test.h"

int main(void) {
    pelton_test_records in = {0};
    pelton_test_add(&in, "a", NULL);
    pelton_test_add(&in, NULL, NULL);
    pelton_test_add(&in, "c", NULL);
    pelton_test_add(&in, "f", NULL);
    CHECK(pelton_test_configure("{}") == NULL);
    pelton_test_result *out = pelton_test_partition(&in, 4);
    CHECK(out->error == NULL && out->partitions[0] == 0 && out->partitions[1] == -1);
    CHECK(out->partitions[2] == 2 && out->partitions[3] == 1);
    return pelton_test_done();
}
