// SPDX-License-Identifier: Apache-2.0
//
// The history of the model server: every change, and what things looked like at any version.
#include "support/api_world_private.h"

enum { HISTORY_MAX = 200000 };

static size_t find_key(struct world_version *const *v, size_t n, const char *key, bool *ret_there)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(v[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_there = low < n && strcmp(v[low]->key, key) == 0;
    return low;
}

static void past_set(struct world_objects *past, const char *key, struct world_version *version)
{
    bool there;
    size_t at = find_key(past->list.v, past->list.n, key, &there);
    if (there && version) {
        past->list.v[at] = version;
    } else if (there) {
        memmove(&past->list.v[at], &past->list.v[at + 1], (past->list.n - at - 1) * sizeof(past->list.v[0]));
        past->list.n--;
    } else if (version) {
        if (vec_push(&past->list, version) < 0) {
            abort();
        }
        memmove(&past->list.v[at + 1], &past->list.v[at], (past->list.n - at - 1) * sizeof(past->list.v[0]));
        past->list.v[at] = version;
    }
}

static struct world_objects past_of(const struct world *world, int kind, uint64_t version)
{
    struct world_objects past = {.list = {0}};
    for (size_t i = 0; i < world->objects[kind].list.n; i++) {
        if (vec_push(&past.list, world->objects[kind].list.v[i]) < 0) {
            abort();
        }
    }
    for (size_t i = world->history.n; i-- > 0 && world->history.v[i].version > version;) {
        const struct world_event *event = &world->history.v[i];
        if (event->kind == kind) {
            past_set(&past, (event->new ? event->new : event->old)->key, event->old);
        }
    }
    return past;
}

bool world_at(const struct world *world, int kind, uint64_t version,
              void (*fn)(struct world_version *object, void *arg), void *arg)
{
    if (version > world->version || version < world->oldest) {
        return false;
    }
    struct world_objects past = past_of(world, kind, version);
    for (size_t i = 0; i < past.list.n; i++) {
        fn(past.list.v[i], arg);
    }
    vec_free(&past.list);
    return true;
}

// ---- changes

static void trim_history(struct world *world)
{
    if (world->history.n < HISTORY_MAX) {
        return;
    }
    size_t half = HISTORY_MAX / 2;
    uint64_t last = world->history.v[half - 1].version;
    for (size_t i = 0; i < half; i++) {
        world_version_unref(world->history.v[i].old);
        world_version_unref(world->history.v[i].new);
    }
    memmove(world->history.v, world->history.v + half, (world->history.n - half) * sizeof(world->history.v[0]));
    world->history.n -= half;
    world->oldest = last;
    world->compacted = world->compacted > last ? world->compacted : last;
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        world->floor[kind] = world->floor[kind] > last ? world->floor[kind] : last;
    }
}

// The ring of a kind holds so many events: a watch may begin at the version of the last event that fell out.
static void turn_ring(struct world *world, int kind)
{
    size_t n = 0;
    for (size_t i = world->history.n; world->ring && i-- > 0;) {
        if (world->history.v[i].version <= world->floor[kind]) {
            return;
        }
        if (world->history.v[i].kind == kind && ++n > world->ring) {
            world->floor[kind] = world->history.v[i].version;
            return;
        }
    }
}

void world_change(struct world *world, int kind, const char *key, struct world_version *new)
{
    bool there;
    size_t at = find_key(world->objects[kind].list.v, world->objects[kind].list.n, key, &there);
    struct world_event event = {.version = ++world->version, .kind = kind};
    if (there) {
        event.old = world_version_ref(world->objects[kind].list.v[at]);
    }
    if (new) {
        new->version = event.version;
        new->born = event.old ? event.old->born : event.version;
        event.new = world_version_ref(new);
    }
    if (vec_push(&world->history, event) < 0) {
        abort();
    }
    past_set(&world->objects[kind], key, new);
    world_version_unref(event.old);
    trim_history(world);
    turn_ring(world, kind);
    world_pump(world);
}

const struct world_version *world_find(const struct world *world, int kind, const char *key)
{
    bool there;
    size_t at = find_key(world->objects[kind].list.v, world->objects[kind].list.n, key, &there);
    return there ? world->objects[kind].list.v[at] : NULL;
}
