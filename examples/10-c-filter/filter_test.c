#define PELTON_NATIVE
#include "filter.c"
#include "pelton_test.h"

static void header(pelton_test_records *in, const char *value, const char *name, const char *header_value) {
    pelton_test_record *record = pelton_test_add(in, "key", value);
    record->header = name;
    record->header_value = header_value;
}

static void refuses_what_it_does_not_understand(void) {
    CHECK(strstr(pelton_test_configure("{}"), "needs a header") != NULL);
    CHECK(strstr(pelton_test_configure("{\"header\": 1}"), "must be the name") != NULL);
    CHECK(strstr(pelton_test_configure("{\"headr\": \"level\"}"), "`headr` is unknown") != NULL);
    CHECK(strstr(pelton_test_configure("{\"header\": \"level\", \"drop\": [1]}"), "list of texts") != NULL);
}

static void drops_what_is_listed_and_nothing_else(void) {
    pelton_test_records in = {0};
    CHECK(pelton_test_configure("{\"header\": \"level\", \"drop\": [\"debug\", \"tr\\u0061ce\"]}") == NULL);
    header(&in, "kept: another level", "level", "info");
    header(&in, "dropped", "level", "debug");
    header(&in, "kept: another header", "origin", "debug");
    header(&in, "kept: null", "level", NULL);
    pelton_test_add(&in, "key", "kept: no header");
    header(&in, "dropped", "level", "trace");
    header(&in, "dropped", "level", "debug");
    pelton_test_result *out = pelton_test_on_send(&in);
    CHECK(out->error == NULL && out->changed == 1 && out->records.count == 4);
    for (int n = 0; n < out->records.count; n++) CHECK(strncmp(out->records.list[n].value, "kept", 4) == 0);
    CHECK(pelton_test_host.metric_calls == 2);
    CHECK(strcmp(pelton_test_host.metrics[0], "dropped{value=debug} 2") == 0);
    CHECK(strcmp(pelton_test_host.metrics[1], "dropped{value=trace} 1") == 0);
}

static void leaves_a_batch_alone_that_has_none(void) {
    pelton_test_records in = {0};
    header(&in, "kept", "level", "info");
    pelton_test_result *out = pelton_test_on_send(&in);
    CHECK(out->error == NULL && out->changed == 0 && out->records.count == 1);
}

int main(void) {
    refuses_what_it_does_not_understand();
    drops_what_is_listed_and_nothing_else();
    leaves_a_batch_alone_that_has_none();
    return pelton_test_done();
}
