// SPDX-License-Identifier: Apache-2.0
#include "dataplane/interim.h"

#include <stdio.h>

// A kernel that was left between the steps holds copies already: the next ones have the other suffix.
static const char *const suffixes[] = {"-T", "-U"};

// One set that has other members in want, and its copy.
struct change {
    const struct set *from;
    const struct set *to;
    const char *copy;
};

struct changes {
    struct change *v;
    size_t n;
};

static bool rules_differ(const struct table *have, const struct table *want)
{
    if (have->n_chains != want->n_chains || !table_hooks_equal(have, want)) {
        return true;
    }
    for (size_t i = 0; i < want->n_chains; i++) {
        if (!chain_equal(&have->chains[i], &want->chains[i])) {
            return true;
        }
    }
    return false;
}

bool interim_is_stale(const struct table *have, const struct set *set)
{
    size_t len = strlen(set->name);
    bool copy = false;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        size_t suffix = strlen(suffixes[i]);
        copy = copy || (len > suffix && strcmp(set->name + len - suffix, suffixes[i]) == 0);
    }
    for (size_t i = 0; copy && i < have->n_chains; i++) {
        for (size_t j = 0; j < have->chains[i].n_rules; j++) {
            const struct rule *rule = &have->chains[i].rules[j];
            if (rule->set && strcmp(rule->set, set->name) == 0) {
                return false;
            }
        }
    }
    return copy;
}

bool interim_mixes(const struct table *have, const struct table *want)
{
    bool mixes = false;
    for (size_t i = 0; i < want->n_sets && !mixes; i++) {
        const struct set *from = table_set(have, want->sets[i].name);
        mixes = from && from->type == want->sets[i].type && !set_equal(from, &want->sets[i]);
    }
    return mixes && rules_differ(have, want);
}

static bool is_free(const struct table *have, const char *name)
{
    const struct set *set = table_set(have, name);
    return !set || (set->n_members == 0 && interim_is_stale(have, set));
}

static const char *copy_name(const struct table *have, const struct set *set, struct arena *arena, struct err *err)
{
    char name[SET_NAME_SIZE + 4];
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", set->name, suffixes[i]);
        if (strlen(name) < SET_NAME_SIZE && is_free(have, name)) {
            const char *copy = arena_strdup(arena, name);
            if (!copy) {
                (void)err_oom(err);
            }
            return copy;
        }
    }
    (void)err_set(err, ERR_RETRY, 0, "set %s: both of its interim copies are in use", set->name);
    return NULL;
}

static int find_changes(const struct table *have, const struct table *want, struct arena *arena, struct changes *ret,
                        struct err *err)
{
    *ret = (struct changes){0};
    if (!rules_differ(have, want)) {
        return 0;
    }
    struct change *changes = arena_alloc(arena, want->n_sets * sizeof(*changes));
    if (!changes) {
        return err_oom(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < want->n_sets; i++) {
        const struct set *from = table_set(have, want->sets[i].name);
        if (!from || from->type != want->sets[i].type || set_equal(from, &want->sets[i])) {
            continue;
        }
        const char *copy = copy_name(have, &want->sets[i], arena, err);
        if (!copy) {
            return -1;
        }
        changes[n++] = (struct change){.from = from, .to = &want->sets[i], .copy = copy};
    }
    *ret = (struct changes){.v = changes, .n = n};
    return 0;
}

static const struct change *change_of(const struct changes *changes, const char *name)
{
    for (size_t i = 0; name && i < changes->n; i++) {
        if (strcmp(changes->v[i].to->name, name) == 0) {
            return &changes->v[i];
        }
    }
    return NULL;
}

// The chain with its rules on the copies; shares what need not change.
static int move_chain(const struct chain *chain, const struct changes *changes, struct arena *arena, struct chain *ret)
{
    *ret = *chain;
    struct rule *rules = NULL;
    for (size_t i = 0; i < chain->n_rules; i++) {
        const struct change *change = change_of(changes, chain->rules[i].set);
        if (!change) {
            continue;
        }
        if (!rules) {
            rules = arena_alloc(arena, chain->n_rules * sizeof(*rules));
            if (!rules) {
                return -1;
            }
            memcpy(rules, chain->rules, chain->n_rules * sizeof(*rules));
            ret->rules = rules;
        }
        rules[i].set = change->copy;
    }
    return 0;
}

static int compare_sets(const void *a, const void *b)
{
    return strcmp(((const struct set *)a)->name, ((const struct set *)b)->name);
}

static int make_table(const struct table *want, const struct changes *changes, bool settled, struct arena *arena,
                      struct table *ret)
{
    *ret = *want;
    if (changes->n == 0) {
        return 0;
    }
    struct chain *chains = arena_alloc(arena, want->n_chains * sizeof(*chains));
    struct set *sets = arena_alloc(arena, (want->n_sets + changes->n) * sizeof(*sets));
    if (!chains || !sets) {
        return -1;
    }
    for (size_t i = 0; i < want->n_chains; i++) {
        if (move_chain(&want->chains[i], changes, arena, &chains[i]) < 0) {
            return -1;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < want->n_sets; i++) {
        const struct change *change = change_of(changes, want->sets[i].name);
        sets[n++] = change && !settled ? *change->from : want->sets[i];
        if (change) {
            sets[n] = *change->to;
            sets[n++].name = change->copy;
        }
    }
    qsort(sets, n, sizeof(*sets), compare_sets);
    ret->chains = chains;
    ret->sets = sets;
    ret->n_sets = n;
    return 0;
}

static int fill_ruleset(struct ruleset *made, const struct ruleset *want, const struct changes changes[FAMILY_COUNT],
                        bool settled, struct err *err)
{
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        if (make_table(&want->tables[family], &changes[family], settled, &made->arena, &made->tables[family]) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int find_all(const struct ruleset *have, const struct ruleset *want, struct arena *arena,
                    struct changes ret[FAMILY_COUNT], struct err *err)
{
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        if (find_changes(&have->tables[family], &want->tables[family], arena, &ret[family], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int interim_make(const struct ruleset *have, const struct ruleset *want, struct ruleset **ret_first,
                 struct ruleset **ret_second, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *first = calloc(1, sizeof(*first));
    CLEANUP(ruleset_free) struct ruleset *second = calloc(1, sizeof(*second));
    if (!first || !second) {
        return err_oom(err);
    }
    // Each ruleset owns its names: found twice, in the same order.
    struct changes changes[FAMILY_COUNT];
    if (find_all(have, want, &first->arena, changes, err) < 0) {
        return -1;
    }
    if (changes[FAMILY_V4].n + changes[FAMILY_V6].n == 0) {
        *ret_first = *ret_second = NULL;
        return 0;
    }
    if (fill_ruleset(first, want, changes, false, err) < 0 || find_all(have, want, &second->arena, changes, err) < 0 ||
        fill_ruleset(second, want, changes, true, err) < 0) {
        return -1;
    }
    *ret_first = TAKE(first);
    *ret_second = TAKE(second);
    return 0;
}
