// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/map.h"

static int value[1000];

static void test_put_get_del(void **state)
{
    (void)state;
    CLEANUP(map_free) struct map *map = map_new();
    void *old = &value[9];
    assert_int_equal(map_put_str(map, "a", &value[0], &old), 0);
    assert_null(old);
    assert_int_equal(map_put_str(map, "a", &value[1], &old), 0);
    assert_ptr_equal(old, &value[0]);
    assert_int_equal(map_size(map), 1);
    assert_ptr_equal(map_get_str(map, "a"), &value[1]);
    assert_null(map_get_str(map, "b"));
    assert_null(map_del_str(map, "b"));
    assert_ptr_equal(map_del_str(map, "a"), &value[1]);
    assert_int_equal(map_size(map), 0);
    assert_null(map_first(map));
}

static void test_keys_are_bytes_and_copied(void **state)
{
    (void)state;
    CLEANUP(map_free) struct map *map = map_new();
    char key[4] = {'a', 0, 'b', 0};
    assert_int_equal(map_put(map, key, 3, &value[1], NULL), 0);
    key[2] = 'c';
    assert_int_equal(map_put(map, key, 3, &value[2], NULL), 0);
    assert_ptr_equal(map_get(map, "a\0b", 3), &value[1]);
    assert_ptr_equal(map_get(map, "a\0c", 3), &value[2]);
    assert_null(map_get(map, "a", 1));
    assert_int_equal(map_put(map, "", 0, &value[3], NULL), 0);
    assert_ptr_equal(map_get(map, "", 0), &value[3]);
}

static void test_iterates_in_insertion_order(void **state)
{
    (void)state;
    CLEANUP(map_free) struct map *map = map_new();
    char key[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i * 7919 % 1000);
        assert_int_equal(map_put_str(map, key, &value[i], NULL), 0);
    }
    int at = 0;
    for (struct map_entry *e = map_first(map); e; e = map_next(e)) {
        size_t len;
        (void)snprintf(key, sizeof(key), "k%d", at * 7919 % 1000);
        assert_string_equal(map_entry_key(e, &len), key);
        assert_int_equal(len, strlen(key));
        assert_ptr_equal(map_entry_value(e), &value[at]);
        at++;
    }
    assert_int_equal(at, 1000);
}

static void test_delete_while_iterating(void **state)
{
    (void)state;
    CLEANUP(map_free) struct map *map = map_new();
    char key[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(map_put_str(map, key, &value[i], NULL), 0);
    }
    struct map_entry *next;
    for (struct map_entry *e = map_first(map); e; e = next) {
        next = map_next(e);
        size_t len;
        const void *k = map_entry_key(e, &len);
        if (((int *)map_entry_value(e) - value) % 2) {
            char copy[16];
            memcpy(copy, k, len);
            (void)map_del(map, copy, len);
        }
    }
    assert_int_equal(map_size(map), 50);
    assert_null(map_get_str(map, "1"));
    assert_non_null(map_get_str(map, "2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_keys_are_bytes_and_copied),
        cmocka_unit_test(test_iterates_in_insertion_order),
        cmocka_unit_test(test_delete_while_iterating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
