// SPDX-License-Identifier: Apache-2.0
#include "ruleset/diff.h"

static const struct table empty_table;

void ruleset_diff_free(struct ruleset_diff *diff)
{
    if (diff) {
        arena_free(&diff->arena);
        free(diff);
    }
}

// Both arrays are sorted: one merge finds what only one side has. Flag changes count as added (see the header).
static int members_make(struct set_delta *delta, struct arena *arena)
{
    size_t n_from = delta->from ? delta->from->n_members : 0;
    size_t n_to = delta->to ? delta->to->n_members : 0;
    bool retyped = delta->from && delta->to && delta->from->type != delta->to->type;
    const struct set_member **added = arena_alloc(arena, n_to * sizeof(struct set_member *));
    const struct set_member **removed = arena_alloc(arena, n_from * sizeof(struct set_member *));
    if (!added || !removed) {
        return -1;
    }
    for (size_t i = 0, j = 0; i < n_from || j < n_to;) {
        const struct set_member *old = i < n_from ? &delta->from->members[i] : NULL;
        const struct set_member *new = j < n_to ? &delta->to->members[j] : NULL;
        bool same_key = old && new && !retyped &&set_member_same_key(old, new);
        if (same_key) {
            if (set_member_compare(old, new) != 0) {
                added[delta->n_added++] = new;
            }
            i++;
            j++;
        } else if (old && (!new || retyped || set_member_compare(old, new) < 0)) {
            removed[delta->n_removed++] = old;
            i++;
        } else {
            added[delta->n_added++] = new;
            j++;
        }
    }
    delta->added = added;
    delta->removed = removed;
    return 0;
}

static int sets_make(const struct table *from, const struct table *to, struct arena *arena, struct table_diff *ret)
{
    struct set_delta *deltas = arena_alloc(arena, (from->n_sets + to->n_sets) * sizeof(*deltas));
    if (!deltas) {
        return -1;
    }
    size_t n = 0;
    for (size_t i = 0, j = 0; i < from->n_sets || j < to->n_sets;) {
        const struct set *old = i < from->n_sets ? &from->sets[i] : NULL;
        const struct set *new = j < to->n_sets ? &to->sets[j] : NULL;
        int order = !new ? -1 : !old ? 1 : strcmp(old->name, new->name);
        i += order <= 0;
        j += order >= 0;
        if (order == 0 && set_equal(old, new)) {
            continue;
        }
        struct set_delta *delta = &deltas[n++];
        *delta = (struct set_delta){.from = order <= 0 ? old : NULL, .to = order >= 0 ? new : NULL};
        if (members_make(delta, arena) < 0) {
            return -1;
        }
    }
    ret->sets = deltas;
    ret->n_sets = n;
    return 0;
}

static int chains_make(const struct table *from, const struct table *to, struct arena *arena, struct table_diff *ret)
{
    struct chain_delta *deltas = arena_alloc(arena, (from->n_chains + to->n_chains) * sizeof(*deltas));
    if (!deltas) {
        return -1;
    }
    size_t n = 0;
    for (size_t i = 0, j = 0; i < from->n_chains || j < to->n_chains;) {
        const struct chain *old = i < from->n_chains ? &from->chains[i] : NULL;
        const struct chain *new = j < to->n_chains ? &to->chains[j] : NULL;
        int order = !new ? -1 : !old ? 1 : strcmp(old->name, new->name);
        i += order <= 0;
        j += order >= 0;
        if (order != 0 || !chain_equal(old, new)) {
            deltas[n++] = (struct chain_delta){.from = order <= 0 ? old : NULL, .to = order >= 0 ? new : NULL};
        }
    }
    ret->chains = deltas;
    ret->n_chains = n;
    return 0;
}

int ruleset_diff_make(const struct ruleset *from, const struct ruleset *to, struct ruleset_diff **ret, struct err *err)
{
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = calloc(1, sizeof(*diff));
    if (!diff) {
        return err_oom(err);
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        struct table_diff *table = &diff->tables[family];
        table->from = from ? &from->tables[family] : &empty_table;
        table->to = &to->tables[family];
        table->hooks_differ = !table_hooks_equal(table->from, table->to);
        if (sets_make(table->from, table->to, &diff->arena, table) < 0 ||
            chains_make(table->from, table->to, &diff->arena, table) < 0) {
            return err_oom(err);
        }
    }
    *ret = TAKE(diff);
    return 0;
}

bool ruleset_diff_empty(const struct ruleset_diff *diff)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table_diff *table = &diff->tables[family];
        if (table->n_sets || table->n_chains || table->hooks_differ) {
            return false;
        }
    }
    return true;
}
