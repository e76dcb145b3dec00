// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        size_t want;
    } rows[] = {
        {"", 0, 0},
        {"a", 1, 1},
        {"\0", 1, 1},
        {"\x7f", 1, 1},
        {"\x80", 1, 0},
        {"\xc1\xbf", 2, 0},  // overlong
        {"\xc2\x80", 2, 2},
        {"\xdf\xbf", 2, 2},
        {"\xc2", 1, 0},
        {"\xc2\x41", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},  // overlong
        {"\xe0\xa0\x80", 3, 3},
        {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0},  // surrogate
        {"\xee\x80\x80", 3, 3},
        {"\xef\xbf\xbf", 3, 3},
        {"\xe2\x82", 2, 0},
        {"\xe2\x82\x41", 3, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},  // overlong
        {"\xf0\x90\x80\x80", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf4\x90\x80\x80", 4, 0},  // above U+10FFFF
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xf0\x9f\x98", 3, 0},
        {"\xff", 1, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(utf8_length(rows[i].text, rows[i].len), rows[i].want);
    }
}

// The bad byte at every offset of a text, in and across the steps of eight.
static void test_first_bad(void **state)
{
    (void)state;
    char text[64];
    for (size_t len = 0; len < sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        assert_int_equal(utf8_first_bad(text, len), len);
        for (size_t bad = 0; bad < len; bad++) {
            text[bad] = '\xff';
            assert_int_equal(utf8_first_bad(text, len), bad);
            text[bad] = 'a';
        }
    }
    static const char mixed[] = "caf\xc3\xa9 \xf0\x9f\x98\x80 plain text that is long enough \xe2\x82\xac\xc3";
    assert_int_equal(utf8_first_bad(mixed, sizeof(mixed) - 1), sizeof(mixed) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_first_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
