// SPDX-License-Identifier: Apache-2.0
//
// When the kernel is left alone, and when it is written for the first time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/num.h"
#include "support/sync_fixture.h"

static void test_waits_for_the_source(void **state)
{
    struct fixture *f = *state;
    load(f, namespace_x);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_facts(f->sync, f->facts);
    sync_changed(f->sync);
    run(f, 10);
    assert_untouched(f);
    sync_source_synced(f->sync, false, "dir/a.yaml:3: not YAML");
    run(f, 10);
    sync_changed(f->sync);
    run(f, 30);
    assert_untouched(f);
    // Once for each reason.
    assert_int_equal(count_log(f, "event=not-synced"), 2);
    assert_int_equal(count_log(f, "why=\"dir/a.yaml:3: not YAML\""), 1);
    assert_non_null(strstr(f->health.checks[HEALTH_SYNC].why, "not YAML"));
}

static void test_waits_for_an_object(void **state)
{
    struct fixture *f = *state;
    sync_facts(f->sync, f->facts);
    sync_source_synced(f->sync, true, "");
    run(f, 10);
    assert_untouched(f);
    assert_int_equal(count_log(f, "there is no object at all"), 1);
}

static void test_waits_for_the_node_name(void **state)
{
    struct fixture *f = *state;
    load(f, namespace_x);
    load(f, "apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n");
    put_pod(f, "a", "node-far-away", "10.0.0.1", "a");
    sync_facts(f->sync, f->facts);
    sync_source_synced(f->sync, true, "");
    run(f, 10);
    assert_untouched(f);
    assert_int_equal(count_log(f, "no Node and no Pod names the node n1; is it n2"), 1);
    // A pod of this node appears.
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 250);
    assert_int_equal(spy.read_backs, 1);
    assert_true(health_ready(&f->health));
}

// Files come one by one, policies last: rules that are in force must not be lost in between.
static void test_state_that_is_being_filled_settles(void **state)
{
    struct fixture *f = *state;
    sync_facts(f->sync, f->facts);
    sync_source_synced(f->sync, true, "");
    run(f, 10);
    load(f, namespace_x);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_changed(f->sync);
    run(f, 20);
    assert_untouched(f);
    load(f, deny_all);
    sync_changed(f->sync);
    run(f, 20);
    assert_untouched(f);
    run(f, 250);
    assert_int_equal(spy.read_backs, 1);
    assert_true(metrics_get(f->metrics, METRIC_ENFORCED_PODS, NULL, NULL) == 1);
}

static void test_settling_has_an_end(void **state)
{
    struct fixture *f = *state;
    sync_facts(f->sync, f->facts);
    sync_source_synced(f->sync, true, "");
    run(f, 10);
    uint64_t start = num_now_ms();
    while (spy.read_backs == 0 && num_now_ms() - start < 3000) {
        put_pod(f, "a", "n1", "10.0.0.1", num_now_ms() % 2 ? "a" : "b");
        sync_changed(f->sync);
        run(f, 10);
    }
    assert_true(num_now_ms() - start >= 100 * 8);
    assert_true(num_now_ms() - start < 2500);
}

static void test_waits_for_the_facts(void **state)
{
    struct fixture *f = *state;
    load(f, "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    sync_source_synced(f->sync, true, "");
    run(f, 10);
    assert_untouched(f);
    sync_facts(f->sync, f->facts);
    run(f, 30);
    assert_int_equal(spy.read_backs, 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, sync_setup, sync_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_waits_for_the_source),    T(test_waits_for_an_object),
        T(test_waits_for_the_node_name), T(test_state_that_is_being_filled_settles),
        T(test_settling_has_an_end),     T(test_waits_for_the_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
