// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_reach.h"

enum { NONE = UINT32_MAX };

struct reach_rule {
    const struct rule *rule;
    uint32_t ends[VERIFY_SIDES];        // prefix tests, or NONE
    uint32_t set;                       // set test, or NONE
    uint32_t chain;                     // target of a jump, or NONE
    bool final;                         // no packet that matches comes back
    uint32_t names[VERIFY_DIMENSIONS];  // numbers, or NONE
    // Of rules in a row that differ in one name alone, as they do in a list of ports, it makes no difference which of
    // them matches: they have one run.
    uint32_t runs[VERIFY_DIMENSIONS];
};

struct reach_chain {
    struct reach_rule *rules;
    size_t n;
};

struct verify_reach {
    struct verify_space *space;
    const struct table *table;
    struct reach_chain *chains;  // as in the table
    struct reach_rule *hooks;
    uint32_t runs;
    // Of one walk: chains entered, tests gathered (by round), chains to go.
    uint32_t round;
    uint32_t *entered;
    uint32_t *gathered[VERIFY_SIDES];
    VEC(uint32_t) todo;
};

struct verify_known verify_known_init(enum arrival arrival)
{
    return (struct verify_known){
        .arrival = arrival,
        .protocol = VERIFY_ANY,
        .ct = VERIFY_ANY,
        .icmp_type = VERIFY_ANY,
        .hop_limit = VERIFY_ANY,
        .source_is_node = VERIFY_ANY,
    };
}

void verify_tests_free(struct verify_tests *tests)
{
    for (size_t i = 0; i < VERIFY_SIDES; i++) {
        vec_free(&tests->addresses[i]);
    }
    for (size_t i = 0; i < VERIFY_DIMENSIONS; i++) {
        vec_free(&tests->names[i]);
    }
    vec_free(&tests->marks);
    vec_free(&tests->ports);
}

// ---- rules with their tests numbered -------------------------------------------------------------------------------

static int number_end(struct verify_space *space, bool present, const struct prefix *prefix, uint32_t *ret,
                      struct err *err)
{
    *ret = NONE;
    return present ? verify_test_prefix(space, prefix, ret, err) : 0;
}

static const char *name_of(const struct rule *rule, enum verify_dimension dimension)
{
    switch (dimension) {
    case VERIFY_IN:
        return rule->in;
    case VERIFY_OUT:
        return rule->out;
    case VERIFY_PORT_IN:
        return rule->physdev_in;
    case VERIFY_PORT_OUT:
        return rule->physdev_out;
    }
    return "";
}

static bool differ_in_name_alone(const struct rule *a, const struct rule *b, enum verify_dimension dimension)
{
    struct rule other = *b;
    memcpy((char *)(uintptr_t)name_of(&other, dimension), name_of(a, dimension), PACKET_IFACE);
    return *name_of(b, dimension) && rule_equal(a, &other);
}

// before: the rule in front of it in its chain, or NULL.
static int number_names(struct verify_reach *reach, const struct reach_rule *before, struct reach_rule *rule,
                        struct err *err)
{
    for (enum verify_dimension d = VERIFY_IN; d <= VERIFY_PORT_OUT; d++) {
        rule->names[d] = NONE;
        if (!*name_of(rule->rule, d)) {
            continue;
        }
        if (verify_names_number(reach->space->names, name_of(rule->rule, d), &rule->names[d], err) < 0) {
            return -1;
        }
        bool same = before && before->names[d] != NONE && differ_in_name_alone(before->rule, rule->rule, d);
        rule->runs[d] = same ? before->runs[d] : ++reach->runs;
    }
    return 0;
}

static bool is_verdict(enum rule_target target)
{
    return target == TARGET_ACCEPT || target == TARGET_DROP || target == TARGET_REJECT;
}

// Whether every packet that enters the chain ends there.
static bool is_final(const struct chain *chain)
{
    struct rule any = rule_init();
    for (size_t i = 0; chain && i < chain->n_rules && is_verdict(chain->rules[i].target); i++) {
        any.target = chain->rules[i].target;
        any.comment = chain->rules[i].comment;
        if (rule_equal(&any, &chain->rules[i])) {
            return true;
        }
    }
    return false;
}

static int number_rule(struct verify_reach *reach, const struct rule *rule, struct reach_rule *ret, struct err *err)
{
    struct verify_space *space = reach->space;
    *ret = (struct reach_rule){.rule = rule, .set = NONE, .chain = NONE};
    if (number_end(space, rule_has_source(rule), &rule->source, &ret->ends[VERIFY_SOURCE], err) < 0 ||
        number_end(space, rule_has_destination(rule), &rule->destination, &ret->ends[VERIFY_DESTINATION], err) < 0) {
        return -1;
    }
    const struct set *set = rule->set ? table_set(reach->table, rule->set) : NULL;
    if (set && verify_test_set(space, set, &ret->set, err) < 0) {
        return -1;
    }
    const struct chain *chain = rule->chain ? table_chain(reach->table, rule->chain) : NULL;
    if (chain) {
        ret->chain = (uint32_t)(chain - reach->table->chains);
    }
    ret->final = is_final(chain);
    return 0;
}

static int number_rules(struct verify_reach *reach, struct err *err)
{
    const struct table *table = reach->table;
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (number_rule(reach, &table->hooks[i].rule, &reach->hooks[i], err) < 0 ||
            number_names(reach, NULL, &reach->hooks[i], err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        const struct chain *chain = &table->chains[i];
        struct reach_chain *to = &reach->chains[i];
        to->rules = calloc(chain->n_rules + 1, sizeof(*to->rules));
        if (!to->rules) {
            return err_oom(err);
        }
        to->n = chain->n_rules;
        for (size_t j = 0; j < chain->n_rules; j++) {
            if (number_rule(reach, &chain->rules[j], &to->rules[j], err) < 0 ||
                number_names(reach, j ? &to->rules[j - 1] : NULL, &to->rules[j], err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int verify_reach_new(struct verify_space *space, struct verify_reach **ret, struct err *err)
{
    CLEANUP(verify_reach_free) struct verify_reach *reach = calloc(1, sizeof(*reach));
    if (!reach) {
        return err_oom(err);
    }
    reach->space = space;
    reach->table = &space->input->ruleset->tables[space->family];
    reach->chains = calloc(reach->table->n_chains + 1, sizeof(*reach->chains));
    reach->hooks = calloc(reach->table->n_hooks + 1, sizeof(*reach->hooks));
    reach->entered = calloc(reach->table->n_chains + 1, sizeof(*reach->entered));
    if (!reach->chains || !reach->hooks || !reach->entered) {
        return err_oom(err);
    }
    if (number_rules(reach, err) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < space->tests.n; i++) {
        if (verify_test_answer(space, i, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < VERIFY_SIDES; i++) {
        reach->gathered[i] = calloc(space->tests.n + 1, sizeof(*reach->gathered[i]));
        if (!reach->gathered[i]) {
            return err_oom(err);
        }
    }
    *ret = TAKE(reach);
    return 0;
}

void verify_reach_free(struct verify_reach *reach)
{
    if (!reach) {
        return;
    }
    for (size_t i = 0; reach->chains && i < reach->table->n_chains; i++) {
        free(reach->chains[i].rules);
    }
    free(reach->chains);
    free(reach->hooks);
    free(reach->entered);
    for (size_t i = 0; i < VERIFY_SIDES; i++) {
        free(reach->gathered[i]);
    }
    vec_free(&reach->todo);
    free(reach);
}

void verify_reach_protocols(const struct verify_reach *reach, bool ret[256])
{
    for (size_t i = 0; i < reach->table->n_hooks; i++) {
        ret[reach->hooks[i].rule->protocol] = true;
    }
    for (size_t i = 0; i < reach->table->n_chains; i++) {
        for (size_t j = 0; j < reach->chains[i].n; j++) {
            ret[reach->chains[i].rules[j].rule->protocol] = true;
        }
    }
}

// ---- one walk ------------------------------------------------------------------------------------------------------

enum answer { ANSWER_NO, ANSWER_OPEN, ANSWER_YES };

static enum answer both(enum answer a, enum answer b)
{
    return a < b ? a : b;
}

static enum answer known_or_open(bool known, bool matches)
{
    return !known ? ANSWER_OPEN : matches ? ANSWER_YES : ANSWER_NO;
}

static enum answer ask_end(const struct verify_reach *reach, const struct verify_known *known, enum verify_side side,
                           uint32_t test)
{
    if (test == NONE) {
        return ANSWER_YES;
    }
    return known_or_open(known->ends[side].knowledge != VERIFY_OPEN,
                         verify_test_value(reach->space, test, known->ends[side].cell) != 0);
}

static enum verify_side set_side(const struct rule *rule)
{
    return rule->set_direction == SET_SRC ? VERIFY_SOURCE : VERIFY_DESTINATION;
}

// The member at which those of an address begin.
static size_t first_member(const struct set *set, const struct address *address)
{
    size_t low = 0;
    size_t high = set->n_members;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (address_compare(&set->members[mid].prefix.address, address) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

// The ports that a hash:ip,port set holds of a known address for a known protocol: appended to ports (may be NULL).
static int set_ports(const struct verify_reach *reach, const struct set *set, const struct verify_known *known,
                     uint32_t cell, struct verify_tests *to, bool *ret_some, struct err *err)
{
    const struct address *address = &reach->space->cells[cell].first;
    *ret_some = false;
    for (size_t i = first_member(set, address);
         i < set->n_members && address_equal(&set->members[i].prefix.address, address); i++) {
        const struct set_member *member = &set->members[i];
        if (known->protocol != VERIFY_ANY && known->protocol != member->protocol) {
            continue;
        }
        *ret_some = true;
        if (to && vec_push(&to->ports, (struct port_range){member->port, member->port}) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static enum answer ask_set(const struct verify_reach *reach, const struct verify_known *known,
                           const struct reach_rule *rule)
{
    if (rule->set == NONE) {
        // A set that does not exist: the simulator will say so.
        return rule->rule->set ? ANSWER_OPEN : ANSWER_YES;
    }
    enum verify_side side = set_side(rule->rule);
    const struct set *set = reach->space->tests.v[rule->set].set;
    uint32_t cell = known->ends[side].cell;
    if (known->ends[side].knowledge != VERIFY_KNOWN) {
        return ANSWER_OPEN;
    }
    if (set->type != SET_HASH_IP_PORT) {
        return verify_test_value(reach->space, rule->set, cell) ? ANSWER_YES : ANSWER_NO;
    }
    bool some;
    (void)set_ports(reach, set, known, cell, NULL, &some, NULL);
    return some ? ANSWER_OPEN : ANSWER_NO;
}

static enum answer ask_ct(const struct rule *rule, const struct verify_known *known)
{
    if (!rule->ct_states) {
        return ANSWER_YES;
    }
    bool states = known->ct != VERIFY_ANY && (rule->ct_states & known->ct) != 0;
    if (rule->ct_states & RULE_CT_DNAT) {
        // Whether the flow is translated is open; a state that matches settles it all the same.
        return states ? (rule->ct_invert ? ANSWER_NO : ANSWER_YES) : ANSWER_OPEN;
    }
    return known_or_open(known->ct != VERIFY_ANY, states != rule->ct_invert);
}

static enum answer ask_icmp(const struct verify_reach *reach, const struct rule *rule, const struct verify_known *known)
{
    enum { ICMP_ANY = 255 };
    if (rule->icmp_type < 0 || (reach->space->family == FAMILY_V4 && rule->icmp_type == ICMP_ANY)) {
        return ANSWER_YES;
    }
    return known_or_open(known->icmp_type != VERIFY_ANY, known->icmp_type == rule->icmp_type);
}

static enum answer ask_rule(const struct verify_reach *reach, const struct verify_known *known,
                            const struct reach_rule *reach_rule)
{
    const struct rule *rule = reach_rule->rule;
    enum answer answer = ANSWER_YES;
    if (rule->protocol) {
        answer = known_or_open(known->protocol != VERIFY_ANY, known->protocol == rule->protocol);
    }
    if (*rule->in || *rule->out || *rule->physdev_in || *rule->physdev_out || rule->connmark_mask || rule->n_ports) {
        answer = both(answer, ANSWER_OPEN);
    }
    answer = both(answer, ask_end(reach, known, VERIFY_SOURCE, reach_rule->ends[VERIFY_SOURCE]));
    answer = both(answer, ask_end(reach, known, VERIFY_DESTINATION, reach_rule->ends[VERIFY_DESTINATION]));
    answer = both(answer, ask_ct(rule, known));
    answer = both(answer, ask_icmp(reach, rule, known));
    if (rule->hop_limit >= 0) {
        answer = both(answer, known_or_open(known->hop_limit != VERIFY_ANY, known->hop_limit == rule->hop_limit));
    }
    if (rule->source_local) {
        answer = both(answer, known_or_open(known->source_is_node != VERIFY_ANY, known->source_is_node == 1));
    }
    return answer == ANSWER_NO ? ANSWER_NO : both(answer, ask_set(reach, known, reach_rule));
}

static int gather_address(struct verify_reach *reach, enum verify_side side, uint32_t test, struct verify_tests *to,
                          struct err *err)
{
    if (reach->gathered[side][test] == reach->round) {
        return 0;
    }
    reach->gathered[side][test] = reach->round;
    return vec_push(&to->addresses[side], test) < 0 ? err_oom(err) : 0;
}

static int gather_set(struct verify_reach *reach, const struct verify_known *known, const struct reach_rule *rule,
                      struct verify_tests *to, struct err *err)
{
    if (rule->set == NONE) {
        return 0;
    }
    enum verify_side side = set_side(rule->rule);
    const struct set *set = reach->space->tests.v[rule->set].set;
    if (known->ends[side].knowledge != VERIFY_KNOWN) {
        return gather_address(reach, side, rule->set, to, err);
    }
    bool some;
    return set->type == SET_HASH_IP_PORT ? set_ports(reach, set, known, known->ends[side].cell, to, &some, err) : 0;
}

static void gather_plain(const struct rule *rule, const struct verify_known *known, struct verify_tests *to)
{
    if (rule->protocol && known->protocol == VERIFY_ANY) {
        to->protocols[rule->protocol] = true;
    }
    if (rule->ct_states && known->ct == VERIFY_ANY) {
        to->ct_masks[rule->ct_states & 31] = true;
    }
    to->dnat = to->dnat || (rule->ct_states & RULE_CT_DNAT);
    if (rule->icmp_type >= 0 && known->icmp_type == VERIFY_ANY) {
        to->icmp_types[rule->icmp_type & 255] = true;
    }
    if (rule->hop_limit >= 0 && known->hop_limit == VERIFY_ANY) {
        to->hop_limits[rule->hop_limit & 255] = true;
    }
    to->source_is_node = to->source_is_node || (rule->source_local && known->source_is_node == VERIFY_ANY);
}

static int gather(struct verify_reach *reach, const struct verify_known *known, const struct reach_rule *reach_rule,
                  struct verify_tests *to, struct err *err)
{
    const struct rule *rule = reach_rule->rule;
    gather_plain(rule, known, to);
    for (enum verify_side side = VERIFY_SOURCE; side <= VERIFY_DESTINATION; side++) {
        if (reach_rule->ends[side] != NONE && known->ends[side].knowledge == VERIFY_OPEN &&
            gather_address(reach, side, reach_rule->ends[side], to, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        if (vec_push(&to->ports, rule->ports[i]) < 0) {
            return err_oom(err);
        }
    }
    for (size_t d = 0; known->names && d < VERIFY_DIMENSIONS; d++) {
        if (reach_rule->names[d] != NONE) {
            to->names[d].v[reach_rule->names[d]] += verify_names_mix(UINT64_C(1) << 32 | reach_rule->runs[d]);
        }
    }
    if (known->names && rule->connmark_mask &&
        vec_push(&to->marks, (struct verify_mark){.value = rule->connmark, .mask = rule->connmark_mask}) < 0) {
        return err_oom(err);
    }
    return gather_set(reach, known, reach_rule, to, err);
}

static bool ends_chain(enum rule_target target)
{
    switch (target) {
    case TARGET_NONE:
    case TARGET_JUMP:
        return false;
    case TARGET_RETURN:
    case TARGET_ACCEPT:
    case TARGET_DROP:
    case TARGET_REJECT:
    case TARGET_GOTO:
        return true;
    }
    return false;
}

// One rule: its open tests are gathered and the chain behind it is to be entered. *ret_end: no packet comes further.
static int walk_rule(struct verify_reach *reach, const struct verify_known *known, const struct reach_rule *rule,
                     struct verify_tests *to, bool *ret_end, struct err *err)
{
    *ret_end = false;
    enum answer answer = ask_rule(reach, known, rule);
    if (answer == ANSWER_NO) {
        return 0;
    }
    if (answer == ANSWER_OPEN && gather(reach, known, rule, to, err) < 0) {
        return -1;
    }
    if (rule->chain != NONE && reach->entered[rule->chain] != reach->round) {
        reach->entered[rule->chain] = reach->round;
        if (vec_push(&reach->todo, rule->chain) < 0) {
            return err_oom(err);
        }
    }
    *ret_end = answer == ANSWER_YES && (rule->final || ends_chain(rule->rule->target));
    return 0;
}

static int walk_rules(struct verify_reach *reach, const struct verify_known *known, const struct reach_rule *rules,
                      size_t n, struct verify_tests *to, struct err *err)
{
    bool end = false;
    for (size_t i = 0; i < n && !end; i++) {
        if (walk_rule(reach, known, &rules[i], to, &end, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static const char *builtin_of(enum arrival arrival)
{
    switch (arrival) {
    case ARRIVAL_FORWARD:
        return "FORWARD";
    case ARRIVAL_TO_NODE:
        return "INPUT";
    case ARRIVAL_FROM_NODE:
        return "OUTPUT";
    }
    return "";
}

static void empty(struct verify_tests *tests)
{
    struct verify_tests kept = *tests;
    memset(tests, 0, sizeof(*tests));
    for (size_t i = 0; i < VERIFY_SIDES; i++) {
        tests->addresses[i].v = kept.addresses[i].v;
        tests->addresses[i].cap = kept.addresses[i].cap;
    }
    for (size_t i = 0; i < VERIFY_DIMENSIONS; i++) {
        tests->names[i].v = kept.names[i].v;
        tests->names[i].cap = kept.names[i].cap;
    }
    tests->marks.v = kept.marks.v;
    tests->marks.cap = kept.marks.cap;
    tests->ports.v = kept.ports.v;
    tests->ports.cap = kept.ports.cap;
}

static int clear_names(size_t n, struct verify_tests *tests)
{
    for (size_t i = 0; i < VERIFY_DIMENSIONS; i++) {
        if (vec_reserve(&tests->names[i], n) < 0) {
            return -1;
        }
        memset(tests->names[i].v, 0, n * sizeof(*tests->names[i].v));
        tests->names[i].n = n;
    }
    return 0;
}

int verify_reach_tests(struct verify_reach *reach, const struct verify_known *known, struct verify_tests *ret,
                       struct err *err)
{
    empty(ret);
    if (known->names && clear_names(reach->space->names->n, ret) < 0) {
        return err_oom(err);
    }
    reach->round++;
    reach->todo.n = 0;
    const char *builtin = builtin_of(known->arrival);
    for (size_t i = 0; i < reach->table->n_hooks; i++) {
        bool end;
        if (strcmp(reach->table->hooks[i].builtin, builtin) == 0 &&
            walk_rule(reach, known, &reach->hooks[i], ret, &end, err) < 0) {
            return -1;
        }
    }
    while (reach->todo.n > 0) {
        const struct reach_chain *chain = &reach->chains[reach->todo.v[--reach->todo.n]];
        if (walk_rules(reach, known, chain->rules, chain->n, ret, err) < 0) {
            return -1;
        }
    }
    return 0;
}
