// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool between(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

size_t utf8_length(const char *text, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80) {
        return 1;
    }
    if (between(p[0], 0xC2, 0xDF)) {
        return len >= 2 && between(p[1], 0x80, 0xBF) ? 2 : 0;
    }
    // The second byte's range is what rules out overlong forms, surrogates and values above U+10FFFF.
    if (between(p[0], 0xE0, 0xEF)) {
        unsigned char low = p[0] == 0xE0 ? 0xA0 : 0x80;
        unsigned char high = p[0] == 0xED ? 0x9F : 0xBF;
        return len >= 3 && between(p[1], low, high) && between(p[2], 0x80, 0xBF) ? 3 : 0;
    }
    if (between(p[0], 0xF0, 0xF4)) {
        unsigned char low = p[0] == 0xF0 ? 0x90 : 0x80;
        unsigned char high = p[0] == 0xF4 ? 0x8F : 0xBF;
        return len >= 4 && between(p[1], low, high) && between(p[2], 0x80, 0xBF) && between(p[3], 0x80, 0xBF) ? 4 : 0;
    }
    return 0;
}

size_t utf8_first_bad(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        uint64_t word;
        if (len - at >= sizeof(word)) {
            memcpy(&word, text + at, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        size_t n = utf8_length(text + at, len - at);
        if (n == 0) {
            return at;
        }
        at += n;
    }
    return len;
}
