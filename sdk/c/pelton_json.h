/* Reads JSON in place: a plugin's configuration, or a record's value. Include it after pelton.h.
 *
 * What it does: finds fields, walks lists, reads texts, whole numbers and truth values. What it does not: check that all
 * of a text is JSON. What cannot be found or read is answered with false, and the text is never read past its end.
 * Nesting costs no stack.
 */
#ifndef PELTON_JSON_H
#define PELTON_JSON_H

PELTON_FN const uint8_t *pelton_json_blank(const uint8_t *at, const uint8_t *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

/* Behind a text that begins at `at` with its quotation mark; NULL when it does not end. */
PELTON_FN const uint8_t *pelton_json_behind_text(const uint8_t *at, const uint8_t *end) {
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\') at++;
    }
    return NULL;
}

/* Behind the value that begins at `at`; NULL when there is none, or it does not end. */
PELTON_FN const uint8_t *pelton_json_behind(const uint8_t *at, const uint8_t *end) {
    uint32_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = pelton_json_behind_text(at, end);
            if (at == NULL) return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) return NULL;
            depth--;
            at++;
        } else if (depth > 0) {
            at++;
        } else {
            const uint8_t *from = at;
            while (at < end && *at != ',' && *at != '}' && *at != ']' && *at > ' ') at++;
            return at == from ? NULL : at;
        }
        if (depth == 0) return at;
    }
    return NULL;
}

/* The next element of a list. `rest` begins as the list, and becomes what is left of it. */
PELTON_FN bool pelton_json_next(pelton_bytes *rest, pelton_bytes *element) {
    const uint8_t *at = rest->data, *end = at + rest->len;
    if (at == NULL) return false;
    at = pelton_json_blank(at, end);
    if (at == end || (*at != '[' && *at != ',')) return false;
    at = pelton_json_blank(at + 1, end);
    const uint8_t *behind = pelton_json_behind(at, end);
    if (behind == NULL) return false;
    *element = (pelton_bytes){at, (uint32_t)(behind - at)};
    *rest = (pelton_bytes){behind, (uint32_t)(end - behind)};
    return true;
}

/* The next field of an object: its name as it is written, without quotation marks, and its value. */
PELTON_FN bool pelton_json_next_field(pelton_bytes *rest, pelton_bytes *name, pelton_bytes *value) {
    const uint8_t *at = rest->data, *end = at + rest->len;
    if (at == NULL) return false;
    at = pelton_json_blank(at, end);
    if (at == end || (*at != '{' && *at != ',')) return false;
    at = pelton_json_blank(at + 1, end);
    if (at == end || *at != '"') return false;
    const uint8_t *behind = pelton_json_behind_text(at, end);
    if (behind == NULL) return false;
    *name = (pelton_bytes){at + 1, (uint32_t)(behind - at) - 2};
    at = pelton_json_blank(behind, end);
    if (at == end || *at != ':') return false;
    at = pelton_json_blank(at + 1, end);
    behind = pelton_json_behind(at, end);
    if (behind == NULL) return false;
    *value = (pelton_bytes){at, (uint32_t)(behind - at)};
    *rest = (pelton_bytes){behind, (uint32_t)(end - behind)};
    return true;
}

/* The value of a field of an object, as it is written. */
PELTON_FN bool pelton_json_field(pelton_bytes object, const char *name, pelton_bytes *value) {
    pelton_bytes wanted = pelton_text(name), found;
    while (pelton_json_next_field(&object, &found, value)) {
        if (pelton_equal(found, wanted)) return true;
    }
    return false;
}

PELTON_FN int32_t pelton_json_hex(const uint8_t *at, const uint8_t *end) {
    int32_t value = 0;
    if (end - at < 4) return -1;
    for (uint32_t n = 0; n < 4; n++) {
        uint8_t c = at[n];
        int32_t digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

PELTON_FN void pelton_json_push_utf8(pelton_buffer *to, uint32_t c) {
    if (c < 0x80) {
        pelton_push_u8(to, (uint8_t)c);
        return;
    }
    if (c < 0x800) {
        pelton_push_u8(to, (uint8_t)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            pelton_push_u8(to, (uint8_t)(0xe0 | c >> 12));
        } else {
            pelton_push_u8(to, (uint8_t)(0xf0 | c >> 18));
            pelton_push_u8(to, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        }
        pelton_push_u8(to, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    }
    pelton_push_u8(to, (uint8_t)(0x80 | (c & 0x3f)));
}

/* The text that a value is. Without escapes it stands in the JSON itself, otherwise until the end of the call. */
PELTON_FN bool pelton_json_text(pelton_bytes value, pelton_bytes *text) {
    if (value.len < 2 || value.data[0] != '"') return false;
    const uint8_t *at = value.data + 1, *end = value.data + value.len - 1;
    bool plain = true;
    for (const uint8_t *c = at; c < end; c++) plain &= *c != '\\';
    *text = (pelton_bytes){at, value.len - 2};
    if (plain) return true;
    pelton_buffer out = {0};
    pelton_reserve(&out, value.len);
    while (at < end) {
        if (*at != '\\') {
            pelton_push_u8(&out, *at++);
            continue;
        }
        if (end - at < 2) return false;
        static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        uint8_t c = at[1];
        at += 2;
        if (c == 'u') {
            int32_t high = pelton_json_hex(at, end), low = -1;
            if (high < 0) return false;
            at += 4;
            if (high >= 0xd800 && high < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
                low = pelton_json_hex(at + 2, end);
            }
            if (low >= 0xdc00 && low < 0xe000) {
                at += 6;
                high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            }
            /* Half of a pair is no character. */
            pelton_json_push_utf8(&out, high >= 0xd800 && high < 0xe000 ? 0xfffd : (uint32_t)high);
            continue;
        }
        uint32_t n = 0;
        while (escapes[n] != 0 && (uint8_t)escapes[n] != c) n++;
        if (escapes[n] == 0) return false;
        pelton_push_u8(&out, (uint8_t)meant[n]);
    }
    *text = (pelton_bytes){out.data, out.len};
    return true;
}

/* The whole number that a value is. */
PELTON_FN bool pelton_json_integer(pelton_bytes value, int64_t *number) {
    bool negative = value.len > 0 && value.data[0] == '-';
    uint32_t n = negative ? 1 : 0;
    uint64_t sum = 0;
    if (n == value.len || value.len > 19) return false;
    for (; n < value.len; n++) {
        if (value.data[n] < '0' || value.data[n] > '9') return false;
        sum = sum * 10 + (value.data[n] - '0');
    }
    if (sum > (uint64_t)INT64_MAX) return false;
    *number = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

/* The truth value that a value is. */
PELTON_FN bool pelton_json_bool(pelton_bytes value, bool *truth) {
    *truth = pelton_equal(value, pelton_text("true"));
    return *truth || pelton_equal(value, pelton_text("false"));
}

#endif
