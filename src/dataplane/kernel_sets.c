// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_sets.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "model/address.h"

enum { CHUNK = 1000 };  // members handed to the door at once: one message

// What is being rebuilt, until it takes the place of the set. Named as ours, so that a crash leaves nothing behind for
// good.
#define SWAP_NAME "swap"

const char *kernel_sets_prefix(enum family family)
{
    return family == FAMILY_V6 ? RULESET_SET_PREFIX_V6 : RULESET_SET_PREFIX_V4;
}

int kernel_sets_open(struct kernel_sets *kernel, struct err *err)
{
    return kernel->door ? 0 : sets_open(&kernel->door, err);
}

void kernel_sets_close(struct kernel_sets *kernel)
{
    sets_close(kernel->door);
    kernel->door = NULL;
}

int kernel_sets_probe(struct err *err)
{
    CLEANUP(sets_close) struct sets *sets = NULL;
    if (sets_open(&sets, err) < 0) {
        return -1;
    }
    for (enum sets_type type = SETS_HASH_IP; type < SETS_OTHER; type++) {
        if (sets_probe(sets, type, SETS_V4, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void kernel_sets_apply_free(struct kernel_sets_apply *apply)
{
    vec_free(&apply->aliens);
    map_free(apply->exact);
}

void kernel_sets_pinned(struct kernel_sets_apply *apply, const char *fmt, ...)
{
    struct leftovers *pinned = &apply->report.pinned;
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = strlen(pinned->names);
    if (len + strlen(text) + sizeof(", ") <= sizeof(pinned->names)) {
        (void)snprintf(pinned->names + len, sizeof(pinned->names) - len, "%s%s", len ? ", " : "", text);
    }
    pinned->n++;
}

static int fail(struct err *err, const struct err *why)
{
    if (err) {
        *err = *why;
    }
    return -1;
}

static enum sets_family door_family(enum family family)
{
    return family == FAMILY_V6 ? SETS_V6 : SETS_V4;
}

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

static int read_members(struct kernel_sets *kernel, enum family family, const char *name, struct arena *arena,
                        struct set *set, struct err *err)
{
    CLEANUP(sets_members_free) struct sets_members *from = NULL;
    if (sets_dump(kernel->door, name, door_family(family), &from, err) < 0) {
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

static int note_alien(struct kernel_sets_apply *apply, const struct sets_header *header, struct err *err)
{
    const struct kernel_sets_alien alien = {.header = *header, .in_use = header->references > 0};
    return apply && vec_push(&apply->aliens, alien) < 0 ? err_oom(err) : 0;
}

static int read_family(struct kernel_sets *kernel, enum family family, struct ruleset *ruleset,
                       struct kernel_sets_apply *aliens, struct err *err)
{
    CLEANUP(sets_list_free) struct sets_list *list = NULL;
    if (sets_list(kernel->door, kernel_sets_prefix(family), &list, err) < 0) {
        return -1;
    }
    struct set *sets = arena_alloc(&ruleset->arena, list->n * sizeof(*sets));
    if (!sets) {
        return err_oom(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct sets_header *header = &list->v[i];
        if (header->type == SETS_OTHER || header->family != door_family(family)) {
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
        if (read_members(kernel, family, header->name, &ruleset->arena, &set, &why) < 0) {
            if (why.kind == ERR_NOT_FOUND) {
                continue;  // destroyed since it was listed
            }
            return fail(err, &why);
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

int kernel_sets_read(struct kernel_sets *kernel, struct ruleset **ret, struct kernel_sets_apply *aliens,
                     struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
    if (!ruleset) {
        return err_oom(err);
    }
    struct err why = {0};
    if (kernel_sets_open(kernel, &why) < 0) {
        if (why.kind != ERR_UNSUPPORTED) {
            return fail(err, &why);
        }
        *ret = TAKE(ruleset);
        return 0;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (read_family(kernel, family, ruleset, aliens, err) < 0) {
            return -1;
        }
    }
    *ret = TAKE(ruleset);
    return 0;
}

// ---- writing -------------------------------------------------------------------------------------------------------

struct target {
    struct kernel_sets_apply *apply;
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
static int end_step(struct kernel_sets_apply *apply, const char *what, int result)
{
    backend_step_end(&apply->kernel->options, what);
    apply->report.writes++;
    return result;
}

static int write_chunk(const struct target *target, const char *step, change_fn *change,
                       const struct sets_member *members, size_t n, struct err *err)
{
    struct kernel_sets *kernel = target->apply->kernel;
    int result = backend_step_begin(&kernel->options, step, err);
    result = result < 0 ? result
                        : change(kernel->door, target->name, door_family(target->family), door_type(target->type),
                                 members, n, err);
    return end_step(target->apply, step, result);
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
    struct kernel_sets *kernel = target->apply->kernel;
    int result = backend_step_begin(&kernel->options, "set-create", err);
    result = result < 0 ? result
                        : sets_create(kernel->door, target->name, door_type(target->type), door_family(target->family),
                                      set_hashsize(n_members), set_maxelem(n_members), err);
    return end_step(target->apply, "set-create", result);
}

static int destroy_patiently(struct kernel_sets_apply *apply, const char *name, struct err *err)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        struct err why = {0};
        if (sets_destroy(apply->kernel->door, name, &why) == 0) {
            return 0;
        }
        if (why.num != SETS_BUSY || apply->patience_ms == 0) {
            return fail(err, &why);
        }
        apply->patience_ms--;
        (void)nanosleep(&pause, NULL);
    }
}

static int destroy(struct kernel_sets_apply *apply, const char *name, struct err *err)
{
    int result = backend_step_begin(&apply->kernel->options, "set-destroy", err);
    result = result < 0 ? result : destroy_patiently(apply, name, err);
    return end_step(apply, "set-destroy", result);
}

// Fills a second set and exchanges the two: packets see the old content or the new, nothing between.
// extra: members kept beside those of the set, until the narrowing phase takes them.
static int rebuild(const struct target *target, const struct set *set, const struct set_member *const *extra,
                   size_t n_extra, struct err *err)
{
    struct kernel_sets_apply *apply = target->apply;
    char name[SETS_NAME];
    (void)snprintf(name, sizeof(name), "%s%s", kernel_sets_prefix(target->family), SWAP_NAME);
    struct target spare = *target;
    spare.name = name;
    struct err why = {0};
    if (create(&spare, set->n_members + n_extra, &why) < 0) {
        // Left by a crash, perhaps of another type.
        if (why.num != EEXIST) {
            return fail(err, &why);
        }
        if (destroy(apply, name, err) < 0 || create(&spare, set->n_members + n_extra, err) < 0) {
            return -1;
        }
    }
    if (change_all(&spare, true, set->members, set->n_members, err) < 0 ||
        change_some(&spare, true, extra, n_extra, err) < 0) {
        return -1;
    }
    int result = backend_step_begin(&apply->kernel->options, "set-swap", err);
    result = result < 0 ? result : sets_swap(apply->kernel->door, name, target->name, err);
    if (end_step(apply, "set-swap", result) < 0) {
        struct err ignored = {0};
        (void)!destroy(apply, name, &ignored);
        return -1;
    }
    return destroy(apply, name, err);
}

static const struct kernel_sets_alien *alien_of(const struct kernel_sets_apply *apply, const char *name)
{
    for (size_t i = 0; i < apply->aliens.n; i++) {
        if (strcmp(apply->aliens.v[i].header.name, name) == 0) {
            return &apply->aliens.v[i];
        }
    }
    return NULL;
}

// A name taken by a set that cannot become ours. In use it can neither go nor be renamed; it can be swapped for one of
// its own type, if nothing but its options is odd (somebody swapped it in). *ret_filled: that was done.
static int clear_name(const struct target *target, const struct set *set, const char *type, const char *family,
                      bool *ret_filled, struct err *err)
{
    struct err why = {0};
    *ret_filled = false;
    if (destroy(target->apply, target->name, &why) == 0) {
        target->apply->report.sets_destroyed++;
        return 0;
    }
    if (why.num != SETS_BUSY) {
        return fail(err, &why);
    }
    struct err cannot = {0};
    if (rebuild(target, set, NULL, 0, &cannot) == 0) {
        *ret_filled = true;
        return 0;
    }
    return err_set(err, ERR_RETRY, SETS_BUSY,
                   "set %s is needed as %s of %s, but it exists as %s%s%s and a rule uses it: remove that rule, or all "
                   "of ours by netpold --cleanup",
                   target->name, set_type_name(target->type), family_name(target->family), type,
                   family[0] ? " of " : "", family);
}

static int create_filled(const struct target *target, const struct set *set, struct err *err)
{
    struct kernel_sets_apply *apply = target->apply;
    const struct kernel_sets_alien *alien = alien_of(apply, set->name);
    bool filled = false;
    if (alien &&
        clear_name(target, set,
                   alien->header.type == SETS_OTHER ? "a set of another kind" : sets_type_name(alien->header.type),
                   alien->header.family == SETS_V6 ? "IPv6" : "IPv4", &filled, err) < 0) {
        return -1;
    }
    if (!filled &&
        (create(target, set->n_members, err) < 0 || change_all(target, true, set->members, set->n_members, err) < 0)) {
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

static int mark_exact(struct kernel_sets_apply *apply, const char *name, struct err *err)
{
    apply->exact = apply->exact ? apply->exact : map_new();
    return apply->exact && map_put_str(apply->exact, name, apply, NULL) == 0 ? 0 : err_oom(err);
}

// Adding and later removing is right where members are independent. In a region with exceptions they are not: the
// longest prefix wins, so it changes at once.
static int widen_set(const struct target *target, const struct set_delta *delta, struct err *err)
{
    struct kernel_sets_apply *apply = target->apply;
    struct err why = {0};
    if (has_nomatch(delta->from) || has_nomatch(delta->to)) {
        if (rebuild(target, delta->to, NULL, 0, err) < 0 || mark_exact(apply, delta->to->name, err) < 0) {
            return -1;
        }
        apply->report.members_removed += delta->n_removed;
    } else if (change_some(target, true, delta->added, delta->n_added, &why) < 0) {
        if (why.num != SETS_HASH_FULL) {
            return fail(err, &why);
        }
        if (rebuild(target, delta->to, delta->removed, delta->n_removed, err) < 0) {
            return -1;
        }
    }
    apply->report.members_added += delta->n_added;
    return 0;
}

int kernel_sets_widen(struct kernel_sets_apply *apply, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &apply->diff->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set_delta *delta = &table->sets[i];
            if (!delta->to) {
                continue;
            }
            const struct target target = {apply, family, delta->to->name, delta->to->type};
            if (kernel_sets_open(apply->kernel, err) < 0) {
                return -1;
            }
            bool other = delta->from && delta->from->type != delta->to->type;
            bool filled = false;
            if (other && clear_name(&target, delta->to, set_type_name(delta->from->type), "", &filled, err) < 0) {
                return -1;
            }
            if (filled) {
                continue;
            }
            if ((!delta->from || other ? create_filled(&target, delta->to, err) : widen_set(&target, delta, err)) < 0) {
                return err_at_object(err, "set %s", delta->to->name);
            }
        }
    }
    return 0;
}

// A set that cannot go does not stop the rest.
static void destroy_stale(struct kernel_sets_apply *apply, const char *name)
{
    struct err why = {0};
    if (destroy(apply, name, &why) == 0) {
        apply->report.sets_destroyed++;
        return;
    }
    if (why.num == SETS_BUSY) {
        apply->report.writes--;  // which it was not
        kernel_sets_pinned(apply, "set %s", name);
        return;
    }
    if (apply->late.kind == ERR_NONE) {
        apply->late = why;
        (void)err_at_object(&apply->late, "set %s", name);
    }
}

int kernel_sets_narrow(struct kernel_sets_apply *apply, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table_diff *table = &apply->diff->tables[family];
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set_delta *delta = &table->sets[i];
            bool exact = delta->to && apply->exact && map_get_str(apply->exact, delta->to->name);
            if (apply->kept[family] || !delta->from || !delta->to || delta->from->type != delta->to->type || exact ||
                !delta->n_removed) {
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
        for (size_t i = 0; i < table->n_sets && !apply->kept[family]; i++) {
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

int kernel_sets_change(struct kernel_sets *kernel, const struct set_change *changes, size_t n, struct apply_report *ret,
                       struct err *err)
{
    struct kernel_sets_apply apply = {.kernel = kernel};
    if (kernel_sets_open(kernel, err) < 0) {
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
