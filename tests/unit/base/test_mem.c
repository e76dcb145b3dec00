// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdalign.h>
#include <unistd.h>

#include "base/mem.h"

static int freed;
struct thing {
    int value;
};
static void thing_free(struct thing *thing)
{
    freed++;
    free(thing);
}
CLEANUP_DEFINE(struct thing, thing_free);

static struct thing *make_thing(bool hand_out)
{
    CLEANUP(thing_free) struct thing *thing = calloc(1, sizeof(*thing));
    CLEANUP(thing_free) struct thing *none = NULL;
    (void)none;
    return hand_out ? TAKE(thing) : NULL;
}

static void test_cleanup_and_take(void **state)
{
    (void)state;
    freed = 0;
    assert_null(make_thing(false));
    assert_int_equal(freed, 1);
    struct thing *mine = make_thing(true);
    assert_non_null(mine);
    assert_int_equal(freed, 1);
    thing_free(mine);
}

static void test_cleanup_fd(void **state)
{
    (void)state;
    int kept;
    {
        CLEANUP(fd) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        kept = fd;
        assert_true(fd >= 0);
        CLEANUP(fd) int none = -1;
        (void)none;
    }
    assert_int_equal(fcntl(kept, F_GETFD), -1);
}

static void test_vec_grows_and_keeps_values(void **state)
{
    (void)state;
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(vec_push(&v, i), 0);
    }
    assert_int_equal(v.n, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(v.v[i], i);
    }
    vec_free(&v);
    assert_null(v.v);
    assert_int_equal(v.n + v.cap, 0);
}

static void test_vec_of_structs_takes_initialisers(void **state)
{
    (void)state;
    VEC(struct thing) v = {0};
    assert_int_equal(vec_push(&v, (struct thing){.value = 3}), 0);
    assert_int_equal(v.v[0].value, 3);
    vec_free(&v);
}

static void test_vec_refuses_impossible_sizes(void **state)
{
    (void)state;
    VEC(struct { char c[4096]; }) v = {0};
    assert_int_equal(vec_reserve(&v, SIZE_MAX / 2), -1);
    assert_null(v.v);
}

static void test_arena_aligns_zeroes_and_keeps(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        char *p = arena_alloc(&arena, i % 97);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t j = 0; j < i % 97; j++) {
            assert_int_equal(p[j], 0);
            p[j] = (char)i;
        }
        blocks[i] = p;
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t j = 0; j < i % 97; j++) {
            assert_int_equal(blocks[i][j], (char)i);
        }
    }
    assert_ptr_not_equal(arena_alloc(&arena, 0), arena_alloc(&arena, 0));
    assert_true(arena.total > 0);
    arena_free(&arena);
    assert_int_equal(arena.total, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_free(&arena);
}

static void test_arena_large_and_impossible(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *big = arena_alloc(&arena, 5u << 20);
    assert_non_null(big);
    big[(5u << 20) - 1] = 1;
    assert_null(arena_alloc(&arena, SIZE_MAX - 3));
    assert_string_equal(arena_strdup(&arena, "text"), "text");
    assert_string_equal(arena_strndup(&arena, "text", 2), "te");
    assert_string_equal(arena_strndup(&arena, NULL, 0), "");
    arena_free(&arena);
}

static void test_arena_reset_keeps_little(void **state)
{
    (void)state;
    struct arena arena = {0};
    arena_reset(&arena);
    assert_int_equal(arena.total, 0);
    // Object after object: no memory is asked for once there is enough, and what was there is zero again.
    size_t total = 0;
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 100; i++) {
            char *p = arena_alloc(&arena, 200);
            assert_non_null(p);
            for (size_t j = 0; j < 200; j++) {
                assert_int_equal(p[j], 0);
            }
            memset(p, 'x', 200);
        }
        arena_reset(&arena);
        assert_true(round < 2 || arena.total == total);
        assert_in_range(arena.total, 1, 65 << 10);
        total = arena.total;
    }
    // A large object's memory does not stay, and arena_free ends it all.
    assert_non_null(arena_alloc(&arena, 5u << 20));
    arena_reset(&arena);
    assert_in_range(arena.total, 0, 65 << 10);
    arena_free(&arena);
    assert_int_equal(arena.total, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleanup_and_take),
        cmocka_unit_test(test_cleanup_fd),
        cmocka_unit_test(test_vec_grows_and_keeps_values),
        cmocka_unit_test(test_vec_of_structs_takes_initialisers),
        cmocka_unit_test(test_vec_refuses_impossible_sizes),
        cmocka_unit_test(test_arena_aligns_zeroes_and_keeps),
        cmocka_unit_test(test_arena_large_and_impossible),
        cmocka_unit_test(test_arena_reset_keeps_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
