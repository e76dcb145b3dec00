// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

#include <errno.h>
#include <stdio.h>

#include "model/address.h"

enum { CHUNK = 1000 };  // members handed to the door at once: one message

// What is being rebuilt, until it takes the place of the set. Named as ours, so that a crash leaves nothing behind for
// good.
#define SWAP_NAME "swap"

static enum sets_type door_type(enum set_type type)
{
    switch (type) {
    case SET_HASH_IP:
        return SETS_HASH_IP;
    case SET_HASH_NET:
        return SETS_HASH_NET;
    case SET_HASH_IP_PORT:
        return SETS_HASH_IP_PORT;
    }
    return SETS_OTHER;
}

static enum set_type our_type(enum sets_type type)
{
    switch (type) {
    case SETS_HASH_NET:
        return SET_HASH_NET;
    case SETS_HASH_IP_PORT:
        return SET_HASH_IP_PORT;
    case SETS_HASH_IP:
    case SETS_OTHER:
        break;
    }
    return SET_HASH_IP;
}

// ---- reading -------------------------------------------------------------------------------------------------------

static int member_compare(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

static int read_members(struct legacy *legacy, enum family family, const char *name, struct arena *arena,
                        struct set *set, struct err *err)
{
    CLEANUP(sets_members_free) struct sets_members *from = NULL;
    if (sets_dump(legacy->sets, name, legacy_sets_family(family), &from, err) < 0) {
        return -1;
    }
    struct set_member *members = arena_alloc(arena, from->n * sizeof(*members));
    if (!members) {
        return err_oom(err);
    }
    for (size_t i = 0; i < from->n; i++) {
        struct address address = {.family = family};
        memcpy(address.bytes, from->v[i].address, sizeof(address.bytes));
        members[i] = (struct set_member){
            .prefix = prefix_truncate(&address, from->v[i].length),
            .protocol = from->v[i].protocol,
            .port = from->v[i].port,
            .nomatch = from->v[i].nomatch,
        };
    }
    if (from->n) {
        qsort(members, from->n, sizeof(*members), member_compare);
    }
    set->members = members;
    set->n_members = from->n;
    return 0;
}

static int set_compare(const void *a, const void *b)
{
    const struct set *left = a;
    const struct set *right = b;
    return strcmp(left->name, right->name);
}

static int note_alien(struct legacy_apply *apply, const struct sets_header *header, struct err *err)
{
    const struct legacy_alien alien = {.header = *header, .in_use = header->references > 0};
    return apply && vec_push(&apply->aliens, alien) < 0 ? err_oom(err) : 0;
}

static int read_family(struct legacy *legacy, enum family family, struct ruleset *ruleset, struct legacy_apply *aliens,
                       struct err *err)
{
    CLEANUP(sets_list_free) struct sets_list *list = NULL;
    if (sets_list(legacy->sets, legacy_set_prefix(family), &list, err) < 0) {
        return -1;
    }
    struct set *sets = arena_alloc(&ruleset->arena, list->n * sizeof(*sets));
    if (!sets) {
        return err_oom(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct sets_header *header = &list->v[i];
        if (header->type == SETS_OTHER || header->family != legacy_sets_family(family)) {
            if (note_alien(aliens, header, err) < 0) {
                return -1;
            }
            continue;
        }
        struct err why = {0};
        struct set set = {.type = our_type(header->type), .describe = ""};
        set.name = arena_strdup(&ruleset->arena, header->name);
        if (!set.name) {
            return err_oom(err);
        }
        if (read_members(legacy, family, header->name, &ruleset->arena, &set, &why) < 0) {
            if (why.kind == ERR_NOT_FOUND) {
                continue;  // destroyed since it was listed
            }
            return legacy_fail(err, &why);
        }
        sets[n++] = set;
    }
    if (n) {
        qsort(sets, n, sizeof(*sets), set_compare);
    }
    ruleset->tables[family].sets = sets;
    ruleset->tables[family].n_sets = n;
    return 0;
}

int legacy_sets_read(struct legacy *legacy, struct ruleset **ret, struct legacy_apply *aliens, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
    if (!ruleset) {
        return err_oom(err);
    }
    struct err why = {0};
    if (legacy_sets_open(legacy, &why) < 0) {
        if (why.kind != ERR_UNSUPPORTED) {
            return legacy_fail(err, &why);
        }
        *ret = TAKE(ruleset);
        return 0;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (read_family(legacy, family, ruleset, aliens, err) < 0) {
            return -1;
        }
    }
    *ret = TAKE(ruleset);
    return 0;
}

// ---- writing -------------------------------------------------------------------------------------------------------

struct target {
    struct legacy_apply *apply;
    enum family family;
    const char *name;
    enum set_type type;
};

typedef int change_fn(struct sets *sets, const char *name, enum sets_family family, enum sets_type type,
                      const struct sets_member *members, size_t n, struct err *err);

static struct sets_member door_member(const struct set_member *member)
{
    struct sets_member out = {
        .length = member->prefix.length,
        .protocol = member->protocol,
        .port = member->port,
        .nomatch = member->nomatch,
    };
    memcpy(out.address, member->prefix.address.bytes, sizeof(out.address));
    return out;
}

// A write that fails may have done a part: it counts.
static void end_step(struct legacy_apply *apply, const char *what)
{
    legacy_step(apply->legacy, what, true);
    apply->report.writes++;
}

static int write_chunk(const struct target *target, const char *step, change_fn *change,
                       const struct sets_member *members, size_t n, struct err *err)
{
    struct legacy *legacy = target->apply->legacy;
    legacy_step(legacy, step, false);
    int result = change(legacy->sets, target->name, legacy_sets_family(target->family), door_type(target->type),
                        members, n, err);
    end_step(target->apply, step);
    return result;
}

static int change_all(const struct target *target, bool add, const struct set_member *members, size_t n,
                      struct err *err)
{
    struct sets_member chunk[CHUNK];
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK;
        for (size_t i = 0; i < count; i++) {
            chunk[i] = door_member(&members[first + i]);
        }
        if (write_chunk(target, add ? "set-add" : "set-del", add ? sets_add : sets_delete, chunk, count, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int change_some(const struct target *target, bool add, const struct set_member *const *members, size_t n,
                       struct err *err)
{
    struct sets_member chunk[CHUNK];
    for (size_t first = 0; first < n; first += CHUNK) {
        size_t count = n - first < CHUNK ? n - first : CHUNK;
        for (size_t i = 0; i < count; i++) {
            chunk[i] = door_member(members[first + i]);
        }
        if (write_chunk(target, add ? "set-add" : "set-del", add ? sets_add : sets_delete, chunk, count, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int create(const struct target *target, size_t n_members, struct err *err)
{
    struct legacy *legacy = target->apply->legacy;
    legacy_step(legacy, "set-create", false);
    int result = sets_create(legacy->sets, target->name, door_type(target->type), legacy_sets_family(target->family),
                             set_hashsize(n_members), set_maxelem(n_members), err);
    end_step(target->apply, "set-create");
    return result;
}

static int destroy(struct legacy_apply *apply, const char *name, struct err *err)
{
    legacy_step(apply->legacy, "set-destroy", false);
    int result = sets_destroy(apply->legacy->sets, name, err);
    end_step(apply, "set-destroy");
    return result;
}

// Fills a second set and exchanges the two: packets see the old content or the new, nothing between.
// extra: members kept beside those of the set, until the narrowing phase takes them.
static int rebuild(const struct target *target, const struct set *set, const struct set_member *const *extra,
                   size_t n_extra, struct err *err)
{
    struct legacy_apply *apply = target->apply;
    char name[SETS_NAME];
    (void)snprintf(name, sizeof(name), "%s%s", legacy_set_prefix(target->family), SWAP_NAME);
    struct target spare = *target;
    spare.name = name;
    struct err why = {0};
    if (create(&spare, set->n_members + n_extra, &why) < 0) {
        // Left by a crash, perhaps of another type.
        if (why.num != EEXIST) {
            return legacy_fail(err, &why);
        }
        if (destroy(apply, name, err) < 0 || create(&spare, set->n_members + n_extra, err) < 0) {
            return -1;
        }
    }
    if (change_all(&spare, true, set->members, set->n_members, err) < 0 ||
        change_some(&spare, true, extra, n_extra, err) < 0) {
        return -1;
    }
    legacy_step(apply->legacy, "set-swap", false);
    int result = sets_swap(apply->legacy->sets, name, target->name, err);
    end_step(apply, "set-swap");
    return result < 0 ? -1 : destroy(apply, name, err);
}

static const struct legacy_alien *alien_of(const struct legacy_apply *apply, const char *name)
{
    for (size_t i = 0; i < apply->aliens.n; i++) {
        if (strcmp(apply->aliens.v[i].header.name, name) == 0) {
            return &apply->aliens.v[i];
        }
    }
    return NULL;
}

// A name taken by a set that cannot become ours. In use it cannot go, nor be renamed, nor be swapped with another type.
static int clear_name(const struct target *target, const char *type, const char *family, struct err *err)
{
    struct err why = {0};
    if (destroy(target->apply, target->name, &why) == 0) {
        target->apply->report.sets_destroyed++;
        return 0;
    }
    if (why.num != SETS_BUSY) {
        return legacy_fail(err, &why);
    }
    return err_set(err, ERR_RETRY, SETS_BUSY,
                   "set %s is needed as %s of %s, but it exists as %s%s%s and a rule uses it: remove that rule, or all "
                   "of ours by netpold --cleanup",
                   target->name, set_type_name(target->type), family_name(target->family), type,
                   family[0] ? " of " : "", family);
}

static int create_filled(const struct target *target, const struct set *set, struct err *err)
{
    struct legacy_apply *apply = target->apply;
    const struct legacy_alien *alien = alien_of(apply, set->name);
    if (alien &&
        clear_name(target,
                   alien->header.type == SETS_OTHER ? "a set of another kind" : sets_type_name(alien->header.type),
                   alien->header.family == SETS_V6 ? "IPv6" : "IPv4", err) < 0) {
        return -1;
    }
    if (create(target, set->n_members, err) < 0 || change_all(target, true, set->members, set->n_members, err) < 0) {
        return -1;
    }
    apply->report.sets_created++;
    apply->report.members_added += set->n_members;
    return 0;
}

static bool has_nomatch(const struct set *set)
{
    for (size_t i = 0; i < set->n_members; i++) {
        if (set->members[i].nomatch) {
            return true;
        }
    }
    return false;
}

static int mark_exact(struct legacy_apply *apply, const char *name, struct err *err)
{
    apply->exact = apply->exact ? apply->exact : map_new();
    return apply->exact && map_put_str(apply->exact, name, apply, NULL) == 0 ? 0 : err_oom(err);
}

// Adding and later removing is right where members are independent. In a region with exceptions they are not: the
// longest prefix wins, so it changes at once.
static int widen_set(const struct target *target, const struct set_delta *delta, struct err *err)
{
    struct legacy_apply *apply = target->apply;
    struct err why = {0};
    if (has_nomatch(delta->from) || has_nomatch(delta->to)) {
        if (rebuild(target, delta->to, NULL, 0, err) < 0 || mark_exact(apply, delta->to->name, err) < 0) {
            return -1;
        }
        apply->report.members_removed += delta->n_removed;
    } else if (change_some(target, true, delta->added, delta->n_added, &why) < 0) {
        if (why.num != SETS_HASH_FULL) {
            return legacy_fail(err, &why);
        }
        if (rebuild(target, delta->to, delta->removed, delta->n_removed, err) < 0) {
            return -1;
        }
    }
    apply->report.members_added += delta->n_added;
    return 0;
}

int legacy_sets_widen(struct legacy_apply *apply, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &apply->diff->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set_delta *delta = &table->sets[i];
            if (!delta->to) {
                continue;
            }
            const struct target target = {apply, family, delta->to->name, delta->to->type};
            if (legacy_sets_open(apply->legacy, err) < 0) {
                return -1;
            }
            bool other = delta->from && delta->from->type != delta->to->type;
            if (other && clear_name(&target, set_type_name(delta->from->type), "", err) < 0) {
                return -1;
            }
            if ((!delta->from || other ? create_filled(&target, delta->to, err) : widen_set(&target, delta, err)) < 0) {
                return err_at_object(err, "set %s", delta->to->name);
            }
        }
    }
    return 0;
}

// A set that cannot go does not stop the rest.
static void destroy_stale(struct legacy_apply *apply, const char *name)
{
    struct err why = {0};
    if (destroy(apply, name, &why) == 0) {
        apply->report.sets_destroyed++;
        return;
    }
    if (why.num == SETS_BUSY) {
        apply->report.writes--;  // which it was not
        legacy_pinned(apply, "set %s", name);
        return;
    }
    if (apply->late.kind == ERR_NONE) {
        apply->late = why;
        (void)err_at_object(&apply->late, "set %s", name);
    }
}

int legacy_sets_narrow(struct legacy_apply *apply, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &apply->diff->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set_delta *delta = &table->sets[i];
            bool exact = delta->to && apply->exact && map_get_str(apply->exact, delta->to->name);
            if (!delta->from || !delta->to || delta->from->type != delta->to->type || exact || !delta->n_removed) {
                continue;
            }
            const struct target target = {apply, family, delta->to->name, delta->to->type};
            if (change_some(&target, false, delta->removed, delta->n_removed, err) < 0) {
                return err_at_object(err, "set %s", delta->to->name);
            }
            apply->report.members_removed += delta->n_removed;
        }
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &apply->diff->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            if (!table->sets[i].to) {
                destroy_stale(apply, table->sets[i].from->name);
            }
        }
    }
    for (size_t i = 0; i < apply->aliens.n; i++) {
        const char *name = apply->aliens.v[i].header.name;
        bool wanted =
            table_set(&apply->want->tables[FAMILY_V4], name) || table_set(&apply->want->tables[FAMILY_V6], name);
        if (!wanted) {
            destroy_stale(apply, name);
        }
    }
    return 0;
}

int legacy_change_members(struct backend *backend, const struct set_change *changes, size_t n, struct apply_report *ret,
                          struct err *err)
{
    struct legacy *legacy = CONTAINER_OF(backend, struct legacy, backend);
    struct legacy_apply apply = {.legacy = legacy};
    if (legacy_sets_open(legacy, err) < 0) {
        return -1;
    }
    for (unsigned adding = 0; adding < 2; adding++) {
        bool add = adding == 0;
        for (size_t i = 0; i < n; i++) {
            const struct set_change *change = &changes[i];
            const struct target target = {&apply, change->family, change->set, change->type};
            size_t count = add ? change->n_add : change->n_remove;
            if (change_all(&target, add, add ? change->add : change->remove, count, err) < 0) {
                return err_at_object(err, "set %s", change->set);
            }
            apply.report.members_added += add ? count : 0;
            apply.report.members_removed += add ? 0 : count;
        }
    }
    if (ret) {
        *ret = apply.report;
    }
    return 0;
}
