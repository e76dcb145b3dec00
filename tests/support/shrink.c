// SPDX-License-Identifier: Apache-2.0
#include "support/shrink.h"

struct shrinking {
    struct trial *trial;
    shrink_fails_fn *fails;
    size_t tried;
    bool changed;  // in this round
};

static bool still_fails(struct shrinking *s)
{
    s->tried++;
    return s->fails(s->trial);
}

// ---- objects -------------------------------------------------------------------------------------------------------

// Without objects[from..from + n), if that still fails.
static bool without(struct shrinking *s, size_t from, size_t n)
{
    struct trial *trial = s->trial;
    struct random_object *all = trial->objects;
    size_t n_all = trial->n_objects;
    struct random_object *left = calloc(n_all + 1, sizeof(*left));
    if (!left) {
        return false;
    }
    memcpy(left, all, from * sizeof(*left));
    memcpy(left + from, all + from + n, (n_all - from - n) * sizeof(*left));
    trial->objects = left;
    trial->n_objects = n_all - n;
    if (still_fails(s)) {
        for (size_t i = from; i < from + n; i++) {
            free((void *)all[i].object);
        }
        free(all);
        return true;
    }
    trial->objects = all;
    trial->n_objects = n_all;
    free(left);
    return false;
}

static void drop_objects(struct shrinking *s)
{
    for (size_t size = s->trial->n_objects; size > 0; size /= 2) {
        for (size_t at = 0; at + size <= s->trial->n_objects;) {
            if (without(s, at, size)) {
                s->changed = true;
            } else {
                at += size;
            }
        }
    }
}

static bool reduce_object(struct shrinking *s, size_t at, size_t k, bool *ret_end)
{
    struct random_object *slot = &s->trial->objects[at];
    const struct random_object before = *slot;
    void *copy = trial_copy_object(&before);
    *ret_end = !shrink_object(before.kind, copy, k);
    slot->object = copy;
    if (!*ret_end && still_fails(s)) {
        free((void *)before.object);
        return true;
    }
    *slot = before;
    free(copy);
    return false;
}

static void reduce_objects(struct shrinking *s)
{
    for (size_t at = 0; at < s->trial->n_objects; at++) {
        bool end = false;
        for (size_t k = 0; !end;) {
            if (reduce_object(s, at, k, &end)) {
                s->changed = true;
            } else {
                k++;
            }
        }
    }
}

// ---- the rest ------------------------------------------------------------------------------------------------------

static bool replace_facts(struct shrinking *s, struct facts *facts)
{
    struct facts *before = s->trial->facts;
    s->trial->facts = facts;
    bool smaller = still_fails(s);
    if (!smaller) {
        s->trial->facts = before;
    }
    facts_free(smaller ? before : facts);
    s->changed = s->changed || smaller;
    return smaller;
}

static void reduce_facts(struct shrinking *s)
{
    if (!s->trial->facts || replace_facts(s, NULL)) {
        return;
    }
    for (size_t k = 0;;) {
        struct facts *copy = trial_copy_facts(s->trial->facts);
        if (!shrink_facts(copy, k)) {
            facts_free(copy);
            return;
        }
        k += replace_facts(s, copy) ? 0 : 1;
    }
}

static void reduce_rest(struct shrinking *s)
{
    for (size_t k = 0;;) {
        const struct trial before = *s->trial;
        if (!shrink_rest(s->trial, k)) {
            return;
        }
        if (still_fails(s)) {
            s->changed = true;
        } else {
            *s->trial = before;
            k++;
        }
    }
}

size_t shrink(struct trial *trial, shrink_fails_fn *fails)
{
    struct shrinking s = {.trial = trial, .fails = fails};
    do {
        s.changed = false;
        drop_objects(&s);
        reduce_facts(&s);
        reduce_rest(&s);
        reduce_objects(&s);
    } while (s.changed);
    return s.tried;
}
