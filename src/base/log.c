// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { QUOTE_BUFFERS = 4, QUOTE_SIZE = 1024, LINE_MAX_BYTES = 64 << 10 };

static struct log_config config = {.level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};

void log_configure(const struct log_config *wanted)
{
    config = *wanted;
}

bool log_enabled(enum log_level level)
{
    return level >= config.level;
}

bool log_level_parse(const char *text, enum log_level *ret)
{
    for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_parse(const char *text, enum log_format *ret)
{
    for (unsigned i = 0; i < ARRAY_SIZE(format_names); i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *ret = (enum log_format)i;
            return true;
        }
    }
    return false;
}

// Length of the well-formed UTF-8 sequence at p, or 0.
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

// One character of a quoted value into out (at least 5 bytes of room); returns its length, *ret_used what it took.
static size_t quote_char(const unsigned char *p, char *out, size_t *ret_used)
{
    size_t len = utf8_length(p);
    *ret_used = len ? len : 1;
    switch (p[0]) {
    case '"':
    case '\\':
        out[0] = '\\';
        out[1] = (char)p[0];
        return 2;
    case '\n':
        memcpy(out, "\\n", 2);
        return 2;
    case '\t':
        memcpy(out, "\\t", 2);
        return 2;
    }
    if (len == 0 || p[0] < 0x20 || p[0] == 0x7f) {
        static const char hex[] = "0123456789abcdef";
        const char escaped[4] = {'\\', 'x', hex[p[0] >> 4], hex[p[0] & 15]};
        memcpy(out, escaped, sizeof(escaped));
        return 4;
    }
    memcpy(out, p, len);
    return len;
}

const char *log_quote(const char *text)
{
    static char buffers[QUOTE_BUFFERS][QUOTE_SIZE];
    static unsigned turn;
    char *out = buffers[turn++ % QUOTE_BUFFERS];
    size_t at = 0;
    out[at++] = '"';
    const unsigned char *p = (const unsigned char *)(text ? text : "");
    while (*p) {
        if (at + 4 + 5 > QUOTE_SIZE) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        size_t used;
        at += quote_char(p, out + at, &used);
        p += used;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

// A number exactly as JSON writes numbers.
static bool is_json_number(const char *text, size_t len)
{
    size_t i = 0;
    if (i < len && text[i] == '-') {
        i++;
    }
    size_t start = i;
    while (i < len && text[i] >= '0' && text[i] <= '9') {
        i++;
    }
    if (i == start || (text[start] == '0' && i - start > 1)) {
        return false;
    }
    if (i < len && text[i] == '.') {
        size_t dot = i++;
        while (i < len && text[i] >= '0' && text[i] <= '9') {
            i++;
        }
        if (i - dot == 1) {
            return false;
        }
    }
    return i == len;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Undo log_quote in place from the opening quote on; returns the first byte behind the closing one.
static char *unquote(char *p, char **ret_value)
{
    char *out = *ret_value = ++p;
    while (*p && *p != '"') {
        if (*p != '\\' || !p[1]) {
            *out++ = *p++;
            continue;
        }
        int high = p[1] == 'x' ? hex_digit(p[2]) : -1;
        int low = high >= 0 ? hex_digit(p[3]) : -1;
        if (p[1] == 'x') {
            // Only a control character has a form in JSON; any other byte stays visible as written.
            bool control = high >= 0 && low >= 0 && high < 8 && (high > 0 || low > 0);
            if (control) {
                *out++ = (char)(high * 16 + low);
                p += 4;
            } else {
                *out++ = *p++;
            }
            continue;
        }
        *out++ = (char)(p[1] == 'n' ? '\n' : p[1] == 't' ? '\t' : p[1]);
        p += 2;
    }
    char *rest = *p ? p + 1 : p;
    *out = '\0';
    return rest;
}

static void json_value(const char *value, bool quoted, struct buf *line)
{
    if (!quoted &&
        (is_json_number(value, strlen(value)) || strcmp(value, "true") == 0 || strcmp(value, "false") == 0)) {
        buf_puts(line, value);
    } else {
        buf_json_string(line, value);
    }
}

// "key=value key2=\"…\"" as JSON members, each with a leading comma. Eats fields.
static void json_members(char *p, struct buf *line)
{
    while (*p) {
        p += strspn(p, " ");
        if (!*p) {
            return;
        }
        size_t key_len = strcspn(p, "= ");
        char *key = p;
        p += key_len;
        bool has_value = *p == '=';
        bool more = *p != '\0';
        *p = '\0';
        p += more;
        char *value = p;
        bool quoted = has_value && *p == '"';
        if (quoted) {
            p = unquote(p, &value);
        } else if (has_value) {
            p += strcspn(p, " ");
            more = *p != '\0';
            *p = '\0';
            p += more;
        }
        buf_putc(line, ',');
        buf_json_string(line, key);
        buf_putc(line, ':');
        json_value(has_value ? value : "true", quoted, line);
    }
}

static void write_stderr(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        line += n;
        len -= (size_t)n;
    }
}

static void emit(struct buf *line)
{
    if (config.sink) {
        char *text = buf_take(line);
        if (text) {
            config.sink(text, config.arg);
        }
        free(text);
        return;
    }
    buf_putc(line, '\n');
    if (line->failed) {
        static const char lost[] = "level=error event=log-line-lost error=\"too long or out of memory\"\n";
        write_stderr(lost, sizeof(lost) - 1);
        return;
    }
    write_stderr(line->data, line->len);
}

static void format_time(char ret[32])
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    (void)gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ret + len, 32 - len, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    CLEANUP(free) char *pairs = NULL;
    va_list ap;
    va_start(ap, fields);
    if (vasprintf(&pairs, fields, ap) < 0) {
        pairs = NULL;
    }
    va_end(ap);
    // One event is one line, whatever a careless value holds.
    for (char *p = pairs; p && *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    char when[32];
    format_time(when);
    BUF_CLEANUP struct buf line = {.max = LINE_MAX_BYTES};
    if (config.format == LOG_FORMAT_JSON) {
        buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", when, level_names[level]);
        buf_json_string(&line, event);
        if (pairs) {
            json_members(pairs, &line);
        }
        buf_putc(&line, '}');
    } else {
        buf_printf(&line, "time=%s level=%s event=%s%s%s", when, level_names[level], event, pairs && *pairs ? " " : "",
                   pairs ? pairs : "");
    }
    emit(&line);
}
