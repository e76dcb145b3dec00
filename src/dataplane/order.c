// SPDX-License-Identifier: Apache-2.0
#include "dataplane/order.h"

#include "base/map.h"
#include "base/mem.h"

enum { SETS_MAX = 64, DEPTH_MAX = 64 };  // of changes that are looked into; of chains behind chains
enum side { SIDE_SOURCE, SIDE_DESTINATION };

// A set whose members change, and which of them. Both lists are sorted by address.
struct shift {
    const char *name;
    const struct set_member **added;
    size_t n_added;
    const struct set_member **removed;
    size_t n_removed;
};

// The way of packets from or to a prefix: the first chain that is no part of a tree.
struct leaf {
    enum side side;
    struct prefix prefix;
    const char *chain;
};

// One of the two tables, walked from its hooks in one built-in chain.
struct walk {
    const struct table *table;
    const struct table *other;
    VEC(struct leaf) leaves;
    struct map *tops;  // chains that a packet may meet outside of leaves
    struct map *trees;
};

struct order {
    struct arena arena;
    const char *builtin;  // at work
    struct shift shifts[SETS_MAX];
    size_t n_shifts;
    struct walk old;
    struct walk new;
    bool suffices;
    bool oom;
};

static void walk_free(struct walk *walk)
{
    vec_free(&walk->leaves);
    map_free(walk->tops);
    map_free(walk->trees);
    walk->tops = walk->trees = NULL;
}

static void order_free(struct order *order)
{
    walk_free(&order->old);
    walk_free(&order->new);
    arena_free(&order->arena);
}

// ---- what changes of the sets --------------------------------------------------------------------------------------

static bool is_address(const struct set_member *member)
{
    return member->prefix.length == family_bits(member->prefix.address.family) && !member->nomatch;
}

// Members of one set that the other lacks; false when there are some that are no single addresses.
static bool find_missing(const struct set *from, const struct set *in, const struct set_member **ret, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < from->n_members; i++) {
        int cmp = 1;
        while (j < in->n_members && (cmp = set_member_compare(&in->members[j], &from->members[i])) < 0) {
            j++;
        }
        if (j < in->n_members && cmp == 0) {
            continue;
        }
        if (!is_address(&from->members[i])) {
            return false;
        }
        ret[n++] = &from->members[i];
    }
    *ret_n = n;
    return true;
}

static bool add_shift(struct order *order, const struct set *from, const struct set *to)
{
    if (order->n_shifts == SETS_MAX || from->type != to->type || from->type == SET_HASH_NET) {
        return false;
    }
    struct shift *shift = &order->shifts[order->n_shifts++];
    shift->name = to->name;
    shift->added = arena_alloc(&order->arena, to->n_members * sizeof(*shift->added));
    shift->removed = arena_alloc(&order->arena, from->n_members * sizeof(*shift->removed));
    if (!shift->added || !shift->removed) {
        order->oom = true;
        return false;
    }
    return find_missing(to, from, shift->added, &shift->n_added) &&
           find_missing(from, to, shift->removed, &shift->n_removed);
}

static bool find_shifts(struct order *order, const struct table *have, const struct table *want)
{
    for (size_t i = 0; i < want->n_sets; i++) {
        const struct set *from = table_set(have, want->sets[i].name);
        if (from && !set_equal(from, &want->sets[i]) && !add_shift(order, from, &want->sets[i])) {
            return false;
        }
    }
    return order->n_shifts > 0;
}

static size_t shift_of(const struct order *order, const char *set)
{
    size_t i = 0;
    while (i < order->n_shifts && (!set || strcmp(order->shifts[i].name, set) != 0)) {
        i++;
    }
    return i;
}

// ---- walking -------------------------------------------------------------------------------------------------------

static bool is_call(const struct rule *rule)
{
    return rule->target == TARGET_JUMP || rule->target == TARGET_GOTO;
}

// Whether nothing but a prefix of one side (bare: nothing at all) leads to another chain.
static bool is_step(const struct rule *rule, bool bare)
{
    struct rule plain = rule_init();
    plain.target = rule->target;
    plain.chain = rule->chain;
    plain.comment = rule->comment;
    plain.source = rule->source;
    plain.destination = rule->destination;
    plain.has_source = rule->has_source;
    plain.has_destination = rule->has_destination;
    bool one = rule_has_source(rule) != rule_has_destination(rule);
    return is_call(rule) && rule_equal(rule, &plain) && (bare || one) &&
           (!bare || (!rule_has_source(rule) && !rule_has_destination(rule)));
}

static enum side side_of(const struct rule *rule)
{
    return rule_has_source(rule) ? SIDE_SOURCE : SIDE_DESTINATION;
}

static const struct prefix *prefix_of_rule(const struct rule *rule)
{
    return rule_has_source(rule) ? &rule->source : &rule->destination;
}

// A node of a tree: steps of one side, and perhaps a way for everything else.
static bool is_node(const struct chain *chain, enum side side)
{
    bool steps = false;
    for (size_t i = 0; i < chain->n_rules; i++) {
        const struct rule *rule = &chain->rules[i];
        bool step = is_step(rule, false) && side_of(rule) == side && rule->target == TARGET_GOTO;
        if (!step && !is_step(rule, true)) {
            return false;
        }
        steps = steps || step;
    }
    return steps;
}

static bool note_once(struct order *order, struct map **names, const char *name)
{
    *names = *names ? *names : map_new();
    if (*names && map_get_str(*names, name)) {
        return false;
    }
    order->oom = order->oom || !*names || map_put_str(*names, name, (void *)(uintptr_t)name, NULL) < 0;
    return !order->oom;
}

static void walk_tree(struct order *order, struct walk *walk, enum side side, const struct prefix *prefix,
                      const char *name, unsigned depth)
{
    const struct chain *chain = table_chain(walk->table, name);
    if (!chain || depth > DEPTH_MAX) {
        order->suffices = false;
        return;
    }
    if (!is_node(chain, side)) {
        const struct leaf leaf = {.side = side, .prefix = *prefix, .chain = name};
        order->oom = vec_push(&walk->leaves, leaf) < 0 || order->oom;
        return;
    }
    if (!note_once(order, &walk->trees, name)) {
        return;
    }
    for (size_t i = 0; i < chain->n_rules && !order->oom; i++) {
        const struct rule *rule = &chain->rules[i];
        walk_tree(order, walk, side, is_step(rule, true) ? prefix : prefix_of_rule(rule), rule->chain, depth + 1);
    }
}

// Outside of leaves a set that changes may only end it all, where nothing else changes.
static bool is_harmless_top(const struct order *order, const struct walk *walk, const struct chain *chain,
                            const struct rule *rule)
{
    size_t at = shift_of(order, rule->set);
    if (at == order->n_shifts) {
        return true;
    }
    const struct chain *other = table_chain(walk->other, chain->name);
    return rule->target == TARGET_ACCEPT && other && chain_equal(chain, other) &&
           (order->shifts[at].n_added == 0 || order->shifts[at].n_removed == 0);
}

static void walk_top(struct order *order, struct walk *walk, const char *name, unsigned depth)
{
    const struct chain *chain = table_chain(walk->table, name);
    if (!chain || depth > DEPTH_MAX) {
        order->suffices = false;
        return;
    }
    if (!note_once(order, &walk->tops, name)) {
        return;
    }
    for (size_t i = 0; i < chain->n_rules && order->suffices && !order->oom; i++) {
        const struct rule *rule = &chain->rules[i];
        if (!is_harmless_top(order, walk, chain, rule)) {
            order->suffices = false;
        } else if (is_step(rule, false)) {
            walk_tree(order, walk, side_of(rule), prefix_of_rule(rule), rule->chain, depth + 1);
        } else if (is_call(rule)) {
            walk_top(order, walk, rule->chain, depth + 1);
        }
    }
}

static void walk_hooks(struct order *order, struct walk *walk)
{
    walk_free(walk);
    for (size_t i = 0; i < walk->table->n_hooks && order->suffices && !order->oom; i++) {
        const struct rule *rule = &walk->table->hooks[i].rule;
        if (strcmp(walk->table->hooks[i].builtin, order->builtin) != 0) {
            continue;
        }
        if (rule->target == TARGET_JUMP) {
            walk_top(order, walk, rule->chain, 0);
        } else {
            order->suffices = false;
        }
    }
}

// A rule by which a packet leaves the chains of a hook without having met what stands behind it there. A chain in front
// of the leaves is jumped to, so only ACCEPT does that from within it.
static bool is_exit(const struct rule *rule, bool first)
{
    return rule->target == TARGET_ACCEPT || (first && (rule->target == TARGET_RETURN || rule->target == TARGET_GOTO));
}

static bool is_hooked(const struct order *order, const struct table *table, const char *chain)
{
    bool hooked = false;
    for (size_t i = 0; i < table->n_hooks && !hooked; i++) {
        hooked = strcmp(table->hooks[i].builtin, order->builtin) == 0 && table->hooks[i].rule.chain &&
                 strcmp(table->hooks[i].rule.chain, chain) == 0;
    }
    return hooked;
}

static const struct rule *next_exit(const struct chain *chain, bool first, size_t *at)
{
    while (chain && *at < chain->n_rules) {
        const struct rule *rule = &chain->rules[(*at)++];
        if (is_exit(rule, first)) {
            return rule;
        }
    }
    return NULL;
}

// What goes round the leaves before goes round them behind, and the other way round.
static void compare_exits(struct order *order, const struct walk *walk)
{
    for (struct map_entry *e = walk->tops ? map_first(walk->tops) : NULL; e && order->suffices; e = map_next(e)) {
        const char *name = map_entry_value(e);
        const struct chain *chain = table_chain(walk->table, name);
        const struct chain *other = table_chain(walk->other, name);
        bool first = is_hooked(order, walk->table, name);
        size_t at = 0;
        size_t at_other = 0;
        const struct rule *exit;
        do {
            exit = next_exit(chain, first, &at);
            const struct rule *same = next_exit(other, first, &at_other);
            order->suffices = exit && same ? rule_equal(exit, same) : exit == same;
        } while (exit && order->suffices);
    }
}

// ---- leaves --------------------------------------------------------------------------------------------------------

// What is behind a leaf.
struct behind {
    struct map *chains;
    bool refers[SETS_MAX];
    bool refers_any;
    bool same;  // all of it is in the other table as well
};

static void look_behind(struct order *order, const struct walk *walk, const char *name, struct behind *ret)
{
    const struct chain *chain = table_chain(walk->table, name);
    const struct chain *other = table_chain(walk->other, name);
    if (!chain) {
        order->suffices = false;
        return;
    }
    if (!note_once(order, &ret->chains, name)) {
        return;
    }
    ret->same = ret->same && other && chain_equal(chain, other);
    for (size_t i = 0; i < chain->n_rules && order->suffices && !order->oom; i++) {
        const struct rule *rule = &chain->rules[i];
        size_t at = shift_of(order, rule->set);
        if (at < order->n_shifts) {
            // More members, more that passes: so it is with nothing but a RETURN.
            order->suffices = rule->target == TARGET_RETURN;
            ret->refers[at] = ret->refers_any = true;
        }
        order->suffices = order->suffices && rule->target != TARGET_ACCEPT;
        if (is_call(rule)) {
            look_behind(order, walk, rule->chain, ret);
        }
    }
}

static bool has_leaf(const struct walk *walk, const struct leaf *leaf)
{
    for (size_t i = 0; i < walk->leaves.n; i++) {
        const struct leaf *other = &walk->leaves.v[i];
        if (other->side == leaf->side && strcmp(other->chain, leaf->chain) == 0 &&
            prefix_compare(&other->prefix, &leaf->prefix) == 0) {
            return true;
        }
    }
    return false;
}

static bool only_itself(const struct leaf *leaf, const struct set_member *const *members, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (prefix_compare(&members[i]->prefix, &leaf->prefix) != 0) {
            return false;
        }
    }
    return true;
}

static bool have_common(const struct shift *joins, const struct shift *leaves)
{
    for (size_t i = 0, j = 0; i < joins->n_added && j < leaves->n_removed;) {
        int cmp = prefix_compare(&joins->added[i]->prefix, &leaves->removed[j]->prefix);
        if (cmp == 0) {
            return true;
        }
        i += cmp < 0;
        j += cmp > 0;
    }
    return false;
}

static bool is_safe_leaf(const struct order *order, const struct walk *walk, const struct leaf *leaf,
                         const struct behind *behind, bool stays)
{
    for (size_t i = 0; i < order->n_shifts; i++) {
        const struct shift *shift = &order->shifts[i];
        if (!behind->refers[i]) {
            continue;
        }
        if (!stays && !(walk == &order->new ? only_itself(leaf, shift->added, shift->n_added)
                                            : only_itself(leaf, shift->removed, shift->n_removed))) {
            return false;
        }
        for (size_t j = 0; j < order->n_shifts && stays; j++) {
            if (behind->refers[j] && have_common(shift, &order->shifts[j])) {
                return false;
            }
        }
    }
    return true;
}

static void judge_leaves(struct order *order, const struct walk *walk, const struct walk *other)
{
    for (size_t i = 0; i < walk->leaves.n && order->suffices && !order->oom; i++) {
        const struct leaf *leaf = &walk->leaves.v[i];
        struct behind behind = {.same = true};
        look_behind(order, walk, leaf->chain, &behind);
        map_free(behind.chains);
        if (order->suffices && !order->oom && behind.refers_any) {
            bool stays = behind.same && has_leaf(other, leaf);
            order->suffices = is_safe_leaf(order, walk, leaf, &behind, stays);
        }
    }
}

// ---- all of it -----------------------------------------------------------------------------------------------------

static const struct hook *next_hook(const struct table *table, const char *builtin, size_t *at)
{
    while (*at < table->n_hooks) {
        const struct hook *hook = &table->hooks[(*at)++];
        if (strcmp(hook->builtin, builtin) == 0) {
            return hook;
        }
    }
    return NULL;
}

// A built-in chain with hooks in one table alone: nothing in it stays as it is. *ret_both: in both, the same.
static bool compare_hooks(const struct order *order, bool *ret_both)
{
    size_t at_old = 0;
    size_t at_new = 0;
    size_t n = 0;
    for (;; n++) {
        const struct hook *old = next_hook(order->old.table, order->builtin, &at_old);
        const struct hook *new = next_hook(order->new.table, order->builtin, &at_new);
        if (!old || !new) {
            *ret_both = n > 0;
            return n == 0 || old == new;
        }
        if (!hook_equal(old, new)) {
            return false;
        }
    }
}

static void judge_builtin(struct order *order, const char *builtin)
{
    bool both = false;
    order->builtin = builtin;
    order->suffices = order->suffices && compare_hooks(order, &both);
    walk_hooks(order, &order->old);
    walk_hooks(order, &order->new);
    if (both) {
        compare_exits(order, &order->old);
        compare_exits(order, &order->new);
    }
    judge_leaves(order, &order->old, &order->new);
    judge_leaves(order, &order->new, &order->old);
}

int order_suffices(const struct table *have, const struct table *want, bool *ret, struct err *err)
{
    static const char *const builtins[] = {"FORWARD", "INPUT", "OUTPUT"};
    __attribute__((cleanup(order_free))) struct order order = {.old = {.table = have, .other = want},
                                                               .new = {.table = want, .other = have}};
    order.suffices = find_shifts(&order, have, want);
    for (size_t i = 0; i < ARRAY_SIZE(builtins) && order.suffices && !order.oom; i++) {
        judge_builtin(&order, builtins[i]);
    }
    if (order.oom) {
        return err_oom(err);
    }
    *ret = order.suffices;
    return 0;
}
