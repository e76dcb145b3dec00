// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ruleset/diff.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "support/random_ruleset.h"

static struct ruleset *ruleset_of(const char *text)
{
    struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (parse_restore(text, strlen(text), &ruleset, &err) < 0) {
        char message[1024];
        fail_msg("%s", err_text(&err, message, sizeof(message)));
    }
    return ruleset;
}

static struct ruleset_diff *diff_of(const struct ruleset *from, const struct ruleset *to)
{
    struct ruleset_diff *diff = NULL;
    assert_int_equal(ruleset_diff_make(from, to, &diff, NULL), 0);
    return diff;
}

static void assert_diff(const char *from_text, const char *to_text, const char *want)
{
    CLEANUP(ruleset_free) struct ruleset *from = from_text ? ruleset_of(from_text) : NULL;
    CLEANUP(ruleset_free) struct ruleset *to = ruleset_of(to_text);
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = diff_of(from, to);
    BUF_CLEANUP struct buf text = {0};
    ruleset_diff_render(diff, &text);
    assert_string_equal(text.len ? text.data : "", want);
    assert_int_equal(ruleset_diff_empty(diff), *want == '\0');
}

static const char base[] = "create NP4-A hash:ip\nadd NP4-A 10.0.0.1\nadd NP4-A 10.0.0.2\n"
                           "create NP4-B hash:net\nadd NP4-B 10.0.0.0/8\nadd NP4-B 10.1.0.0/16 nomatch\n"
                           "*filter\n:NETPOL-A - [0:0]\n:NETPOL-B - [0:0]\n"
                           "-A NETPOL-A -p tcp -j RETURN\n-A NETPOL-A -p udp -j RETURN\n-A NETPOL-A -j DROP\n"
                           "-I FORWARD 1 -j NETPOL-A\nCOMMIT\n";

static void test_text(void **state)
{
    (void)state;
    assert_diff(base, base, "");
    assert_diff(NULL, "", "");
    assert_diff(NULL, base,
                "IPv4:\n"
                "+ set NP4-A hash:ip 2 members\n"
                "+ set NP4-B hash:net 2 members\n"
                "+ chain NETPOL-A\n"
                "    + -p tcp -j RETURN\n"
                "    + -p udp -j RETURN\n"
                "    + -j DROP\n"
                "+ chain NETPOL-B\n"
                "~ hooks\n"
                "    + -A FORWARD -j NETPOL-A\n");
    assert_diff(base, "",
                "IPv4:\n"
                "- set NP4-A hash:ip 2 members\n"
                "- set NP4-B hash:net 2 members\n"
                "- chain NETPOL-A 3 rules\n"
                "- chain NETPOL-B 0 rules\n"
                "~ hooks\n"
                "    - -A FORWARD -j NETPOL-A\n");
    assert_diff(base,
                "create NP4-A hash:ip\nadd NP4-A 10.0.0.2\nadd NP4-A 10.0.0.3\n"
                "create NP4-B hash:net\nadd NP4-B 10.0.0.0/8\nadd NP4-B 10.1.0.0/16\n"
                "create NP4-C hash:ip\nadd NP4-C 10.0.0.3\n"
                "*filter\n:NETPOL-A - [0:0]\n:NETPOL-C - [0:0]\n"
                "-A NETPOL-A -p tcp -j RETURN\n-A NETPOL-A -p sctp -j RETURN\n-A NETPOL-A -j DROP\n"
                "-I FORWARD 1 -j NETPOL-A\nCOMMIT\n",
                "IPv4:\n"
                "~ set NP4-A hash:ip 1 added, 1 removed\n"
                "    - 10.0.0.1\n"
                "    + 10.0.0.3\n"
                "~ set NP4-B hash:net 1 added, 0 removed\n"
                "    + 10.1.0.0/16\n"
                "+ set NP4-C hash:ip 1 member\n"
                "~ chain NETPOL-A\n"
                "    - -p udp -j RETURN\n"
                "    + -p sctp -j RETURN\n"
                "- chain NETPOL-B 0 rules\n"
                "+ chain NETPOL-C\n");
    assert_diff("create NP6-A hash:ip family inet6\nadd NP6-A fd00::1\n",
                "create NP6-A hash:net family inet6\nadd NP6-A fd00::1\n",
                "IPv6:\n"
                "~ set NP6-A hash:net (was hash:ip) 1 added, 1 removed\n"
                "    - fd00::1\n"
                "    + fd00::1\n");
}

// The kernel keeps one element of a prefix: adding it again with the other flag is all that has to be done.
static void test_flag_change(void **state)
{
    (void)state;
    CLEANUP(ruleset_free) struct ruleset *from = ruleset_of("create NP4-B hash:net\nadd NP4-B 10.0.0.0/8\n");
    CLEANUP(ruleset_free) struct ruleset *to = ruleset_of("create NP4-B hash:net\nadd NP4-B 10.0.0.0/8 nomatch\n");
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = diff_of(from, to);
    const struct set_delta *delta = &diff->tables[FAMILY_V4].sets[0];
    assert_int_equal(delta->n_added, 1);
    assert_true(delta->added[0]->nomatch);
    assert_int_equal(delta->n_removed, 0);
}

static void test_description_is_no_change(void **state)
{
    (void)state;
    CLEANUP(ruleset_free) struct ruleset *from = ruleset_of(base);
    CLEANUP(ruleset_free) struct ruleset *to = ruleset_of(base);
    struct set sets[2];
    memcpy(sets, to->tables[FAMILY_V4].sets, sizeof(sets));
    sets[0].describe = "pods x: app=web";
    to->tables[FAMILY_V4].sets = sets;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = diff_of(from, to);
    assert_true(ruleset_diff_empty(diff));
}

// What the kernel's set holds after the delta: one element of each key.
static void apply_members(const struct set_delta *delta)
{
    static const struct set none = {.name = ""};
    const struct set *from = delta->from ? delta->from : &none;
    const struct set *to = delta->to ? delta->to : &none;
    struct set_member members[64];
    size_t n = 0;
    for (size_t i = 0; i < from->n_members; i++) {
        members[n++] = from->members[i];
    }
    // Adding first, as the backend does (a widening comes before the commit, a narrowing behind it).
    for (size_t i = 0; i < delta->n_added; i++) {
        size_t at = 0;
        while (at < n && !set_member_same_key(&members[at], delta->added[i])) {
            at++;
        }
        members[at] = *delta->added[i];
        n += at == n;
        assert_true(i == 0 || set_member_compare(delta->added[i - 1], delta->added[i]) < 0);
    }
    for (size_t i = 0; i < delta->n_removed; i++) {
        size_t at = 0;
        while (at < n && !set_member_same_key(&members[at], delta->removed[i])) {
            at++;
        }
        assert_true(at < n);
        members[at] = members[--n];
        assert_true(i == 0 || set_member_compare(delta->removed[i - 1], delta->removed[i]) < 0);
    }
    assert_int_equal(n, to->n_members);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t j = 0; j < to->n_members; j++) {
            found |= set_member_compare(&members[i], &to->members[j]) == 0;
        }
        assert_true(found);
    }
}

// Each table's names merge to the new table's names, and what no delta names is equal in both.
static void check_table(const struct table_diff *diff, const struct table *from, const struct table *to)
{
    for (size_t i = 0; i < diff->n_sets; i++) {
        const struct set_delta *delta = &diff->sets[i];
        const char *name = delta->to ? delta->to->name : delta->from->name;
        assert_ptr_equal(table_set(from, name), delta->from);
        assert_ptr_equal(table_set(to, name), delta->to);
        assert_true(!delta->from || !delta->to || !set_equal(delta->from, delta->to));
        bool retyped = delta->from && delta->to && delta->from->type != delta->to->type;
        if (retyped) {
            assert_int_equal(delta->n_added, delta->to->n_members);
            assert_int_equal(delta->n_removed, delta->from->n_members);
        } else {
            apply_members(delta);
        }
    }
    size_t changed = 0;
    for (size_t i = 0; i < to->n_sets; i++) {
        const struct set *old = table_set(from, to->sets[i].name);
        changed += !old || !set_equal(old, &to->sets[i]);
    }
    for (size_t i = 0; i < from->n_sets; i++) {
        changed += !table_set(to, from->sets[i].name);
    }
    assert_int_equal(changed, diff->n_sets);
    changed = 0;
    for (size_t i = 0; i < to->n_chains; i++) {
        const struct chain *old = table_chain(from, to->chains[i].name);
        changed += !old || !chain_equal(old, &to->chains[i]);
    }
    for (size_t i = 0; i < from->n_chains; i++) {
        changed += !table_chain(to, from->chains[i].name);
    }
    assert_int_equal(changed, diff->n_chains);
    for (size_t i = 0; i < diff->n_chains; i++) {
        const struct chain_delta *delta = &diff->chains[i];
        const char *name = delta->to ? delta->to->name : delta->from->name;
        assert_ptr_equal(table_chain(from, name), delta->from);
        assert_ptr_equal(table_chain(to, name), delta->to);
    }
    assert_int_equal(diff->hooks_differ, !table_hooks_equal(from, to));
}

static void test_random(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("diff");
    size_t n = rng_iterations(2000);
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {.state = seed + i};
        CLEANUP(ruleset_free) struct ruleset *a = random_ruleset(&rng);
        CLEANUP(ruleset_free)
        struct ruleset *b = rng_chance(&rng, 70) ? random_ruleset_change(&rng, a) : random_ruleset(&rng);
        CLEANUP(ruleset_diff_free) struct ruleset_diff *there = diff_of(a, b);
        CLEANUP(ruleset_diff_free) struct ruleset_diff *back = diff_of(b, a);
        CLEANUP(ruleset_diff_free) struct ruleset_diff *none = diff_of(b, b);
        assert_true(ruleset_diff_empty(none));
        assert_int_equal(ruleset_diff_empty(there), ruleset_equal(a, b));
        for (size_t family = 0; family < FAMILY_COUNT; family++) {
            check_table(&there->tables[family], &a->tables[family], &b->tables[family]);
            check_table(&back->tables[family], &b->tables[family], &a->tables[family]);
        }
        BUF_CLEANUP struct buf text = {0};
        ruleset_diff_render(there, &text);
        assert_int_equal(text.len == 0, ruleset_equal(a, b));
    }
    ruleset_diff_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_flag_change),
        cmocka_unit_test(test_description_is_no_change),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
