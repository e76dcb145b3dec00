// SPDX-License-Identifier: Apache-2.0
#include "support/verify_world.h"

#include <inttypes.h>
#include <stdio.h>

#include "policy/compile.h"

void verify_world_make(struct verify_world *world, uint64_t seed, const char *node)
{
    struct err err = {0};
    memset(world, 0, sizeof(*world));
    random_cluster_make(&world->cluster, seed);
    struct rng *rng = &world->cluster.rng;
    world->state = random_cluster_state(&world->cluster);
    world->facts = rng_chance(rng, 50) ? random_facts(rng) : NULL;
    world->options = random_options(rng);
    if (compile_ruleset(world->state, node, world->facts, &world->options, &world->ruleset, NULL, &err) < 0) {
        (void)fprintf(stderr, "SEED=%" PRIu64 " N=1: compile: %s\n", seed, err.msg);
        exit(1);
    }
    world->input = (struct verify_input){
        .state = world->state,
        .node = node,
        .facts = world->facts,
        .options = &world->options,
        .ruleset = world->ruleset,
    };
}

void verify_world_free(struct verify_world *world)
{
    ruleset_free(world->ruleset);
    facts_free(world->facts);
    state_free(world->state);
    random_cluster_free(&world->cluster);
}

// ---- deliberate faults ---------------------------------------------------------------------------------------------

static void *copy_of(struct ruleset *ruleset, const void *from, size_t size)
{
    void *copy = arena_alloc(&ruleset->arena, size + 1);
    if (!copy) {
        (void)fputs("out of memory\n", stderr);
        exit(1);
    }
    memcpy(copy, from, size);
    return copy;
}

typedef bool rule_is(const struct rule *rule);

// One of the rules that are as wanted, to be changed in place; NULL when there is none. Chains and rules are const to
// readers; this ruleset is the test's own.
static struct rule *some_rule(struct ruleset *ruleset, struct rng *rng, rule_is *is)
{
    struct rule *found = NULL;
    size_t count = 0;
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        const struct table *table = &ruleset->tables[f];
        for (size_t i = 0; i < table->n_chains; i++) {
            for (size_t j = 0; j < table->chains[i].n_rules; j++) {
                const struct rule *rule = &table->chains[i].rules[j];
                if (is(rule) && rng_below(rng, ++count) == 0) {
                    found = (struct rule *)(uintptr_t)rule;
                }
            }
        }
    }
    return found;
}

static bool has_short_port(const struct rule *rule)
{
    return rule->n_ports > 0 && rule->ports[0].last < UINT16_MAX;
}

static bool is_tcp_or_sctp(const struct rule *rule)
{
    return rule->protocol == PROTOCOL_TCP || rule->protocol == PROTOCOL_SCTP;
}

static bool is_goto_or_drop(const struct rule *rule)
{
    return rule->target == TARGET_GOTO || rule->target == TARGET_DROP;
}

static bool is_jump(const struct rule *rule)
{
    return rule->target == TARGET_JUMP;
}

static bool has_destination(const struct rule *rule)
{
    return rule_has_destination(rule) && rule->destination.length >= 2;
}

static bool has_set(const struct rule *rule)
{
    return rule->set != NULL;
}

static bool has_ct(const struct rule *rule)
{
    return rule->ct_states != 0;
}

static bool has_hop_limit(const struct rule *rule)
{
    return rule->hop_limit >= 0;
}

static bool drop_member(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_sets == 0) {
        return false;
    }
    struct set *set = (struct set *)(uintptr_t)&table->sets[rng_below(rng, table->n_sets)];
    if (set->n_members == 0) {
        return false;
    }
    struct set_member *members = copy_of(ruleset, set->members, set->n_members * sizeof(*members));
    size_t at = rng_below(rng, set->n_members);
    memmove(&members[at], &members[at + 1], (set->n_members - at - 1) * sizeof(*members));
    set->members = members;
    set->n_members--;
    return true;
}

static bool drop_rule(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_chains == 0) {
        return false;
    }
    struct chain *chain = (struct chain *)(uintptr_t)&table->chains[rng_below(rng, table->n_chains)];
    if (chain->n_rules == 0) {
        return false;
    }
    struct rule *rules = copy_of(ruleset, chain->rules, chain->n_rules * sizeof(*rules));
    size_t at = rng_below(rng, chain->n_rules);
    memmove(&rules[at], &rules[at + 1], (chain->n_rules - at - 1) * sizeof(*rules));
    chain->rules = rules;
    chain->n_rules--;
    return true;
}

static bool change_port(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_short_port);
    if (!rule) {
        return false;
    }
    struct port_range *ports = copy_of(ruleset, rule->ports, rule->n_ports * sizeof(*ports));
    ports->last++;
    rule->ports = ports;
    return true;
}

static bool change_protocol(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_tcp_or_sctp);
    if (!rule) {
        return false;
    }
    rule->protocol = rule->protocol == PROTOCOL_TCP ? PROTOCOL_SCTP : PROTOCOL_TCP;
    return true;
}

static bool return_early(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_goto_or_drop);
    if (!rule) {
        return false;
    }
    rule->target = TARGET_RETURN;
    rule->chain = NULL;
    return true;
}

static bool goto_for_jump(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, is_jump);
    if (!rule) {
        return false;
    }
    rule->target = TARGET_GOTO;
    return true;
}

static bool drop_hook(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    if (table->n_hooks == 0) {
        return false;
    }
    table->n_hooks--;
    return true;
}

static bool widen_destination(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_destination);
    if (!rule) {
        return false;
    }
    rule->destination = prefix_truncate(&rule->destination.address, rule->destination.length - 1u);
    return true;
}

static bool flip_direction(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_set);
    for (size_t i = 0; rule && i < FAMILY_COUNT; i++) {
        const struct set *set = table_set(&ruleset->tables[i], rule->set);
        if (set && set->type == SET_HASH_IP_PORT) {
            return false;
        }
    }
    if (!rule) {
        return false;
    }
    rule->set_direction = rule->set_direction == SET_SRC ? SET_DST : SET_SRC;
    return true;
}

static bool forget_ct(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_ct);
    if (!rule) {
        return false;
    }
    rule->ct_states = 0;
    rule->ct_invert = false;
    return true;
}

static bool forget_hop_limit(struct ruleset *ruleset, struct rng *rng)
{
    struct rule *rule = some_rule(ruleset, rng, has_hop_limit);
    if (!rule) {
        return false;
    }
    rule->hop_limit = -1;
    return true;
}

static bool flip_nomatch(struct ruleset *ruleset, struct rng *rng)
{
    struct table *table = &ruleset->tables[rng_below(rng, FAMILY_COUNT)];
    for (size_t i = 0; i < table->n_sets; i++) {
        struct set *set = (struct set *)(uintptr_t)&table->sets[i];
        if (set->type != SET_HASH_NET || set->n_members == 0 || rng_chance(rng, 50)) {
            continue;
        }
        struct set_member *members = copy_of(ruleset, set->members, set->n_members * sizeof(*members));
        struct set_member *member = &members[rng_below(rng, set->n_members)];
        member->nomatch = !member->nomatch;
        set->members = members;
        return true;
    }
    return false;
}

const struct verify_fault verify_faults[VERIFY_FAULTS] = {
    {"a set lost a member", drop_member},
    {"a rule is missing", drop_rule},
    {"a port range is one longer", change_port},
    {"SCTP for TCP", change_protocol},
    {"a return for a goto or a drop", return_early},
    {"a goto for a jump", goto_for_jump},
    {"a hook is missing", drop_hook},
    {"a destination is a bit wider", widen_destination},
    {"a set is matched at the other end", flip_direction},
    {"a conntrack match is forgotten", forget_ct},
    {"a hop limit is forgotten", forget_hop_limit},
    {"a nomatch is turned over", flip_nomatch},
};
