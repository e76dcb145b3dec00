// SPDX-License-Identifier: Apache-2.0
#include "base/num.h"

#include <string.h>
#include <time.h>

bool num_parse_u64(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    if (len == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool num_parse_duration_ms(const char *text, uint64_t *ret)
{
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return true;
    }
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t total = 0;
    uint64_t previous = UINT64_MAX;  // units must descend, so that 1s1h is refused
    const char *p = text;
    if (!*p) {
        return false;
    }
    while (*p) {
        size_t digits = strspn(p, "0123456789");
        uint64_t value;
        if (!num_parse_u64(p, digits, UINT64_C(1) << 40, &value)) {
            return false;
        }
        p += digits;
        size_t letters = strcspn(p, "0123456789");
        uint64_t scale = 0;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strlen(units[i].unit) == letters && memcmp(units[i].unit, p, letters) == 0) {
                scale = units[i].ms;
            }
        }
        if (scale == 0 || scale >= previous) {
            return false;
        }
        previous = scale;
        total += value * scale;
        p += letters;
    }
    *ret = total;
    return true;
}

uint64_t num_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t num_now_ms(void)
{
    return num_now_ns() / 1000000;
}
