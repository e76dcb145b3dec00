// SPDX-License-Identifier: Apache-2.0
//
// Every core entry with its 1st, 2nd, … Nth allocation failing: it must come back with an error, leave its outputs
// alone and lose no memory. The allocator of this binary is replaced; with a sanitizer's allocator in the way the test
// says so and skips.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "audit/check.h"
#include "decode/decode.h"
#include "policy/compile.h"
#include "ruleset/diff.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "support/failing_malloc.h"

#ifdef FAILING_MALLOC_ABSENT
int main(void)
{
    (void)puts("skip: the sanitizer owns the allocator");
    return 77;
}
#else

static const char documents[] =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {team: a}}\n---\n"
    "apiVersion: v1\nkind: Node\nmetadata: {name: n}\nstatus: {addresses: [{type: InternalIP, address: "
    "172.16.0.1}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x, labels: {app: web, tier: front}}\n"
    "spec: {nodeName: n, containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}\n"
    "status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: x, labels: {app: db}}\n"
    "spec: {nodeName: n}\nstatus: {phase: Running, podIP: 10.0.0.2}\n---\n"
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: x}\n"
    "spec:\n  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress, Egress]\n"
    "  ingress:\n  - from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [db, b]}]}},\n"
    "           {ipBlock: {cidr: 0.0.0.0/0, except: [10.1.0.0/16]}}, {namespaceSelector: {matchLabels: {team: a}}}]\n"
    "    ports: [{port: 80}, {port: http}, {protocol: UDP, port: 53, endPort: 60}]\n"
    "  egress:\n  - to: [{podSelector: {}}]\n    ports: [{port: http}]\n";

static const char json_documents[] = "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\","
                                     "\"kind\":\"Pod\",\"metadata\":{\"name\":\"j\","
                                     "\"namespace\":\"x\",\"labels\":{\"app\":\"web\"}},\"spec\":{\"nodeName\":\"n\"},"
                                     "\"status\":{\"podIP\":\"10.0.0.9\"}}]}";

static int put(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

// The whole core in one go: text → state → ruleset → text → ruleset → diff, and a question.
static int whole_core(struct err *err)
{
    CLEANUP(state_free) struct state *state = NULL;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    CLEANUP(ruleset_free) struct ruleset *parsed = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    struct decode_stats stats;
    const struct policy_options options = {0};
    struct buf BUF_CLEANUP text = {0};
    struct buf BUF_CLEANUP answer = {0};
    static const char question[] = "{\"from\":\"x/b\",\"to\":\"x/a\",\"port\":80}";
    if (state_new(&state, err) < 0 ||
        decode_text(documents, strlen(documents), "f", put, state, &diagnostics, &stats, err) < 0 ||
        decode_text(json_documents, strlen(json_documents), "j", put, state, &diagnostics, &stats, err) < 0 ||
        compile_ruleset(state, "n", NULL, &options, &ruleset, NULL, err) < 0) {
        return -1;
    }
    render_restore(ruleset, &text);
    if (text.failed) {
        return err_oom(err);
    }
    if (parse_restore(text.data, text.len, &parsed, err) < 0 || ruleset_diff_make(NULL, parsed, &diff, err) < 0) {
        return -1;
    }
    if (!ruleset_equal(ruleset, parsed)) {
        return err_set(err, ERR_BUG, 0, "render and parse differ");
    }
    int rc = check_line(state, &options, NULL, question, strlen(question), 1, &answer, err);
    if (rc != 0) {
        return rc < 0 ? -1 : err_set(err, ERR_BUG, 0, "check refused: %s", answer.data);
    }
    return strstr(answer.data, "\"verdict\":\"allow\"") ? 0 : err_set(err, ERR_BUG, 0, "wrong: %s", answer.data);
}

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    struct err err = {0};
    // Once for libraries that keep something for good.
    if (whole_core(&err) != 0) {
        fail_msg("%s", err.msg);
    }
    long steps = 0;
    for (long k = 0;; k++, steps++) {
        err_clear(&err);
        long before = failing_malloc_alive();
        failing_malloc_after(k);
        int rc = whole_core(&err);
        failing_malloc_after(-1);
        long after = failing_malloc_alive();
        if (after != before) {
            fail_msg("allocation %ld failed: %ld blocks lost", k, after - before);
        }
        if (!failing_malloc_refused()) {
            assert_int_equal(rc, 0);
            break;
        }
        if (rc == 0) {
            fail_msg("allocation %ld failed and nobody said so", k);
        }
        if (err.kind != ERR_OOM) {
            fail_msg("allocation %ld failed and was reported as %s: %s", k, err_kind_name(err.kind), err.msg);
        }
    }
    print_message("%ld allocations failed in turn\n", steps);
    assert_true(steps > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
