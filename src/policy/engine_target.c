// SPDX-License-Identifier: Apache-2.0
#include "policy/engine_target.h"

// ---- copies --------------------------------------------------------------------------------------------------------

static const char *const *dup_values(struct arena *arena, const struct requirement *from)
{
    const char **values = arena_alloc(arena, from->n_values * sizeof(*values));
    for (size_t i = 0; values && i < from->n_values; i++) {
        values[i] = arena_strdup(arena, from->values[i]);
        if (!values[i]) {
            return NULL;
        }
    }
    return values;
}

// NULL when memory is out.
static const struct selector *dup_selector(struct arena *arena, const struct selector *from)
{
    struct selector *selector = arena_alloc(arena, sizeof(*selector));
    struct requirement *v = arena_alloc(arena, from->n * sizeof(*v));
    if (!selector || !v) {
        return NULL;
    }
    for (size_t i = 0; i < from->n; i++) {
        v[i] = from->v[i];
        v[i].key = arena_strdup(arena, from->v[i].key);
        v[i].values = dup_values(arena, &from->v[i]);
        if (!v[i].key || !v[i].values) {
            return NULL;
        }
    }
    *selector = (struct selector){.v = v, .n = from->n, .unreadable = from->unreadable};
    return selector;
}

static const struct select_peer *dup_peers(struct arena *arena, const struct select_peer *from, size_t n)
{
    struct select_peer *peers = arena_alloc(arena, n * sizeof(*peers));
    for (size_t i = 0; peers && i < n; i++) {
        const struct select_peer *peer = &from[i];
        peers[i] = (struct select_peer){
            .ns = peer->ns ? arena_strdup(arena, peer->ns) : NULL,
            .namespaces = peer->namespaces ? dup_selector(arena, peer->namespaces) : NULL,
            .pods = peer->pods ? dup_selector(arena, peer->pods) : NULL,
            .text = arena_strdup(arena, peer->text),
        };
        if (!peers[i].text || (peer->ns && !peers[i].ns) || (peer->namespaces && !peers[i].namespaces) ||
            (peer->pods && !peers[i].pods)) {
            return NULL;
        }
    }
    return peers;
}

struct engine_target *engine_target_of_union(const struct compile_union *u)
{
    CLEANUP(engine_target_free) struct engine_target *target = calloc(1, sizeof(*target));
    if (!target) {
        return NULL;
    }
    target->type = SET_HASH_IP;
    target->text = arena_strdup(&target->arena, u->text);
    target->peers = dup_peers(&target->arena, u->peers, u->n);
    target->n_peers = u->n;
    return target->text && target->peers ? TAKE(target) : NULL;
}

// *ret_none: no pod of the family is a destination of the group, so that it is no part of the set.
static int dup_group(struct arena *arena, const struct compile_group *from, enum family family,
                     struct engine_group *ret, bool *ret_none)
{
    struct err err = {0};
    struct engine_group group = {.port = arena_strdup(arena, from->name), .any = from->any_peer};
    CLEANUP(region_free) struct region *region = NULL;
    if (from->pod_union) {
        group.peers = dup_peers(arena, from->pod_union->peers, from->pod_union->n);
        group.n_peers = from->pod_union->n;
    }
    if (!group.port || (from->pod_union && !group.peers) || region_new(family, &region, &err) < 0) {
        return -1;
    }
    for (size_t i = 0; !group.any && i < from->blocks.n; i++) {
        const struct peer *peer = from->blocks.v[i];
        if (region_add(region, &peer->cidr, peer->excepts, peer->n_excepts, &err) < 0) {
            return -1;
        }
    }
    // The set's identity says "any" for the whole family, and is that of the other family then.
    group.any = group.any || region_is_whole(region);
    *ret_none = !group.any && !from->pod_union && region_is_empty(region);
    if (!group.any && !region_is_empty(region)) {
        group.region = TAKE(region);
    }
    *ret = group;
    return 0;
}

struct engine_target *engine_target_of_groups(const char *text, struct compile_group *const *groups, size_t n,
                                              enum family family)
{
    CLEANUP(engine_target_free) struct engine_target *target = calloc(1, sizeof(*target));
    if (!target) {
        return NULL;
    }
    target->type = SET_HASH_IP_PORT;
    target->protocol = groups[0]->protocol;
    target->text = arena_strdup(&target->arena, text);
    target->groups = arena_alloc(&target->arena, n * sizeof(*target->groups));
    if (!target->text || !target->groups) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        bool none = false;
        if (dup_group(&target->arena, groups[i], family, &target->groups[target->n_groups], &none) < 0) {
            return NULL;
        }
        target->n_groups += !none;
    }
    return TAKE(target);
}

void engine_target_free(struct engine_target *target)
{
    if (!target) {
        return;
    }
    for (size_t i = 0; i < target->n_groups; i++) {
        region_free(target->groups[i].region);
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        set_members_free(target->members[i].base);
        map_free(target->members[i].delta);
        map_free(target->members[i].pending);
    }
    arena_free(&target->arena);
    free(target);
}

// ---- signs ---------------------------------------------------------------------------------------------------------

// A member without the padding of its struct.
struct key {
    uint8_t bytes[22];
};

static struct key key_of(const struct set_member *member)
{
    struct key key = {{(uint8_t)member->prefix.address.family, member->prefix.length, member->protocol,
                       (uint8_t)(member->port >> 8), (uint8_t)member->port, member->nomatch}};
    memcpy(key.bytes + 6, member->prefix.address.bytes, 16);
    return key;
}

static struct set_member member_of(const uint8_t *bytes)
{
    struct set_member member = {
        .prefix = {.address = {.family = (enum family)bytes[0]}, .length = bytes[1]},
        .protocol = bytes[2],
        .port = (uint16_t)(bytes[3] << 8 | bytes[4]),
        .nomatch = bytes[5],
    };
    memcpy(member.prefix.address.bytes, bytes + 6, 16);
    return member;
}

// What stands as the sign: maps hold pointers.
static char come_sign, gone_sign;

// What has come after it had gone (or the other way round) has not changed.
static int toggle(struct map *signs, const struct set_member *member, bool come)
{
    struct key key = key_of(member);
    void *present = map_get(signs, key.bytes, sizeof(key.bytes));
    void *sign = come ? &come_sign : &gone_sign;
    if (present && present != sign) {
        (void)map_del(signs, key.bytes, sizeof(key.bytes));
        return 0;
    }
    return present ? 0 : map_put(signs, key.bytes, sizeof(key.bytes), sign, NULL);
}

int engine_target_follow(struct engine_target *target, enum family family, struct set_members *members)
{
    struct engine_members *to = &target->members[family];
    to->delta = to->delta ? to->delta : map_new();
    to->pending = to->pending ? to->pending : map_new();
    if (!to->delta || !to->pending) {
        return -1;
    }
    members->references++;
    to->base = members;
    return 0;
}

int engine_target_change(struct engine_target *target, const struct set_member *member, bool come)
{
    struct engine_members *to = &target->members[member->prefix.address.family];
    if (!to->base) {
        return 0;
    }
    return toggle(to->delta, member, come) < 0 || toggle(to->pending, member, come) < 0 ? -1 : 0;
}

int engine_target_settle(struct engine_target *target, const struct set_member *member, bool come)
{
    return toggle(target->members[member->prefix.address.family].pending, member, !come);
}

void engine_list_free(struct engine_list *list)
{
    vec_free(&list->add);
    vec_free(&list->remove);
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

static int list_signs(const struct map *signs, struct engine_list *ret)
{
    struct engine_list list = {0};
    for (struct map_entry *e = map_first(signs); e; e = map_next(e)) {
        size_t len;
        struct set_member member = member_of(map_entry_key(e, &len));
        int rc = map_entry_value(e) == &come_sign ? vec_push(&list.add, member) : vec_push(&list.remove, member);
        if (rc < 0) {
            engine_list_free(&list);
            return -1;
        }
    }
    if (list.add.n > 1) {
        qsort(list.add.v, list.add.n, sizeof(*list.add.v), compare_members);
    }
    if (list.remove.n > 1) {
        qsort(list.remove.v, list.remove.n, sizeof(*list.remove.v), compare_members);
    }
    *ret = list;
    return 0;
}

int engine_target_pending(const struct engine_target *target, enum family family, struct engine_list *ret)
{
    const struct map *pending = target->members[family].pending;
    if (!pending || map_size(pending) == 0) {
        *ret = (struct engine_list){0};
        return 0;
    }
    return list_signs(pending, ret);
}

// base without what is gone, with what has come; all sorted.
static struct set_members *merge(const struct set_members *base, const struct engine_list *delta)
{
    struct set_members *merged = set_members_new(base->n + delta->add.n);
    size_t n = 0;
    size_t added = 0;
    size_t removed = 0;
    for (size_t i = 0; merged && i < base->n; i++) {
        while (added < delta->add.n && set_member_compare(&delta->add.v[added], &base->v[i]) < 0) {
            merged->v[n++] = delta->add.v[added++];
        }
        if (removed < delta->remove.n && set_member_compare(&delta->remove.v[removed], &base->v[i]) == 0) {
            removed++;
        } else {
            merged->v[n++] = base->v[i];
        }
    }
    while (merged && added < delta->add.n) {
        merged->v[n++] = delta->add.v[added++];
    }
    if (merged) {
        merged->n = n;
    }
    return merged;
}

struct set_members *engine_target_members(struct engine_target *target, enum family family)
{
    struct engine_members *of = &target->members[family];
    if (map_size(of->delta) == 0) {
        return of->base;
    }
    struct engine_list delta;
    if (list_signs(of->delta, &delta) < 0) {
        return NULL;
    }
    struct map *none = map_new();
    struct set_members *merged = none ? merge(of->base, &delta) : NULL;
    engine_list_free(&delta);
    if (!merged) {
        map_free(none);
        return NULL;
    }
    set_members_free(of->base);
    of->base = merged;
    map_free(of->delta);
    of->delta = none;
    return merged;
}
