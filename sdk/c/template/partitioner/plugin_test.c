#define PELTON_NATIVE
#include "plugin.c"
#include "pelton_test.h"

int main(void) {
    pelton_test_records in = {0};
    pelton_test_add(&in, "ab", NULL);
    pelton_test_add(&in, "ba", NULL);
    pelton_test_add(&in, NULL, NULL);
    pelton_test_result *out = pelton_test_partition(&in, 7);
    CHECK(out->error == NULL && out->partitions[0] == ('a' + 'b') % 7);
    CHECK(out->partitions[1] == out->partitions[0] && out->partitions[2] == -1);
    return pelton_test_done();
}
