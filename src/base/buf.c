// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

void buf_free(struct buf *buf)
{
    free(buf->data);
    size_t max = buf->max;
    memset(buf, 0, sizeof(*buf));
    buf->max = max;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data) {
        buf->data[0] = '\0';
    }
}

static bool buf_room(struct buf *buf, size_t more)
{
    size_t max = buf->max ? buf->max : LIMIT_TEXT;
    if (buf->failed || more >= max || buf->len > max - more - 1) {
        buf->failed = true;
        return false;
    }
    size_t want = buf->len + more + 1;
    if (want <= buf->cap) {
        return true;
    }
    size_t cap = buf->cap ? buf->cap * 2 : 256;
    cap = cap < want ? want : cap;
    char *grown = realloc(buf->data, cap);
    if (!grown) {
        buf->failed = true;
        return false;
    }
    buf->data = grown;
    buf->cap = cap;
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (!buf_room(buf, len)) {
        return;
    }
    if (len) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_putc(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        buf->failed = true;
    } else if (buf_room(buf, (size_t)n)) {
        (void)vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void buf_json_string(struct buf *buf, const char *text)
{
    size_t left = strlen(text);
    buf_putc(buf, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++, left--) {
        size_t length = utf8_length((const char *)p, left);
        if (length == 0) {
            // Not UTF-8: JSON has no other bytes (RFC 8259, 8.1), so the replacement character stands for it.
            buf_puts(buf, "\\ufffd");
        } else if (length > 1) {
            buf_add(buf, p, length);
            p += length - 1;
            left -= length - 1;
        } else if (*p == '"' || *p == '\\') {
            buf_putc(buf, '\\');
            buf_putc(buf, (char)*p);
        } else if (*p == '\n') {
            buf_puts(buf, "\\n");
        } else if (*p == '\t') {
            buf_puts(buf, "\\t");
        } else if (*p < 0x20 || *p == 0x7f) {
            buf_printf(buf, "\\u%04x", *p);
        } else {
            buf_putc(buf, (char)*p);
        }
    }
    buf_putc(buf, '"');
}

char *buf_take(struct buf *buf)
{
    buf_add(buf, "", 0);
    if (buf->failed) {
        buf_free(buf);
        return NULL;
    }
    char *data = buf->data;
    buf->data = NULL;
    buf_free(buf);
    return data;
}
