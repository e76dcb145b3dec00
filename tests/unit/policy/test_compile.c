// SPDX-License-Identifier: Apache-2.0
//
// What every compiled ruleset must be, whatever it means: complete, reachable, within the kernel's limits. What the
// rules mean is proved against the evaluator in tests/property, and read in tests/golden.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/limits.h"
#include "policy/compile.h"
#include "policy/names.h"
#include "ruleset/render.h"
#include "ruleset/simulate.h"
#include "support/random_state.h"

// ---- form ----------------------------------------------------------------------------------------------------------

static void assert_set(enum family family, const struct set *set)
{
    assert_in_range(strlen(set->name), 1, LIMIT_SET_NAME);
    assert_memory_equal(set->name, family == FAMILY_V4 ? RULESET_SET_PREFIX_V4 : RULESET_SET_PREFIX_V6, 4);
    for (size_t i = 0; i < set->n_members; i++) {
        const struct set_member *member = &set->members[i];
        assert_int_equal(member->prefix.address.family, family);
        assert_true(i == 0 || set_member_compare(&set->members[i - 1], member) < 0);
        assert_true(i == 0 || !set_member_same_key(&set->members[i - 1], member));
        switch (set->type) {
        case SET_HASH_IP:
            assert_int_equal(member->prefix.length, family_bits(family));
            assert_true(!member->nomatch && member->protocol == 0 && member->port == 0);
            break;
        case SET_HASH_NET:
            assert_in_range(member->prefix.length, 1, family_bits(family));
            break;
        case SET_HASH_IP_PORT:
            assert_int_equal(member->prefix.length, family_bits(family));
            assert_true(!member->nomatch && member->protocol != 0);
            break;
        }
    }
}

static size_t slots(const struct rule *rule)
{
    size_t n = 0;
    for (size_t i = 0; i < rule->n_ports; i++) {
        assert_true(rule->ports[i].first <= rule->ports[i].last);
        n += rule->ports[i].first == rule->ports[i].last ? 1 : 2;
    }
    return n;
}

static void assert_rule(enum family family, const struct table *table, const struct rule *rule)
{
    bool goes = rule->target == TARGET_JUMP || rule->target == TARGET_GOTO;
    assert_true(goes == (rule->chain != NULL));
    assert_true(!goes || table_chain(table, rule->chain));
    assert_true(!rule->set || table_set(table, rule->set));
    assert_true(!rule->has_source || rule->source.address.family == family);
    assert_true(!rule->has_destination || rule->destination.address.family == family);
    assert_true(rule->n_ports == 0 || rule->protocol != 0);
    assert_in_range(slots(rule), 0, LIMIT_MULTIPORT);
    assert_true(!rule->comment || strlen(rule->comment) <= LIMIT_COMMENT);
    assert_int_not_equal(rule->target, TARGET_NONE);
}

enum { MAX_NAMES = 4096 };

struct names {
    const char *v[MAX_NAMES];
    size_t n;
};

static bool names_add(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->v[i], name) == 0) {
            return false;
        }
    }
    assert_true(names->n < MAX_NAMES);
    names->v[names->n++] = name;
    return true;
}

static void visit(const struct table *table, const struct rule *rule, struct names *chains, struct names *sets)
{
    if (rule->set) {
        (void)names_add(sets, rule->set);
    }
    if (!rule->chain || !names_add(chains, rule->chain)) {
        return;
    }
    const struct chain *chain = table_chain(table, rule->chain);
    for (size_t i = 0; i < chain->n_rules; i++) {
        visit(table, &chain->rules[i], chains, sets);
    }
}

// Every chain and set is there and used, sorted, and named within the kernel's limits.
static void assert_table(enum family family, const struct table *table)
{
    static struct names chains;
    static struct names sets;
    chains.n = sets.n = 0;
    for (size_t i = 0; i < table->n_hooks; i++) {
        assert_rule(family, table, &table->hooks[i].rule);
        // Tunnel packets are judged in established flows too, in front of what lets these pass.
        bool tunnels = strcmp(table->hooks[i].rule.chain, NAMES_ENCAP) == 0;
        assert_int_equal(table->hooks[i].rule.ct_states, tunnels ? 0 : CT_ESTABLISHED);
        visit(table, &table->hooks[i].rule, &chains, &sets);
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        const struct chain *chain = &table->chains[i];
        assert_in_range(strlen(chain->name), 1, LIMIT_CHAIN_NAME);
        assert_memory_equal(chain->name, RULESET_CHAIN_PREFIX, strlen(RULESET_CHAIN_PREFIX));
        assert_true(i == 0 || strcmp(table->chains[i - 1].name, chain->name) < 0);
        assert_true(chain->n_rules > 0);
        for (size_t j = 0; j < chain->n_rules; j++) {
            assert_rule(family, table, &chain->rules[j]);
        }
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        assert_true(i == 0 || strcmp(table->sets[i - 1].name, table->sets[i].name) < 0);
        assert_set(family, &table->sets[i]);
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        if (names_add(&chains, table->chains[i].name)) {
            fail_msg("nothing leads to %s", table->chains[i].name);
        }
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        if (names_add(&sets, table->sets[i].name)) {
            fail_msg("nothing uses %s", table->sets[i].name);
        }
    }
}

static void rulesets_are_well_formed(void **unused)
{
    (void)unused;
    uint64_t seed = rng_seed("rulesets_are_well_formed");
    size_t rounds = rng_iterations(300);
    for (size_t i = 0; i < rounds; i++) {
        RANDOM_CLUSTER_CLEANUP struct random_cluster cluster = {0};
        random_cluster_make(&cluster, seed + i);
        CLEANUP(state_free) struct state *state = random_cluster_state(&cluster);
        CLEANUP(facts_free) struct facts *facts = rng_chance(&cluster.rng, 70) ? random_facts(&cluster.rng) : NULL;
        struct policy_options options = {.denied = i % 2 ? DENIED_REJECT : DENIED_DROP,
                                         .allowed = i % 3 ? ALLOWED_RETURN : ALLOWED_ACCEPT,
                                         .host_egress_allowed = i % 5 == 0};
        for (size_t node = 0; node < RANDOM_NODES; node++) {
            CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
            struct compile_stats stats;
            assert_int_equal(compile_ruleset(state, random_nodes[node], facts, &options, &ruleset, &stats, NULL), 0);
            for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
                assert_table(family, &ruleset->tables[family]);
            }
            assert_true(stats.enforced_pods <= stats.local_pods);
            assert_true(stats.active_policies <= state_count(state, OBJECT_POLICY));
        }
    }
}

// ---- states by hand ------------------------------------------------------------------------------------------------

static struct object_meta meta(const char *ns, const char *name, const struct labels *labels)
{
    return (struct object_meta){.ns = ns,
                                .name = name,
                                .uid = "",
                                .resource_version = "",
                                .created = "",
                                .labels = labels ? *labels : (struct labels){0},
                                .origin = {.file = ""}};
}

static void add_pod(struct state *state, const char *ns, const char *name, const char *node,
                    const struct address *addresses, size_t n)
{
    struct pod pod = {
        .meta = meta(ns, name, NULL), .node = node, .phase = POD_RUNNING, .addresses = addresses, .n_addresses = n};
    assert_int_equal(state_put_pod(state, pod_dup(&pod), NULL), STATE_ADDED);
}

static void add_deny(struct state *state, const char *ns, const char *name)
{
    struct policy policy = {.meta = meta(ns, name, NULL), .isolates = {true, true}};
    assert_int_equal(state_put_policy(state, policy_dup(&policy), NULL), STATE_ADDED);
}

static struct state *empty_state(void)
{
    struct state *state = NULL;
    assert_int_equal(state_new(&state, NULL), 0);
    return state;
}

static struct ruleset *compile(struct state *state, const char *node, struct compile_stats *stats)
{
    struct policy_options options = {0};
    struct ruleset *ruleset = NULL;
    assert_int_equal(compile_ruleset(state, node, NULL, &options, &ruleset, stats, NULL), 0);
    return ruleset;
}

static struct address v4(unsigned number)
{
    return (struct address){.family = FAMILY_V4, .bytes = {10, 244, (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct address v6(unsigned number)
{
    struct address address = {.family = FAMILY_V6, .bytes = {0xfd, 0x24}};
    address.bytes[14] = (uint8_t)(number >> 8);
    address.bytes[15] = (uint8_t)number;
    return address;
}

static bool passes(const struct ruleset *ruleset, const struct address *from, const struct address *to)
{
    struct packet packet = {.source = *from, .destination = *to, .protocol = PROTOCOL_TCP, .port = 80};
    enum simulate_verdict verdict;
    assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, NULL), 0);
    return verdict == SIMULATE_PASS;
}

static size_t deepest(const struct table *table, const char *name, const char *prefix)
{
    size_t below = 0;
    const struct chain *chain = table_chain(table, name);
    assert_in_range(chain->n_rules, 1, 8);
    for (size_t i = 0; i < chain->n_rules; i++) {
        if (strncmp(chain->rules[i].chain, prefix, strlen(prefix)) == 0) {
            size_t deep = deepest(table, chain->rules[i].chain, prefix);
            below = deep > below ? deep : below;
        }
    }
    return below + 1;
}

// 500 scattered addresses: each meets its own chain, every other passes, no node has more than eight rules.
static void trees_find_every_pod_and_nothing_else(void **unused)
{
    (void)unused;
    enum { PODS = 500, STEP = 13, RANGE = PODS * STEP };
    CLEANUP(state_free) struct state *state = empty_state();
    for (unsigned i = 0; i < PODS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%u", i);
        struct address addresses[] = {v4(i * STEP), v6(i * STEP)};
        add_pod(state, "x", name, "n1", addresses, 2);
    }
    add_deny(state, "x", "deny");
    CLEANUP(ruleset_free) struct ruleset *ruleset = compile(state, "n1", NULL);
    struct address outside[] = {{.family = FAMILY_V4, .bytes = {192, 0, 2, 1}}, {.family = FAMILY_V6, .bytes = {0x20}}};
    for (unsigned i = 0; i < RANGE + 100; i++) {
        struct address addresses[] = {v4(i), v6(i)};
        for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
            bool enforced = i % STEP == 0 && i < RANGE;
            assert_int_equal(passes(ruleset, &addresses[family], &outside[family]), !enforced);
            assert_int_equal(passes(ruleset, &outside[family], &addresses[family]), !enforced);
        }
    }
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        assert_in_range(deepest(&ruleset->tables[family], "NETPOL-FE", "NETPOL-FE-"), 3, 6);
        assert_in_range(deepest(&ruleset->tables[family], "NETPOL-FI", "NETPOL-FI-"), 3, 6);
        assert_table(family, &ruleset->tables[family]);
    }
}

static size_t count_chains(const struct table *table, const char *prefix)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_chains; i++) {
        n += strncmp(table->chains[i].name, prefix, strlen(prefix)) == 0;
    }
    return n;
}

static void equal_pods_share_their_policy_chain(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = empty_state();
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%u", i);
        add_pod(state, "x", name, "n1", &(struct address){.family = FAMILY_V4, .bytes = {10, 1, 0, (uint8_t)(i + 1)}},
                1);
    }
    add_deny(state, "x", "deny");
    CLEANUP(ruleset_free) struct ruleset *ruleset = compile(state, "n1", NULL);
    assert_int_equal(count_chains(&ruleset->tables[FAMILY_V4], "NETPOL-P-"), 1);
    assert_int_equal(count_chains(&ruleset->tables[FAMILY_V4], "NETPOL-E-"), 100);
    assert_int_equal(ruleset->tables[FAMILY_V6].n_chains, 0);
}

static void stats_count_what_is_enforced(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = empty_state();
    struct address a = v4(1);
    struct address b = v4(2);
    add_pod(state, "x", "a", "n1", &a, 1);
    add_pod(state, "y", "b", "n1", &b, 1);
    add_pod(state, "x", "waiting", "n1", NULL, 0);
    add_pod(state, "x", "c", "n2", NULL, 0);
    add_pod(state, "x", "unscheduled", "", NULL, 0);
    add_deny(state, "x", "deny");
    add_deny(state, "z", "deny");
    struct policy bad = {.meta = meta("z", "bad", NULL), .unenforceable = true};
    assert_int_equal(state_put_policy(state, policy_dup(&bad), NULL), STATE_ADDED);
    struct compile_stats stats;
    CLEANUP(ruleset_free) struct ruleset *ruleset = compile(state, "n1", &stats);
    assert_int_equal(ruleset->tables[FAMILY_V4].n_hooks, 2);
    assert_int_equal(stats.local_pods, 3);
    assert_int_equal(stats.enforced_pods, 1);
    assert_int_equal(stats.active_policies, 1);
    assert_int_equal(stats.unenforceable, 1);
    CLEANUP(ruleset_free) struct ruleset *nowhere = compile(state, "", &stats);
    assert_int_equal(stats.local_pods, 0);
    CLEANUP(ruleset_free) struct ruleset *elsewhere = compile(state, "n3", &stats);
    assert_true(ruleset_equal(nowhere, elsewhere));
    assert_int_equal(nowhere->tables[FAMILY_V4].n_hooks, 0);
}

// A pod with two addresses of one family: both are found, and both may hairpin.
static void every_address_of_a_pod_is_enforced(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = empty_state();
    struct address addresses[] = {v4(1), v4(77)};
    struct address other = v4(99);
    add_pod(state, "x", "a", "n1", addresses, 2);
    add_deny(state, "x", "deny");
    CLEANUP(ruleset_free) struct ruleset *ruleset = compile(state, "n1", NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_false(passes(ruleset, &addresses[i], &other));
        assert_false(passes(ruleset, &other, &addresses[i]));
        struct packet packet = {.source = addresses[i], .destination = addresses[i], .protocol = PROTOCOL_TCP};
        enum simulate_verdict verdict;
        packet.dnat = true;
        assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, NULL), 0);
        assert_int_equal(verdict, SIMULATE_PASS);
        packet.dnat = false;
        assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, NULL), 0);
        assert_int_equal(verdict, SIMULATE_DROP);
    }
}

static const struct set *only_set(const struct ruleset *ruleset)
{
    assert_int_equal(ruleset->tables[FAMILY_V4].n_sets, 1);
    return &ruleset->tables[FAMILY_V4].sets[0];
}

// A remote pod's event changes members and nothing else: not one chain, not one name.
static void membership_changes_no_chain(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = empty_state();
    struct address a = v4(1);
    struct address b = v4(2);
    add_pod(state, "x", "a", "n1", &a, 1);
    struct peer peer = {.kind = PEER_PODS, .has_ns_selector = true};
    struct policy_port ports[] = {{.kind = PORT_NAME, .protocol = PROTOCOL_TCP, .name = "http"}};
    struct policy_rule rule = {.peers = &peer, .n_peers = 1, .ports = ports, .n_ports = 1};
    struct policy policy = {
        .meta = meta("x", "p", NULL), .isolates = {false, true}, .rules = {NULL, &rule}, .n_rules = {0, 1}};
    assert_int_equal(state_put_policy(state, policy_dup(&policy), NULL), STATE_ADDED);
    CLEANUP(ruleset_free) struct ruleset *before = compile(state, "n1", NULL);
    assert_int_equal(only_set(before)->n_members, 0);
    struct named_port http = {.name = "http", .protocol = PROTOCOL_TCP, .number = 8080};
    struct pod remote = {.meta = meta("y", "b", NULL),
                         .node = "n2",
                         .phase = POD_RUNNING,
                         .addresses = &b,
                         .n_addresses = 1,
                         .ports = &http,
                         .n_ports = 1};
    assert_int_equal(state_put_pod(state, pod_dup(&remote), NULL), STATE_ADDED);
    CLEANUP(ruleset_free) struct ruleset *after = compile(state, "n1", NULL);
    assert_int_equal(only_set(after)->n_members, 1);
    assert_string_equal(only_set(before)->name, only_set(after)->name);
    assert_int_equal(before->tables[FAMILY_V4].n_chains, after->tables[FAMILY_V4].n_chains);
    for (size_t i = 0; i < after->tables[FAMILY_V4].n_chains; i++) {
        assert_true(chain_equal(&before->tables[FAMILY_V4].chains[i], &after->tables[FAMILY_V4].chains[i]));
    }
}

// Text of tenants that reaches comments and descriptions must not end a line of the rendered form.
static void no_tenant_writes_rules(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = empty_state();
    struct address a = v4(1);
    add_pod(state, "x", "a\"\n-A FORWARD -j ACCEPT", "n1", &a, 1);
    const char *const values[] = {"v\nadd NP4-X 10.0.0.1"};
    struct requirement requirement = {.key = "k\n", .op = SELECTOR_IN, .values = values, .n_values = 1};
    struct peer peer = {.kind = PEER_PODS, .has_pod_selector = true, .pod_selector = {.v = &requirement, .n = 1}};
    struct policy_rule rule = {.peers = &peer, .n_peers = 1, .any_port = true};
    struct policy policy = {
        .meta = meta("x", "p\nCOMMIT", NULL), .isolates = {true, false}, .rules = {&rule, NULL}, .n_rules = {1, 0}};
    assert_int_equal(state_put_policy(state, policy_dup(&policy), NULL), STATE_ADDED);
    CLEANUP(ruleset_free) struct ruleset *ruleset = compile(state, "n1", NULL);
    assert_null(strchr(only_set(ruleset)->describe, '\n'));
    BUF_CLEANUP struct buf out = {0};
    render_restore(ruleset, &out);
    assert_null(strstr(out.data, "\n-A FORWARD"));
    assert_null(strstr(out.data, "\nadd NP4-X"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rulesets_are_well_formed),
        cmocka_unit_test(trees_find_every_pod_and_nothing_else),
        cmocka_unit_test(equal_pods_share_their_policy_chain),
        cmocka_unit_test(stats_count_what_is_enforced),
        cmocka_unit_test(every_address_of_a_pod_is_enforced),
        cmocka_unit_test(membership_changes_no_chain),
        cmocka_unit_test(no_tenant_writes_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
