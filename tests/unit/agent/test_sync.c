// SPDX-License-Identifier: Apache-2.0
//
// The sync state machine over the memory backend, with a backend in front of it that counts, fails and plays the other
// program that changes the kernel.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/sync.h"
#include "base/log.h"
#include "base/num.h"
#include "decode/decode.h"

static struct {
    int applies;     // with have given
    int read_backs;  // with have NULL
    int fail_next;   // that many applies fail
    bool fail_open;
    bool drift;  // before the next read-back another program removes what is ours
    struct apply_report last;
} spy;

static int spy_probe(struct err *err)
{
    return spy.fail_open ? err_set(err, ERR_UNSUPPORTED, 0, "load ip_tables") : backend_memory.probe(err);
}

static int spy_open(const struct backend_options *options, struct backend **ret, struct err *err)
{
    return backend_memory.open(options, ret, err);
}

static int spy_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    return backend_memory.snapshot(backend, ret, err);
}

static int spy_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                     struct apply_report *ret, struct err *err)
{
    if (have) {
        spy.applies++;
    } else {
        spy.read_backs++;
    }
    if (spy.fail_next > 0) {
        spy.fail_next--;
        return err_set(err, ERR_RETRY, 0, "the lock is busy");
    }
    if (spy.drift) {
        struct apply_report ignored;
        spy.drift = false;
        if (backend_memory.purge(backend, &ignored, err) < 0) {
            return -1;
        }
    }
    int rc = backend_memory.apply(backend, have, want, ret, err);
    spy.last = *ret;
    return rc;
}

static int spy_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    return backend_memory.purge(backend, ret, err);
}

static const struct backend_ops spy_ops = {
    .name = "spy",
    .probe = spy_probe,
    .open = spy_open,
    .snapshot = spy_snapshot,
    .apply = spy_apply,
    .purge = spy_purge,
};

struct fixture {
    struct loop *loop;
    struct loop_timer *timeout;
    struct state *state;
    struct metrics *metrics;
    struct health health;
    struct facts *facts;
    struct sync *sync;
    int applied;
    char log[16384];
    struct err err;
};

static struct fixture *current;

static void capture(const char *line, void *arg)
{
    (void)arg;
    size_t len = strlen(current->log);
    (void)snprintf(current->log + len, sizeof(current->log) - len, "%s\n", line);
}

static int count_log(const struct fixture *f, const char *what)
{
    int n = 0;
    for (const char *p = f->log; (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

static void on_timeout(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 0);
}

static void on_applied(void *arg)
{
    struct fixture *f = arg;
    f->applied++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f) {
        return -1;
    }
    *state = current = f;
    memset(&spy, 0, sizeof(spy));
    log_configure(&(struct log_config){.level = LOG_LEVEL_DEBUG, .sink = capture});
    health_init(&f->health, num_now_ms());
    (void)health_set(&f->health, HEALTH_HOST, true, "");
    (void)health_set(&f->health, HEALTH_BRIDGE, true, "");
    if (loop_new(&f->loop, &f->err) < 0 || loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0 ||
        state_new(&f->state, &f->err) < 0 || metrics_new(&f->metrics, &f->err) < 0 ||
        facts_new(&f->facts, &f->err) < 0) {
        return -1;
    }
    const struct sync_config config = {.loop = f->loop,
                                       .state = f->state,
                                       .node = "n1",
                                       .ops = &spy_ops,
                                       .metrics = f->metrics,
                                       .health = &f->health,
                                       .min_apply_interval_ms = 20,
                                       .retry_min_ms = 10,
                                       .retry_max_ms = 40,
                                       .settle_ms = 30,
                                       .applied = on_applied,
                                       .applied_arg = f};
    return sync_new(&config, &f->sync, &f->err);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sync_free(f->sync);
    facts_free(f->facts);
    metrics_free(f->metrics);
    state_free(f->state);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void run(struct fixture *f, unsigned ms)
{
    loop_arm(f->timeout, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
}

static int put_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    struct state *state = arg;
    int rc = -1;
    switch (kind) {
    case OBJECT_POD:
        rc = state_put_pod(state, object, err);
        break;
    case OBJECT_NAMESPACE:
        rc = state_put_namespace(state, object, err);
        break;
    case OBJECT_POLICY:
        rc = state_put_policy(state, object, err);
        break;
    case OBJECT_NODE:
        rc = state_put_node(state, object, err);
        break;
    }
    return rc < 0 ? -1 : 0;
}

static void load(struct fixture *f, const char *text)
{
    struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    assert_int_equal(decode_text(text, strlen(text), "test.yaml", put_object, f->state, &diagnostics, &stats, &f->err),
                     0);
    assert_int_equal(diagnostics.list.n, 0);
    diagnostics_free(&diagnostics);
}

static const char namespace_x[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n";
static const char deny_all[] = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
                               "metadata: {name: deny, namespace: x}\nspec: {podSelector: {}}\n";

static void put_pod(struct fixture *f, const char *name, const char *node, const char *address, const char *label)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: x, labels: {app: %s}}\n"
                   "spec: {nodeName: %s}\nstatus: {phase: Running, podIPs: [{ip: %s}]}\n",
                   name, label, node, address);
    load(f, text);
}

// A namespace with an isolated pod on this node, a synced source and known facts.
static void sync_up(struct fixture *f)
{
    load(f, namespace_x);
    load(f, deny_all);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_facts(f->sync, f->facts);
    sync_changed(f->sync);
    sync_source_synced(f->sync, true, "");
    run(f, 30);
    assert_int_equal(spy.read_backs, 1);
    assert_true(health_ready(&f->health));
}

static void assert_untouched(const struct fixture *f)
{
    assert_int_equal(spy.applies + spy.read_backs, 0);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_SYNCED, NULL, NULL) == 0);
}

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
    run(f, 80);
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
    run(f, 60);
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
    assert_true(num_now_ms() - start >= 30 * 8);
    assert_true(num_now_ms() - start < 1000);
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
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain", NULL) == 0);
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
    run(f, 60);
    assert_int_equal(spy.applies, 1);
    assert_true(metrics_get(f->metrics, METRIC_PROPAGATION, NULL, NULL) == 1);
}

static void test_idle_change_is_applied_at_once(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    run(f, 25);
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 8);
    assert_int_equal(spy.applies, 1);
    // Under load: not before the interval is over.
    put_pod(f, "c", "n1", "10.0.0.3", "c");
    sync_changed(f->sync);
    run(f, 2);
    assert_int_equal(spy.applies, 1);
    run(f, 40);
    assert_int_equal(spy.applies, 2);
}

static void test_change_without_effect_writes_nothing(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    put_pod(f, "far", "n2", "10.0.9.9", "z");
    sync_changed(f->sync);
    run(f, 60);
    assert_int_equal(spy.applies, 0);
    assert_true(health_ready(&f->health));
}

static void test_failures_back_off_and_recover(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.fail_next = 3;
    uint64_t start = num_now_ms();
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 25);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_SYNCED, NULL, NULL) == 1);
    // Changes while failing do not hurry it.
    sync_changed(f->sync);
    while (!health_ready(&f->health) && num_now_ms() - start < 2000) {
        run(f, 5);
    }
    assert_true(health_ready(&f->health));
    assert_true(num_now_ms() - start >= 10 + 20 + 40);
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "apply", NULL) == 3);
    // After a failure the kernel is read back, whatever was known of it.
    assert_int_equal(spy.applies, 1);
    assert_int_equal(spy.read_backs, 1 + 3);
    assert_int_equal(count_log(f, "event=apply-failed stage=apply"), 3);
    assert_int_equal(count_log(f, "retry_ms=10"), 1);
    assert_int_equal(count_log(f, "retry_ms=40"), 1);
    assert_int_equal(count_log(f, "event=apply-recovered"), 1);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain", NULL) == 0);
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
    sync_verify(f->sync);
    run(f, 30);
    assert_int_equal(spy.read_backs, 2);
    assert_int_equal(spy.last.writes, 0);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
}

static void test_verify_repairs_and_counts_drift(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.drift = true;
    sync_verify(f->sync);
    run(f, 30);
    assert_int_equal(spy.read_backs, 2);
    assert_true(spy.last.writes > 0);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain", NULL) > 0);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "jump", NULL) > 0);
    assert_true(count_log(f, "event=drift-repaired kind=chain") == 1);
    assert_true(health_ready(&f->health));
}

// A change that waits when the kernel is verified is no drift.
static void test_verify_with_a_change_counts_no_drift(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    sync_verify(f->sync);
    run(f, 30);
    assert_int_equal(spy.applies, 1);
    assert_int_equal(spy.read_backs, 2);
    assert_int_equal(count_log(f, "drift-repaired"), 0);
}

static void test_failed_verify_is_retried(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.fail_next = 1;
    sync_verify(f->sync);
    run(f, 5);
    assert_false(health_ready(&f->health));
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "verify", NULL) == 1);
    run(f, 60);
    assert_true(health_ready(&f->health));
    assert_int_equal(spy.read_backs, 3);
}

static void test_emptied_state_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "deny", ""), STATE_REMOVED);
    assert_int_equal(state_remove(f->state, OBJECT_NAMESPACE, "", "x", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 40);
    assert_int_equal(spy.applies, 0);
    assert_false(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=state-emptied"), 1);
    // What is in force is still repaired.
    spy.drift = true;
    sync_verify(f->sync);
    run(f, 40);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "chain", NULL) > 0);
    // Objects come back, without the policy.
    load(f, namespace_x);
    put_pod(f, "a", "n1", "10.0.0.1", "a");
    sync_changed(f->sync);
    run(f, 10);
    assert_false(health_ready(&f->health));
    assert_int_equal(spy.applies, 0);
    run(f, 80);
    assert_true(health_ready(&f->health));
    assert_int_equal(count_log(f, "event=state-back"), 1);
    assert_int_equal(spy.applies, 1);
    assert_true(metrics_get(f->metrics, METRIC_ENFORCED_PODS, NULL, NULL) == 0);
}

// Losing the node's name later is a drained node, not a mistake.
static void test_node_may_lose_its_last_pod(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    sync_changed(f->sync);
    run(f, 40);
    assert_int_equal(spy.applies, 1);
    assert_true(health_ready(&f->health));
}

static void test_lost_source_changes_nothing(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    sync_source_synced(f->sync, false, "the API server is away");
    run(f, 40);
    assert_true(health_ready(&f->health));
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 40);
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
    run(f, 40);
    assert_true(metrics_get(f->metrics, METRIC_UNENFORCEABLE, NULL, NULL) == 1);
    assert_int_equal(count_log(f, "event=policies-unenforceable count=1 first=\"x/odd\""), 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_waits_for_the_source),
        T(test_waits_for_an_object),
        T(test_waits_for_the_node_name),
        T(test_state_that_is_being_filled_settles),
        T(test_settling_has_an_end),
        T(test_waits_for_the_facts),
        T(test_first_apply),
        T(test_burst_is_one_apply),
        T(test_idle_change_is_applied_at_once),
        T(test_change_without_effect_writes_nothing),
        T(test_failures_back_off_and_recover),
        T(test_backend_that_does_not_open_is_retried),
        T(test_verify_finds_nothing),
        T(test_verify_repairs_and_counts_drift),
        T(test_verify_with_a_change_counts_no_drift),
        T(test_failed_verify_is_retried),
        T(test_emptied_state_keeps_the_rules),
        T(test_node_may_lose_its_last_pod),
        T(test_lost_source_changes_nothing),
        T(test_unenforceable_policies_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
