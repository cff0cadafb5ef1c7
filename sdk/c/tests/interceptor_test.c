/* The SDK as an interceptor sees it: what is dropped, changed, refused, emitted, remembered. */
#define PELTON_NATIVE
#define PELTON_INTERCEPTOR
#include "pelton.h"
#include "pelton_json.h"

/* Does what a record's value tells it. */
static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record, first = {0};
    while (pelton_next(batch, &record)) {
        if (record.offset_delta == 0) first = record;
        if (pelton_equal(record.value, pelton_text("drop"))) pelton_drop(out, &record);
        if (pelton_equal(record.value, pelton_text("reject"))) {
            pelton_reject(&out->rejected, &record, pelton_format("record %d of %b", (long long)record.offset, from->topic));
        }
        if (pelton_equal(record.value, pelton_text("change"))) {
            record.value = pelton_text("changed into something that is longer than what was there before");
            pelton_add_header(&record, pelton_text("by"), from->principal);
            pelton_change(out, &record);
        }
        if (pelton_equal(record.value, pelton_text("nothing"))) {
            record.value = (pelton_bytes){NULL, 0};
            pelton_change(out, &record);
        }
        if (pelton_equal(record.value, pelton_text("again"))) pelton_change(out, &first);
        if (pelton_equal(record.value, pelton_text("fail"))) return "the record says so";
    }
    return NULL;
}

/* Counts deliveries of a key in the state, and copies the records to another topic. */
static pelton_error on_consume(const pelton_origin *to, pelton_batch *batch, pelton_outcome *out) {
    pelton_record record;
    pelton_writer copies = {0};
    (void)out;
    while (pelton_next(batch, &record)) {
        pelton_bytes seen = pelton_state_get(0, record.key);
        uint8_t count = (uint8_t)(seen.data == NULL ? 1 : seen.data[0] + 1);
        pelton_state_put(0, record.key, count == 3 ? (pelton_bytes){NULL, 0} : (pelton_bytes){&count, 1});
        pelton_write(&copies, &record);
    }
    pelton_bytes keys[] = {pelton_text("a"), pelton_text("b")}, values[2];
    pelton_state_get_many(0, keys, values, 2);
    double both[] = {values[0].data == NULL ? 0 : values[0].data[0], values[1].data == NULL ? 0 : values[1].data[0]};
    pelton_label label = {"client", to->client_id};
    pelton_observe("seen", &label, 1, both, 2);
    pelton_gauge("now", NULL, 0, (double)pelton_now_ms());
    pelton_log(PELTON_INFO, pelton_format("%d random bytes", (long long)pelton_random(16).len));
    return pelton_emit("copies", &copies);
}

static pelton_error on_acknowledgement(const pelton_origin *from, const pelton_acknowledgement *what) {
    if (what->error.data != NULL) return pelton_format("%b: %b", from->principal, what->error);
    pelton_count("acknowledged", NULL, 0, (uint64_t)what->record_count);
    return NULL;
}

static pelton_error on_commit(pelton_commit *commit) {
    int32_t partition;
    int64_t offset;
    while (pelton_next_offset(commit, &partition, &offset)) {
        pelton_log(PELTON_WARN, pelton_format("%b %b-%d at %d%s", commit->group, commit->topic, (long long)partition,
                                              (long long)offset, commit->transactional ? "!" : ""));
    }
    return NULL;
}

const pelton_interceptor pelton_plugin = {
    .hooks = PELTON_ON_SEND | PELTON_ON_ACKNOWLEDGEMENT | PELTON_ON_CONSUME | PELTON_ON_COMMIT,
    .reads = PELTON_KEY | PELTON_VALUE | PELTON_HEADERS,
    .writes = PELTON_VALUE | PELTON_HEADERS,
    .drops = true,
    .on_send = on_send,
    .on_acknowledgement = on_acknowledgement,
    .on_consume = on_consume,
    .on_commit = on_commit,
};

#include "pelton_test.h"

static pelton_test_result *sent(int count, const char *const *values) {
    static pelton_test_records in;
    in.count = 0;
    for (int n = 0; n < count; n++) pelton_test_add(&in, "key", values[n]);
    return pelton_test_on_send(&in);
}
#define SENT(...) sent(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void an_untouched_batch_goes_on_as_it_is(void) {
    pelton_test_result *out = SENT("a", NULL, "");
    CHECK(out->error == NULL && out->changed == 0 && out->records.count == 3 && out->rejected == 0);
}

static void drops_alone_are_told_by_offset_delta(void) {
    pelton_test_result *out = SENT("drop", "a", "drop", "b", "drop");
    CHECK(out->changed == 1 && out->records.count == 2);
    CHECK(out->records.list[0].offset_delta == 1 && out->records.list[1].offset_delta == 3);
}

static void changes_and_drops_keep_offsets_and_timestamps(void) {
    pelton_test_result *out = SENT("drop", "a", "drop", "change", "b", "drop", "nothing", "c", "drop", "d");
    CHECK(out->error == NULL && out->changed == 2 && out->records.count == 6);
    static const int deltas[] = {1, 3, 4, 6, 7, 9};
    for (int n = 0; n < 6; n++) {
        CHECK(out->records.list[n].offset_delta == deltas[n]);
        CHECK(out->records.list[n].timestamp_ms == 3600000 + deltas[n]);
    }
    CHECK(strncmp(out->records.list[1].value, "changed into", 12) == 0);
    CHECK(strcmp(out->records.list[1].header, "by") == 0 && strcmp(out->records.list[1].header_value, "User:alice") == 0);
    CHECK(strcmp(out->records.list[2].value, "b") == 0 && out->records.list[3].value == NULL);
    CHECK(strcmp(out->records.list[5].value, "d") == 0);
}

static void rejections_carry_their_reason(void) {
    pelton_test_result *out = SENT("a", "reject", "change", "reject");
    CHECK(out->changed == 2 && out->rejected == 2);
    CHECK(out->rejected_delta[0] == 1 && strcmp(out->reason[0], "record 1 of topic") == 0);
    CHECK(out->rejected_delta[1] == 3);
}

static void misuse_and_errors_fail_the_call(void) {
    CHECK(strstr(SENT("change", "again")->error, "out of their order") != NULL);
    CHECK(strcmp(SENT("change", "fail")->error, "the record says so") == 0);
    CHECK(SENT("a")->error == NULL);
}

static void large_batches_are_rebuilt_whole(void) {
    static pelton_test_records in;
    static char large[5000];
    memset(large, 'x', sizeof large - 1);
    in.count = 0;
    for (int n = 0; n < 900; n++) pelton_test_add(&in, n % 7 == 0 ? NULL : "key", n % 3 == 0 ? "change" : large);
    for (int round = 0; round < 3; round++) {
        pelton_test_result *out = pelton_test_on_send(&in);
        CHECK(out->error == NULL && out->changed == 2 && out->records.count == 900);
        for (int n = 0; n < 900; n++) {
            const pelton_test_record *record = &out->records.list[n];
            CHECK(strcmp(record->value, n % 3 == 0 ? "changed into something that is longer than what was there before" : large) == 0);
            CHECK((record->key == NULL) == (n % 7 == 0));
        }
    }
}

static void state_metrics_and_emissions_reach_the_host(void) {
    static pelton_test_records in;
    in.count = 0;
    pelton_test_add(&in, "a", "1");
    pelton_test_add(&in, "b", NULL);
    pelton_test_add(&in, "a", "2");
    pelton_test_host.now_ms = 1234;
    pelton_test_host.granted = "copies";
    int metrics = pelton_test_host.metric_calls;
    CHECK(pelton_test_on_consume(&in)->error == NULL);
    CHECK(strcmp(pelton_test_host.metrics[metrics], "seen{client=tests} 2 1") == 0);
    CHECK(strcmp(pelton_test_host.metrics[metrics + 1], "now 1234") == 0);
    CHECK(strcmp(pelton_test_host.log[0], "info: 16 random bytes") == 0);
    CHECK(pelton_test_host.emissions == 1 && strcmp(pelton_test_host.emitted_to[0], "copies") == 0);
    pelton_test_records copies = pelton_test_read(pelton_test_host.emitted[0]);
    CHECK(copies.count == 3 && strcmp(copies.list[2].value, "2") == 0 && copies.list[1].value == NULL);
    CHECK(copies.list[2].timestamp_ms == 3600002);
    /* The third time `a` is deleted, the fourth it begins anew. */
    CHECK(pelton_test_on_consume(&in)->error == NULL);
    CHECK(strcmp(pelton_test_host.metrics[metrics + 2], "seen{client=tests} 1 2") == 0);
    pelton_test_host.granted = "another";
    CHECK(strstr(pelton_test_on_consume(&in)->error, "`copies`") == NULL);
    CHECK(strstr(pelton_test_on_consume(&in)->error, "not granted") != NULL);
}

static void the_observing_hooks_are_called(void) {
    int metrics = pelton_test_host.metric_calls;
    CHECK(pelton_test_on_acknowledgement(7, 5, NULL) == NULL);
    CHECK(strcmp(pelton_test_host.metrics[metrics], "acknowledged 5") == 0);
    CHECK(strcmp(pelton_test_on_acknowledgement(-1, 5, "NOT_LEADER"), "User:alice: NOT_LEADER") == 0);
    int lines = pelton_test_host.log_lines;
    CHECK(pelton_test_on_commit(3, 1000) == NULL);
    CHECK(strcmp(pelton_test_host.log[lines], "warn: group topic-3 at 1000") == 0);
}

/* Whatever byte of a request is damaged, and wherever it is cut: an answer, and no read past the end (the sanitizer sees it). */
static void damaged_requests_are_answered(void) {
    static pelton_test_records in;
    in.count = 0;
    pelton_test_add(&in, "key", "change")->header = "h";
    pelton_test_add(&in, NULL, "drop");
    pelton_bytes batch = pelton_test_batch(&in);
    for (int call = 0; call < 7; call++) {
        pelton_begin();
        pelton_buffer request = {0};
        pelton_test_push_origin(&request);
        pelton_push_bytes(&request, batch);
        pelton_bytes whole = pelton_test_copy(pelton_answered(&request));
        for (uint32_t at = 0; at < whole.len; at++) {
            static const uint8_t damage[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
            for (int n = 0; n < 5; n++) {
                uint8_t *copy = malloc(whole.len);
                memcpy(copy, whole.data, whole.len);
                copy[at] = damage[n];
                pelton_memory.busy = false;
                pelton_call(call, (pelton_bytes){copy, whole.len});
                free(copy);
            }
            uint8_t *cut = malloc(at + 1);
            memcpy(cut, whole.data, at);
            pelton_memory.busy = false;
            pelton_bytes answer = pelton_call(call, (pelton_bytes){cut, at});
            CHECK((call != 2 && call != 4) || (answer.len > 1 && answer.data[0] == 1));
            free(cut);
        }
    }
}

static void json_is_read_in_place(void) {
    pelton_bytes value, text, list, element, json = pelton_text(
        " {\"a\\\"b\": [1, {\"x\": \"}\"}, \"]\"], \"n\" : -42 ,\"t\":true,\"s\":\"\\u00e9\\ud83d\\ude00\\n\", \"list\": [\"one\",\"two\"]}");
    int64_t number;
    bool truth;
    CHECK(pelton_json_field(json, "n", &value) && pelton_json_integer(value, &number) && number == -42);
    CHECK(pelton_json_field(json, "t", &value) && pelton_json_bool(value, &truth) && truth);
    CHECK(pelton_json_field(json, "s", &value) && pelton_json_text(value, &text));
    CHECK(pelton_equal(text, pelton_text("\xc3\xa9\xf0\x9f\x98\x80\n")));
    CHECK(pelton_json_field(json, "list", &list));
    CHECK(pelton_json_next(&list, &element) && pelton_json_text(element, &text) && pelton_equal(text, pelton_text("one")));
    CHECK(pelton_json_next(&list, &element) && !pelton_json_next(&list, &element));
    CHECK(!pelton_json_field(json, "x", &value) && !pelton_json_integer(pelton_text("1.5"), &number));
    static const char *const broken[] = {"", "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":[", "{\"a\":\"\\", "[[[["};
    for (unsigned n = 0; n < sizeof broken / sizeof *broken; n++) CHECK(!pelton_json_field(pelton_text(broken[n]), "a", &value));
}

int main(void) {
    an_untouched_batch_goes_on_as_it_is();
    drops_alone_are_told_by_offset_delta();
    changes_and_drops_keep_offsets_and_timestamps();
    rejections_carry_their_reason();
    misuse_and_errors_fail_the_call();
    large_batches_are_rebuilt_whole();
    state_metrics_and_emissions_reach_the_host();
    the_observing_hooks_are_called();
    damaged_requests_are_answered();
    json_is_read_in_place();
    return pelton_test_done();
}
