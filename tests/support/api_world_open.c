// SPDX-License-Identifier: Apache-2.0
//
// The open answers of the model server: all of them, and what a test does to the watches among them.
#include <linux/filter.h>
#include <sys/socket.h>

#include "support/api_world_private.h"

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

uint64_t world_shown(const struct world *world, int kind)
{
    uint64_t version = 0;
    for (const struct world_call *call = world->calls; call; call = call->next) {
        if (call->watching && !call->dead && !call->cut && call->kind == kind && call->shown > version) {
            version = call->shown;
        }
    }
    return version;
}
