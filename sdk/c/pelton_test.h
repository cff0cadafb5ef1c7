/* The host, played natively: a plugin's unit tests run with the machine's own compiler.
 *
 *     #define PELTON_NATIVE
 *     #include "../filter.c"          // the plugin, which includes pelton.h
 *     #include "pelton_test.h"
 *
 *     int main(void) {
 *         pelton_test_configure("{\"drop\": [\"debug\"]}");
 *         pelton_test_records in = {0};
 *         pelton_test_add(&in, "key", "value");
 *         pelton_test_result out = pelton_test_on_send(&in);
 *         CHECK(out.records.count == 1);
 *         return pelton_test_done();
 *     }
 *
 * A call goes through the same bytes as in Wasm: a request is encoded, `pelton_call` answers it, and the answer is decoded.
 * What the plugin asked of its host stands in `pelton_test_host`. Nothing is freed; a test is a short program.
 */
#ifndef PELTON_TEST_H
#define PELTON_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__wasm__) || !defined(PELTON_NATIVE)
#error "pelton_test.h is for native tests: define PELTON_NATIVE before pelton.h is included"
#endif

static int pelton_test_failures;

/* Counts a failure and says where. The test goes on. */
#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);    \
            pelton_test_failures++;                                                    \
        }                                                                              \
    } while (0)

/* The exit code of the test program. */
PELTON_FN int pelton_test_done(void) {
    if (pelton_test_failures == 0) puts("all checks passed");
    return pelton_test_failures == 0 ? 0 : 1;
}

enum { PELTON_TEST_MOST = 1000 };

/* Records as texts, with at most one header each; NULL is null. */
typedef struct {
    const char *key, *value, *header, *header_value;
    int64_t timestamp_ms;
    int32_t offset_delta;
} pelton_test_record;

typedef struct {
    pelton_test_record list[PELTON_TEST_MOST];
    int count;
} pelton_test_records;

/* What the plugin asked of its host. */
static struct {
    char log[PELTON_TEST_MOST][200];        /* "info: text" */
    int log_lines;
    char metrics[PELTON_TEST_MOST][200];    /* "name{label=value} 3" */
    int metric_calls;
    pelton_bytes keys[PELTON_TEST_MOST], values[PELTON_TEST_MOST];
    int32_t stores[PELTON_TEST_MOST];
    int entries;
    char emitted_to[100][250];
    pelton_bytes emitted[100];
    int emissions;
    const char *granted;                    /* the one topic that may be emitted to; NULL: any */
    int64_t now_ms;
    uint32_t random;
} pelton_test_host;

PELTON_FN uint8_t *pelton_pages(size_t size) {
    void *pages = calloc(1, size);
    if (pages == NULL) abort();
    return pages;
}

PELTON_FN pelton_bytes pelton_test_copy(pelton_bytes bytes) {
    if (bytes.data == NULL) return bytes;
    uint8_t *copy = pelton_pages(bytes.len + 1);
    memcpy(copy, bytes.data, bytes.len);
    return (pelton_bytes){copy, bytes.len};
}

PELTON_FN void pelton_test_metric(int32_t call, pelton_reader *reader) {
    char *line = pelton_test_host.metrics[pelton_test_host.metric_calls++ % PELTON_TEST_MOST];
    pelton_bytes name = pelton_take_bytes(reader);
    int at = snprintf(line, 150, "%.*s", (int)name.len, (const char *)name.data);
    int labels = pelton_take_i32(reader);
    for (int n = 0; n < labels && at < 140; n++) {
        pelton_bytes label = pelton_take_bytes(reader), value = pelton_take_bytes(reader);
        at += snprintf(line + at, (size_t)(150 - at), "%s%.*s=%.*s%s", n == 0 ? "{" : ",", (int)label.len,
                       (const char *)label.data, (int)value.len, (const char *)value.data, n + 1 == labels ? "}" : "");
    }
    if (at > 149) at = 149;
    if (call == 2) {
        snprintf(line + at, 40, " %lld", (long long)pelton_take_i64(reader));
        return;
    }
    int values = call == 3 ? 1 : pelton_take_i32(reader);
    for (int n = 0; n < values && at < 180; n++) {
        int64_t bits = pelton_take_i64(reader);
        double value;
        memcpy(&value, &bits, 8);
        at += snprintf(line + at, (size_t)(200 - at), " %g", value);
    }
}

PELTON_FN int pelton_test_find(int32_t store, pelton_bytes key) {
    for (int n = 0; n < pelton_test_host.entries; n++) {
        if (pelton_test_host.stores[n] == store && pelton_equal(pelton_test_host.keys[n], key)) return n;
    }
    return -1;
}

PELTON_FN void pelton_test_get_many(pelton_reader *reader, pelton_buffer *answer) {
    int32_t store = pelton_take_i32(reader);
    pelton_bytes keys = pelton_take_bytes(reader);
    pelton_reader list = {keys.data, keys.data + keys.len, false};
    pelton_buffer values = {0};
    while (list.at < list.end) {
        int found = pelton_test_find(store, pelton_take_bytes(&list));
        if (found < 0 || pelton_test_host.values[found].data == NULL) pelton_push_i32(&values, -1);
        else pelton_push_bytes(&values, pelton_test_host.values[found]);
    }
    CHECK(!list.bad);
    pelton_push_u8(answer, 0);
    pelton_push_bytes(answer, (pelton_bytes){values.data, values.len});
}

PELTON_FN void pelton_test_put_many(pelton_reader *reader) {
    int32_t store = pelton_take_i32(reader);
    pelton_bytes entries = pelton_take_bytes(reader);
    pelton_reader list = {entries.data, entries.data + entries.len, false};
    while (list.at < list.end && !list.bad) {
        pelton_bytes key = pelton_take_bytes(&list);
        int32_t len = pelton_take_i32(&list);
        pelton_bytes value = len < 0 ? (pelton_bytes){NULL, 0}
                                     : (pelton_bytes){pelton_take(&list, (uint32_t)len), (uint32_t)len};
        int at = pelton_test_find(store, key);
        if (at < 0) at = pelton_test_host.entries++;
        if (at == PELTON_TEST_MOST) abort();
        pelton_test_host.stores[at] = store;
        pelton_test_host.keys[at] = pelton_test_copy(key);
        pelton_test_host.values[at] = pelton_test_copy(value);
    }
    CHECK(!list.bad);
}

PELTON_FN void pelton_test_emit(pelton_reader *reader, pelton_buffer *answer) {
    pelton_bytes topic = pelton_take_bytes(reader), batch = pelton_take_bytes(reader);
    if (pelton_test_host.granted != NULL && !pelton_equal(topic, pelton_text(pelton_test_host.granted))) {
        pelton_push_u8(answer, 1);
        pelton_push_bytes(answer, pelton_text(pelton_format("the topic %b was not granted", topic)));
        return;
    }
    if (pelton_test_host.emissions == 100) abort();
    snprintf(pelton_test_host.emitted_to[pelton_test_host.emissions], 250, "%.*s", (int)topic.len, (const char *)topic.data);
    pelton_test_host.emitted[pelton_test_host.emissions++] = pelton_test_copy(batch);
}

PELTON_FN pelton_bytes pelton_ask(int32_t call, pelton_bytes request) {
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    pelton_reader reader = {request.data, request.data + request.len, false};
    pelton_buffer answer = {0};
    if (call == 1) {
        uint8_t level = pelton_take_u8(&reader);
        pelton_bytes text = pelton_take_bytes(&reader);
        snprintf(pelton_test_host.log[pelton_test_host.log_lines++ % PELTON_TEST_MOST], 200, "%s: %.*s",
                 levels[level & 3], (int)text.len, (const char *)text.data);
    } else if (call >= 2 && call <= 4) {
        pelton_test_metric(call, &reader);
    } else if (call == 7) {
        pelton_test_emit(&reader, &answer);
    } else if (call == 8) {
        pelton_push_u8(&answer, 0);
        pelton_push_i64(&answer, pelton_test_host.now_ms);
    } else if (call == 9) {
        int32_t count = pelton_take_i32(&reader);
        pelton_push_u8(&answer, 0);
        pelton_push_i32(&answer, count);
        for (int32_t n = 0; n < count; n++) {
            pelton_test_host.random = pelton_test_host.random * 1664525 + 1013904223;
            pelton_push_u8(&answer, (uint8_t)(pelton_test_host.random >> 24));
        }
    }
    CHECK(!reader.bad && reader.at == reader.end);
    return (pelton_bytes){answer.data, answer.len};
}

PELTON_FN pelton_bytes pelton_ask_state(int32_t call, pelton_bytes request) {
    pelton_reader reader = {request.data, request.data + request.len, false};
    pelton_buffer answer = {0};
    if (call == 5) pelton_test_get_many(&reader, &answer);
    if (call == 6) pelton_test_put_many(&reader);
    CHECK(!reader.bad && reader.at == reader.end);
    return (pelton_bytes){answer.data, answer.len};
}

/* Adds a record, an hour after the epoch and a millisecond for each. */
PELTON_FN pelton_test_record *pelton_test_add(pelton_test_records *records, const char *key, const char *value) {
    if (records->count == PELTON_TEST_MOST) abort();
    pelton_test_record *record = &records->list[records->count];
    *record = (pelton_test_record){key, value, NULL, NULL, 3600000 + records->count, records->count};
    records->count++;
    return record;
}

PELTON_FN pelton_bytes pelton_test_nullable(const char *text) {
    return text == NULL ? (pelton_bytes){NULL, 0} : pelton_text(text);
}

PELTON_FN pelton_bytes pelton_test_batch(const pelton_test_records *records) {
    pelton_begin();
    pelton_writer writer = {0};
    for (int n = 0; n < records->count; n++) {
        const pelton_test_record *from = &records->list[n];
        pelton_record record = pelton_new_record(from->timestamp_ms, pelton_test_nullable(from->key),
                                                 pelton_test_nullable(from->value));
        if (from->header != NULL) {
            pelton_add_header(&record, pelton_text(from->header), pelton_test_nullable(from->header_value));
        }
        pelton_write(&writer, &record);
    }
    pelton_bytes batch = pelton_test_copy(pelton_finish(&writer));
    pelton_memory.busy = false;
    return batch;
}

PELTON_FN const char *pelton_test_string(pelton_bytes bytes) {
    return (const char *)pelton_test_copy(bytes).data;
}

/* The records of a batch that the plugin answered with, or emitted. */
PELTON_FN pelton_test_records pelton_test_read(pelton_bytes bytes) {
    static pelton_test_records records;
    pelton_batch batch;
    pelton_record record;
    memset(&records, 0, sizeof records);
    if (bytes.len == 0) return records;
    pelton_error error = pelton_open(bytes, &batch);
    if (error != NULL) fprintf(stderr, "a bad batch: %s\n", error);
    CHECK(error == NULL);
    if (error != NULL) return records;
    while (pelton_next(&batch, &record)) {
        pelton_headers headers = pelton_headers_of(&record);
        pelton_header header = {{NULL, 0}, {NULL, 0}};
        pelton_next_header(&headers, &header);
        records.list[records.count++] = (pelton_test_record){
            pelton_test_string(record.key), pelton_test_string(record.value), pelton_test_string(header.name),
            pelton_test_string(header.value), record.timestamp_ms, record.offset_delta};
    }
    CHECK(batch.damage == NULL && batch.at == batch.end);
    return records;
}

/* What a call with a batch came to. */
typedef struct {
    const char *error;             /* NULL: none */
    pelton_test_records records;   /* what goes on, or what was emitted by a step */
    int changed;                   /* 0 as it was, 1 dropped, 2 replaced */
    int rejected;
    int32_t rejected_delta[PELTON_TEST_MOST];
    const char *reason[PELTON_TEST_MOST];
    int32_t partitions[PELTON_TEST_MOST];
} pelton_test_result;

PELTON_FN pelton_bytes pelton_test_call(int32_t call, const pelton_buffer *request) {
    pelton_bytes copy = pelton_test_copy((pelton_bytes){request->data, request->len});
    pelton_memory.busy = false;
    return pelton_test_copy(pelton_call(call, copy));
}

/* The error of an answer; NULL when there is none, and the reader stands at the value. */
PELTON_FN const char *pelton_test_verdict(pelton_bytes answer, pelton_reader *reader) {
    *reader = (pelton_reader){answer.data, answer.data + answer.len, false};
    if (answer.len == 0 || pelton_take_u8(reader) == 0) return NULL;
    return pelton_test_string(pelton_take_bytes(reader));
}

/* Configures the plugin; the error, or NULL. */
PELTON_FN const char *pelton_test_configure(const char *config) {
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    pelton_push_bytes(&request, pelton_text(config));
#ifdef PELTON_TRANSFORM
    /* Two stores are enough for a test. */
    pelton_push_i32(&request, 2);
    pelton_push_bytes(&request, pelton_text("first"));
    pelton_push_bytes(&request, pelton_text("second"));
#endif
    return pelton_test_verdict(pelton_test_call(1, &request), &reader);
}

PELTON_FN void pelton_test_rejections(pelton_reader *reader, pelton_test_result *result) {
    result->rejected = pelton_take_i32(reader);
    for (int n = 0; n < result->rejected && !reader->bad; n++) {
        result->rejected_delta[n] = pelton_take_i32(reader);
        result->reason[n] = pelton_test_string(pelton_take_bytes(reader));
    }
    CHECK(!reader->bad && reader->at == reader->end);
}

#ifdef PELTON_INTERCEPTOR
PELTON_FN void pelton_test_push_origin(pelton_buffer *request) {
    pelton_push_bytes(request, pelton_text("User:alice"));
    pelton_push_bytes(request, pelton_text("tests"));
    pelton_push_bytes(request, pelton_text("/127.0.0.1"));
    pelton_push_bytes(request, pelton_text("topic"));
    pelton_push_i32(request, 3);
}

PELTON_FN pelton_test_result *pelton_test_hook(int32_t call, const pelton_test_records *records) {
    pelton_test_result *result = calloc(1, sizeof *result);
    pelton_bytes batch = pelton_test_batch(records);
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    pelton_test_push_origin(&request);
    pelton_push_bytes(&request, batch);
    result->error = pelton_test_verdict(pelton_test_call(call, &request), &reader);
    if (result->error != NULL) return result;
    result->changed = pelton_take_u8(&reader);
    if (result->changed == 2) {
        result->records = pelton_test_read(pelton_take_bytes(&reader));
    } else {
        int32_t dropped = result->changed == 1 ? pelton_take_i32(&reader) : 0;
        int32_t next = dropped > 0 ? pelton_take_i32(&reader) : -1;
        pelton_test_records before = pelton_test_read(batch);
        for (int n = 0; n < before.count; n++) {
            if (before.list[n].offset_delta != next) {
                result->records.list[result->records.count++] = before.list[n];
            } else {
                next = --dropped > 0 ? pelton_take_i32(&reader) : -1;
            }
        }
        CHECK(dropped <= 0);
    }
    pelton_test_rejections(&reader, result);
    return result;
}

/* A producer's batch. */
PELTON_FN pelton_test_result *pelton_test_on_send(const pelton_test_records *records) {
    return pelton_test_hook(2, records);
}

/* A batch on its way to a consumer. */
PELTON_FN pelton_test_result *pelton_test_on_consume(const pelton_test_records *records) {
    return pelton_test_hook(4, records);
}

/* What became of a batch; `error` is NULL when it was appended. The plugin's own error, or NULL. */
PELTON_FN const char *pelton_test_on_acknowledgement(int64_t base_offset, int32_t record_count, const char *error) {
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    pelton_test_push_origin(&request);
    pelton_push_i64(&request, base_offset);
    pelton_push_i32(&request, record_count);
    pelton_push_i64(&request, pelton_test_host.now_ms);
    pelton_push_u8(&request, error != NULL);
    if (error != NULL) pelton_push_bytes(&request, pelton_text(error));
    return pelton_test_verdict(pelton_test_call(3, &request), &reader);
}

/* A commit of one partition by the group `group`. The plugin's own error, or NULL. */
PELTON_FN const char *pelton_test_on_commit(int32_t partition, int64_t offset) {
    static const char *const texts[] = {"User:alice", "tests", "/127.0.0.1", "group", "member", "topic"};
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    for (int n = 0; n < 6; n++) pelton_push_bytes(&request, pelton_text(texts[n]));
    pelton_push_i32(&request, 1);
    pelton_push_i32(&request, partition);
    pelton_push_i64(&request, offset);
    pelton_push_u8(&request, 0);
    return pelton_test_verdict(pelton_test_call(5, &request), &reader);
}
#endif

#ifdef PELTON_PARTITIONER
/* The partitions that the plugin gives to the records. */
PELTON_FN pelton_test_result *pelton_test_partition(const pelton_test_records *records, int32_t partitions) {
    pelton_test_result *result = calloc(1, sizeof *result);
    pelton_bytes batch = pelton_test_batch(records);
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    pelton_push_bytes(&request, batch);
    pelton_push_bytes(&request, pelton_text("topic"));
    pelton_push_i32(&request, partitions);
    result->error = pelton_test_verdict(pelton_test_call(2, &request), &reader);
    if (result->error != NULL) return result;
    int32_t count = pelton_take_i32(&reader);
    CHECK(count == records->count);
    for (int32_t n = 0; n < count && !reader.bad; n++) {
        result->partitions[n] = pelton_take_i32(&reader);
        CHECK(result->partitions[n] >= -1 && result->partitions[n] < partitions);
    }
    CHECK(!reader.bad && reader.at == reader.end);
    return result;
}
#endif

#ifdef PELTON_TRANSFORM
/* What a step makes of a batch. */
PELTON_FN pelton_test_result *pelton_test_process(const pelton_test_records *records) {
    pelton_test_result *result = calloc(1, sizeof *result);
    pelton_bytes batch = pelton_test_batch(records);
    pelton_buffer request = {0};
    pelton_reader reader;
    pelton_begin();
    pelton_push_bytes(&request, batch);
    result->error = pelton_test_verdict(pelton_test_call(2, &request), &reader);
    if (result->error != NULL) return result;
    result->records = pelton_test_read(pelton_take_bytes(&reader));
    pelton_test_rejections(&reader, result);
    return result;
}
#endif

#endif
