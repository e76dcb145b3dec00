// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/digest.h"
#include "base/limits.h"
#include "policy/names.h"

static void names_are_digests_of_the_text(void **unused)
{
    (void)unused;
    CLEANUP(map_free) struct map *taken = map_new();
    struct arena arena = {0};
    char digits[DIGEST_NAME_SIZE];
    digest_name("one", 3, digits);
    char want[64];
    (void)snprintf(want, sizeof(want), "NETPOL-P-%s", digits);
    const char *name;
    assert_int_equal(names_take(taken, &arena, NAMES_POLICY, "one", 3, &name, NULL), 0);
    assert_string_equal(name, want);
    assert_true(strlen(name) <= LIMIT_CHAIN_NAME);
    assert_int_equal(names_take(taken, &arena, NAMES_INGRESS_TREE "-", "one", 3, &name, NULL), 0);
    assert_true(strlen(name) <= LIMIT_CHAIN_NAME);
    arena_free(&arena);
}

static void a_taken_name_is_not_given_again(void **unused)
{
    (void)unused;
    CLEANUP(map_free) struct map *taken = map_new();
    struct arena arena = {0};
    const char *first;
    const char *second;
    const char *third;
    assert_int_equal(names_take(taken, &arena, "NP4-", "text", 4, &first, NULL), 0);
    assert_int_equal(names_take(taken, &arena, "NP4-", "text", 4, &second, NULL), 0);
    assert_int_equal(names_take(taken, &arena, "NP4-", "text", 4, &third, NULL), 0);
    assert_string_not_equal(first, second);
    assert_string_not_equal(second, third);
    assert_string_not_equal(first, third);
    assert_true(strncmp(third, "NP4-", 4) == 0 && strlen(third) <= LIMIT_SET_NAME);
    // Another family has names of its own.
    CLEANUP(map_free) struct map *other = map_new();
    const char *again;
    assert_int_equal(names_take(other, &arena, "NP4-", "text", 4, &again, NULL), 0);
    assert_string_equal(first, again);
    arena_free(&arena);
}

static void assert_comment(const char *head, const char *const *items, size_t n, const char *want)
{
    struct arena arena = {0};
    const char *text;
    assert_int_equal(names_comment(&arena, head, items, n, &text, NULL), 0);
    assert_string_equal(text, want);
    assert_true(strlen(text) <= LIMIT_COMMENT);
    arena_free(&arena);
}

static void comments_list_what_fits(void **unused)
{
    (void)unused;
    const char *two[] = {"x/deny", "x/allow"};
    assert_comment("", two, 2, "x/deny,x/allow");
    assert_comment("egress of ", two, 1, "egress of x/deny");
    const char *bad[] = {"x/a\"b\\c\nd\x7f\xc3\xa9"};
    assert_comment("", bad, 1, "x/a?b?c?d???");

    char hundred[101];
    memset(hundred, 'a', 100);
    hundred[100] = '\0';
    const char *long_ones[] = {hundred, hundred, hundred, "b", "c"};
    char want[300];
    (void)snprintf(want, sizeof(want), "%s,%s,+3 more", hundred, hundred);
    assert_comment("", long_ones, 5, want);
    (void)snprintf(want, sizeof(want), "%s,%s", hundred, hundred);
    assert_comment("", long_ones, 2, want);
}

static void comments_never_outgrow_the_kernel(void **unused)
{
    (void)unused;
    char text[400];
    memset(text, 'a', sizeof(text));
    for (size_t len = 200; len < 330; len++) {
        text[len] = '\0';
        const char *items[] = {text, text, "x/last"};
        for (size_t n = 1; n <= 3; n++) {
            struct arena arena = {0};
            const char *comment;
            assert_int_equal(names_comment(&arena, "ingress of ", items, n, &comment, NULL), 0);
            assert_in_range(strlen(comment), 1, LIMIT_COMMENT);
            if (n == 1 && len + strlen("ingress of ") > LIMIT_COMMENT) {
                assert_string_equal(comment + strlen(comment) - 3, "...");
            }
            if (n == 3) {
                assert_non_null(strstr(comment, " more"));
            }
            arena_free(&arena);
        }
        text[len] = 'a';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_digests_of_the_text),
        cmocka_unit_test(a_taken_name_is_not_given_again),
        cmocka_unit_test(comments_list_what_fits),
        cmocka_unit_test(comments_never_outgrow_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
