// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "decode/context.h"
#include "decode/diagnostic.h"

static void test_format(void **state)
{
    (void)state;
    static const struct {
        struct diagnostic finding;
        const char *want;
    } rows[] = {
        {{.file = "a.yaml", .line = 3, .object = "Pod x/a", .field = "spec", .message = "m"},
         "a.yaml:3: Pod x/a: spec: m"},
        {{.file = "a.yaml", .object = "", .field = "", .message = "m"}, "a.yaml: m"},
        {{.file = "", .line = 3, .object = "", .field = "kind", .message = "m"}, "line 3: kind: m"},
        {{.file = "", .object = "Pod x/a", .field = "", .message = "m"}, "Pod x/a: m"},
        {{.file = "", .object = "", .field = "", .message = "m"}, "m"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        BUF_CLEANUP struct buf out = {0};
        diagnostic_format(&rows[i].finding, &out);
        assert_string_equal(out.data, rows[i].want);
    }
}

static void test_texts_are_copied_as_one_line(void **state)
{
    (void)state;
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    char text[] = "a\x1b[0m\nb\x7f\xc3\xa9";
    assert_int_equal(diagnostics_add(&diagnostics, DIAGNOSTIC_WARNING, text, 1, text, text, "%s", text), 0);
    memset(text, 'X', sizeof(text) - 1);
    const struct diagnostic *d = &diagnostics.list.v[0];
    assert_string_equal(d->file, "a?[0m?b?\xc3\xa9");
    assert_string_equal(d->object, d->file);
    assert_string_equal(d->field, d->file);
    assert_string_equal(d->message, d->file);
}

static void test_limit(void **state)
{
    (void)state;
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    for (int i = 0; i < LIMIT_DIAGNOSTICS + 10; i++) {
        assert_int_equal(diagnostics_add(&diagnostics, DIAGNOSTIC_PARTIAL, "f", 1, "", "", "%d", i), 0);
    }
    assert_int_equal(diagnostics.list.n, LIMIT_DIAGNOSTICS);
    assert_int_equal(diagnostics.counts[DIAGNOSTIC_PARTIAL], LIMIT_DIAGNOSTICS + 10);
    diagnostics_free(&diagnostics);
    assert_int_equal(diagnostics.counts[DIAGNOSTIC_PARTIAL], 0);
}

static void test_paths(void **state)
{
    (void)state;
    struct path spec = {.key = "spec"};
    struct path list = {.up = &spec, .key = "ingress"};
    struct path element = {.up = &list, .index = 12};
    char wide[200] = "";
    for (int i = 0; i < 60; i++) {
        (void)strncat(wide, "\xc3\xa9", sizeof(wide) - strlen(wide) - 1);
    }
    struct {
        const char *key;
        const char *want;
    } rows[] = {
        {"from", "spec.ingress[12].from"},
        {"a.b/c", "spec.ingress[12][\"a.b/c\"]"},
        {"", "spec.ingress[12][\"\"]"},
        {"a\"b\n", "spec.ingress[12][\"a\\\"b\\n\"]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct path path = {.up = &element, .key = rows[i].key};
        BUF_CLEANUP struct buf out = {0};
        path_format(&path, &out);
        assert_string_equal(out.data, rows[i].want);
    }
    // Long keys are cut, between characters.
    struct path path = {.key = wide};
    BUF_CLEANUP struct buf out = {0};
    path_format(&path, &out);
    assert_int_equal(strlen(out.data), 80 + strlen("[\"\"...]"));
    assert_string_equal(out.data + out.len - 6, "\xa9\"...]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_texts_are_copied_as_one_line),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
