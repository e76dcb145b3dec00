// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static void test_set_fills_and_returns_minus_one(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, ERR_INPUT, 7, "bad %s", "thing"), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_int_equal(err.num, 7);
    assert_string_equal(err.msg, "bad thing");
    assert_int_equal(err_set(NULL, ERR_INPUT, 7, "nobody listens"), -1);
}

static void test_text_leaves_empty_parts_out(void **state)
{
    (void)state;
    char text[1024];
    struct err err = {0};
    (void)err_set(&err, ERR_INPUT, 0, "not a port");
    assert_string_equal(err_text(&err, text, sizeof(text)), "not a port");
    (void)err_at_field(&err, "spec.ports[%d]", 1);
    assert_string_equal(err_text(&err, text, sizeof(text)), "spec.ports[1]: not a port");
    (void)err_at_object(&err, "a.yaml:%d", 3);
    assert_string_equal(err_text(&err, text, sizeof(text)), "a.yaml:3: spec.ports[1]: not a port");
}

static void test_inner_place_wins(void **state)
{
    (void)state;
    struct err err = {0};
    (void)err_set(&err, ERR_INPUT, 0, "x");
    (void)err_at_object(&err, "inner");
    (void)err_at_object(&err, "outer");
    assert_string_equal(err.object, "inner");
    (void)err_at_field(&err, "inner.field");
    (void)err_at_field(&err, "outer.field");
    assert_string_equal(err.field, "inner.field");
}

static void test_errno_appends_the_reason(void **state)
{
    (void)state;
    struct err err = {0};
    errno = ENOENT;
    assert_int_equal(err_errno(&err, "cannot open %s", "x"), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(err.num, ENOENT);
    assert_string_equal(err.msg, "cannot open x: No such file or directory");
}

static void test_wrap_keeps_context_when_full(void **state)
{
    (void)state;
    struct err err = {0};
    char big[600];
    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)err_set(&err, ERR_LIMIT, 0, "%s", big);
    assert_int_equal(err_wrap(&err, "context %d", 5), -1);
    assert_int_equal(strncmp(err.msg, "context 5: yyy", 14), 0);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(err_wrap(NULL, "context"), -1);
}

static void test_clear_and_oom(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_oom(&err), -1);
    assert_int_equal(err.kind, ERR_OOM);
    err_clear(&err);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(err.msg, "");
    err_clear(NULL);
}

static void test_kind_names_are_distinct(void **state)
{
    (void)state;
    for (int a = ERR_NONE; a <= ERR_BUG; a++) {
        assert_string_not_equal(err_kind_name((enum err_kind)a), "?");
        for (int b = ERR_NONE; b < a; b++) {
            assert_string_not_equal(err_kind_name((enum err_kind)a), err_kind_name((enum err_kind)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns_minus_one),
        cmocka_unit_test(test_text_leaves_empty_parts_out),
        cmocka_unit_test(test_inner_place_wins),
        cmocka_unit_test(test_errno_appends_the_reason),
        cmocka_unit_test(test_wrap_keeps_context_when_full),
        cmocka_unit_test(test_clear_and_oom),
        cmocka_unit_test(test_kind_names_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
