// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

// A non-ASCII character: C1 controls but NEL, and the non-characters U+FFFE and U+FFFF, are what YAML refuses.
static const char *refused_wide(const unsigned char *p, size_t n)
{
    if (n == 0) {
        return "invalid UTF-8";
    }
    if (n == 2 && p[0] == 0xC2 && p[1] < 0xA0 && p[1] != 0x85) {
        return "a control character";
    }
    if (n == 3 && p[0] == 0xEF && p[1] == 0xBF && p[2] >= 0xBE) {
        return "a character that YAML does not allow (U+FFFE or U+FFFF)";
    }
    return NULL;
}

size_t yaml_text_bad(const char *text, size_t len, size_t at, const char **ret_why)
{
    const unsigned char *p = (const unsigned char *)text;
    while (at < len) {
        if ((p[at] >= ' ' && p[at] < 0x7F) || p[at] == '\n' || p[at] == '\r' || p[at] == '\t') {
            at++;
            continue;
        }
        if (p[at] < 0x80) {
            *ret_why = p[at] == 0 ? "a NUL byte" : "a control character";
            return at;
        }
        size_t n = utf8_length(text + at, len - at);
        const char *why = refused_wide(p + at, n);
        if (why) {
            *ret_why = why;
            return at;
        }
        at += n;
    }
    return len;
}

static bool is_marker(const char *text, size_t len, size_t at)
{
    return len - at >= 3 && memcmp(text + at, "---", 3) == 0 &&
           (len - at == 3 || (text[at + 3] && strchr(" \t\r\n", text[at + 3])));
}

size_t yaml_text_next_document(const char *text, size_t len, size_t at)
{
    while (at < len) {
        if ((at == 0 || text[at - 1] == '\n') && is_marker(text, len, at)) {
            return at;
        }
        const char *feed = memchr(text + at, '\n', len - at);
        at = feed ? (size_t)(feed - text) + 1 : len;
    }
    return len;
}

size_t yaml_text_document_of(const char *text, size_t len, size_t from, size_t at)
{
    while (at > from) {
        if (at < len && text[at - 1] == '\n' && is_marker(text, len, at)) {
            return at;
        }
        const char *feed = memrchr(text + from, '\n', at - 1 - from);
        at = feed ? (size_t)(feed - text) + 1 : from;
    }
    return from;
}

unsigned yaml_text_lines(const char *text, size_t n)
{
    unsigned lines = 0;
    const char *end = text + n;
    for (const char *p = memchr(text, '\n', n); p; p = memchr(p + 1, '\n', (size_t)(end - p - 1))) {
        lines++;
    }
    return lines;
}

size_t yaml_text_bytes(const char *text, size_t len, size_t characters)
{
    size_t at = 0;
    while (at < len && characters > 0) {
        size_t n = utf8_length(text + at, len - at);
        at += n ? n : 1;
        characters--;
    }
    return at;
}
