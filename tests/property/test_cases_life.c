// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: the life of objects: who owns an address, what changes with labels, namespaces and
// policies, that the order of events does not matter, and a restart (cases 55 to 66, 69). test_cases_relist has 67, 68.
#include "support/cases.h"

#include <string.h>

#include "agent/sync.h"
#include "dataplane/backend.h"

static void remove_pod(const char *ns, const char *name, const char *uid)
{
    assert_int_equal(state_remove(cases_world, OBJECT_POD, ns, name, uid), STATE_REMOVED);
}

static void case_55_finished_pods_own_nothing(void **unused)
{
    (void)unused;
#define JOB(phase)                                                                                                     \
    POD("x", "job", "{pod: b, job: 'yes'}", "{nodeName: n1, containers: []}",                                          \
        "{phase: " phase ", podIP: 10.1.0.9, podIPs: [{ip: 10.1.0.9}, {ip: 'fd00::9:9'}]}")
#define HEIR                                                                                                           \
    POD("x", "new", "{}", "{nodeName: n1, containers: []}",                                                            \
        "{phase: Running, podIP: 10.1.0.9, podIPs: [{ip: 10.1.0.9}, {ip: 'fd00::9:9'}]}")
#define JOB_POLICIES                                                                                                   \
    INGRESS("x", "p", LABEL("pod", "a"), "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]")                         \
    POLICY("x", "q", "{podSelector: {matchLabels: {job: 'yes'}}, policyTypes: [Ingress, Egress]}")
    static const char *const worlds[] = {
        JOB("Succeeded") HEIR JOB_POLICIES,
        JOB("Failed") HEIR JOB_POLICIES,
        HEIR JOB("Succeeded") JOB_POLICIES,
    };
    for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
        cases_given(worlds[i]);
        X_ALL("10.1.0.9", "x/a");
        X_ALL("x/new", "x/a");
        OK_ALL("y/a", "x/new");
        OK_ALL("x/new", "out");
        OK_ALL("x/b", "x/a");
    }
    // Nobody has the address: neither peer nor subject.
    cases_given(JOB("Succeeded") JOB_POLICIES);
    X_ALL("10.1.0.9", "x/a");
    OK_ALL("y/a", "10.1.0.9");
    cases_given(JOB("Running") JOB_POLICIES);
    OK_ALL("node:n1", "10.1.0.9");
    X_ALL("y/a", "x/job");
    X_ALL("x/job", "out");
    // It finishes while it is watched.
    build_apply(cases_world, JOB("Failed"));
    OK_ALL("y/a", "10.1.0.9");
}

static void case_56_address_handed_over(void **unused)
{
    (void)unused;
#define UID_POD(name, uid, more)                                                                                       \
    "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: " name ", uid: '" uid "', labels: {pod: " name    \
    "}" more "}, spec: {nodeName: n1}, "                                                                               \
    "status: {phase: Running, podIP: 10.1.0.9, podIPs: [{ip: 10.1.0.9}, {ip: 'fd00::9:9'}]}}\n"
    static const char *const olds[] = {
        UID_POD("old", "1", ""),
        UID_POD("old", "1", ", deletionTimestamp: '2025-01-01T00:00:00Z', creationTimestamp: '2025-01-09T00:00:00Z'"),
        UID_POD("old", "1", ", creationTimestamp: '2024-01-01T00:00:00Z'"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(olds); i++) {
        cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: new}}}")
                        INGRESS("x", "q", LABEL("pod", "a"), "[{from: [{podSelector: {matchLabels: {pod: new}}}]}]")
                            INGRESS("x", "r", LABEL("pod", "b"), "[{from: [{podSelector: {matchLabels: {pod: old}}}]}]")
                                EGRESS("y", "s", "{}",
                                       "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: old}}}]}]"));
        build_apply(cases_world, olds[i]);
        X_ALL("10.1.0.9", "x/a");
        OK_ALL("10.1.0.9", "x/b");
        OK_ALL("y/a", "10.1.0.9");
        build_apply(cases_world, UID_POD("new", "2", ", creationTimestamp: '2025-01-01T00:00:00Z'"));
        // Two live claimants: the newer one, and rather one that is not terminating. The other is no peer by it.
        X_ALL("z/a", "10.1.0.9");
        X_ALL("y/a", "10.1.0.9");
        OK_ALL("10.1.0.9", "x/a");
        X_ALL("10.1.0.9", "x/b");
        remove_pod("x", "old", "1");
        X_ALL("z/a", "10.1.0.9");
        X_ALL("z/a", "x/new");
        OK_ALL("x/new", "x/a");
        // A delete of an object that is not there any more is nobody's.
        assert_int_equal(state_remove(cases_world, OBJECT_POD, "x", "new", "1"), STATE_UNCHANGED);
        OK_ALL("x/new", "x/a");
        remove_pod("x", "new", "2");
        X_ALL("10.1.0.9", "x/a");
        OK_ALL("z/a", "10.1.0.9");
    }
}

static void case_57_terminating_pods_count(void **unused)
{
    (void)unused;
    cases_given("---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, labels: {pod: b}, "
                "deletionTimestamp: '2025-01-01T00:00:00Z'}, spec: {nodeName: n1}, "
                "status: {phase: Running, podIP: 10.0.1.2, podIPs: [{ip: 10.0.1.2}, {ip: 'fd00::1:2'}]}}\n" INGRESS(
                    "x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/b", "x/a");
    X_ALL("x/a", "x/b");
    X_ALL("out", "x/b");
    build_apply(cases_world,
                "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, labels: {pod: b}, "
                "deletionTimestamp: '2025-01-01T00:00:00Z'}, spec: {nodeName: n1}, "
                "status: {phase: Succeeded, podIP: 10.0.1.2, podIPs: [{ip: 10.0.1.2}, {ip: 'fd00::1:2'}]}}\n");
    X_ALL("10.0.1.2", "x/a");
    X_ALL("fd00::1:2", "x/a");
    remove_pod("x", "b", "");
    X_ALL("10.0.1.2", "x/a");
}

static void case_58_pending_pods_count(void **unused)
{
    (void)unused;
    static const char *const statuses[] = {
        "{phase: Pending, podIP: 10.0.1.2}",
        "{phase: Unknown, podIP: 10.0.1.2}",
        "{phase: Running, podIP: 10.0.1.2, conditions: [{type: Ready, status: 'False'}]}",
        "{phase: Running, podIP: 10.0.1.2, containerStatuses: [{ready: false, restartCount: 7}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        BUF_CLEANUP struct buf text = {0};
        buf_printf(&text,
                   "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, labels: {pod: b}}, "
                   "spec: {nodeName: n1}, status: %s}\n%s",
                   statuses[i], INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
        assert_false(text.failed);
        cases_given(text.data);
        OK_ALL("x/b", "x/a");
        X_ALL("x/a", "x/b");
    }
    // Without an address it is in nobody's way, and nothing is empty for it.
    cases_given(POD("x", "b", "{pod: b}", "{nodeName: n1}", "{phase: Pending}")
                    INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    X_ALL("10.0.1.2", "x/a");
    X_ALL("y/a", "x/a");
}

static void case_59_dual_stack(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", LABEL("pod", "a"), "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("10.0.1.2", "x/a");
    OK_ALL("fd00::1:2", "x/a");
    X_ALL("10.0.1.3", "x/a");
    X_ALL("fd00::1:3", "x/a");
    cases_given(EGRESS("x", "p", LABEL("pod", "a"), "[{to: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK_ALL("x/a", "10.0.1.2");
    OK_ALL("x/a", "fd00::1:2");
    X_ALL("x/a", "10.0.1.3");
    X_ALL("x/a", "fd00::1:3");
    // A rule that speaks of one family isolates both.
    cases_given(INGRESS("x", "p", "{}", "[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]"));
    OK_ALL("10.0.2.1", "x/a");
    X_ALL("fd00::2:1", "x/a");
}

static void case_60_pod_ip_without_pod_ips(void **unused)
{
    (void)unused;
    static const char *const statuses[] = {
        "{phase: Running, podIP: 10.0.1.9, podIPs: []}",
        "{phase: Running, podIP: 10.0.1.9}",
        "{phase: Running, podIP: 10.0.1.9, podIPs: null}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        BUF_CLEANUP struct buf text = {0};
        buf_printf(&text,
                   "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: one, labels: {pod: one}}, "
                   "spec: {nodeName: n1}, status: %s}\n%s",
                   statuses[i], INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: one}}}]}]"));
        assert_false(text.failed);
        cases_given(text.data);
        X_ALL("y/a", "10.0.1.9");
        OK_ALL("10.0.1.9", "x/a");
    }
}

static void case_61_namespace_not_seen_yet(void **unused)
{
    (void)unused;
#define STRANGER                                                                                                       \
    POD("new", "a", "{pod: a}", "{nodeName: n2}",                                                                      \
        "{phase: Running, podIP: 10.0.9.1, podIPs: [{ip: 10.0.9.1}, {ip: 'fd00::9:1'}]}")
    static const char *const selectors[] = {
        "{matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}",
        "{matchExpressions: [{key: ns, operator: DoesNotExist}]}",
        "{matchLabels: {kubernetes.io/metadata.name: new}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(selectors); i++) {
        for (int egress = 0; egress < 2; egress++) {
            BUF_CLEANUP struct buf text = {0};
            buf_printf(&text,
                       STRANGER "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: x, "
                                "name: p}, spec: {podSelector: {}, policyTypes: [%s], %s: [{%s: "
                                "[{namespaceSelector: %s}]}]}}\n",
                       egress ? "Egress" : "Ingress", egress ? "egress" : "ingress", egress ? "to" : "from",
                       selectors[i]);
            assert_false(text.failed);
            cases_given(text.data);
            const char *from = egress ? "x/a" : "new/a";
            const char *to = egress ? "new/a" : "x/a";
            X_ALL(from, to);
            build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: new}}");
            OK_ALL(from, to);
            assert_int_equal(state_remove(cases_world, OBJECT_NAMESPACE, "", "new", ""), STATE_REMOVED);
            X_ALL(from, to);
        }
    }
    // Every namespace is every namespace, seen or not; one's own is known by its name.
    cases_given(
        STRANGER INGRESS("x", "p", "{}", "[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}]}]"));
    OK_ALL("new/a", "x/a");
    cases_given(STRANGER POD("new", "b", "{}", "{nodeName: n1}", "{phase: Running, podIP: 10.0.9.2}")
                    INGRESS("new", "p", "{}", "[{from: [{podSelector: {}}]}]"));
    OK_ALL("new/a", "new/b");
    X_ALL("x/a", "new/b");
}

static void case_62_namespace_relabelled(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]")
                    EGRESS("x", "q", "{}", "[{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]"));
    OK_ALL("y/a", "x/a");
    OK_ALL("x/a", "y/c");
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: y}}");
    X_ALL("y/a", "x/a");
    X_ALL("x/a", "y/c");
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: y, labels: {ns: y}}}");
    OK_ALL("y/a", "x/a");
    OK_ALL("x/a", "y/c");
    build_apply(cases_world, "{apiVersion: v1, kind: Namespace, metadata: {name: z, labels: {ns: y}}}");
    OK_ALL("z/a", "x/a");
}

static void case_63_pod_relabelled(void **unused)
{
    (void)unused;
#define RELABELLED(name, last, labels)                                                                                 \
    POD("x", name, labels, "{nodeName: n1}",                                                                           \
        "{phase: Running, podIP: 10.0.1." last ", podIPs: [{ip: 10.0.1." last "}, {ip: 'fd00::1:" last "'}]}")
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}"));
    X_ALL("y/a", "x/a");
    X_ALL("x/a", "out");
    build_apply(cases_world, RELABELLED("a", "1", "{}"));
    OK_ALL("y/a", "x/a");
    OK_ALL("x/a", "out");
    OK_ALL("y/a", "x/b");
    build_apply(cases_world, RELABELLED("b", "2", "{pod: a}"));
    X_ALL("y/a", "x/b");
    X_ALL("x/b", "out");
    // As a peer.
    cases_given(INGRESS("x", "p", LABEL("pod", "c"), "[{from: [{podSelector: {matchLabels: {role: client}}}]}]"));
    X_ALL("x/a", "x/c");
    build_apply(cases_world, RELABELLED("a", "1", "{role: client}"));
    OK_ALL("x/a", "x/c");
    build_apply(cases_world, RELABELLED("a", "1", "{role: Client}"));
    X_ALL("x/a", "x/c");
}

static void case_64_every_order_of_events(void **unused)
{
    (void)unused;
    static const char *const events[] = {
        "---\n{apiVersion: v1, kind: Namespace, metadata: {name: w, labels: {team: w}}}\n",
        POD("w", "a", "{app: a}", "{nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]}",
            "{phase: Running, podIP: 10.0.9.1, podIPs: [{ip: 10.0.9.1}, {ip: 'fd00::9:1'}]}"),
        POD("w", "b", "{app: b}", "{nodeName: n2}", "{phase: Running, podIP: 10.0.9.2}"),
        INGRESS("w", "p", LABEL("app", "a"),
                "[{from: [{namespaceSelector: {matchLabels: {team: w}}}], ports: [{port: http}]}]"),
    };
    enum { EVENTS = ARRAY_SIZE(events), ORDERS = 24 };
    char *want = NULL;
    for (unsigned order = 0; order < ORDERS; order++) {
        // The order-th permutation: of what is left, take one by one.
        size_t left[EVENTS] = {0, 1, 2, 3};
        unsigned rest = order;
        cases_given(INGRESS("z", "q", "{}", "[]"));
        for (size_t n = EVENTS; n > 0; n--) {
            size_t pick = rest % n;
            rest /= (unsigned)n;
            build_apply(cases_world, events[left[pick]]);
            left[pick] = left[n - 1];
            // Rules are made on the way too, and leave no trace.
            free(cases_rendered(cases_world, "n1"));
        }
        OK("w/b", "w/a", "TCP", 8080);
        X("w/b", "w/a", "TCP", 80);
        X("x/a", "w/a", "TCP", 8080);
        X_ALL("x/a", "z/a");
        char *got = cases_rendered(cases_world, "n1");
        if (want) {
            assert_string_equal(got, want);
            free(got);
        } else {
            want = got;
        }
    }
    free(want);
}

static void case_65_policy_updated(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{}]}"));
    OK_ALL("y/a", "x/a");
    struct packet living = cases_packet("10.0.2.1", "10.0.1.1", PROTOCOL_TCP, 80);
    living.ct = CT_ESTABLISHED;
    PASSES("n1", &living);
    build_apply(cases_world, POLICY("x", "p", "{podSelector: {}}"));
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
    // What lives, lives on (docs/SEMANTICS.md); all of its packets do.
    PASSES("n1", &living);
    // No union of old and new: what was selected before is open now.
    build_apply(cases_world, INGRESS("x", "p", LABEL("pod", "b"), "[{ports: [{port: 80}]}]"));
    OK_ALL("y/a", "x/a");
    OK("y/a", "x/b", "TCP", 80);
    X("y/a", "x/b", "TCP", 81);
    build_apply(cases_world, INGRESS("x", "p", LABEL("pod", "b"), "[{ports: [{port: 81}]}]"));
    X("y/a", "x/b", "TCP", 80);
    OK("y/a", "x/b", "TCP", 81);
    build_apply(cases_world, EGRESS("x", "p", LABEL("pod", "b"), "[]"));
    OK_ALL("y/a", "x/b");
    X_ALL("x/b", "y/a");
}

static struct apply_report apply(struct backend *backend, struct state *state)
{
    static const struct policy_options options;
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    struct apply_report report = {0};
    assert_int_equal(compile_ruleset(state, "n1", NULL, &options, &want, NULL, NULL), 0);
    // A daemon that has just started knows nothing of what the kernel holds.
    assert_int_equal(backend_apply(backend->ops, backend, NULL, want, &report, NULL), 0);
    return report;
}

static void case_66_restart_changes_nothing(void **unused)
{
    (void)unused;
    static const char kept[] = INGRESS("x", "p", "{}", "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]");
    static const char passing[] = EGRESS("y", "gone", "{}", "[{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]");
    struct backend *backend;
    assert_int_equal(backend_memory.open(&(struct backend_options){0}, &backend, NULL), 0);
    cases_given(kept);
    build_apply(cases_world, passing);
    assert_true(apply(backend, cases_world).writes > 0);
    // The same objects in another order, read anew: not one write, so no packet is judged otherwise at any moment.
    CLEANUP(state_free) struct state *again = build_state(passing);
    build_apply(again, kept);
    size_t n;
    const struct ns_object *const *namespaces = state_namespaces(cases_world, &n);
    for (size_t i = n; i > 0; i--) {
        assert_true(state_put_namespace(again, ns_object_dup(namespaces[i - 1]), NULL) >= 0);
    }
    const struct pod *const *pods = state_pods(cases_world, &n);
    for (size_t i = n; i > 0; i--) {
        assert_true(state_put_pod(again, pod_dup(pods[i - 1]), NULL) >= 0);
    }
    const struct node *const *nodes = state_nodes(cases_world, &n);
    for (size_t i = n; i > 0; i--) {
        assert_true(state_put_node(again, node_dup(nodes[i - 1]), NULL) >= 0);
    }
    assert_int_equal(apply(backend, again).writes, 0);
    // Before everything was read nothing may be acted upon, so stale chains stay; afterwards they go.
    CLEANUP(state_free) struct state *empty = NULL;
    char why[256];
    assert_int_equal(state_new(&empty, NULL), 0);
    assert_false(sync_gate(empty, "n1", why, sizeof(why)));
    assert_true(sync_gate(again, "n1", why, sizeof(why)));
    assert_int_equal(state_remove(again, OBJECT_POLICY, "y", "gone", ""), STATE_REMOVED);
    struct apply_report report = apply(backend, again);
    assert_true(report.chains_deleted > 0 && report.sets_destroyed > 0);
    backend->ops->close(backend);
}

// What holds without a hook at the start of pods: the first rules that know the pod's address isolate it, whichever of
// its parts is known by then.
static void case_69_first_rules_isolate(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {matchLabels: {app: late}}, policyTypes: [Ingress, Egress]}"));
    OK_ALL("10.0.1.9", "out");
    build_apply(cases_world, POD("x", "late", "{app: late}", "{nodeName: n1}", "{phase: Pending}"));
    OK_ALL("10.0.1.9", "out");
    build_apply(cases_world, POD("x", "late", "{app: late}", "{nodeName: n1}",
                                 "{phase: Pending, podIP: 10.0.1.9, podIPs: [{ip: 10.0.1.9}, {ip: 'fd00::1:9'}]}"));
    X_ALL("x/late", "out");
    X_ALL("out", "x/late");
    X_ALL("x/b", "x/late");
    OK_ALL("node:n1", "x/late");
    build_apply(cases_world, POLICY("x", "q", "{podSelector: {matchLabels: {app: late}}, ingress: [{}]}"));
    OK_ALL("out", "x/late");
    X_ALL("x/late", "out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_55_finished_pods_own_nothing),
        CASE(case_56_address_handed_over),
        CASE(case_57_terminating_pods_count),
        CASE(case_58_pending_pods_count),
        CASE(case_59_dual_stack),
        CASE(case_60_pod_ip_without_pod_ips),
        CASE(case_61_namespace_not_seen_yet),
        CASE(case_62_namespace_relabelled),
        CASE(case_63_pod_relabelled),
        CASE(case_64_every_order_of_events),
        CASE(case_65_policy_updated),
        CASE(case_66_restart_changes_nothing),
        CASE(case_69_first_rules_isolate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
