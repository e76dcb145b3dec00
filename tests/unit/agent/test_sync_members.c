// SPDX-License-Identifier: Apache-2.0
//
// Changes of members alone: no table is read or written, and whatever goes wrong ends with the kernel read back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support/sync_fixture.h"

// Pods of x with the label a=far reach those with a=near.
static const char from_far[] =
    "apiVersion: networking.k8s.io/v1\n"
    "kind: NetworkPolicy\n"
    "metadata: {namespace: x, name: far}\n"
    "spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}\n";

static double members(const struct fixture *f)
{
    return metrics_get(f->metrics, METRIC_SET_MEMBERS, "4", NULL);
}

static void up(struct fixture *f)
{
    sync_up(f);
    load(f, from_far);
    sync_changed(f->sync);
    run(f, 200);
    memset(&spy, 0, sizeof(spy));
    f->applied = 0;
}

static void move(struct fixture *f, const char *label, unsigned ms)
{
    put_pod(f, "elsewhere", "n2", "10.0.9.9", label);
    sync_changed(f->sync);
    run(f, ms);
}

static void test_a_pod_elsewhere_changes_members_only(void **state)
{
    struct fixture *f = *state;
    up(f);
    double before = members(f);
    move(f, "far", 200);
    assert_int_equal(spy.member_changes, 1);
    assert_int_equal(spy.applies + spy.read_backs, 0);
    assert_int_equal(spy.last.members_added, 1);
    assert_int_equal(spy.last.commits, 0);
    assert_true(members(f) == before + 1);
    assert_int_equal(f->applied, 0);
    move(f, "other", 200);
    assert_int_equal(spy.member_changes, 2);
    assert_int_equal(spy.last.members_removed, 1);
    assert_true(members(f) == before);
    // What no selector asks for reaches nobody.
    move(f, "third", 200);
    assert_int_equal(spy.member_changes, 2);
    assert_int_equal(spy.applies + spy.read_backs, 0);
    assert_true(health_ready(&f->health));
}

static void test_a_failure_is_repaired_by_reading_back(void **state)
{
    struct fixture *f = *state;
    up(f);
    spy.fail_next = 2;
    move(f, "far", 20);
    assert_int_equal(spy.member_changes, 1);
    assert_false(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=apply-failed"), 1);
    // Another one comes meanwhile; then everything is compared, and members go alone again.
    put_pod(f, "more", "n2", "10.0.9.10", "far");
    sync_changed(f->sync);
    run(f, 800);
    assert_true(health_ready(&f->health));
    assert_int_equal(spy.member_changes, 1);
    assert_true(spy.read_backs >= 2);
    assert_int_equal(spy.last.members_added, 2);
    assert_int_equal(count_log(f, "event=apply-recovered"), 1);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
    move(f, "other", 200);
    assert_int_equal(spy.member_changes, 2);
}

static void test_a_set_that_is_gone(void **state)
{
    struct fixture *f = *state;
    up(f);
    spy.lose_sets = true;
    move(f, "far", 300);
    assert_int_equal(spy.member_changes, 1);
    assert_true(spy.read_backs > 0);
    assert_int_equal(count_log(f, "event=members-refused"), 1);
    assert_int_equal(count_log(f, "event=apply-failed"), 0);
    assert_true(health_ready(&f->health));
    assert_true(spy.last.chains_created > 0);
    // What else was removed is told with it.
    assert_int_equal(count_log(f, "event=drift-repaired kind=set-missing"), 1);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
    assert_int_equal(count_log(f, "event=drift-repaired kind=member"), 0);
}

static void test_verified_against_present_members(void **state)
{
    struct fixture *f = *state;
    up(f);
    move(f, "far", 200);
    sync_verify(f->sync);
    run(f, 50);
    assert_int_equal(count_log(f, "event=verified writes=0"), 1);
    assert_int_equal(spy.read_backs, 0);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
}

static int told;

static void on_told(void *arg)
{
    (void)arg;
    told++;
}

static void test_who_waits_is_told_when_it_is_in_force(void **state)
{
    struct fixture *f = *state;
    told = 0;
    // Nothing was read yet.
    assert_int_equal(sync_when_applied(f->sync, on_told, f, &f->err), 0);
    run(f, 50);
    assert_int_equal(told, 0);
    up(f);
    assert_int_equal(told, 1);
    // In force already.
    assert_int_equal(sync_when_applied(f->sync, on_told, f, &f->err), 0);
    assert_int_equal(told, 1);
    run(f, 50);
    assert_int_equal(told, 2);
    // Not before the write has gone well.
    run(f, 150);
    spy.fail_next = 1;
    put_pod(f, "elsewhere", "n2", "10.0.9.9", "far");
    sync_changed(f->sync);
    assert_int_equal(sync_when_applied(f->sync, on_told, f, &f->err), 0);
    run(f, 20);
    assert_int_equal(spy.member_changes, 1);
    assert_int_equal(told, 2);
    run(f, 500);
    assert_int_equal(told, 3);
    // Taken back.
    assert_int_equal(sync_when_applied(f->sync, on_told, f, &f->err), 0);
    assert_int_equal(sync_when_applied(f->sync, NULL, f, &f->err), 0);
    run(f, 50);
    assert_int_equal(told, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_pod_elsewhere_changes_members_only, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_is_repaired_by_reading_back, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_set_that_is_gone, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_verified_against_present_members, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_is_told_when_it_is_in_force, sync_setup, sync_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
