// SPDX-License-Identifier: Apache-2.0
#include "source/lines.h"

#include "base/limits.h"

enum { TAIL_KEEP = 1 << 20 };  // a larger buffer is given back after its line

void lines_init(struct lines *lines, lines_fn *fn, void *arg)
{
    *lines = (struct lines){.fn = fn, .arg = arg};
    lines->tail.max = LIMIT_HTTP_LINE;
}

void lines_free(struct lines *lines)
{
    buf_free(&lines->tail);
}

static int give(const struct lines *lines, const char *text, size_t len, struct err *err)
{
    if (len && text[len - 1] == '\r') {
        len--;
    }
    if (len == 0) {
        return 0;
    }
    if (memchr(text, '\0', len)) {
        return err_set(err, ERR_INPUT, 0, "the stream holds a NUL byte");
    }
    return lines->fn(text, len, lines->arg, err);
}

static int keep(struct lines *lines, const char *data, size_t len, struct err *err)
{
    buf_add(&lines->tail, data, len);
    return lines->tail.failed ? err_set(err, ERR_LIMIT, 0, "one event has more than %d bytes", LIMIT_HTTP_LINE) : 0;
}

int lines_feed(struct lines *lines, const char *data, size_t len, struct err *err)
{
    const char *end = data + len;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (!newline) {
            return keep(lines, data, (size_t)(end - data), err);
        }
        size_t part = (size_t)(newline - data);
        if (lines->tail.len == 0) {
            if (give(lines, data, part, err) < 0) {
                return -1;
            }
        } else {
            if (keep(lines, data, part, err) < 0 || give(lines, lines->tail.data, lines->tail.len, err) < 0) {
                return -1;
            }
            buf_clear(&lines->tail);
            if (lines->tail.cap > TAIL_KEEP) {
                buf_free(&lines->tail);
            }
        }
        data = newline + 1;
    }
    return 0;
}
