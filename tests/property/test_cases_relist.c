// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: what happened while nobody watched: the API server's next list, its watch that has
// lost its history, and the verdicts afterwards (cases 67, 68). A server in the same loop speaks real HTTP.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "ruleset/render.h"
#include "support/build.h"
// The fixture's policy is JSON and always the same.
#undef POLICY
#include "support/api_fixture.h"

// POLICY isolates x for ingress; this one lets in who has role=client.
#define CLIENTS                                                                                                        \
    "{" META("x", "clients", "u-clients", "4", "") ",\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[{\"pod"      \
                                                   "Selector\":{\"matchLabels\":{\"role\":\"client\"}}}]}]}}"
#define WEB POD("web", "u-web", "5", "10.0.0.1", "\"app\":\"web\"")

static void refresh(struct api_fixture *f, int kind)
{
    unsigned lists = f->lists[kind];
    f->version = "30";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == lists + 1 && api_watcher(f, PODS));
}

static void case_67_policy_vanished_between_two_lists(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = WEB;
    f->items[POLICIES] = POLICY "," CLIENTS;
    api_start_and_sync(f);
    expect_deny(f->state, "203.0.113.9", "x/web", "TCP", 80);
    f->items[POLICIES] = CLIENTS;
    refresh(f, PODS);
    assert_null(state_policy(f->state, "x", "deny"));
    expect_deny(f->state, "203.0.113.9", "x/web", "TCP", 80);
    f->items[POLICIES] = "";
    refresh(f, PODS);
    assert_int_equal(state_count(f->state, OBJECT_POLICY), 0);
    expect_allow(f->state, "203.0.113.9", "x/web", "TCP", 80);
}

static void case_67_policy_vanished_from_a_lost_history(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = WEB;
    f->items[POLICIES] = POLICY;
    api_start_and_sync(f);
    expect_deny(f->state, "203.0.113.9", "x/web", "TCP", 80);
    f->items[POLICIES] = "";
    f->version = "77";
    api_event(f, POLICIES, "ERROR",
              "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version\"}");
    WAIT_FOR(f, f->watches[POLICIES] == 2 && api_watcher(f, POLICIES));
    expect_allow(f->state, "203.0.113.9", "x/web", "TCP", 80);
}

static bool in_rules(struct api_fixture *f, const char *text)
{
    static const struct policy_options options;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    BUF_CLEANUP struct buf rules = {0};
    assert_int_equal(compile_ruleset(f->state, "n1", NULL, &options, &ruleset, NULL, &f->err), 0);
    render_restore(ruleset, &rules);
    return strstr(api_text_of(&rules), text) != NULL;
}

static void case_68_pod_made_anew_between_two_lists(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = WEB "," POD("db-0", "u-1", "6", "10.0.0.2", "\"role\":\"client\"");
    f->items[POLICIES] = CLIENTS;
    api_start_and_sync(f);
    expect_allow(f->state, "10.0.0.2", "x/web", "TCP", 80);
    expect_deny(f->state, "x/web", "10.0.0.2", "TCP", 80);
    assert_true(in_rules(f, "10.0.0.2"));
    // Another uid, address and label under the same name: the old one is gone from rules and sets.
    f->items[PODS] = WEB "," POD("db-0", "u-2", "20", "10.0.0.77", "\"role\":\"other\"");
    refresh(f, PODS);
    expect_deny(f->state, "10.0.0.2", "x/web", "TCP", 80);
    expect_deny(f->state, "10.0.0.77", "x/web", "TCP", 80);
    expect_deny(f->state, "x/web", "10.0.0.77", "TCP", 80);
    expect_allow(f->state, "x/web", "10.0.0.2", "TCP", 80);
    assert_false(in_rules(f, "10.0.0.2"));
    assert_true(in_rules(f, "10.0.0.77"));
    // And once more, now as a client; the late delete of a predecessor takes nothing from it.
    f->items[PODS] = WEB "," POD("db-0", "u-3", "40", "10.0.0.78", "\"role\":\"client\"");
    refresh(f, PODS);
    api_event(f, PODS, "DELETED", POD("db-0", "u-2", "41", "10.0.0.77", "\"role\":\"other\""));
    api_event(f, PODS, "MODIFIED", POD("web", "u-web", "42", "10.0.0.1", "\"app\":\"web\",\"seen\":\"last\""));
    WAIT_FOR(f, api_has_label(f, "web", "seen", "last"));
    expect_allow(f->state, "10.0.0.78", "x/web", "TCP", 80);
    expect_deny(f->state, "10.0.0.77", "x/web", "TCP", 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(case_67_policy_vanished_between_two_lists),
        API_TEST(case_67_policy_vanished_from_a_lost_history),
        API_TEST(case_68_pod_made_anew_between_two_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
