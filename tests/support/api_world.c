// SPDX-License-Identifier: Apache-2.0
//
// The life of the model server: settings, history, what a version looked like, freezing, restarts and restores.
#include <linux/filter.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/num.h"
#include "support/api_world_private.h"

enum { FIRST_VERSION = 1000, HISTORY_MAX = 200000 };

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

void world_each_call(struct world *world, void (*fn)(struct world_call *call, void *arg), void *arg)
{
    unsigned pass = ++world->pass;
    struct world_call *call = world->calls;
    while (call) {
        if (call->pass == pass) {
            call = call->next;
            continue;
        }
        call->pass = pass;
        fn(call, arg);
        call = world->calls;
    }
}

static void pump_one(struct world_call *call, UNUSED void *arg)
{
    if (call->watching) {
        world_watch_pump(call);
    }
}

void world_pump(struct world *world)
{
    world_each_call(world, pump_one, NULL);
}

// ---- the past

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

// A filter that takes nothing: what arrives is dropped before TCP sees it, without a word to the sender.
bool world_socket_black_hole(int fd, bool on)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    const struct sock_fprog program = {.len = 1, .filter = &drop};
    return setsockopt(fd, SOL_SOCKET, on ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program, sizeof(program)) == 0;
}

void world_black_hole_syn(struct world *world, bool on)
{
    if (!world_socket_black_hole(api_server_fd(world->server), on)) {
        abort();
    }
}

// ---- open watches

size_t world_watchers(const struct world *world, unsigned kinds)
{
    size_t n = 0;
    for (const struct world_call *call = world->calls; call; call = call->next) {
        n += call->watching && !call->dead && (kinds == 0 || kinds & WORLD_BIT(call->kind));
    }
    return n;
}

struct each {
    unsigned kinds;
    enum world_cut cut;
    const char *text;
    size_t len;
    size_t n;
};

static bool wanted(const struct world_call *call, const struct each *each)
{
    return call->watching && !call->dead && (each->kinds == 0 || each->kinds & WORLD_BIT(call->kind));
}

static void cut_one(struct world_call *call, void *arg)
{
    struct each *each = arg;
    if (wanted(call, each)) {
        each->n++;
        world_call_cut(call, each->cut);
    }
}

size_t world_cut(struct world *world, unsigned kinds, enum world_cut cut)
{
    struct each each = {.kinds = kinds, .cut = cut};
    world_each_call(world, cut_one, &each);
    return each.n;
}

static void write_one(struct world_call *call, void *arg)
{
    struct each *each = arg;
    if (wanted(call, each)) {
        (void)world_call_write(call, each->text, each->len, 1);
    }
}

void world_write(struct world *world, unsigned kinds, const char *text, size_t len)
{
    struct each each = {.kinds = kinds, .text = text, .len = len};
    world_each_call(world, write_one, &each);
}

void world_event(struct world *world, unsigned kinds, const char *type, const char *object)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "{\"type\":\"%s\",\"object\":%s}\n", type, object);
    world_write(world, kinds, world_must(line.data), line.len);
}

bool world_current(const struct world *world, unsigned kinds)
{
    unsigned current = 0;
    for (const struct world_call *call = world->calls; call; call = call->next) {
        if (call->watching && !call->dead && !call->cut && call->sent == world->version && call->waiting.len == 0 &&
            api_exchange_pending(call->exchange) == 0) {
            current |= WORLD_BIT(call->kind);
        }
    }
    return (current & kinds) == kinds;
}
