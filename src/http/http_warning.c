// SPDX-License-Identifier: Apache-2.0
#include "http/http_easy.h"

// The API server's warnings are short; what is longer is cut.
enum { WARNING_MAX = 1024 };

static size_t skip(const char *value, size_t len, size_t at, const char *set)
{
    while (at < len && strchr(set, value[at]) && value[at]) {
        at++;
    }
    return at;
}

// Past a word, which blanks end.
static size_t skip_word(const char *value, size_t len, size_t at)
{
    while (at < len && value[at] != ' ' && value[at] != '\t' && value[at] != '"' && value[at] != ',') {
        at++;
    }
    return at;
}

// Past the text between quotes that begins at `at`, unescaped into ret; len when it has no end.
static size_t take_quoted(const char *value, size_t len, size_t at, char *ret, size_t size)
{
    size_t n = 0;
    for (at++; at < len && value[at] != '"'; at++) {
        if (value[at] == '\\' && at + 1 < len) {
            at++;
        }
        if (n + 1 < size) {
            // It goes to logs: one line, whatever the server sends.
            ret[n++] = (unsigned char)value[at] < ' ' || value[at] == 127 ? ' ' : value[at];
        }
    }
    ret[n] = '\0';
    return at < len ? at + 1 : len + 1;
}

void http_warnings(const char *value, size_t len, void (*fn)(const char *text, void *arg), void *arg)
{
    char text[WARNING_MAX];
    size_t at = 0;
    for (;;) {
        at = skip(value, len, at, " \t,\r\n");
        const char *code = value + at;
        size_t code_end = skip_word(value, len, at);
        size_t agent = skip(value, len, code_end, " \t");
        size_t quote = skip(value, len, skip_word(value, len, agent), " \t");
        if (quote >= len || value[quote] != '"') {
            return;
        }
        size_t after = take_quoted(value, len, quote, text, sizeof(text));
        if (after > len) {
            return;
        }
        if (code_end - at == 3 && memcmp(code, "299", 3) == 0) {
            fn(text, arg);
        }
        at = skip(value, len, after, " \t");
        if (at < len && value[at] == '"') {
            char date[64];
            at = take_quoted(value, len, at, date, sizeof(date));
            if (at > len) {
                return;
            }
        }
    }
}
