// SPDX-License-Identifier: Apache-2.0
//
// The life of the model server: its settings, restarts and restores.
#include <stdio.h>

#include "base/num.h"
#include "support/api_world_private.h"

enum { FIRST_VERSION = 1000 };

const struct world_kind_row world_kind_rows[WORLD_KINDS] = {
    [WORLD_NAMESPACES] = {"namespaces", "", {"v1"}, "Namespace", OBJECT_NAMESPACE, false},
    [WORLD_POLICIES] = {"networkpolicies", "networking.k8s.io", {"v1"}, "NetworkPolicy", OBJECT_POLICY, true},
    [WORLD_NODES] = {"nodes", "", {"v1"}, "Node", OBJECT_NODE, false},
    [WORLD_PODS] = {"pods", "", {"v1"}, "Pod", OBJECT_POD, true},
    [WORLD_CUSTOM] = {"books", WORLD_CUSTOM_GROUP, {"v1", "v1beta1"}, "Book", OBJECT_POLICY, true},
};

const char *world_plural(int kind)
{
    return world_kind_rows[kind].plural;
}

void *world_must(void *memory)
{
    if (!memory) {
        abort();
    }
    return memory;
}

struct world *world_new(struct loop *loop, const char *address)
{
    struct world *world = world_must(calloc(1, sizeof(*world)));
    struct err err;
    if (api_server_new_at(loop, address, 0, world_serve, world, &world->server, &err) < 0) {
        abort();
    }
    world->loop = loop;
    world->version = FIRST_VERSION;
    world->oldest = FIRST_VERSION;
    world->compacted = FIRST_VERSION;
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        world->floor[kind] = FIRST_VERSION;
    }
    world->bookmark_ms = 60000;
    world->remaining = true;
    world->gzip = true;
    world->served = WORLD_BIT(WORLD_CUSTOM) - 1;
    world_set_minor(world, 34);
    return world;
}

void world_set_minor(struct world *world, unsigned minor)
{
    static const char *const names[] = {"24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35"};
    if (minor < 24 || minor - 24 >= ARRAY_SIZE(names)) {
        abort();
    }
    world->minor = names[minor - 24];
    world->host_network_label = minor >= 28;
    world->watch_list = minor < 27                  ? WORLD_WATCH_LIST_UNKNOWN
                        : minor == 32 || minor > 33 ? WORLD_WATCH_LIST_ON
                                                    : WORLD_WATCH_LIST_OFF;
}

static void end_every_call(struct world *world)
{
    // Ending one connection may end several calls.
    while (world->calls) {
        api_exchange_cut(world->calls->exchange, true);
    }
}

void world_free(struct world *world)
{
    if (!world) {
        return;
    }
    world->dying = true;
    end_every_call(world);
    api_server_free(world->server);
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        for (size_t i = 0; i < world->objects[kind].list.n; i++) {
            world_version_unref(world->objects[kind].list.v[i]);
        }
        vec_free(&world->objects[kind].list);
    }
    for (size_t i = 0; i < world->history.n; i++) {
        world_version_unref(world->history.v[i].old);
        world_version_unref(world->history.v[i].new);
    }
    vec_free(&world->history);
    for (size_t i = 0; i < world->faults.n; i++) {
        free(world->faults.v[i]);
    }
    vec_free(&world->faults);
    for (size_t i = 0; i < world->requests.n; i++) {
        free(world->requests.v[i].query);
    }
    vec_free(&world->requests);
    buf_free(&world->violations);
    free(world);
}

uint64_t world_cache(const struct world *world)
{
    return world->cache ? world->cache : world->version;
}

void world_violation(struct world *world, const struct world_call *call, const char *what)
{
    if (!world->quiet_violations) {
        buf_printf(&world->violations, "%s: %s?%s\n", what, api_exchange_path(call->exchange),
                   api_exchange_query(call->exchange));
    }
}

// ---- the server's life

void world_forget(struct world *world, unsigned kinds)
{
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        if (kinds == 0 || kinds & WORLD_BIT(kind)) {
            world->floor[kind] = world_cache(world);
        }
    }
}

void world_compact(struct world *world)
{
    world->compacted = world->version;
}

void world_listen(struct world *world, bool listening)
{
    struct err err;
    if (api_server_outage(world->server, listening, &err) < 0) {
        abort();
    }
}

void world_restart(struct world *world)
{
    world_forget(world, 0);
    world_listen(world, true);
}

static void keep(struct world_version *object, void *arg)
{
    struct world_objects *past = arg;
    if (vec_push(&past->list, world_version_ref(object)) < 0) {
        abort();
    }
}

void world_restore(struct world *world, uint64_t version)
{
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        struct world_objects past = {.list = {0}};
        if (!world_at(world, kind, version, keep, &past)) {
            abort();
        }
        for (size_t i = 0; i < world->objects[kind].list.n; i++) {
            world_version_unref(world->objects[kind].list.v[i]);
        }
        vec_free(&world->objects[kind].list);
        world->objects[kind] = past;
    }
    while (world->history.n && world->history.v[world->history.n - 1].version > version) {
        struct world_event *event = &world->history.v[--world->history.n];
        world_version_unref(event->old);
        world_version_unref(event->new);
    }
    world->version = version;
    world->restored = true;
    world->compacted = version;
    world->cache = 0;
    world_listen(world, true);
    world_forget(world, 0);
}

void world_freeze(struct world *world)
{
    world->cache = world->version;
}

void world_thaw(struct world *world)
{
    world->cache = 0;
    world_pump(world);
}

void world_install(struct world *world, int kind)
{
    world->served |= WORLD_BIT(kind);
}

void world_remove(struct world *world, int kind)
{
    world->served &= ~WORLD_BIT(kind);
    world->floor[kind] = world->version;
    for (size_t i = 0; i < world->objects[kind].list.n; i++) {
        world_version_unref(world->objects[kind].list.v[i]);
    }
    vec_free(&world->objects[kind].list);
    (void)world_cut(world, WORLD_BIT(kind), WORLD_CUT_END);
}
