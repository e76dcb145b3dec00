// SPDX-License-Identifier: Apache-2.0
//
// A growing text buffer with a named maximum. The first failure (memory, maximum) sticks: writers append without checks
// and look at buf.failed once at the end.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;  // NUL-terminated once anything was written; NULL before
    size_t len;
    size_t cap;
    size_t max;  // 0: LIMIT_TEXT of limits.h
    bool failed;
};

void buf_free(struct buf *buf);
void buf_clear(struct buf *buf);  // empties, keeps the memory
void buf_add(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_putc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// A JSON string with its quotes: control characters, quotes and backslashes escaped.
void buf_json_string(struct buf *buf, const char *text);
// Hand the text out (caller frees); NULL when the buffer failed. An empty buffer gives "".
char *buf_take(struct buf *buf);

static inline void cleanup_buf(struct buf *buf)
{
    buf_free(buf);
}
#define BUF_CLEANUP __attribute__((cleanup(cleanup_buf)))
