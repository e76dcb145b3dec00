// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ordered.h"

#include "base/map.h"
#include "dataplane/interim.h"
#include "dataplane/order.h"

void ordered_free(struct ordered *ordered)
{
    if (ordered) {
        arena_free(&ordered->arena);
        free(ordered);
    }
}

// ---- members alone -------------------------------------------------------------------------------------------------

static int note_address(struct map **joins, const struct set_member *member)
{
    *joins = *joins ? *joins : map_new();
    return *joins ? map_put(*joins, &member->prefix.address, sizeof(member->prefix.address), *joins, NULL) : -1;
}

// Of the members that go: those whose address comes to no set (leaving), or the others.
static size_t pick_leaving(const struct set_member *members, size_t n, const struct map *joins, bool leaving,
                           struct set_member *ret)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct address *address = &members[i].prefix.address;
        if ((map_get(joins, address, sizeof(*address)) == NULL) == leaving) {
            ret[kept++] = members[i];
        }
    }
    return kept;
}

static int find_joins(const struct set_change *changes, size_t n, struct map **ret)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < changes[i].n_add; j++) {
            if (note_address(ret, &changes[i].add[j]) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

int ordered_members(const struct backend_ops *ops, struct backend *backend, const struct set_change *changes, size_t n,
                    struct apply_report *ret, struct err *err)
{
    CLEANUP(map_free) struct map *joins = NULL;
    CLEANUP(free) struct set_change *first = calloc(2 * n + 1, sizeof(*first));
    size_t n_removed = 0;
    for (size_t i = 0; i < n; i++) {
        n_removed += changes[i].n_remove;
    }
    CLEANUP(free) struct set_member *members = calloc(2 * n_removed + 1, sizeof(*members));
    if (!first || !members || find_joins(changes, n, &joins) < 0) {
        return err_oom(err);
    }
    if (!joins || n_removed == 0) {
        return ops->change_members(backend, changes, n, ret, err);
    }
    struct set_change *then = first + n;
    size_t n_leaving = 0;
    struct set_member *room = members;
    for (size_t i = 0; i < n; i++) {
        first[i] = then[i] = changes[i];
        first[i].n_add = 0;
        first[i].remove = room;
        first[i].n_remove = pick_leaving(changes[i].remove, changes[i].n_remove, joins, true, room);
        n_leaving += first[i].n_remove;
        room += first[i].n_remove;
        then[i].remove = room;
        then[i].n_remove = pick_leaving(changes[i].remove, changes[i].n_remove, joins, false, room);
        room += then[i].n_remove;
    }
    struct apply_report removed = {0};
    struct apply_report report = {0};
    if ((n_leaving && ops->change_members(backend, first, n, &removed, err) < 0) ||
        ops->change_members(backend, then, n, &report, err) < 0) {
        return -1;
    }
    report.members_removed += removed.members_removed;
    report.writes += removed.writes;
    *ret = report;
    return 0;
}

// ---- with rules ----------------------------------------------------------------------------------------------------

// Members of one set that the other lacks (missing), or has as well.
static size_t pick(const struct set *from, const struct set *other, bool missing, struct set_member *ret)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < from->n_members; i++) {
        int cmp = 1;
        while (j < other->n_members && (cmp = set_member_compare(&other->members[j], &from->members[i])) < 0) {
            j++;
        }
        bool has = j < other->n_members && cmp == 0;
        if (has != missing) {
            ret[n++] = from->members[i];
        }
    }
    return n;
}

static int split_set(struct ordered *ordered, enum family family, const struct set *from, const struct set *to,
                     struct set *ret_kept)
{
    struct set_member *removed = arena_alloc(&ordered->arena, from->n_members * sizeof(*removed));
    struct set_member *added = arena_alloc(&ordered->arena, to->n_members * sizeof(*added));
    struct set_member *kept = arena_alloc(&ordered->arena, from->n_members * sizeof(*kept));
    if (!removed || !added || !kept) {
        return -1;
    }
    struct set_change change = {.family = family, .set = to->name, .type = to->type};
    size_t n_removed = pick(from, to, true, removed);
    size_t n_added = pick(to, from, true, added);
    ret_kept->n_members = pick(from, to, false, kept);
    ret_kept->members = kept;
    if (n_removed) {
        struct set_change *removal = &ordered->removals[ordered->n_removals++];
        *removal = change;
        removal->remove = removed;
        removal->n_remove = n_removed;
    }
    if (n_added) {
        struct set_change *addition = &ordered->additions[ordered->n_additions++];
        *addition = change;
        addition->add = added;
        addition->n_add = n_added;
    }
    return 0;
}

// The sets of both tables that change, with the members that they keep.
static int split_table(struct ordered *ordered, enum family family)
{
    struct table *from = &ordered->from.tables[family];
    struct table *to = &ordered->to.tables[family];
    struct set *from_sets = arena_alloc(&ordered->arena, from->n_sets * sizeof(*from_sets));
    struct set *to_sets = arena_alloc(&ordered->arena, to->n_sets * sizeof(*to_sets));
    if (!from_sets || !to_sets) {
        return -1;
    }
    memcpy(from_sets, from->sets, from->n_sets * sizeof(*from_sets));
    memcpy(to_sets, to->sets, to->n_sets * sizeof(*to_sets));
    for (size_t i = 0; i < to->n_sets; i++) {
        const struct set *old = table_set(from, to->sets[i].name);
        if (!old || old->type != to->sets[i].type || set_equal(old, &to->sets[i])) {
            continue;
        }
        if (split_set(ordered, family, old, &to->sets[i], &to_sets[i]) < 0) {
            return -1;
        }
        from_sets[old - from->sets].members = to_sets[i].members;
        from_sets[old - from->sets].n_members = to_sets[i].n_members;
    }
    from->sets = from_sets;
    to->sets = to_sets;
    return 0;
}

int ordered_make(const struct ruleset *have, const struct ruleset *want, struct ordered **ret, struct err *err)
{
    CLEANUP(ordered_free) struct ordered *ordered = NULL;
    bool mixes[FAMILY_COUNT];
    bool suffices = false;
    *ret = NULL;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        mixes[family] = interim_mixes(&have->tables[family], &want->tables[family]);
        if (!mixes[family]) {
            continue;
        }
        if (order_suffices(&have->tables[family], &want->tables[family], &suffices, err) < 0) {
            return -1;
        }
        if (!suffices) {
            return 0;
        }
    }
    if (!suffices) {
        return 0;
    }
    size_t n_sets = want->tables[FAMILY_V4].n_sets + want->tables[FAMILY_V6].n_sets;
    ordered = calloc(1, sizeof(*ordered));
    if (!ordered) {
        return err_oom(err);
    }
    ordered->removals = arena_alloc(&ordered->arena, n_sets * sizeof(*ordered->removals));
    ordered->additions = arena_alloc(&ordered->arena, n_sets * sizeof(*ordered->additions));
    if (!ordered->removals || !ordered->additions) {
        return err_oom(err);
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        ordered->from.tables[family] = have->tables[family];
        ordered->to.tables[family] = want->tables[family];
        if (mixes[family] && split_table(ordered, family) < 0) {
            return err_oom(err);
        }
    }
    *ret = TAKE(ordered);
    return 0;
}

static void add_members(struct apply_report *to, const struct apply_report *from)
{
    to->members_added += from->members_added;
    to->members_removed += from->members_removed;
    to->writes += from->writes;
}

int ordered_apply(const struct ordered *ordered, const struct backend_ops *ops, struct backend *backend,
                  const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    struct apply_report removed = {0};
    struct apply_report added = {0};
    struct apply_report report = {0};
    struct err why = {0};
    if ((ordered->n_removals &&
         ops->change_members(backend, ordered->removals, ordered->n_removals, &removed, err) < 0) ||
        ops->apply(backend, &ordered->from, &ordered->to, &report, err) < 0) {
        return -1;
    }
    if (ordered->n_additions &&
        ops->change_members(backend, ordered->additions, ordered->n_additions, &added, &why) < 0) {
        // One is full, and has to be made anew.
        if (why.kind != ERR_LIMIT) {
            if (err) {
                *err = why;
            }
            return -1;
        }
        added = (struct apply_report){0};
        if (ops->apply(backend, &ordered->to, want, &added, err) < 0) {
            return -1;
        }
    }
    add_members(&report, &removed);
    add_members(&report, &added);
    *ret = report;
    return 0;
}
