#define PELTON_NATIVE
#include "plugin.c"
#include "pelton_test.h"

int main(void) {
    pelton_test_records in = {0};
    CHECK(pelton_test_configure("{}") == NULL);
    CHECK(pelton_test_configure("{\"a\": 1}") != NULL);
    pelton_test_add(&in, "key", "value");
    pelton_test_add(&in, NULL, "value");
    pelton_test_result *out = pelton_test_on_send(&in);
    CHECK(out->error == NULL && out->rejected == 1 && out->rejected_delta[0] == 1);
    return pelton_test_done();
}
