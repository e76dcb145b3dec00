// SPDX-License-Identifier: Apache-2.0
#include "json/json_scan.h"

#include <stdint.h>
#include <string.h>

#include "base/limits.h"
#include "base/utf8.h"

struct cursor {
    const char *text;
    size_t len;
    size_t at;
    unsigned line;
    unsigned depth;
    uint64_t in_map;  // bit n: the container of depth n + 1 is a map
    bool has_long_numbers;
    struct err *err;
};
_Static_assert(LIMIT_DOCUMENT_DEPTH <= 64, "one bit a level");

static int refuse(const struct cursor *c, const char *why)
{
    (void)err_set(c->err, ERR_INPUT, (int)c->line, "%s", why);
    return err_at_object(c->err, "line %u", c->line);
}

// What stands at the cursor, for messages.
static int refuse_here(const struct cursor *c, const char *wanted)
{
    if (c->at >= c->len) {
        (void)err_set(c->err, ERR_INPUT, (int)c->line, "invalid JSON: the text ends where %s is wanted", wanted);
    } else if (c->text[c->at] > ' ' && c->text[c->at] <= '~') {
        (void)err_set(c->err, ERR_INPUT, (int)c->line, "invalid JSON: '%c' where %s is wanted", c->text[c->at], wanted);
    } else {
        (void)err_set(c->err, ERR_INPUT, (int)c->line, "invalid JSON: byte 0x%02x where %s is wanted",
                      (unsigned)(unsigned char)c->text[c->at], wanted);
    }
    return err_at_object(c->err, "line %u", c->line);
}

static void skip_blank(struct cursor *c)
{
    while (c->at < c->len) {
        char b = c->text[c->at];
        if (b == '\n') {
            c->line++;
        } else if (b != ' ' && b != '\t' && b != '\r') {
            return;
        }
        c->at++;
    }
}

static bool at_byte(const struct cursor *c, char byte)
{
    return c->at < c->len && c->text[c->at] == byte;
}

static bool hex4(const struct cursor *c, size_t at, unsigned *ret)
{
    unsigned value = 0;
    if (c->len - at < 4) {
        return false;
    }
    for (size_t i = at; i < at + 4; i++) {
        char b = c->text[i];
        unsigned digit;
        if (b >= '0' && b <= '9') {
            digit = (unsigned)(b - '0');
        } else if ((b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F')) {
            digit = (unsigned)((b | 0x20) - 'a') + 10;
        } else {
            return false;
        }
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

// "\uXXXX" with the cursor on the u; a surrogate needs its other half.
static int scan_unicode_escape(struct cursor *c)
{
    unsigned high;
    unsigned low;
    if (!hex4(c, c->at + 1, &high)) {
        return refuse(c, "invalid JSON: \\u needs four hexadecimal digits");
    }
    c->at += 5;
    if (high == 0) {
        return refuse(c, "a string holds a NUL (\\u0000)");
    }
    if (high < 0xD800 || high > 0xDFFF) {
        return 0;
    }
    if (high > 0xDBFF || c->len - c->at < 6 || c->text[c->at] != '\\' || c->text[c->at + 1] != 'u' ||
        !hex4(c, c->at + 2, &low) || low < 0xDC00 || low > 0xDFFF) {
        return refuse(c, "invalid JSON: half of a surrogate pair");
    }
    c->at += 6;
    return 0;
}

// Bytes that stand for nothing but themselves in a string.
static size_t plain_bytes(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && (unsigned char)text[n] >= ' ' && text[n] != '"' && text[n] != '\\') {
        n++;
    }
    return n;
}

static int scan_string(struct cursor *c)
{
    c->at++;
    while (c->at < c->len) {
        c->at += plain_bytes(c->text + c->at, c->len - c->at);
        if (c->at == c->len) {
            break;
        }
        unsigned char b = (unsigned char)c->text[c->at];
        if (b == '"') {
            c->at++;
            return 0;
        }
        if (b == '\\') {
            c->at++;
            if (at_byte(c, 'u')) {
                if (scan_unicode_escape(c) < 0) {
                    return -1;
                }
            } else if (c->at < c->len && c->text[c->at] && strchr("\"\\/bfnrt", c->text[c->at])) {
                c->at++;
            } else {
                return refuse_here(c, "an escape character");
            }
        } else {
            return refuse(c, b == 0      ? "a string holds a NUL byte"
                             : b == '\n' ? "invalid JSON: a string does not end on its line"
                                         : "invalid JSON: a raw control character in a string");
        }
    }
    return refuse(c, "invalid JSON: the text ends inside a string");
}

static int scan_digits(struct cursor *c)
{
    size_t start = c->at;
    while (c->at < c->len && c->text[c->at] >= '0' && c->text[c->at] <= '9') {
        c->at++;
    }
    return c->at > start ? 0 : refuse_here(c, "a digit");
}

static int scan_number(struct cursor *c)
{
    size_t start = c->at;
    if (at_byte(c, '-')) {
        c->at++;
    }
    bool zero = at_byte(c, '0');
    if (scan_digits(c) < 0) {
        return -1;
    }
    if (zero && c->at - start > 1 + (size_t)(c->text[start] == '-')) {
        return refuse(c, "invalid JSON: a number with a leading zero");
    }
    if (at_byte(c, '.')) {
        c->at++;
        if (scan_digits(c) < 0) {
            return -1;
        }
    }
    if (at_byte(c, 'e') || at_byte(c, 'E')) {
        c->at++;
        if (at_byte(c, '+') || at_byte(c, '-')) {
            c->at++;
        }
        if (scan_digits(c) < 0) {
            return -1;
        }
    }
    c->has_long_numbers = c->has_long_numbers || c->at - start > JSON_NUMBER_MAX;
    return 0;
}

static int scan_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if (c->len - c->at < n || memcmp(c->text + c->at, word, n) != 0) {
        return refuse_here(c, "a value");
    }
    c->at += n;
    return 0;
}

// A key with its colon.
static int scan_key(struct cursor *c)
{
    skip_blank(c);
    if (!at_byte(c, '"')) {
        return refuse_here(c, "a key in double quotes");
    }
    if (scan_string(c) < 0) {
        return -1;
    }
    skip_blank(c);
    if (!at_byte(c, ':')) {
        return refuse_here(c, "':'");
    }
    c->at++;
    return 0;
}

// A value's first part: all of a scalar or an empty container, else the opening (and first key) of a container.
// *ret_open: a value must follow.
static int scan_opening(struct cursor *c, bool *ret_open)
{
    *ret_open = false;
    skip_blank(c);
    char b = c->at < c->len ? c->text[c->at] : '\0';
    switch (b) {
    case '"':
        return scan_string(c);
    case 't':
        return scan_word(c, "true");
    case 'f':
        return scan_word(c, "false");
    case 'n':
        return scan_word(c, "null");
    case '{':
    case '[':
        break;
    default:
        return b == '-' || (b >= '0' && b <= '9') ? scan_number(c) : refuse_here(c, "a value");
    }
    if (c->depth == LIMIT_DOCUMENT_DEPTH) {
        return refuse(c, "nested too deeply");
    }
    uint64_t bit = UINT64_C(1) << c->depth;
    c->at++;
    skip_blank(c);
    if (at_byte(c, b == '{' ? '}' : ']')) {
        c->at++;
        return 0;
    }
    c->in_map = b == '{' ? c->in_map | bit : c->in_map & ~bit;
    c->depth++;
    *ret_open = true;
    return b == '{' ? scan_key(c) : 0;
}

// After a value: close what ends here. *ret_open: another value must follow.
static int scan_closing(struct cursor *c, bool *ret_open)
{
    *ret_open = false;
    while (c->depth > 0) {
        bool map = c->in_map >> (c->depth - 1) & 1;
        skip_blank(c);
        if (at_byte(c, ',')) {
            c->at++;
            *ret_open = true;
            return map ? scan_key(c) : 0;
        }
        if (!at_byte(c, map ? '}' : ']')) {
            return refuse_here(c, map ? "',' or '}'" : "',' or ']'");
        }
        c->at++;
        c->depth--;
    }
    return 0;
}

static int check_utf8(struct cursor *c, const struct json_scan *scan)
{
    size_t len = scan->end - scan->start;
    size_t bad = utf8_first_bad(c->text + scan->start, len);
    if (bad == len) {
        return 0;
    }
    c->line = scan->start_line;
    for (size_t i = 0; i < bad; i++) {
        c->line += c->text[scan->start + i] == '\n';
    }
    return refuse(c, "invalid UTF-8");
}

int json_scan(const char *text, size_t len, unsigned first_line, struct json_scan *ret, struct err *err)
{
    struct cursor c = {.text = text, .len = len, .line = first_line, .err = err};
    skip_blank(&c);
    struct json_scan scan = {.start = c.at, .start_line = c.line};
    bool open = true;
    while (open) {
        if (scan_opening(&c, &open) < 0) {
            return -1;
        }
        if (!open && scan_closing(&c, &open) < 0) {
            return -1;
        }
    }
    scan.end = c.at;
    skip_blank(&c);
    scan.used = c.at;
    scan.next_line = c.line;
    scan.has_long_numbers = c.has_long_numbers;
    if (check_utf8(&c, &scan) < 0) {
        return -1;
    }
    *ret = scan;
    return 0;
}
