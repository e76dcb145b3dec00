// SPDX-License-Identifier: Apache-2.0
//
// What happens once the state was acted upon: changes, failures, drift, an emptied state.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "decode/decode.h"
#include "support/sync_fixture.h"

static void test_first_apply(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    assert_true(spy.last.writes > 0);
    assert_int_equal(f->applied, 1);
    assert_int_equal(count_log(f, "event=synced"), 1);
    assert_int_equal(count_log(f, "event=first-applied"), 1);
    assert_true(metrics_get(f->metrics, METRIC_SYNCED, NULL, NULL) == 1);
    assert_true(metrics_get(f->metrics, METRIC_LOCAL_PODS, NULL, NULL) == 1);
    assert_true(metrics_get(f->metrics, METRIC_ENFORCED_PODS, NULL, NULL) == 1);
    assert_true(metrics_get(f->metrics, METRIC_CHAINS, "4", NULL) > 0);
    assert_true(metrics_get(f->metrics, METRIC_RULES, "4", NULL) > 0);
    assert_true(metrics_get(f->metrics, METRIC_LAST_SYNC, NULL, NULL) > 1.6e9);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain-missing", NULL) == 0);
    assert_true(metrics_get(f->metrics, METRIC_PROPAGATION, NULL, NULL) == 0);
}

static void test_burst_is_one_apply(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    char name[16];
    char address[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        (void)snprintf(address, sizeof(address), "10.0.1.%d", i + 1);
        put_pod(f, name, "n1", address, "b");
        sync_changed(f->sync);
    }
    run(f, 200);
    assert_int_equal(spy.applies, 1);
    assert_true(metrics_get(f->metrics, METRIC_PROPAGATION, NULL, NULL) == 1);
}

static void test_idle_change_is_applied_at_once(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 50);
    assert_int_equal(spy.applies, 1);
    // Under load: not before the interval is over.
    put_pod(f, "c", "n1", "10.0.0.3", "c");
    sync_changed(f->sync);
    run(f, 2);
    assert_int_equal(spy.applies, 1);
    run(f, 200);
    assert_int_equal(spy.applies, 2);
}

static void test_change_without_effect_writes_nothing(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    put_pod(f, "far", "n2", "10.0.9.9", "z");
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 0);
    assert_true(health_ready(&f->health));
}

static void test_failures_back_off_and_recover(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    spy.fail_next = 3;
    uint64_t start = num_now_ms();
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 25);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_SYNCED, NULL, NULL) == 1);
    // A change cuts the present wait short, to the shortest back-off; the next failure doubles on.
    sync_changed(f->sync);
    while (!health_ready(&f->health) && num_now_ms() - start < 2000) {
        run(f, 5);
    }
    assert_true(health_ready(&f->health));
    assert_true(num_now_ms() - start >= 20 + 20 + 80);
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "apply", NULL) == 3);
    // After a failure the kernel is read back, whatever was known of it.
    assert_int_equal(spy.applies, 1);
    assert_int_equal(spy.read_backs, 1 + 3);
    assert_int_equal(count_log(f, "event=apply-failed stage=apply"), 3);
    assert_int_equal(count_log(f, "retry_ms=20"), 1);
    assert_int_equal(count_log(f, "retry_ms=80"), 1);
    assert_int_equal(count_log(f, "event=apply-recovered"), 1);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain-missing", NULL) == 0);
}

static void test_a_change_does_not_wait_for_the_back_off(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    // By now the wait is 20 ms doubled five times; what fails for good must not keep a new policy out for as long.
    spy.fail_next = 6;
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    while (spy.fail_next > 0) {
        run(f, 5);
    }
    uint64_t start = num_now_ms();
    put_pod(f, "c", "n1", "10.0.0.3", "b");
    sync_changed(f->sync);
    while (!health_ready(&f->health) && num_now_ms() - start < 2000) {
        run(f, 5);
    }
    assert_true(health_ready(&f->health));
    assert_true(num_now_ms() - start < 20 * 16);
}

static void test_backend_that_does_not_open_is_retried(void **state)
{
    struct fixture *f = *state;
    spy.fail_open = true;
    load(f, "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    sync_facts(f->sync, f->facts);
    sync_source_synced(f->sync, true, "");
    run(f, 15);
    assert_false(health_ready(&f->health));
    assert_non_null(strstr(f->health.checks[HEALTH_APPLY].why, "load ip_tables"));
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "open", NULL) >= 1);
    spy.fail_open = false;
    run(f, 100);
    assert_true(health_ready(&f->health));
    assert_int_equal(spy.read_backs, 1);
}

static void test_verify_finds_nothing(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    int snapshots = spy.snapshots;
    sync_verify(f->sync);
    run(f, 150);
    // Read once; there is nothing to apply.
    assert_int_equal(spy.snapshots, snapshots + 1);
    assert_int_equal(spy.read_backs, 1);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
    assert_int_equal(count_log(f, "event=verified"), 1);
}

// Another program writes to the tables: they are read back long before the period is over (DESIGN 5.6).
static void test_foreign_change_is_noticed(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    int snapshots = spy.snapshots;
    unsigned stamps = spy.stamps;
    run(f, 200);
    assert_true(spy.stamps > stamps + 2);
    assert_int_equal(spy.snapshots, snapshots);
    spy.drift = true;
    spy.stamp++;
    run(f, 300);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
    assert_true(metrics_get(f->metrics, METRIC_FOREIGN_CHANGES, NULL, NULL) == 1);
    // To what is not ours: a look, and nothing is claimed.
    run(f, 300);
    snapshots = spy.snapshots;
    spy.stamp++;
    run(f, 300);
    assert_int_equal(spy.snapshots, snapshots + 1);
    assert_true(metrics_get(f->metrics, METRIC_FOREIGN_CHANGES, NULL, NULL) == 2);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
}

// What was written may be undone by a program that takes no lock, without a trace: one look behind each write.
static void test_write_is_looked_at_again(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 300);
    int snapshots = spy.snapshots;
    run(f, 200);
    assert_int_equal(spy.snapshots, snapshots);
    load(f, deny_all);
    put_pod(f, "b", "n1", "10.0.0.9", "b");
    sync_changed(f->sync);
    run(f, 400);
    assert_true(spy.last.commits > 0);
    assert_int_equal(spy.snapshots, snapshots + 1);
    assert_true(metrics_get(f->metrics, METRIC_FOREIGN_CHANGES, NULL, NULL) == 0);
    snapshots = spy.snapshots;
    run(f, 300);
    assert_int_equal(spy.snapshots, snapshots);
}

// --sync-period 0: nothing is looked at unasked.
static void test_no_period_no_look(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    int snapshots = spy.snapshots;
    spy.drift = true;
    spy.stamp++;
    run(f, 200);
    assert_int_equal(spy.snapshots, snapshots);
    assert_true(spy.drift);
}

static void test_verify_repairs_and_counts_drift(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    f->everything = 0;
    spy.drift = true;
    sync_verify(f->sync);
    run(f, 150);
    assert_int_equal(spy.read_backs, 2);
    assert_true(spy.last.writes > 0);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain-missing", NULL) > 0);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "jump-missing", NULL) > 0);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
    assert_int_equal(count_log(f, "event=drift-repaired kind=jump-missing count=1 names=\"IPv4 FORWARD\""), 1);
    assert_int_equal(count_log(f, "event=drift-repaired kind=member"), 0);
    // Flows that came up without rules are judged.
    assert_int_equal(f->everything, 1);
    assert_true(health_ready(&f->health));
}

// A change of rules compares every chain and jump: what it puts right beside its own is drift as well.
static void test_drift_that_a_change_repairs(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    spy.drift = true;
    load(f, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: more, namespace: x}\n"
            "spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\n");
    sync_changed(f->sync);
    run(f, 50);
    assert_int_equal(spy.applies, 1);
    assert_false(spy.drift);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-changed"), 1);
    assert_int_equal(count_log(f, "event=drift-repaired kind=jump-"), 1);
    // One without drift claims none.
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "more", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 2);
    assert_int_equal(count_log(f, "event=drift-repaired"), 2);
}

// What this program itself has changed behind the back of sync is put right, and is nobody's drift.
static void test_forget(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    spy.drift = true;
    sync_forget(f->sync);
    run(f, 50);
    assert_false(spy.drift);
    assert_int_equal(spy.read_backs, 2);
    assert_true(spy.last.chains_created > 0);
    assert_int_equal(count_log(f, "event=drift-repaired"), 0);
    assert_true(health_ready(&f->health));
}

// Drift that is found while its repair fails is claimed once, when it is repaired.
static void test_drift_whose_repair_fails(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.drift = true;
    spy.fail_next = 2;
    sync_verify(f->sync);
    run(f, 10);
    assert_false(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=drift-repaired"), 0);
    run(f, 300);
    assert_true(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
    assert_int_equal(count_log(f, "event=apply-recovered"), 1);
    assert_int_equal(spy.fail_next, 0);
}

// A change that waits when the kernel is verified is no drift.
static void test_verify_with_a_change_counts_no_drift(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    int snapshots = spy.snapshots;
    sync_verify(f->sync);
    run(f, 150);
    assert_int_equal(spy.applies, 1);
    assert_int_equal(spy.read_backs, 1);
    assert_int_equal(spy.snapshots, snapshots + 1);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
}

static void test_failed_verify_is_retried(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.fail_snapshots = 1;
    sync_verify(f->sync);
    run(f, 5);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "verify", NULL) == 1);
    int snapshots = spy.snapshots;
    run(f, 200);
    assert_true(health_ready(&f->health));
    assert_int_equal(spy.snapshots, snapshots + 1);
}

// What a foreign rule keeps in the kernel is said once, and is no reason to be unready or to try again before its time.
static void test_leftovers_are_said(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.pinned = 1;
    sync_verify(f->sync);
    run(f, 50);
    assert_true(health_ready(&f->health));
    assert_int_equal(spy.read_backs, 2);
    assert_true(metrics_get(f->metrics, METRIC_LEFTOVERS, NULL, NULL) == 1);
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "verify", NULL) == 0);
    assert_int_equal(count_log(f, "event=leftovers-pinned count=1 names=\"set NP4-OLD\""), 1);
    sync_verify(f->sync);
    run(f, 50);
    assert_int_equal(count_log(f, "event=leftovers-pinned"), 1);
    // A change that does not read the kernel back says nothing of them.
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 150);
    assert_int_equal(spy.applies, 1);
    assert_true(metrics_get(f->metrics, METRIC_LEFTOVERS, NULL, NULL) == 1);
    spy.pinned = 0;
    sync_verify(f->sync);
    run(f, 50);
    assert_true(metrics_get(f->metrics, METRIC_LEFTOVERS, NULL, NULL) == 0);
    assert_int_equal(count_log(f, "event=leftovers-gone"), 1);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
    assert_true(health_ready(&f->health));
}

static void test_emptied_state_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "deny", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_NAMESPACE, "", "x", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 0);
    assert_false(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=state-held why=\"there is no object at all\""), 1);
    // What is in force is still repaired.
    spy.drift = true;
    sync_verify(f->sync);
    run(f, 200);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain-missing", NULL) > 0);
    // Objects come back, without the policy.
    load(f, namespace_x);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_changed(f->sync);
    run(f, 10);
    assert_false(health_ready(&f->health));
    assert_int_equal(spy.applies, 0);
    run(f, 300);
    assert_true(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=state-back"), 1);
    assert_int_equal(spy.applies, 1);
    assert_true(metrics_get(f->metrics, METRIC_ENFORCED_PODS, NULL, NULL) == 0);
}

static void test_held_rules_are_retried_without_counting_drift(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 120);
    spy.fail_next = 1;
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 5);
    assert_int_equal(spy.fail_next, 0);
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "b", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "deny", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_NAMESPACE, "", "x", ""), STATE_REMOVED);
    spy.drift = true;
    sync_changed(f->sync);
    run(f, 200);
    // What the failed write left behind is not another program's doing.
    assert_false(spy.drift);
    assert_true(spy.last.writes > 0);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
    assert_true(f->health.checks[HEALTH_APPLY].ok);
}

// A drained node is still a Node.
static void test_node_may_lose_its_last_pod(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    load(f, "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 1);
    assert_true(health_ready(&f->health));
}

static void test_state_without_the_node_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    put_pod(f, "far", "n2", "10.0.9.9", "z");
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 0);
    assert_false(health_ready(&f->health));
    assert_non_null(strstr(f->health.checks[HEALTH_STATE].why, "no Node and no Pod names the node n1"));
    assert_int_equal(count_log(f, "event=state-held"), 1);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_changed(f->sync);
    run(f, 400);
    assert_true(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=state-back"), 1);
}

static void test_lost_source_changes_nothing(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    sync_source_synced(f->sync, false, "the API server is away");
    run(f, 200);
    assert_true(health_ready(&f->health));
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 200);
    assert_int_equal(spy.applies, 1);
}

static void test_unenforceable_policies_are_said(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    const char bad[] = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                       "metadata: {name: odd, namespace: x}\n"
                       "spec: {podSelector: {}, ingress: [{ports: [{port: 99999999}]}]}\n";
    assert_int_equal(decode_text(bad, strlen(bad), "bad.yaml", put_object, f->state, &diagnostics, &stats, &f->err), 0);
    diagnostics_free(&diagnostics);
    sync_changed(f->sync);
    run(f, 200);
    assert_true(metrics_get(f->metrics, METRIC_UNENFORCEABLE, NULL, NULL) == 1);
    assert_int_equal(count_log(f, "event=policies-unenforceable count=1 first=\"x/odd\""), 1);
}

static int hourly(void **state)
{
    fixture_period_ms = 3600000;
    int rc = sync_setup(state);
    fixture_period_ms = 0;
    return rc;
}

static int hourly_overwritable(void **state)
{
    fixture_overwritable = true;
    int rc = hourly(state);
    fixture_overwritable = false;
    return rc;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, sync_setup, sync_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_first_apply),
        T(test_burst_is_one_apply),
        T(test_idle_change_is_applied_at_once),
        T(test_change_without_effect_writes_nothing),
        T(test_failures_back_off_and_recover),
        T(test_a_change_does_not_wait_for_the_back_off),
        T(test_backend_that_does_not_open_is_retried),
        T(test_verify_finds_nothing),
        cmocka_unit_test_setup_teardown(test_foreign_change_is_noticed, hourly, sync_teardown),
        cmocka_unit_test_setup_teardown(test_write_is_looked_at_again, hourly_overwritable, sync_teardown),
        T(test_no_period_no_look),
        T(test_verify_repairs_and_counts_drift),
        T(test_drift_that_a_change_repairs),
        T(test_forget),
        T(test_drift_whose_repair_fails),
        T(test_verify_with_a_change_counts_no_drift),
        T(test_failed_verify_is_retried),
        T(test_leftovers_are_said),
        T(test_emptied_state_keeps_the_rules),
        T(test_held_rules_are_retried_without_counting_drift),
        T(test_node_may_lose_its_last_pod),
        T(test_state_without_the_node_keeps_the_rules),
        T(test_lost_source_changes_nothing),
        T(test_unenforceable_policies_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
