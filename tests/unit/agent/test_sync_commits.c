// SPDX-License-Identifier: Apache-2.0
//
// What an event costs: a pod elsewhere members alone, a pod here or a policy one commit of the table, whether or not
// sets that others use change with it; only what no order of writes can do safely goes by interim copies.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/num.h"
#include "decode/decode.h"
#include "support/sync_fixture.h"

#define POLICY "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: "

// Pods b may be reached by pods of client and of other, on ports of their own; pods of client are isolated for egress.
static const char policies[] =
    POLICY "from-client}\nspec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: "
           "{app: client}}}], ports: [{port: 80}]}]}\n---\n" POLICY
           "from-other}\nspec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: "
           "{app: other}}}], ports: [{port: 81}]}]}\n---\n" POLICY
           "client}\nspec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: "
           "[{podSelector: {matchLabels: {app: b}}}]}]}\n";
static const char more[] = POLICY "more}\nspec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: "
                                  "{}}], ports: [{port: 82}]}]}\n";
static const char peers[] = POLICY
    "peers}\nspec: {podSelector: {matchLabels: {app: peer}}, ingress: [{from: [{podSelector: {matchLabels: {app: "
    "peer}}}]}]}\n";

static double commits(const struct fixture *f)
{
    return metrics_get(f->metrics, METRIC_TABLE_COMMITS, NULL, NULL);
}

static double members(const struct fixture *f)
{
    return metrics_get(f->metrics, METRIC_SET_MEMBER_CHANGES, "add", NULL) +
           metrics_get(f->metrics, METRIC_SET_MEMBER_CHANGES, "remove", NULL);
}

static void up(struct fixture *f)
{
    sync_up(f);
    load(f, policies);
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    put_pod(f, "b2", "n1", "10.0.0.3", "b");
    put_pod(f, "far", "n2", "10.0.9.9", "client");
    sync_changed(f->sync);
    run(f, 150);
    assert_true(health_ready(&f->health));
}

// Applies what was changed. Returns how many commits it took.
static int cost(struct fixture *f)
{
    double before = commits(f);
    sync_changed(f->sync);
    run(f, 150);
    assert_true(health_ready(&f->health));
    // What is in the kernel is what was wanted.
    int verified = count_log(f, "event=verified writes=0");
    sync_verify(f->sync);
    run(f, 10);
    assert_int_equal(count_log(f, "event=verified writes=0"), verified + 1);
    return (int)(commits(f) - before);
}

static void remove_pod(struct fixture *f, const char *name)
{
    assert_int_equal(state_remove(f->state, OBJECT_POD, "x", name, ""), STATE_REMOVED);
}

static void test_a_pod_elsewhere_costs_none(void **state)
{
    struct fixture *f = *state;
    up(f);
    double before = members(f);
    put_pod(f, "far2", "n2", "10.0.9.10", "client");
    assert_int_equal(cost(f), 0);
    assert_true(members(f) > before);
}

static void test_a_pod_here_costs_one(void **state)
{
    struct fixture *f = *state;
    up(f);
    double before = members(f);
    // It is a member of the set that pods b know, and is isolated itself.
    put_pod(f, "c", "n1", "10.0.0.20", "client");
    assert_int_equal(cost(f), 1);
    assert_true(members(f) > before);
    before = members(f);
    remove_pod(f, "c");
    assert_int_equal(cost(f), 1);
    assert_true(members(f) > before);
}

static void test_a_pod_that_its_own_policy_knows_costs_one(void **state)
{
    struct fixture *f = *state;
    up(f);
    load(f, peers);
    put_pod(f, "p1", "n1", "10.0.0.31", "peer");
    (void)cost(f);
    put_pod(f, "p2", "n1", "10.0.0.32", "peer");
    assert_int_equal(cost(f), 1);
    // Two at once may have talked to each other already: a packet of theirs may not be lost.
    put_pod(f, "p3", "n1", "10.0.0.33", "peer");
    put_pod(f, "p4", "n1", "10.0.0.34", "peer");
    assert_int_equal(cost(f), 2);
}

static void test_a_burst_of_pods_here_costs_one(void **state)
{
    struct fixture *f = *state;
    char name[16];
    char address[32];
    up(f);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        (void)snprintf(address, sizeof(address), "10.0.1.%d", i + 1);
        put_pod(f, name, "n1", address, "client");
    }
    assert_int_equal(cost(f), 1);
}

static void test_a_policy_costs_one(void **state)
{
    struct fixture *f = *state;
    up(f);
    load(f, more);
    assert_int_equal(cost(f), 1);
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "more", ""), STATE_REMOVED);
    assert_int_equal(cost(f), 1);
}

static void test_a_label_costs_one_unless_somebody_knows_both(void **state)
{
    struct fixture *f = *state;
    up(f);
    put_pod(f, "c", "n1", "10.0.0.20", "nobody");
    (void)cost(f);
    put_pod(f, "c", "n1", "10.0.0.20", "client");
    assert_int_equal(cost(f), 1);
    put_pod(f, "c", "n1", "10.0.0.20", "nobody");
    assert_int_equal(cost(f), 1);
    put_pod(f, "c", "n1", "10.0.0.20", "client");
    (void)cost(f);
    // Pods b know the one label and the other: on the way it would have neither, or both.
    put_pod(f, "c", "n1", "10.0.0.20", "other");
    assert_int_equal(cost(f), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_pod_elsewhere_costs_none, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_pod_here_costs_one, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_pod_that_its_own_policy_knows_costs_one, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_burst_of_pods_here_costs_one, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_policy_costs_one, sync_setup, sync_teardown),
        cmocka_unit_test_setup_teardown(test_a_label_costs_one_unless_somebody_knows_both, sync_setup, sync_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
