/* Pelton's SDK for plugins in C.
 *
 * One file, C11, no libc. In the one source file of a plugin, say which world it implements and include it:
 *
 *     #define PELTON_INTERCEPTOR            // or PELTON_PARTITIONER, or PELTON_TRANSFORM
 *     #include "pelton.h"
 *
 *     static pelton_error on_send(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out) {
 *         pelton_record record;
 *         (void)from;
 *         while (pelton_next(batch, &record)) {
 *             if (record.value.data == NULL) pelton_drop(out, &record);
 *         }
 *         return NULL;
 *     }
 *
 *     const pelton_interceptor pelton_plugin = {
 *         .hooks = PELTON_ON_SEND, .reads = PELTON_VALUE, .drops = true, .on_send = on_send,
 *     };
 *
 * What this file does: it turns the bytes of the flat contract (sdk/wit/FLAT.md) into records that are read in place, and
 * into answers. What it does not: files, network, environment; a plugin has none. What a call means is
 * documented in sdk/wit/plugin.wit.
 *
 * Memory: what `pelton_room` gives, and every answer of the host, lives until the call of the plugin ends. What must live
 * longer (a configuration) is copied into `pelton_keep`, which is never freed. Records point into the batch.
 *
 * With PELTON_NATIVE defined the same code is built for the machine at hand, and pelton_test.h plays the host.
 *
 * Invariant: no byte of a request is read past its end, however the request is formed. A damaged batch ends the
 * walk over its records, and the SDK answers the call with an error.
 */
#ifndef PELTON_H
#define PELTON_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(PELTON_INTERCEPTOR) + defined(PELTON_PARTITIONER) + defined(PELTON_TRANSFORM) != 1
#error "define one of PELTON_INTERCEPTOR, PELTON_PARTITIONER, PELTON_TRANSFORM before pelton.h is included"
#endif

/* What a plugin does not use must not be warned of. */
#define PELTON_FN static __attribute__((unused))

/* --- Types ------------------------------------------------------------------------------------------------ */

/* Bytes that somebody else owns. `data` is NULL for null, which is not the same as empty. */
typedef struct {
    const uint8_t *data;
    uint32_t len;
} pelton_bytes;

/* NULL: all is well. Otherwise a text for the operator. */
typedef const char *pelton_error;

/* One record. A plugin may change `key`, `value` and the headers, and hand it to `pelton_change` or `pelton_write`. */
typedef struct {
    int32_t offset_delta;    /* counted from the batch's first record */
    int64_t offset;          /* in the partition; what it is before the batch was appended, says nothing */
    int64_t timestamp_ms;    /* since the Unix epoch; -1 when the producer gave none */
    pelton_bytes key;        /* null also where the plugin does not read keys */
    pelton_bytes value;      /* likewise */
    int32_t header_count;
    pelton_bytes headers;    /* encoded; walk them with `pelton_next_header` */
    const uint8_t *raw;      /* the whole record in its batch; NULL for one that the plugin made */
    uint32_t raw_len;
} pelton_record;

/* One header of a record. Names may repeat. */
typedef struct {
    pelton_bytes name;
    pelton_bytes value;
} pelton_header;

/* A walk over the headers of a record: `pelton_headers_of` begins one. */
typedef struct {
    const uint8_t *at, *end;
    int32_t left;
} pelton_headers;

/* One batch of records, and where the walk over it stands. */
typedef struct {
    pelton_bytes bytes;      /* header and records */
    int32_t count;           /* records, as the header says */
    int64_t base_offset, base_timestamp, max_timestamp;
    int32_t last_offset_delta;
    bool log_append_time;
    const uint8_t *at, *end;
    int32_t left;
    pelton_error damage;
} pelton_batch;

/* Bytes that grow, for as long as the call lasts. */
typedef struct {
    uint8_t *data;
    uint32_t len, capacity;
} pelton_buffer;

/* Records that the plugin refuses, with reasons. */
typedef struct {
    pelton_buffer bytes;
    uint32_t count;
} pelton_rejections;

/* A batch in the making. All zeroes is an empty one. */
typedef struct {
    pelton_buffer bytes;
    int64_t base_timestamp, max_timestamp;
    int32_t count;
} pelton_writer;

enum { PELTON_KEY = 1, PELTON_VALUE = 2, PELTON_HEADERS = 4 };
typedef enum { PELTON_ERROR = 0, PELTON_WARN = 1, PELTON_INFO = 2, PELTON_DEBUG = 3 } pelton_level;

/* A name and a value that tell one series of a metric from another. */
typedef struct {
    const char *name;
    pelton_bytes value;
} pelton_label;

#ifdef PELTON_INTERCEPTOR
enum { PELTON_ON_SEND = 1, PELTON_ON_ACKNOWLEDGEMENT = 2, PELTON_ON_CONSUME = 4, PELTON_ON_COMMIT = 8 };
enum { PELTON_NEVER = 0, PELTON_FOR_EVERYONE = 1, PELTON_FOR_PRINCIPAL = 2 };

/* Who sends or reads, and where. */
typedef struct {
    pelton_bytes principal, client_id, client_address, topic;
    int32_t partition;
} pelton_origin;

typedef struct {
    int64_t base_offset;     /* -1 when the batch was refused */
    int32_t record_count;
    int64_t at_ms;
    pelton_bytes error;      /* null when the batch was appended */
} pelton_acknowledgement;

/* The offsets that a group has committed; `pelton_next_offset` walks over them. */
typedef struct {
    pelton_bytes principal, client_id, client_address, group, member, topic;
    bool transactional;
    const uint8_t *at;
    uint32_t left;
} pelton_commit;

/* What becomes of a batch. Left alone, the batch goes on as it is. Records are dropped and changed in their order. */
typedef struct {
    const pelton_batch *batch;
    pelton_rejections rejected;
    pelton_buffer dropped;   /* offset deltas, as they are answered */
    pelton_buffer raw_drops; /* where the dropped records stand, until the first change */
    pelton_buffer changed;   /* the batch in its new form, once there was a change */
    const uint8_t *copied;   /* up to here the old batch is in `changed` */
    uint32_t dropped_count;
    pelton_error misuse;
} pelton_outcome;

/* An interceptor. Hooks that are not in `hooks` may be left out. */
typedef struct {
    uint8_t hooks;           /* PELTON_ON_SEND | ... */
    uint8_t reads;           /* PELTON_KEY | PELTON_VALUE | PELTON_HEADERS */
    uint8_t writes;
    bool drops;
    uint8_t reuse;           /* PELTON_NEVER, PELTON_FOR_EVERYONE or PELTON_FOR_PRINCIPAL */
    pelton_error (*configure)(pelton_bytes config);
    pelton_error (*on_send)(const pelton_origin *from, pelton_batch *batch, pelton_outcome *out);
    pelton_error (*on_acknowledgement)(const pelton_origin *from, const pelton_acknowledgement *acknowledged);
    pelton_error (*on_consume)(const pelton_origin *to, pelton_batch *batch, pelton_outcome *out);
    pelton_error (*on_commit)(pelton_commit *committed);
} pelton_interceptor;
extern const pelton_interceptor pelton_plugin;
#endif

#ifdef PELTON_PARTITIONER
/* A partitioner. `answers` has room for each record of the batch, and begins as -1: any partition will do. */
typedef struct {
    uint8_t reads;
    pelton_error (*configure)(pelton_bytes config);
    pelton_error (*partition)(pelton_batch *batch, pelton_bytes topic, int32_t partitions, int32_t *answers);
} pelton_partitioner;
extern const pelton_partitioner pelton_plugin;
#endif

#ifdef PELTON_TRANSFORM
/* What a step emits and refuses. */
typedef struct {
    pelton_writer emitted;
    pelton_rejections rejected;
} pelton_output;

/* A step of a stream job. */
typedef struct {
    pelton_error (*configure)(pelton_bytes config, const pelton_bytes *stores, uint32_t store_count);
    pelton_error (*process)(pelton_batch *batch, pelton_output *out);
} pelton_transform;
extern const pelton_transform pelton_plugin;
#endif

/* --- The host --------------------------------------------------------------------------------------------- */

#ifdef PELTON_NATIVE
/* pelton_test.h has these three. */
PELTON_FN pelton_bytes pelton_ask(int32_t call, pelton_bytes request);
PELTON_FN pelton_bytes pelton_ask_state(int32_t call, pelton_bytes request);
PELTON_FN uint8_t *pelton_pages(size_t size);
#else
__attribute__((import_module("pelton"), import_name("host_0_1")))
extern uint64_t pelton_host_0_1(int32_t call, const uint8_t *request, uint32_t len);
/* Imported only by a plugin that uses it: the import says that the plugin keeps state. */
__attribute__((import_module("pelton"), import_name("state_0_1")))
extern uint64_t pelton_state_0_1(int32_t call, const uint8_t *request, uint32_t len);

/* Asks the host; the answer is its bytes as they stand in the contract. */
PELTON_FN pelton_bytes pelton_ask(int32_t call, pelton_bytes request) {
    uint64_t answer = pelton_host_0_1(call, request.data, request.len);
    return (pelton_bytes){(const uint8_t *)(uintptr_t)(answer >> 32), (uint32_t)answer};
}

PELTON_FN pelton_bytes pelton_ask_state(int32_t call, pelton_bytes request) {
    uint64_t answer = pelton_state_0_1(call, request.data, request.len);
    return (pelton_bytes){(const uint8_t *)(uintptr_t)(answer >> 32), (uint32_t)answer};
}
#endif

/* --- Bytes and memory ------------------------------------------------------------------------------------- */

#ifndef PELTON_NATIVE
/* The compiler may ask for these four by name, and there is no libc. */
__attribute__((weak)) void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    __builtin_memcpy(to, from, len);
    return to;
}
__attribute__((weak)) void *memmove(void *to, const void *from, size_t len) {
    __builtin_memmove(to, from, len);
    return to;
}
__attribute__((weak)) void *memset(void *to, int byte, size_t len) {
    __builtin_memset(to, byte, len);
    return to;
}
__attribute__((weak)) int memcmp(const void *left, const void *right, size_t len) {
    const uint8_t *a = left, *b = right;
    for (size_t n = 0; n < len; n++) {
        if (a[n] != b[n]) return a[n] < b[n] ? -1 : 1;
    }
    return 0;
}
#endif

/* Copies. Short pieces are cheaper word by word than by the engine's bulk copy, which is a call of its own. */
PELTON_FN inline void pelton_copy(uint8_t *to, const uint8_t *from, uint32_t len) {
    if (len > 64) {
        __builtin_memcpy(to, from, len);
        return;
    }
    for (; len >= 8; len -= 8, to += 8, from += 8) __builtin_memcpy(to, from, 8);
    for (; len > 0; len--) *to++ = *from++;
}

PELTON_FN uint32_t pelton_length(const char *text) {
    uint32_t len = 0;
    while (text[len] != 0) len++;
    return len;
}

/* The bytes of a C string, without its end. */
PELTON_FN pelton_bytes pelton_text(const char *text) {
    return (pelton_bytes){(const uint8_t *)text, pelton_length(text)};
}

/* Whether the two are the same; null equals null alone. */
PELTON_FN bool pelton_equal(pelton_bytes left, pelton_bytes right) {
    if (left.data == NULL || right.data == NULL) return left.data == right.data;
    if (left.len != right.len) return false;
    for (uint32_t n = 0; n < left.len; n++) {
        if (left.data[n] != right.data[n]) return false;
    }
    return true;
}

/* Rooms of a call stand in chunks, which the next call uses again. */
typedef struct pelton_chunk {
    struct pelton_chunk *next;
    uint32_t size, used;
} pelton_chunk;

static struct {
    uint8_t *next, *end;            /* what `pelton_keep` has left */
    pelton_chunk *first, *current;
    uint32_t chunk_bytes;           /* of all chunks */
    bool busy;                      /* a call runs: its rooms are taken */
} pelton_memory;

#ifndef PELTON_NATIVE
extern uint8_t __heap_base;

/* Fresh zeroed memory, at least `size` bytes of it. */
PELTON_FN uint8_t *pelton_pages(size_t size) {
    static uintptr_t end;
    uintptr_t from = end == 0 ? ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15 : end;
    if (size > UINT32_MAX - from - 65536) __builtin_trap();
    uintptr_t to = from + size, have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
    if (to > have && __builtin_wasm_memory_grow(0, (to - have + 65535) >> 16) == (size_t)-1) __builtin_trap();
    end = (to + 15) & ~(uintptr_t)15;
    return (uint8_t *)from;
}
#endif

/* Zeroed memory for as long as the instance lives. Meant for what `configure` keeps. */
PELTON_FN void *pelton_keep(uint32_t size) {
    if (size > UINT32_MAX - 65536) __builtin_trap();
    size = (size + 15) & ~(uint32_t)15;
    if ((size_t)(pelton_memory.end - pelton_memory.next) < size) {
        uint32_t fresh = size > 4096 ? size : 4096;
        pelton_memory.next = pelton_pages(fresh);
        pelton_memory.end = pelton_memory.next + fresh;
    }
    uint8_t *room = pelton_memory.next;
    pelton_memory.next += size;
    return room;
}

/* A copy for as long as the instance lives. */
PELTON_FN pelton_bytes pelton_keep_bytes(pelton_bytes bytes) {
    if (bytes.data == NULL) return bytes;
    uint8_t *copy = pelton_keep(bytes.len + 1);
    pelton_copy(copy, bytes.data, bytes.len);
    return (pelton_bytes){copy, bytes.len};
}

/* Memory until the end of the call, with what an earlier call left in it. */
PELTON_FN uint8_t *pelton_room(uint32_t size) {
    if (size > UINT32_MAX / 4) __builtin_trap();
    size = (size + 7) & ~(uint32_t)7;
    pelton_chunk *chunk = pelton_memory.current;
    while (chunk != NULL && chunk->size - chunk->used < size) {
        chunk = chunk->next;
        if (chunk != NULL) chunk->used = 0;
    }
    if (chunk == NULL) {
        /* Each chunk is as large as all before it, so few are made, and a later call finds room in one. */
        uint32_t room = pelton_memory.chunk_bytes > size ? pelton_memory.chunk_bytes : size;
        if (room < 32768) room = 32768;
        chunk = (pelton_chunk *)pelton_pages(sizeof(pelton_chunk) + room);
        *chunk = (pelton_chunk){NULL, room, 0};
        pelton_memory.chunk_bytes += room;
        pelton_chunk **last = &pelton_memory.first;
        while (*last != NULL) last = &(*last)->next;
        *last = chunk;
    }
    pelton_memory.current = chunk;
    uint8_t *room = (uint8_t *)(chunk + 1) + chunk->used;
    chunk->used += size;
    return room;
}

/* Begins a call, unless it has begun with the room for its request. */
PELTON_FN void pelton_begin(void) {
    if (pelton_memory.busy) return;
    pelton_memory.busy = true;
    pelton_memory.current = pelton_memory.first;
    if (pelton_memory.first != NULL) pelton_memory.first->used = 0;
}

/* Makes the buffer able to take `more` further bytes. */
PELTON_FN void pelton_reserve(pelton_buffer *buffer, uint32_t more) {
    if (buffer->capacity - buffer->len >= more) return;
    if (more > UINT32_MAX / 8 || buffer->len > UINT32_MAX / 8) __builtin_trap();
    uint32_t capacity = buffer->capacity * 2 > buffer->len + more ? buffer->capacity * 2 : buffer->len + more;
    if (capacity < 64) capacity = 64;
    uint8_t *data = pelton_room(capacity);
    if (buffer->len > 0) pelton_copy(data, buffer->data, buffer->len);
    buffer->data = data;
    buffer->capacity = capacity;
}

PELTON_FN inline void pelton_push(pelton_buffer *buffer, const void *data, uint32_t len) {
    pelton_reserve(buffer, len);
    pelton_copy(buffer->data + buffer->len, data, len);
    buffer->len += len;
}

PELTON_FN inline void pelton_push_u8(pelton_buffer *buffer, uint8_t value) { pelton_push(buffer, &value, 1); }
PELTON_FN inline void pelton_push_i32(pelton_buffer *buffer, int32_t value) { pelton_push(buffer, &value, 4); }
PELTON_FN inline void pelton_push_i64(pelton_buffer *buffer, int64_t value) { pelton_push(buffer, &value, 8); }
PELTON_FN void pelton_push_bytes(pelton_buffer *buffer, pelton_bytes bytes) {
    pelton_push_i32(buffer, (int32_t)bytes.len);
    pelton_push(buffer, bytes.data, bytes.len);
}

/* Text for the operator: `%s` a C string, `%b` pelton_bytes, `%d` a long long. Lives until the end of the call. */
PELTON_FN const char *pelton_format(const char *format, ...) {
    pelton_buffer out = {0};
    va_list values;
    va_start(values, format);
    for (const char *at = format; *at != 0; at++) {
        if (*at != '%' || (at[1] != 's' && at[1] != 'b' && at[1] != 'd')) {
            pelton_push_u8(&out, (uint8_t)*at);
            continue;
        }
        at++;
        if (*at == 's') {
            const char *text = va_arg(values, const char *);
            pelton_push(&out, text, pelton_length(text));
        } else if (*at == 'b') {
            pelton_bytes bytes = va_arg(values, pelton_bytes);
            pelton_push(&out, bytes.data, bytes.len);
        } else {
            long long value = va_arg(values, long long);
            unsigned long long rest = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
            uint8_t digits[20];
            uint32_t count = 0;
            do {
                digits[count++] = (uint8_t)('0' + rest % 10);
                rest /= 10;
            } while (rest > 0);
            if (value < 0) pelton_push_u8(&out, '-');
            while (count > 0) pelton_push_u8(&out, digits[--count]);
        }
    }
    va_end(values);
    pelton_push_u8(&out, 0);
    return (const char *)out.data;
}

/* --- Reading records -------------------------------------------------------------------------------------- */

PELTON_FN inline bool pelton_read_varlong(const uint8_t **at, const uint8_t *end, int64_t *value) {
    uint64_t bits = 0;
    for (uint32_t shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 63 && byte > 1) return false;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return true;
        }
    }
    return false;
}

PELTON_FN inline bool pelton_read_varint(const uint8_t **at, const uint8_t *end, int32_t *value) {
    if (*at < end && **at < 0x80) {
        uint32_t bits = *(*at)++;
        *value = (int32_t)(bits >> 1) ^ -(int32_t)(bits & 1);
        return true;
    }
    int64_t wide;
    if (!pelton_read_varlong(at, end, &wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
    *value = (int32_t)wide;
    return true;
}

/* A length and as many bytes; -1 stands for null. */
PELTON_FN inline bool pelton_read_nullable(const uint8_t **at, const uint8_t *end, pelton_bytes *bytes) {
    int32_t len;
    if (!pelton_read_varint(at, end, &len) || len < -1 || len > end - *at) return false;
    *bytes = len < 0 ? (pelton_bytes){NULL, 0} : (pelton_bytes){*at, (uint32_t)len};
    *at += bytes->len;
    return true;
}

PELTON_FN inline bool pelton_read_record(const pelton_batch *batch, const uint8_t **at, pelton_record *record) {
    const uint8_t *raw = *at, *end;
    int32_t len;
    int64_t timestamp_delta;
    if (!pelton_read_varint(at, batch->end, &len) || len < 6 || len > batch->end - *at) return false;
    end = *at + len;
    (*at)++; /* attributes, of which there are none */
    if (!pelton_read_varlong(at, end, &timestamp_delta) || !pelton_read_varint(at, end, &record->offset_delta) ||
        !pelton_read_nullable(at, end, &record->key) || !pelton_read_nullable(at, end, &record->value) ||
        !pelton_read_varint(at, end, &record->header_count) || record->header_count < 0) {
        return false;
    }
    record->offset = (int64_t)((uint64_t)batch->base_offset + (uint64_t)record->offset_delta);
    record->timestamp_ms = batch->log_append_time
        ? batch->max_timestamp
        : (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)timestamp_delta);
    record->headers = (pelton_bytes){*at, (uint32_t)(end - *at)};
    record->raw = raw;
    record->raw_len = (uint32_t)(end - raw);
    *at = end;
    return true;
}

/* The next record of the batch; false at its end, and at damage. */
PELTON_FN inline bool pelton_next(pelton_batch *batch, pelton_record *record) {
    if (batch->left == 0) return false;
    if (!pelton_read_record(batch, &batch->at, record)) {
        batch->damage = "the input batch is damaged: the lengths of a record do not fit";
        batch->left = 0;
        return false;
    }
    batch->left--;
    return true;
}

/* Begins a walk over the headers of a record. */
PELTON_FN pelton_headers pelton_headers_of(const pelton_record *record) {
    return (pelton_headers){record->headers.data, record->headers.data + record->headers.len, record->header_count};
}

/* The next header; false at the end, and at damage. */
PELTON_FN inline bool pelton_next_header(pelton_headers *headers, pelton_header *header) {
    if (headers->left == 0) return false;
    headers->left--;
    if (pelton_read_nullable(&headers->at, headers->end, &header->name) && header->name.data != NULL &&
        pelton_read_nullable(&headers->at, headers->end, &header->value)) {
        return true;
    }
    headers->left = 0;
    return false;
}

/* The value of the first header of that name; null when there is none, or when its value is null. */
PELTON_FN pelton_bytes pelton_header_value(const pelton_record *record, pelton_bytes name) {
    pelton_headers headers = pelton_headers_of(record);
    pelton_header header;
    while (pelton_next_header(&headers, &header)) {
        if (pelton_equal(header.name, name)) return header.value;
    }
    return (pelton_bytes){NULL, 0};
}

PELTON_FN inline uint64_t pelton_read_big_endian(const uint8_t *at, uint32_t len) {
    uint64_t value = 0;
    while (len-- > 0) value = value << 8 | *at++;
    return value;
}

/* Opens one uncompressed batch of record format v2. */
PELTON_FN pelton_error pelton_open(pelton_bytes bytes, pelton_batch *batch) {
    const uint8_t *at = bytes.data;
    if (bytes.len < 61 || at[16] != 2) return "the input is no record batch of format v2";
    if (pelton_read_big_endian(at + 8, 4) != bytes.len - 12) return "the input is not exactly one record batch";
    if ((at[22] & 7) != 0) return "the input batch is compressed";
    int32_t count = (int32_t)pelton_read_big_endian(at + 57, 4);
    if (count < 0 || (uint32_t)count > (bytes.len - 61) / 7) return "the input batch has fewer records than it says";
    *batch = (pelton_batch){
        .bytes = bytes,
        .count = count,
        .base_offset = (int64_t)pelton_read_big_endian(at, 8),
        .base_timestamp = (int64_t)pelton_read_big_endian(at + 27, 8),
        .max_timestamp = (int64_t)pelton_read_big_endian(at + 35, 8),
        .last_offset_delta = (int32_t)pelton_read_big_endian(at + 23, 4),
        .log_append_time = (at[22] & 8) != 0,
        .at = at + 61,
        .end = at + bytes.len,
        .left = count,
    };
    return NULL;
}

/* --- Writing records -------------------------------------------------------------------------------------- */

PELTON_FN inline void pelton_push_varlong(pelton_buffer *buffer, int64_t value) {
    uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    pelton_reserve(buffer, 10);
    for (; bits >= 0x80; bits >>= 7) buffer->data[buffer->len++] = (uint8_t)(bits | 0x80);
    buffer->data[buffer->len++] = (uint8_t)bits;
}

PELTON_FN inline uint32_t pelton_varlong_len(int64_t value) {
    uint64_t bits = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    return (70 - (uint32_t)__builtin_clzll(bits | 1)) / 7;
}

PELTON_FN inline uint32_t pelton_nullable_len(pelton_bytes bytes) {
    return bytes.data == NULL ? 1 : pelton_varlong_len(bytes.len) + bytes.len;
}

PELTON_FN inline void pelton_push_nullable(pelton_buffer *buffer, pelton_bytes bytes) {
    pelton_push_varlong(buffer, bytes.data == NULL ? -1 : (int64_t)bytes.len);
    pelton_push(buffer, bytes.data, bytes.len);
}

PELTON_FN void pelton_push_record(pelton_buffer *to, const pelton_record *record, int64_t base_timestamp, int32_t delta) {
    int64_t timestamp_delta = (int64_t)((uint64_t)record->timestamp_ms - (uint64_t)base_timestamp);
    uint32_t len = 1 + pelton_varlong_len(timestamp_delta) + pelton_varlong_len(delta) +
                   pelton_nullable_len(record->key) + pelton_nullable_len(record->value) +
                   pelton_varlong_len(record->header_count) + record->headers.len;
    pelton_reserve(to, len + 10);
    pelton_push_varlong(to, len);
    pelton_push_u8(to, 0);
    pelton_push_varlong(to, timestamp_delta);
    pelton_push_varlong(to, delta);
    pelton_push_nullable(to, record->key);
    pelton_push_nullable(to, record->value);
    pelton_push_varlong(to, record->header_count);
    pelton_push(to, record->headers.data, record->headers.len);
}

PELTON_FN void pelton_write_big_endian(uint8_t *at, uint64_t value, uint32_t len) {
    for (; len > 0; value >>= 8) at[--len] = (uint8_t)value;
}

/* Adds a header behind those that the record has. A null value is allowed, a null name is not. */
PELTON_FN void pelton_add_header(pelton_record *record, pelton_bytes name, pelton_bytes value) {
    pelton_buffer headers = {0};
    pelton_reserve(&headers, record->headers.len + pelton_nullable_len(name) + pelton_nullable_len(value) + 20);
    pelton_push(&headers, record->headers.data, record->headers.len);
    pelton_push_nullable(&headers, name);
    pelton_push_nullable(&headers, value);
    record->headers = (pelton_bytes){headers.data, headers.len};
    record->header_count++;
}

/* A record of the plugin's own making, without headers. */
PELTON_FN pelton_record pelton_new_record(int64_t timestamp_ms, pelton_bytes key, pelton_bytes value) {
    return (pelton_record){.timestamp_ms = timestamp_ms, .key = key, .value = value};
}

/* Adds a record to a batch in the making, at the next offset. */
PELTON_FN void pelton_write(pelton_writer *writer, const pelton_record *record) {
    if (writer->count == 0) {
        pelton_reserve(&writer->bytes, 61 + 1024);
        writer->bytes.len = 61;
        writer->base_timestamp = writer->max_timestamp = record->timestamp_ms;
    }
    if (record->timestamp_ms > writer->max_timestamp) writer->max_timestamp = record->timestamp_ms;
    pelton_push_record(&writer->bytes, record, writer->base_timestamp, writer->count);
    writer->count++;
}

/* The batch as it is so far; no bytes at all when it has no record. The host writes the CRC. */
PELTON_FN pelton_bytes pelton_finish(pelton_writer *writer) {
    if (writer->count == 0) return (pelton_bytes){NULL, 0};
    uint8_t *at = writer->bytes.data;
    for (uint32_t n = 0; n < 61; n++) at[n] = 0;
    pelton_write_big_endian(at + 8, writer->bytes.len - 12, 4);
    pelton_write_big_endian(at + 12, UINT32_MAX, 4);
    at[16] = 2;
    pelton_write_big_endian(at + 23, (uint64_t)writer->count - 1, 4);
    pelton_write_big_endian(at + 27, (uint64_t)writer->base_timestamp, 8);
    pelton_write_big_endian(at + 35, (uint64_t)writer->max_timestamp, 8);
    for (uint32_t n = 43; n < 57; n++) at[n] = 0xff; /* no producer */
    pelton_write_big_endian(at + 57, (uint64_t)writer->count, 4);
    return (pelton_bytes){at, writer->bytes.len};
}

/* Refuses a record of the input, with the reason for a person to read. */
PELTON_FN void pelton_reject(pelton_rejections *rejected, const pelton_record *record, const char *reason) {
    pelton_push_i32(&rejected->bytes, record->offset_delta);
    pelton_push_bytes(&rejected->bytes, pelton_text(reason));
    rejected->count++;
}

/* --- Requests --------------------------------------------------------------------------------------------- */

/* A request of the host, or its answer, as it is read. */
typedef struct {
    const uint8_t *at, *end;
    bool bad;
} pelton_reader;

PELTON_FN const uint8_t *pelton_take(pelton_reader *reader, uint32_t len) {
    static const uint8_t zeroes[8];
    if (reader->bad || (size_t)(reader->end - reader->at) < len) {
        reader->bad = true;
        return len <= sizeof zeroes ? zeroes : NULL;
    }
    reader->at += len;
    return reader->at - len;
}

PELTON_FN uint8_t pelton_take_u8(pelton_reader *reader) { return *pelton_take(reader, 1); }
PELTON_FN int32_t pelton_take_i32(pelton_reader *reader) {
    int32_t value;
    __builtin_memcpy(&value, pelton_take(reader, 4), 4);
    return value;
}
PELTON_FN int64_t pelton_take_i64(pelton_reader *reader) {
    int64_t value;
    __builtin_memcpy(&value, pelton_take(reader, 8), 8);
    return value;
}
PELTON_FN pelton_bytes pelton_take_bytes(pelton_reader *reader) {
    uint32_t len = (uint32_t)pelton_take_i32(reader);
    const uint8_t *data = pelton_take(reader, len);
    return reader->bad ? (pelton_bytes){(const uint8_t *)"", 0} : (pelton_bytes){data, len};
}

#define PELTON_BAD_REQUEST "the host's request is cut short; the plugin was built for another contract"

/* --- What the host gives ---------------------------------------------------------------------------------- */

/* A line for the operator. */
PELTON_FN void pelton_log(pelton_level level, const char *message) {
    pelton_buffer request = {0};
    pelton_push_u8(&request, (uint8_t)level);
    pelton_push_bytes(&request, pelton_text(message));
    pelton_ask(1, (pelton_bytes){request.data, request.len});
}

PELTON_FN pelton_buffer pelton_metric(const char *name, const pelton_label *labels, uint32_t label_count) {
    pelton_buffer request = {0};
    pelton_push_bytes(&request, pelton_text(name));
    pelton_push_i32(&request, (int32_t)label_count);
    for (uint32_t n = 0; n < label_count; n++) {
        pelton_push_bytes(&request, pelton_text(labels[n].name));
        pelton_push_bytes(&request, labels[n].value);
    }
    return request;
}

/* Adds to a counter. */
PELTON_FN void pelton_count(const char *name, const pelton_label *labels, uint32_t label_count, uint64_t by) {
    pelton_buffer request = pelton_metric(name, labels, label_count);
    pelton_push_i64(&request, (int64_t)by);
    pelton_ask(2, (pelton_bytes){request.data, request.len});
}

/* Sets a gauge. */
PELTON_FN void pelton_gauge(const char *name, const pelton_label *labels, uint32_t label_count, double value) {
    pelton_buffer request = pelton_metric(name, labels, label_count);
    pelton_push(&request, &value, 8);
    pelton_ask(3, (pelton_bytes){request.data, request.len});
}

/* Adds observations to a histogram. */
PELTON_FN void pelton_observe(const char *name, const pelton_label *labels, uint32_t label_count, const double *values,
                              uint32_t count) {
    pelton_buffer request = pelton_metric(name, labels, label_count);
    pelton_push_i32(&request, (int32_t)count);
    pelton_push(&request, values, count * 8);
    pelton_ask(4, (pelton_bytes){request.data, request.len});
}

#ifndef PELTON_PARTITIONER
/* The values under the keys, in one call of the host; null where there is none. Store 0 is an interceptor's only one. */
PELTON_FN void pelton_state_get_many(int32_t store, const pelton_bytes *keys, pelton_bytes *values, uint32_t count) {
    pelton_buffer request = {0};
    pelton_push_i32(&request, store);
    pelton_push_i32(&request, 0);
    for (uint32_t n = 0; n < count; n++) pelton_push_bytes(&request, keys[n]);
    uint32_t len = request.len - 8;
    pelton_copy(request.data + 4, (const uint8_t *)&len, 4);
    pelton_bytes answer = pelton_ask_state(5, (pelton_bytes){request.data, request.len});
    pelton_reader reader = {answer.data, answer.data + answer.len, false};
    pelton_take(&reader, 5);
    for (uint32_t n = 0; n < count; n++) {
        int32_t value_len = pelton_take_i32(&reader);
        const uint8_t *data = value_len < 0 ? NULL : pelton_take(&reader, (uint32_t)value_len);
        if (reader.bad) __builtin_trap();
        values[n] = (pelton_bytes){data, data == NULL ? 0 : (uint32_t)value_len};
    }
}

/* Puts the values under the keys, in one call of the host; a null value deletes. */
PELTON_FN void pelton_state_put_many(int32_t store, const pelton_bytes *keys, const pelton_bytes *values,
                                     uint32_t count) {
    pelton_buffer request = {0};
    pelton_push_i32(&request, store);
    pelton_push_i32(&request, 0);
    for (uint32_t n = 0; n < count; n++) {
        pelton_push_bytes(&request, keys[n]);
        if (values[n].data == NULL) pelton_push_i32(&request, -1);
        else pelton_push_bytes(&request, values[n]);
    }
    uint32_t len = request.len - 8;
    pelton_copy(request.data + 4, (const uint8_t *)&len, 4);
    pelton_ask_state(6, (pelton_bytes){request.data, request.len});
}

/* The value under a key; null when there is none. */
PELTON_FN pelton_bytes pelton_state_get(int32_t store, pelton_bytes key) {
    pelton_bytes value;
    pelton_state_get_many(store, &key, &value, 1);
    return value;
}

/* Puts a value under a key; a null value deletes. */
PELTON_FN void pelton_state_put(int32_t store, pelton_bytes key, pelton_bytes value) {
    pelton_state_put_many(store, &key, &value, 1);
}
#endif

#ifdef PELTON_INTERCEPTOR
/* Appends a batch to another topic, which the operator has granted. */
PELTON_FN pelton_error pelton_emit(const char *topic, pelton_writer *writer) {
    pelton_bytes batch = pelton_finish(writer);
    if (batch.len == 0) return NULL;
    pelton_buffer request = {0};
    pelton_push_bytes(&request, pelton_text(topic));
    pelton_push_bytes(&request, batch);
    pelton_bytes answer = pelton_ask(7, (pelton_bytes){request.data, request.len});
    if (answer.len == 0 || answer.data[0] == 0) return NULL;
    pelton_reader reader = {answer.data + 1, answer.data + answer.len, false};
    return pelton_format("%b", pelton_take_bytes(&reader));
}

/* Milliseconds since the Unix epoch. */
PELTON_FN int64_t pelton_now_ms(void) {
    pelton_bytes answer = pelton_ask(8, (pelton_bytes){NULL, 0});
    pelton_reader reader = {answer.data, answer.data + answer.len, false};
    pelton_take(&reader, 1);
    int64_t now = pelton_take_i64(&reader);
    if (reader.bad) __builtin_trap();
    return now;
}

/* Unpredictable bytes, at most 64 KiB in one call. */
PELTON_FN pelton_bytes pelton_random(uint32_t count) {
    pelton_buffer request = {0};
    pelton_push_i32(&request, (int32_t)count);
    pelton_bytes answer = pelton_ask(9, (pelton_bytes){request.data, request.len});
    pelton_reader reader = {answer.data, answer.data + answer.len, false};
    pelton_take(&reader, 1);
    pelton_bytes bytes = pelton_take_bytes(&reader);
    if (reader.bad || bytes.len != count) __builtin_trap();
    return bytes;
}

/* --- Outcomes --------------------------------------------------------------------------------------------- */

/* A record that was dropped before the first change: where it begins and ends in the batch. */
typedef struct {
    const uint8_t *from, *to;
} pelton_span;

PELTON_FN void pelton_copy_until(pelton_outcome *out, const uint8_t *until) {
    pelton_push(&out->changed, out->copied, (uint32_t)(until - out->copied));
}

/* Whether the record may be dropped or changed now. */
PELTON_FN bool pelton_in_order(pelton_outcome *out, const pelton_record *record) {
    const uint8_t *first = out->batch->bytes.data + 61;
    if (out->copied == NULL) out->copied = first;
    if (record->raw < out->copied || record->raw > out->batch->end) {
        out->misuse = "the plugin drops or changes records out of their order, or one twice";
        return false;
    }
    return true;
}

/* Takes a record of the input away. */
PELTON_FN void pelton_drop(pelton_outcome *out, const pelton_record *record) {
    if (!pelton_in_order(out, record)) return;
    if (out->changed.len > 0) {
        pelton_copy_until(out, record->raw);
    } else {
        pelton_span span = {record->raw, record->raw + record->raw_len};
        pelton_push(&out->raw_drops, &span, sizeof span);
        pelton_push_i32(&out->dropped, record->offset_delta);
    }
    out->dropped_count++;
    out->copied = record->raw + record->raw_len;
}

/* Puts the record in place of what it was in the input. Offset and timestamp stay. */
PELTON_FN void pelton_change(pelton_outcome *out, const pelton_record *record) {
    if (!pelton_in_order(out, record)) return;
    if (out->changed.len == 0) {
        /* The first change: the batch up to here, without what was dropped. */
        const uint8_t *copied = out->batch->bytes.data;
        pelton_reserve(&out->changed, out->batch->bytes.len + out->batch->bytes.len / 8 + record->value.len);
        for (uint32_t at = 0; at < out->raw_drops.len; at += sizeof(pelton_span)) {
            pelton_span span;
            __builtin_memcpy(&span, out->raw_drops.data + at, sizeof span);
            pelton_push(&out->changed, copied, (uint32_t)(span.from - copied));
            copied = span.to;
        }
        out->copied = copied;
    }
    pelton_copy_until(out, record->raw);
    int64_t base = out->batch->log_append_time ? out->batch->max_timestamp : out->batch->base_timestamp;
    pelton_push_record(&out->changed, record, base, record->offset_delta);
    out->copied = record->raw + record->raw_len;
}
#endif

/* --- The plugin's calls ----------------------------------------------------------------------------------- */

PELTON_FN pelton_bytes pelton_answered(pelton_buffer *answer) { return (pelton_bytes){answer->data, answer->len}; }

/* An answer without a value: no bytes for "well", or the error. */
PELTON_FN pelton_bytes pelton_verdict(pelton_error error) {
    if (error == NULL) return (pelton_bytes){NULL, 0};
    pelton_buffer answer = {0};
    pelton_push_u8(&answer, 1);
    pelton_push_bytes(&answer, pelton_text(error));
    return pelton_answered(&answer);
}

PELTON_FN void pelton_push_rejections(pelton_buffer *answer, const pelton_rejections *rejected) {
    pelton_push_i32(answer, (int32_t)rejected->count);
    pelton_push(answer, rejected->bytes.data, rejected->bytes.len);
}

#ifdef PELTON_INTERCEPTOR
#define PELTON_WORLD "pelton_interceptor_0_1"

PELTON_FN pelton_origin pelton_take_origin(pelton_reader *reader) {
    pelton_origin origin;
    origin.principal = pelton_take_bytes(reader);
    origin.client_id = pelton_take_bytes(reader);
    origin.client_address = pelton_take_bytes(reader);
    origin.topic = pelton_take_bytes(reader);
    origin.partition = pelton_take_i32(reader);
    return origin;
}

/* The next offset of a commit; false at the end. */
PELTON_FN bool pelton_next_offset(pelton_commit *commit, int32_t *partition, int64_t *offset) {
    if (commit->left == 0) return false;
    commit->left--;
    __builtin_memcpy(partition, commit->at, 4);
    __builtin_memcpy(offset, commit->at + 4, 8);
    commit->at += 12;
    return true;
}

/* Header and records of a changed batch; what follows the last change goes on as it is. */
PELTON_FN void pelton_push_change(pelton_buffer *answer, pelton_outcome *out) {
    if (out->changed.len > 0) {
        pelton_copy_until(out, out->batch->end);
        pelton_write_big_endian(out->changed.data + 8, out->changed.len - 12, 4);
        pelton_write_big_endian(out->changed.data + 57, (uint64_t)out->batch->count - out->dropped_count, 4);
        pelton_push_u8(answer, 2);
        pelton_push_bytes(answer, pelton_answered(&out->changed));
    } else if (out->dropped_count > 0) {
        pelton_push_u8(answer, 1);
        pelton_push_i32(answer, (int32_t)out->dropped_count);
        pelton_push(answer, out->dropped.data, out->dropped.len);
    } else {
        pelton_push_u8(answer, 0);
    }
}

PELTON_FN pelton_bytes pelton_hook(pelton_reader *reader,
                                   pelton_error (*hook)(const pelton_origin *, pelton_batch *, pelton_outcome *)) {
    pelton_origin origin = pelton_take_origin(reader);
    pelton_bytes bytes = pelton_take_bytes(reader);
    if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
    pelton_batch batch;
    pelton_error error = pelton_open(bytes, &batch);
    if (error != NULL) return pelton_verdict(error);
    pelton_outcome out = {.batch = &batch};
    error = hook == NULL ? NULL : hook(&origin, &batch, &out);
    if (error == NULL) error = batch.damage != NULL ? batch.damage : out.misuse;
    if (error != NULL) return pelton_verdict(error);
    pelton_buffer answer = {0};
    pelton_reserve(&answer, out.changed.len + out.dropped.len + out.rejected.bytes.len + bytes.len * (out.changed.len > 0) + 16);
    pelton_push_u8(&answer, 0);
    pelton_push_change(&answer, &out);
    pelton_push_rejections(&answer, &out.rejected);
    return pelton_answered(&answer);
}

PELTON_FN pelton_bytes pelton_acknowledged(pelton_reader *reader) {
    pelton_origin origin = pelton_take_origin(reader);
    pelton_acknowledgement acknowledged = {.base_offset = pelton_take_i64(reader)};
    acknowledged.record_count = pelton_take_i32(reader);
    acknowledged.at_ms = pelton_take_i64(reader);
    if (pelton_take_u8(reader) == 1) acknowledged.error = pelton_take_bytes(reader);
    if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
    if (pelton_plugin.on_acknowledgement == NULL) return pelton_verdict(NULL);
    return pelton_verdict(pelton_plugin.on_acknowledgement(&origin, &acknowledged));
}

PELTON_FN pelton_bytes pelton_committed(pelton_reader *reader) {
    pelton_commit commit = {.principal = pelton_take_bytes(reader)};
    commit.client_id = pelton_take_bytes(reader);
    commit.client_address = pelton_take_bytes(reader);
    commit.group = pelton_take_bytes(reader);
    commit.member = pelton_take_bytes(reader);
    commit.topic = pelton_take_bytes(reader);
    commit.left = (uint32_t)pelton_take_i32(reader);
    commit.at = reader->at;
    if (commit.left > (size_t)(reader->end - reader->at) / 12) return pelton_verdict(PELTON_BAD_REQUEST);
    reader->at += commit.left * 12;
    commit.transactional = pelton_take_u8(reader) == 1;
    if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
    return pelton_verdict(pelton_plugin.on_commit == NULL ? NULL : pelton_plugin.on_commit(&commit));
}

PELTON_FN pelton_bytes pelton_dispatch(int32_t call, pelton_reader *reader) {
    if (call == 0) {
        pelton_buffer answer = {0};
        uint8_t wants[] = {0, pelton_plugin.hooks, pelton_plugin.reads, pelton_plugin.writes,
                           pelton_plugin.drops ? 1 : 0, pelton_plugin.reuse};
        pelton_push(&answer, wants, sizeof wants);
        return pelton_answered(&answer);
    }
    if (call == 1) {
        pelton_bytes config = pelton_take_bytes(reader);
        if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
        return pelton_verdict(pelton_plugin.configure == NULL ? NULL : pelton_plugin.configure(config));
    }
    if (call == 2) return pelton_hook(reader, pelton_plugin.on_send);
    if (call == 3) return pelton_acknowledged(reader);
    if (call == 4) return pelton_hook(reader, pelton_plugin.on_consume);
    if (call == 5) return pelton_committed(reader);
    return pelton_verdict("the host made a call that this plugin does not know; build it anew with the newest SDK");
}
#endif

#ifdef PELTON_PARTITIONER
#define PELTON_WORLD "pelton_partitioner_0_1"

PELTON_FN pelton_bytes pelton_dispatch(int32_t call, pelton_reader *reader) {
    pelton_buffer answer = {0};
    if (call == 0) {
        uint8_t reads[] = {0, pelton_plugin.reads};
        pelton_push(&answer, reads, sizeof reads);
        return pelton_answered(&answer);
    }
    if (call == 1) {
        pelton_bytes config = pelton_take_bytes(reader);
        if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
        return pelton_verdict(pelton_plugin.configure == NULL ? NULL : pelton_plugin.configure(config));
    }
    if (call != 2) return pelton_verdict("the host made a call that this plugin does not know");
    pelton_bytes bytes = pelton_take_bytes(reader), topic = pelton_take_bytes(reader);
    int32_t partitions = pelton_take_i32(reader);
    if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
    pelton_batch batch;
    pelton_error error = pelton_open(bytes, &batch);
    if (error != NULL) return pelton_verdict(error);
    uint32_t len = (uint32_t)batch.count * 4;
    /* Three bytes before it, so that the numbers behind the first byte and the count are aligned. */
    uint8_t *room = pelton_room(len + 8);
    int32_t *answers = (int32_t *)(room + 8);
    for (int32_t n = 0; n < batch.count; n++) answers[n] = -1;
    error = pelton_plugin.partition(&batch, topic, partitions, answers);
    if (error == NULL) error = batch.damage;
    if (error != NULL) return pelton_verdict(error);
    room[3] = 0;
    __builtin_memcpy(room + 4, &batch.count, 4);
    return (pelton_bytes){room + 3, len + 5};
}
#endif

#ifdef PELTON_TRANSFORM
#define PELTON_WORLD "pelton_transform_0_1"

PELTON_FN pelton_bytes pelton_dispatch(int32_t call, pelton_reader *reader) {
    if (call == 1) {
        pelton_bytes config = pelton_take_bytes(reader);
        uint32_t count = (uint32_t)pelton_take_i32(reader);
        if (reader->bad || count > (size_t)(reader->end - reader->at) / 4) return pelton_verdict(PELTON_BAD_REQUEST);
        pelton_bytes *stores = (pelton_bytes *)pelton_room(count * (uint32_t)sizeof(pelton_bytes));
        for (uint32_t n = 0; n < count; n++) stores[n] = pelton_take_bytes(reader);
        if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
        return pelton_verdict(pelton_plugin.configure == NULL ? NULL : pelton_plugin.configure(config, stores, count));
    }
    if (call != 2) return pelton_verdict("the host made a call that this plugin does not know");
    pelton_bytes bytes = pelton_take_bytes(reader);
    if (reader->bad) return pelton_verdict(PELTON_BAD_REQUEST);
    pelton_batch batch;
    pelton_error error = pelton_open(bytes, &batch);
    if (error != NULL) return pelton_verdict(error);
    pelton_output out = {0};
    error = pelton_plugin.process(&batch, &out);
    if (error == NULL) error = batch.damage;
    if (error != NULL) return pelton_verdict(error);
    pelton_bytes emitted = pelton_finish(&out.emitted);
    pelton_buffer answer = {0};
    pelton_reserve(&answer, emitted.len + out.rejected.bytes.len + 16);
    pelton_push_u8(&answer, 0);
    pelton_push_bytes(&answer, emitted);
    pelton_push_rejections(&answer, &out.rejected);
    return pelton_answered(&answer);
}
#endif

/* One call of the host, from its request to the answer. */
PELTON_FN pelton_bytes pelton_call(int32_t call, pelton_bytes request) {
    pelton_begin();
    pelton_reader reader = {request.data, request.data + request.len, false};
    pelton_bytes answer = pelton_dispatch(call, &reader);
    pelton_memory.busy = false;
    return answer;
}

#ifndef PELTON_NATIVE
__attribute__((export_name("pelton_alloc"), visibility("default"))) uint8_t *pelton_alloc(uint32_t len) {
    pelton_begin();
    return pelton_room(len);
}

__attribute__((export_name(PELTON_WORLD), visibility("default"))) uint64_t pelton_plugin_call(
    int32_t call, const uint8_t *request, uint32_t len) {
    pelton_bytes answer = pelton_call(call, (pelton_bytes){request, len});
    return (uint64_t)(uintptr_t)answer.data << 32 | answer.len;
}
#endif

#endif
