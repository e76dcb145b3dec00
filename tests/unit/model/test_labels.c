// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "base/mem.h"
#include "model/labels.h"

static const struct label some[] = {{"app", "web"}, {"empty", ""}, {"tier", "front"}};
static const struct labels labels = {some, ARRAY_SIZE(some)};
static const struct labels none;

#define REQ(KEY, OP, ...)                                                                                              \
    {                                                                                                                  \
        .key = (KEY), .op = (OP), .values = (const char *const[]){__VA_ARGS__, NULL},                                  \
        .n_values = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                                        \
    }
#define REQ0(KEY, OP)                                                                                                  \
    {                                                                                                                  \
        .key = (KEY), .op = (OP)                                                                                       \
    }

static void test_get(void **unused)
{
    (void)unused;
    assert_string_equal(labels_get(&labels, "app"), "web");
    assert_string_equal(labels_get(&labels, "empty"), "");
    assert_string_equal(labels_get(&labels, "tier"), "front");
    assert_null(labels_get(&labels, "ap"));
    assert_null(labels_get(&labels, "zzz"));
    assert_null(labels_get(&labels, ""));
    assert_null(labels_get(&labels, "APP"));
    assert_null(labels_get(&none, "app"));
}

static void test_equal(void **unused)
{
    (void)unused;
    const struct label other[] = {{"app", "web"}, {"empty", "x"}, {"tier", "front"}};
    const struct label key[] = {{"app", "web"}, {"empt", ""}, {"tier", "front"}};
    assert_true(labels_equal(&labels, &labels));
    assert_true(labels_equal(&none, &none));
    assert_false(labels_equal(&labels, &none));
    assert_false(labels_equal(&labels, &(struct labels){other, 3}));
    assert_false(labels_equal(&labels, &(struct labels){key, 3}));
    assert_false(labels_equal(&labels, &(struct labels){some, 2}));
}

// networkpolicy-v1.md 1.3, row by row: this match is shared by evaluator and compiler.
static void test_requirement_table(void **unused)
{
    (void)unused;
    const struct {
        struct requirement requirement;
        bool with;     // against app=web, empty=, tier=front
        bool without;  // against no labels
    } rows[] = {
        {REQ("app", SELECTOR_IN, "web"), true, false},
        {REQ("app", SELECTOR_IN, "api", "web"), true, false},
        {REQ("app", SELECTOR_IN, "api", "wea", "wec"), false, false},
        {REQ("app", SELECTOR_IN, "WEB"), false, false},
        {REQ("app", SELECTOR_IN, "we"), false, false},
        {REQ("app", SELECTOR_IN, ""), false, false},
        {REQ("empty", SELECTOR_IN, ""), true, false},
        {REQ("missing", SELECTOR_IN, ""), false, false},
        {REQ0("app", SELECTOR_IN), false, false},
        {REQ("app", SELECTOR_NOT_IN, "web"), false, true},
        {REQ("app", SELECTOR_NOT_IN, "api"), true, true},
        {REQ("empty", SELECTOR_NOT_IN, ""), false, true},
        {REQ("missing", SELECTOR_NOT_IN, "web"), true, true},
        {REQ0("app", SELECTOR_NOT_IN), true, true},
        {REQ0("app", SELECTOR_EXISTS), true, false},
        {REQ0("empty", SELECTOR_EXISTS), true, false},
        {REQ0("missing", SELECTOR_EXISTS), false, false},
        {REQ0("app", SELECTOR_NOT_EXISTS), false, true},
        {REQ0("empty", SELECTOR_NOT_EXISTS), false, true},
        {REQ0("missing", SELECTOR_NOT_EXISTS), true, true},
        {REQ("app", SELECTOR_UNKNOWN, "web"), false, false},
        {REQ0("missing", SELECTOR_UNKNOWN), false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (requirement_matches(&rows[i].requirement, &labels) != rows[i].with ||
            requirement_matches(&rows[i].requirement, &none) != rows[i].without) {
            fail_msg("row %zu: %s %s", i, rows[i].requirement.key, selector_operator_name(rows[i].requirement.op));
        }
    }
}

static void test_requirement_order(void **unused)
{
    (void)unused;
    const struct requirement sorted[] = {
        REQ("A", SELECTOR_NOT_IN, "z"),  REQ0("a", SELECTOR_IN),         REQ("a", SELECTOR_IN, "x"),
        REQ("a", SELECTOR_IN, "x", "y"), REQ("a", SELECTOR_IN, "y"),     REQ("a", SELECTOR_NOT_IN, "a"),
        REQ0("a", SELECTOR_EXISTS),      REQ0("a", SELECTOR_NOT_EXISTS), REQ("b", SELECTOR_IN, "a"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
            int order = requirement_compare(&sorted[i], &sorted[j]);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
}

static void expect_texts(const struct selector *selector, const char *format, const char *describe)
{
    BUF_CLEANUP struct buf formatted = {0};
    BUF_CLEANUP struct buf described = {0};
    buf_puts(&formatted, "");
    selector_format(selector, &formatted);
    selector_describe(selector, &described);
    assert_string_equal(formatted.data ? formatted.data : "", format);
    assert_string_equal(described.data, describe);
}

static void test_selector_texts(void **unused)
{
    (void)unused;
    const struct requirement all[] = {
        REQ("app", SELECTOR_IN, "a", "b"),   REQ("b", SELECTOR_IN, ""),  REQ("c", SELECTOR_NOT_IN, "x"),
        REQ("d", SELECTOR_NOT_IN, "x", "y"), REQ0("x", SELECTOR_EXISTS), REQ0("y", SELECTOR_NOT_EXISTS),
        REQ0("z", SELECTOR_UNKNOWN),
    };
    expect_texts(&(struct selector){0}, "", "<all>");
    expect_texts(&(struct selector){.v = all, .n = 1}, "In 3:app=1:a,1:b", "app in (a,b)");
    expect_texts(&(struct selector){.v = all, .n = ARRAY_SIZE(all)},
                 "In 3:app=1:a,1:b;In 1:b=0:;NotIn 1:c=1:x;NotIn 1:d=1:x,1:y;Exists 1:x;DoesNotExist 1:y;? 1:z",
                 "app in (a,b),b=,c!=x,d notin (x,y),x,!y,z ?");
    expect_texts(&(struct selector){.unreadable = true}, "!", "<unreadable>");
    expect_texts(&(struct selector){.v = all + 4, .n = 1, .unreadable = true}, "!Exists 1:x", "x,<unreadable>");
}

// Keys and values that hold the separators must not give two selectors one text.
static void test_format_is_unambiguous(void **unused)
{
    (void)unused;
    const struct requirement one[] = {REQ("a", SELECTOR_IN, "1:b,1:c")};
    const struct requirement two[] = {REQ("a", SELECTOR_IN, "1:b", "1:c")};
    const struct requirement key[] = {REQ("a=1:b", SELECTOR_IN, "c")};
    const struct requirement semi[] = {REQ("a", SELECTOR_IN, "b;Exists 1:x")};
    const struct requirement both[] = {REQ("a", SELECTOR_IN, "b"), REQ0("x", SELECTOR_EXISTS)};
    const struct selector selectors[] = {{.v = one, .n = 1},  {.v = two, .n = 1},  {.v = key, .n = 1},
                                         {.v = semi, .n = 1}, {.v = both, .n = 2}, {.n = 0},
                                         {.unreadable = true}};
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(selectors); j++) {
            BUF_CLEANUP struct buf a = {0};
            BUF_CLEANUP struct buf b = {0};
            selector_format(&selectors[i], &a);
            selector_format(&selectors[j], &b);
            bool same = strcmp(a.data ? a.data : "", b.data ? b.data : "") == 0;
            assert_int_equal(same, i == j);
            assert_int_equal(selector_equal(&selectors[i], &selectors[j]), i == j);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_requirement_table),
        cmocka_unit_test(test_requirement_order),
        cmocka_unit_test(test_selector_texts),
        cmocka_unit_test(test_format_is_unambiguous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
