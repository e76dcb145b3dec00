// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/health.h"

static bool no_exclude(const char *name, void *arg)
{
    (void)name;
    (void)arg;
    return false;
}

static bool exclude_named(const char *name, void *arg)
{
    return strcmp(name, arg) == 0;
}

static void all_ok(struct health *health)
{
    health_init(health, 1000);
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        (void)health_set(health, (enum health_check)i, true, "");
    }
}

static void test_starts_live_and_not_ready(void **state)
{
    (void)state;
    struct health health;
    health_init(&health, 1000);
    assert_true(health_live(&health, 1000));
    assert_false(health_ready(&health));
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        assert_false(health_ready(&health));
        (void)health_set(&health, (enum health_check)i, true, "");
    }
    assert_true(health_ready(&health));
}

static void test_live_needs_a_recent_tick(void **state)
{
    (void)state;
    struct health health;
    all_ok(&health);
    assert_true(health_live(&health, 10999));
    assert_false(health_live(&health, 11000));
    health_tick(&health, 11000);
    assert_true(health_live(&health, 11000));
}

static void test_set_tells_changes(void **state)
{
    (void)state;
    struct health health;
    all_ok(&health);
    assert_false(health_set(&health, HEALTH_APPLY, true, "ignored"));
    assert_true(health_set(&health, HEALTH_APPLY, false, "lock"));
    assert_false(health_set(&health, HEALTH_APPLY, false, "lock"));
    assert_true(health_set(&health, HEALTH_APPLY, false, "other"));
    assert_true(health_set(&health, HEALTH_APPLY, true, ""));
}

static void test_render(void **state)
{
    (void)state;
    struct health health;
    all_ok(&health);
    BUF_CLEANUP struct buf out = {0};
    assert_true(health_render(&health, true, false, 1000, no_exclude, NULL, &out));
    assert_string_equal(out.data, "ok");
    buf_clear(&out);
    assert_true(health_render(&health, false, true, 1000, no_exclude, NULL, &out));
    assert_string_equal(out.data, "[+]loop ok\ncheck passed\n");
    buf_clear(&out);
    (void)health_set(&health, HEALTH_BRIDGE, false, "load br_netfilter");
    assert_false(health_render(&health, true, false, 1000, no_exclude, NULL, &out));
    assert_non_null(strstr(out.data, "[+]sync ok\n"));
    assert_non_null(strstr(out.data, "[-]bridge failed: load br_netfilter\n"));
    buf_clear(&out);
    assert_true(health_render(&health, true, false, 1000, exclude_named, (void *)"bridge", &out));
    assert_string_equal(out.data, "ok");
    buf_clear(&out);
    assert_true(health_render(&health, false, false, 1000, no_exclude, NULL, &out));
    buf_clear(&out);
    assert_false(health_render(&health, false, false, 20000, no_exclude, NULL, &out));
    assert_non_null(strstr(out.data, "[-]loop failed: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_live_and_not_ready),
        cmocka_unit_test(test_live_needs_a_recent_tick),
        cmocka_unit_test(test_set_tells_changes),
        cmocka_unit_test(test_render),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
