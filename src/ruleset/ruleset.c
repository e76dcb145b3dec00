// SPDX-License-Identifier: Apache-2.0
#include "ruleset/ruleset.h"

#include "base/limits.h"

enum { HASHSIZE_MIN = 64, MEMBERS_PER_BUCKET = 4, MAXELEM_MIN = 65536, MAXELEM_SLACK = 2 };

void ruleset_free(struct ruleset *ruleset)
{
    if (ruleset) {
        for (size_t i = 0; i < ruleset->shared.n; i++) {
            set_members_free(ruleset->shared.v[i]);
        }
        vec_free(&ruleset->shared);
        arena_free(&ruleset->arena);
        free(ruleset);
    }
}

const char *set_type_name(enum set_type type)
{
    switch (type) {
    case SET_HASH_IP:
        return "hash:ip";
    case SET_HASH_NET:
        return "hash:net";
    case SET_HASH_IP_PORT:
        return "hash:ip,port";
    }
    return "?";
}

unsigned set_type_dimensions(enum set_type type)
{
    return type == SET_HASH_IP_PORT ? 2 : 1;
}

const struct chain *table_chain(const struct table *table, const char *name)
{
    size_t low = 0;
    size_t high = table->n_chains;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(table->chains[mid].name, name);
        if (order == 0) {
            return &table->chains[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct set *table_set(const struct table *table, const char *name)
{
    size_t low = 0;
    size_t high = table->n_sets;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(table->sets[mid].name, name);
        if (order == 0) {
            return &table->sets[mid];
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

bool set_member_same_key(const struct set_member *a, const struct set_member *b)
{
    return prefix_compare(&a->prefix, &b->prefix) == 0 && a->protocol == b->protocol && a->port == b->port;
}

int set_member_compare(const struct set_member *a, const struct set_member *b)
{
    int order = prefix_compare(&a->prefix, &b->prefix);
    if (order == 0) {
        order = (a->protocol > b->protocol) - (a->protocol < b->protocol);
    }
    if (order == 0) {
        order = (a->port > b->port) - (a->port < b->port);
    }
    if (order == 0) {
        order = (int)a->nomatch - (int)b->nomatch;
    }
    return order;
}

bool rule_has_source(const struct rule *rule)
{
    return rule->has_source && rule->source.length > 0;
}

bool rule_has_destination(const struct rule *rule)
{
    return rule->has_destination && rule->destination.length > 0;
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool addresses_equal(const struct rule *a, const struct rule *b)
{
    if (rule_has_source(a) != rule_has_source(b) || rule_has_destination(a) != rule_has_destination(b)) {
        return false;
    }
    if (rule_has_source(a) && prefix_compare(&a->source, &b->source) != 0) {
        return false;
    }
    return !rule_has_destination(a) || prefix_compare(&a->destination, &b->destination) == 0;
}

static bool ports_equal(const struct rule *a, const struct rule *b)
{
    if (a->n_ports != b->n_ports) {
        return false;
    }
    for (size_t i = 0; i < a->n_ports; i++) {
        if (a->ports[i].first != b->ports[i].first || a->ports[i].last != b->ports[i].last) {
            return false;
        }
    }
    return true;
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
    // What a rule does not use (ct_invert without states, the direction without a set) makes no difference.
    return addresses_equal(a, b) && strcmp(a->in, b->in) == 0 && strcmp(a->out, b->out) == 0 &&
           strcmp(a->physdev_in, b->physdev_in) == 0 && strcmp(a->physdev_out, b->physdev_out) == 0 &&
           a->connmark_mask == b->connmark_mask && a->connmark == b->connmark && a->protocol == b->protocol &&
           a->icmp_type == b->icmp_type && a->hop_limit == b->hop_limit && a->ct_states == b->ct_states &&
           (a->ct_states == 0 || a->ct_invert == b->ct_invert) && a->source_local == b->source_local &&
           ports_equal(a, b) && text_equal(a->set, b->set) && (!a->set || a->set_direction == b->set_direction) &&
           a->target == b->target && text_equal(a->chain, b->chain) && text_equal(a->comment, b->comment);
}

bool chain_equal(const struct chain *a, const struct chain *b)
{
    if (strcmp(a->name, b->name) != 0 || a->n_rules != b->n_rules) {
        return false;
    }
    for (size_t i = 0; i < a->n_rules; i++) {
        if (!rule_equal(&a->rules[i], &b->rules[i])) {
            return false;
        }
    }
    return true;
}

bool set_equal(const struct set *a, const struct set *b)
{
    if (strcmp(a->name, b->name) != 0 || a->type != b->type || a->n_members != b->n_members) {
        return false;
    }
    for (size_t i = 0; a->members != b->members && i < a->n_members; i++) {
        if (set_member_compare(&a->members[i], &b->members[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool hook_equal(const struct hook *a, const struct hook *b)
{
    return strcmp(a->builtin, b->builtin) == 0 && rule_equal(&a->rule, &b->rule);
}

// The next hook of `builtin` at or behind index i; n_hooks when there is none.
static size_t next_hook(const struct table *table, const char *builtin, size_t i)
{
    while (i < table->n_hooks && strcmp(table->hooks[i].builtin, builtin) != 0) {
        i++;
    }
    return i;
}

static bool builtin_equal(const struct table *a, const struct table *b, const char *builtin)
{
    size_t i = next_hook(a, builtin, 0);
    size_t j = next_hook(b, builtin, 0);
    while (i < a->n_hooks && j < b->n_hooks) {
        if (!rule_equal(&a->hooks[i].rule, &b->hooks[j].rule)) {
            return false;
        }
        i = next_hook(a, builtin, i + 1);
        j = next_hook(b, builtin, j + 1);
    }
    return i == a->n_hooks && j == b->n_hooks;
}

bool table_hooks_equal(const struct table *a, const struct table *b)
{
    if (a->n_hooks != b->n_hooks) {
        return false;
    }
    for (size_t i = 0; i < a->n_hooks; i++) {
        if (!builtin_equal(a, b, a->hooks[i].builtin)) {
            return false;
        }
    }
    return true;
}

static bool table_equal(const struct table *a, const struct table *b)
{
    if (a->n_chains != b->n_chains || a->n_sets != b->n_sets || !table_hooks_equal(a, b)) {
        return false;
    }
    for (size_t i = 0; i < a->n_chains; i++) {
        if (!chain_equal(&a->chains[i], &b->chains[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_sets; i++) {
        if (!set_equal(&a->sets[i], &b->sets[i])) {
            return false;
        }
    }
    return true;
}

bool ruleset_equal(const struct ruleset *a, const struct ruleset *b)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        if (!table_equal(&a->tables[family], &b->tables[family])) {
            return false;
        }
    }
    return true;
}

static size_t power_of_two(size_t least, size_t start, size_t most)
{
    size_t power = start;
    while (power < least && power < most) {
        power *= 2;
    }
    return power;
}

uint32_t set_hashsize(size_t n_members)
{
    size_t buckets = n_members / MEMBERS_PER_BUCKET + (n_members % MEMBERS_PER_BUCKET != 0);
    return (uint32_t)power_of_two(buckets, HASHSIZE_MIN, LIMIT_SET_MEMBERS);
}

uint32_t set_maxelem(size_t n_members)
{
    size_t members = n_members < LIMIT_SET_MEMBERS ? n_members : LIMIT_SET_MEMBERS;
    return (uint32_t)power_of_two(members * MAXELEM_SLACK, MAXELEM_MIN, LIMIT_SET_MEMBERS);
}

struct rule rule_init(void)
{
    return (struct rule){.icmp_type = -1, .hop_limit = -1, .target = TARGET_NONE};
}

void ruleset_size(const struct ruleset *ruleset, enum family family, struct ruleset_size *ret)
{
    const struct table *table = &ruleset->tables[family];
    struct ruleset_size size = {.chains = table->n_chains, .hooks = table->n_hooks, .sets = table->n_sets};
    for (size_t i = 0; i < table->n_chains; i++) {
        size.rules += table->chains[i].n_rules;
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        size.members += table->sets[i].n_members;
    }
    *ret = size;
}
