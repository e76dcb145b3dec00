// SPDX-License-Identifier: Apache-2.0
//
// A disagreement is found and told: rulesets are damaged as a compiler's mistake would damage them; random packets must
// find it, and what the shrinker leaves of the case must be small, still fail, and read back from its own YAML.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "support/shrink.h"
#include "support/state_yaml.h"

enum { FAULTS_EACH = 4, STATES_MAX = 2000, PACKETS = 60 };

// ---- mistakes ------------------------------------------------------------------------------------------------------

static void remove_rule(struct chain *chain, size_t at)
{
    struct rule *rules = (struct rule *)chain->rules;
    memmove(&rules[at], &rules[at + 1], (chain->n_rules - at - 1) * sizeof(*rules));
    chain->n_rules--;
}

static void each_chain(struct ruleset *ruleset, void (*fn)(struct chain *chain))
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        for (size_t i = 0; i < ruleset->tables[family].n_chains; i++) {
            fn((struct chain *)&ruleset->tables[family].chains[i]);
        }
    }
}

static bool has_prefix(const struct chain *chain, const char *prefix)
{
    return strncmp(chain->name, prefix, strlen(prefix)) == 0 && chain->n_rules > 0;
}

// Sets lose a member.
static void lose_members(struct ruleset *ruleset)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        for (size_t i = 0; i < ruleset->tables[family].n_sets; i++) {
            struct set *set = (struct set *)&ruleset->tables[family].sets[i];
            set->n_members -= set->n_members > 0;
        }
    }
}

static void remove_last_of_policy(struct chain *chain)
{
    if (has_prefix(chain, "NETPOL-P-")) {
        remove_rule(chain, chain->n_rules - 1);
    }
}

static void forget_to_drop(struct ruleset *ruleset)
{
    each_chain(ruleset, remove_last_of_policy);
}

static void remove_first_of_policy(struct chain *chain)
{
    if (has_prefix(chain, "NETPOL-P-") && chain->n_rules > 1) {
        remove_rule(chain, 0);
    }
}

static void forget_a_rule(struct ruleset *ruleset)
{
    each_chain(ruleset, remove_first_of_policy);
}

static void remove_last_of_forward(struct chain *chain)
{
    if (strcmp(chain->name, "NETPOL-FORWARD") == 0 && chain->n_rules > 0) {
        remove_rule(chain, chain->n_rules - 1);
    }
}

static void forget_a_tree(struct ruleset *ruleset)
{
    each_chain(ruleset, remove_last_of_forward);
}

static void widen_ports(struct chain *chain)
{
    for (size_t i = 0; i < chain->n_rules; i++) {
        struct rule *rule = (struct rule *)&chain->rules[i];
        for (size_t j = 0; j < rule->n_ports; j++) {
            struct port_range *range = (struct port_range *)&rule->ports[j];
            range->last = (uint16_t)(range->last + (range->last < UINT16_MAX));
        }
    }
}

static void miscount_ports(struct ruleset *ruleset)
{
    each_chain(ruleset, widen_ports);
}

static void empty_guard(struct chain *chain)
{
    if (has_prefix(chain, "NETPOL-LL")) {
        chain->n_rules = 0;
    }
}

static void forget_guards(struct ruleset *ruleset)
{
    each_chain(ruleset, empty_guard);
}

// ---- finding them --------------------------------------------------------------------------------------------------

// A case that the mistake makes fail; false when this cluster shows none.
static bool find(uint64_t seed, trial_tamper_fn *tamper, struct trial *ret)
{
    RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
    random_cluster_make(&cluster, seed);
    CLEANUP(facts_free) struct facts *facts = random_facts(&cluster.rng);
    // The mistakes are about policies and link-local addresses; the other guards would be found by them too.
    const struct policy_options options = {
        .denied = DENIED_REJECT, .source_guard = SOURCE_GUARD_OFF, .encap_allowed = true};
    for (size_t i = 0; i < PACKETS; i++) {
        struct packet packet;
        random_packet_wide(&cluster, "n1", facts, &packet);
        trial_init(ret, cluster.objects.v, cluster.objects.n, facts, "n1", &options, &packet);
        ret->tamper = tamper;
        if (!cluster.wild && trial_differs(ret)) {
            return true;
        }
        trial_done(ret);
    }
    return false;
}

static size_t count(const struct trial *trial, enum object_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < trial->n_objects; i++) {
        n += trial->objects[i].kind == kind;
    }
    return n;
}

static bool reads_back(const struct trial *trial)
{
    BUF_CLEANUP struct buf text = {0};
    for (size_t i = 0; i < trial->n_objects; i++) {
        state_yaml_object(&trial->objects[i], NULL, NULL, &text);
    }
    CLEANUP(state_free) struct state *state = state_yaml_read(&text);
    for (size_t i = 0; i < trial->n_objects; i++) {
        if (!state_yaml_holds(state, &trial->objects[i])) {
            return false;
        }
    }
    return true;
}

static void expect_small(struct trial *trial, uint64_t seed)
{
    bool small = count(trial, OBJECT_POLICY) <= 1 && count(trial, OBJECT_POD) <= 2 &&
                 count(trial, OBJECT_NAMESPACE) <= 1 && count(trial, OBJECT_NODE) == 0 &&
                 (!trial->facts || trial->facts->n_interfaces + trial->facts->n_routes <= 3);
    bool differs = trial_differs(trial);
    bool same = reads_back(trial);
    trial->tamper = NULL;
    if (!small || !differs || !same || trial_differs(trial)) {
        trial_print(trial);
        fail_msg("SEED=%" PRIu64 ": small %d, fails %d, reads back %d", seed, small, differs, same);
    }
}

static void expect_found(trial_tamper_fn *tamper, const char *test)
{
    uint64_t seed = rng_seed(test);
    size_t found = 0;
    size_t tried = 0;
    size_t objects = 0;
    for (uint64_t i = 0; found < FAULTS_EACH && i < STATES_MAX; i++) {
        TRIAL_CLEANUP struct trial trial = {0};
        if (!find(seed + i, tamper, &trial)) {
            continue;
        }
        found++;
        objects += trial.n_objects;
        tried += shrink(&trial, trial_differs);
        expect_small(&trial, seed + i);
    }
    printf("%zu cases of %zu objects shrunk by %zu steps\n", found, objects, tried);
    assert_int_equal(found, FAULTS_EACH);
}

static void test_lost_members(void **unused)
{
    (void)unused;
    expect_found(lose_members, __func__);
}

static void test_missing_drop(void **unused)
{
    (void)unused;
    expect_found(forget_to_drop, __func__);
}

static void test_missing_rule(void **unused)
{
    (void)unused;
    expect_found(forget_a_rule, __func__);
}

static void test_missing_tree(void **unused)
{
    (void)unused;
    expect_found(forget_a_tree, __func__);
}

static void test_wide_ports(void **unused)
{
    (void)unused;
    expect_found(miscount_ports, __func__);
}

static void test_missing_guards(void **unused)
{
    (void)unused;
    expect_found(forget_guards, __func__);
}

// Every reduction of an object ends: none is offered for ever, and none leaves the object as it was.
static void test_reductions_end(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed(__func__);
    RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
    random_cluster_make(&cluster, seed);
    for (size_t i = 0; i < cluster.objects.n; i++) {
        const struct random_object *object = &cluster.objects.v[i];
        CLEANUP(free) void *copy = trial_copy_object(object);
        size_t steps = 0;
        while (shrink_object(object->kind, copy, 0)) {
            assert_true(++steps < 10000);
        }
        CLEANUP(free) void *fresh = trial_copy_object(object);
        assert_int_equal(shrink_object(object->kind, fresh, 0), steps > 0);
        assert_false(shrink_object(object->kind, fresh, 100000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_members),   cmocka_unit_test(test_missing_drop),
        cmocka_unit_test(test_missing_rule),   cmocka_unit_test(test_missing_tree),
        cmocka_unit_test(test_wide_ports),     cmocka_unit_test(test_missing_guards),
        cmocka_unit_test(test_reductions_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
