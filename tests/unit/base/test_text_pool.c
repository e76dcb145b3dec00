// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/text_pool.h"

static void test_copies(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct text_pool pool = {0};
    const char *got[3000];
    char want[512];
    // All lengths across every boundary, kept while later ones come.
    for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
        memset(want, 'a' + (int)(i % 26), sizeof(want));
        got[i] = text_pool_add(&pool, &arena, want, i % 300);
        assert_non_null(got[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(got); i++) {
        memset(want, 'a' + (int)(i % 26), sizeof(want));
        want[i % 300] = '\0';
        assert_string_equal(got[i], want);
    }
    arena_free(&arena);
}

static void test_one_copy_of_what_comes_back(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct text_pool pool = {0};
    const char *name = text_pool_add(&pool, &arena, "name-xyz", 4);
    assert_string_equal(name, "name");
    assert_ptr_equal(text_pool_add(&pool, &arena, "name", 4), name);
    // A beginning or a continuation of it is another string.
    assert_string_equal(text_pool_add(&pool, &arena, "nam", 3), "nam");
    assert_string_equal(text_pool_add(&pool, &arena, "names", 5), "names");
    assert_string_equal(text_pool_add(&pool, &arena, "", 0), "");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_one_copy_of_what_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
