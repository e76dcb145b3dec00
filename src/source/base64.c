// SPDX-License-Identifier: Apache-2.0
#include "source/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Fills out; SIZE_MAX when text is no base64.
static size_t decode(const char *text, char *out)
{
    uint32_t bits = 0;
    unsigned digits = 0;  // of the present group of four
    unsigned padding = 0;
    size_t len = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '\n' || *p == '\r') {
            continue;
        }
        if (*p == '=') {
            padding++;
            continue;
        }
        int value = value_of(*p);
        if (value < 0 || padding) {
            return SIZE_MAX;
        }
        bits = bits << 6 | (uint32_t)value;
        if (++digits == 4) {
            out[len++] = (char)(bits >> 16);
            out[len++] = (char)(bits >> 8);
            out[len++] = (char)bits;
            digits = 0;
            bits = 0;
        }
    }
    if (digits == 1 || padding != (4 - digits) % 4) {
        return SIZE_MAX;
    }
    if (digits >= 2) {
        out[len++] = (char)(bits >> (digits == 2 ? 4 : 10));
    }
    if (digits == 3) {
        out[len++] = (char)(bits >> 2);
    }
    return len;
}

char *base64_decode(const char *text, size_t *ret_len)
{
    size_t size = strlen(text) / 4 * 3 + 4;
    char *out = calloc(1, size);
    if (!out) {
        *ret_len = 1;
        return NULL;
    }
    size_t len = decode(text, out);
    if (len == SIZE_MAX) {
        explicit_bzero(out, size);
        free(out);
        *ret_len = 0;
        return NULL;
    }
    out[len] = '\0';
    *ret_len = len;
    return out;
}

void base64_encode(struct buf *out, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0);
        const char group[4] = {digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
                               n > 2 ? digits[bits & 63] : '='};
        buf_add(out, group, sizeof(group));
    }
}
