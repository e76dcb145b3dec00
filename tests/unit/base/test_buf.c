// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void test_appends(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {0};
    buf_puts(&buf, "a");
    buf_putc(&buf, 'b');
    buf_printf(&buf, "%d-%s", 12, "x");
    buf_add(&buf, "yz", 1);
    assert_string_equal(buf.data, "ab12-xy");
    assert_int_equal(buf.len, 7);
    assert_false(buf.failed);
}

static void test_grows_far(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {0};
    for (int i = 0; i < 100000; i++) {
        buf_putc(&buf, (char)('a' + i % 26));
    }
    assert_int_equal(buf.len, 100000);
    assert_int_equal(buf.data[99999], 'a' + 99999 % 26);
    assert_int_equal(strlen(buf.data), 100000);
}

static void test_maximum_sticks(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {.max = 8};
    buf_puts(&buf, "1234567");
    assert_false(buf.failed);
    buf_putc(&buf, '8');
    assert_true(buf.failed);
    assert_string_equal(buf.data, "1234567");
    buf_puts(&buf, "");
    assert_true(buf.failed);
    assert_null(buf_take(&buf));
    buf_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(buf.max, 8);
}

static void test_printf_beyond_maximum(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {.max = 8};
    buf_printf(&buf, "%s", "12345678");
    assert_true(buf.failed);
    assert_int_equal(buf.len, 0);
}

static void test_take_of_nothing_is_empty_text(void **state)
{
    (void)state;
    struct buf buf = {0};
    char *text = buf_take(&buf);
    assert_string_equal(text, "");
    free(text);
    buf_puts(&buf, "again");
    text = buf_take(&buf);
    assert_string_equal(text, "again");
    assert_null(buf.data);
    free(text);
}

static void test_json_string_escapes(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {0};
    buf_json_string(&buf, "a\"b\\c\n\t\x01\x7f\xc3\xa9");
    assert_string_equal(buf.data, "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\xc3\xa9\"");
}

// Bytes that are no UTF-8 (a comment of somebody's rule) must not make the whole answer unreadable.
static void test_json_string_of_other_bytes(void **state)
{
    (void)state;
    BUF_CLEANUP struct buf buf = {0};
    buf_json_string(&buf, "a\xff"
                          "b\xc3"
                          "c\xe2\x82");
    assert_string_equal(buf.data, "\"a\\ufffdb\\ufffdc\\ufffd\\ufffd\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_grows_far),
        cmocka_unit_test(test_maximum_sticks),
        cmocka_unit_test(test_printf_beyond_maximum),
        cmocka_unit_test(test_take_of_nothing_is_empty_text),
        cmocka_unit_test(test_json_string_escapes),
        cmocka_unit_test(test_json_string_of_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
