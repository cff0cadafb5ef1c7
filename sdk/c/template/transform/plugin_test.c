#define PELTON_NATIVE
#include "plugin.c"
#include "pelton_test.h"

int main(void) {
    pelton_test_records in = {0};
    CHECK(pelton_test_configure("{}") == NULL);
    pelton_test_add(&in, "a", "");
    pelton_test_add(&in, NULL, "");
    pelton_test_add(&in, "a", "");
    pelton_test_result *out = pelton_test_process(&in);
    CHECK(out->error == NULL && out->records.count == 2 && out->rejected == 1);
    CHECK(strcmp(out->records.list[1].value, "2") == 0);
    return pelton_test_done();
}
