// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/num.h"

static void test_u64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"0", 10, true, 0},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"007", 10, true, 7},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", 10, false, 0},
        {"+1", 10, false, 0},
        {"-1", 10, false, 0},
        {" 1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"0x1", 10, false, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t got = 42;
        bool ok = num_parse_u64(rows[i].text, strlen(rows[i].text), rows[i].max, &got);
        assert_int_equal(ok, rows[i].ok);
        assert_true(got == (ok ? rows[i].want : 42));
    }
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"0", true, 0},
        {"250ms", true, 250},
        {"10s", true, 10000},
        {"1m30s", true, 90000},
        {"2h", true, 7200000},
        {"1h1ms", true, 3600001},
        {"", false, 0},
        {"10", false, 0},
        {"s", false, 0},
        {"1s1h", false, 0},
        {"1s1s", false, 0},
        {"-1s", false, 0},
        {"1.5s", false, 0},
        {"1 s", false, 0},
        {"1d", false, 0},
        {"1m30", false, 0},
        {"99999999999999h", false, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t got = 42;
        bool ok = num_parse_duration_ms(rows[i].text, &got);
        assert_int_equal(ok, rows[i].ok);
        assert_true(got == (ok ? rows[i].want : 42));
    }
}

static void test_clock_goes_on(void **state)
{
    (void)state;
    uint64_t a = num_now_ns();
    uint64_t b = num_now_ns();
    assert_true(b >= a);
    assert_true(num_now_ms() >= a / 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_clock_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
