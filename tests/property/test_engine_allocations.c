// SPDX-License-Identifier: Apache-2.0
//
// The engine with its 1st, 2nd, … Nth allocation failing, within events and updates: nothing is lost or leaked, and the
// next update that has memory gives what a compile from scratch gives. What it then tells of the kernel is right, or
// nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "decode/decode.h"
#include "policy/engine.h"
#include "ruleset/render.h"
#include "support/failing_malloc.h"

#ifdef FAILING_MALLOC_ABSENT
int main(void)
{
    (void)puts("skip: the sanitizer owns the allocator");
    return 77;
}
#else

static const char before[] =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {team: a}}\n---\n"
    "apiVersion: v1\nkind: Node\nmetadata: {name: n}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x, labels: {app: web}}\n"
    "spec: {nodeName: n, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}\n"
    "status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: x, labels: {app: db}}\n"
    "spec: {nodeName: m, containers: [{name: c, ports: [{name: http, containerPort: 81}]}]}\n"
    "status: {phase: Running, podIP: 10.0.0.2}\n---\n"
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\n"
    "spec:\n  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress, Egress]\n"
    "  ingress:\n  - from: [{podSelector: {matchLabels: {app: db}}}, {namespaceSelector: {matchLabels: {team: b}}}]\n"
    "    ports: [{port: 80}]\n"
    "  egress:\n  - to: [{podSelector: {}}]\n    ports: [{port: http}]\n";

// Of every kind: members, another selector, a namespace, a pod of the node.
static const char *const events[] = {
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: x, labels: {app: other}}\n"
    "spec: {nodeName: m, containers: [{name: c, ports: [{name: http, containerPort: 82}]}]}\n"
    "status: {phase: Running, podIP: 10.0.0.2}\n",
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {team: b}}\n",
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\n"
    "spec:\n  podSelector: {}\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: other}}}]\n",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: c, namespace: x, labels: {app: web}}\n"
    "spec: {nodeName: n}\nstatus: {phase: Running, podIP: 10.0.0.3}\n",
};

static const struct policy_options options;

static int put(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

static void load(struct state *state, const char *text)
{
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    struct decode_stats stats;
    struct err err = {0};
    assert_int_equal(decode_text(text, strlen(text), "f", put, state, &diagnostics, &stats, &err), 0);
}

// The object of the text, out of the way of failing allocations.
static void *decoded;
static enum object_kind decoded_kind;

static int take(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    decoded = object;
    decoded_kind = kind;
    return 0;
}

static void decode_one(const char *text)
{
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    struct decode_stats stats;
    struct err err = {0};
    assert_int_equal(decode_text(text, strlen(text), "f", take, NULL, &diagnostics, &stats, &err), 0);
}

static void same(const struct ruleset *want, const struct ruleset *got, long k, const char *what)
{
    BUF_CLEANUP struct buf a = {0};
    BUF_CLEANUP struct buf b = {0};
    render_restore(want, &a);
    render_restore(got, &b);
    if (a.failed || b.failed || strcmp(a.data ? a.data : "", b.data ? b.data : "") != 0) {
        fail_msg("allocation %ld failed: %s\nwanted:\n%s\ngot:\n%s", k, what, a.data, b.data);
    }
}

// The k-th allocation of an event, its update and its keeping fails. False: there are not so many.
static bool fails(const char *event, long k)
{
    struct err err = {0};
    struct state *state = NULL;
    struct engine *engine = NULL;
    struct engine_update update = {0};
    struct ruleset *now = NULL;
    struct ruleset *kernel = NULL;
    assert_int_equal(state_new(&state, &err), 0);
    load(state, before);
    assert_int_equal(engine_new(state, "n", &options, &engine, &err), 0);
    assert_int_equal(engine_update(engine, &update, &err), 0);
    assert_int_equal(update.outcome, ENGINE_RULES);
    assert_int_equal(compile_ruleset(state, "n", NULL, &options, &kernel, NULL, &err), 0);
    engine_keep(engine);
    decode_one(event);

    failing_malloc_after(k);
    bool put = state_put(state, decoded_kind, decoded, &err) >= 0;
    bool updated = engine_update(engine, &update, &err) == 0;
    bool told = updated && update.outcome != ENGINE_SAME;
    struct ruleset *kept = NULL;
    failing_malloc_after(-1);
    bool refused = failing_malloc_refused();
    assert_true(refused || (put && updated));
    if (updated) {
        // Written, or not needed.
        assert_int_equal(compile_ruleset(state, "n", NULL, &options, &kept, NULL, &err), 0);
        failing_malloc_after(k % 7);
        engine_keep(engine);
        failing_malloc_after(-1);
        ruleset_free(kernel);
        kernel = kept;
    } else {
        assert_int_equal(err.kind, ERR_OOM);
    }
    (void)told;
    // With memory again.
    const struct ruleset *held = engine_kept(engine);
    if (held) {
        same(kernel, held, k, "what was kept");
    }
    load(state, event);
    assert_int_equal(engine_update(engine, &update, &err), 0);
    assert_int_equal(compile_ruleset(state, "n", NULL, &options, &now, NULL, &err), 0);
    if (update.outcome == ENGINE_RULES) {
        same(now, update.ruleset, k, "the next update");
        if (update.have) {
            same(kernel, update.have, k, "what the kernel is said to hold");
        }
    } else if (update.outcome == ENGINE_SAME) {
        same(now, kernel, k, "the same that is not");
    }
    engine_keep(engine);
    held = engine_kept(engine);
    assert_non_null(held);
    same(now, held, k, "the kernel in the end");
    ruleset_free(now);
    ruleset_free(kernel);
    engine_free(engine);
    state_free(state);
    return refused;
}

static void test_every_allocation_may_fail(void **unused)
{
    (void)unused;
    long total = 0;
    // Once for libraries that keep something for good.
    (void)fails(events[0], 1000000);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        for (long k = 0;; k++, total++) {
            long alive = failing_malloc_alive();
            bool more = fails(events[i], k);
            if (failing_malloc_alive() != alive) {
                fail_msg("event %zu, allocation %ld: %ld blocks lost", i, k, failing_malloc_alive() - alive);
            }
            if (!more) {
                break;
            }
        }
    }
    print_message("%ld allocations failed in turn\n", total);
    assert_true(total > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
