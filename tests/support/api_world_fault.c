// SPDX-License-Identifier: Apache-2.0
//
// The fault plan of the model server: which faults hit a request, and what they do to the bytes of its answer.
#include <stdio.h>

#include "base/num.h"
#include "support/api_world_private.h"

enum { H2_INTERNAL_ERROR = 2 };

struct world_fault *world_fault(struct world *world, struct world_fault fault)
{
    struct world_fault *copy = world_must(malloc(sizeof(*copy)));
    *copy = fault;
    copy->seen = 0;
    copy->hits = 0;
    if (vec_push(&world->faults, copy) < 0) {
        abort();
    }
    return copy;
}

void world_heal(struct world *world, struct world_fault *fault)
{
    for (size_t i = 0; i < world->faults.n; i++) {
        if (!fault || world->faults.v[i] == fault) {
            world->faults.v[i]->healed = true;
        }
    }
}

static bool concerns(const struct world_fault *fault, const struct world_request *request)
{
    return !fault->healed && (fault->on == 0 || fault->on & request->type) &&
           (fault->kinds == 0 || (request->kind >= 0 && fault->kinds & WORLD_BIT(request->kind))) &&
           (fault->page == 0 || fault->page == request->page);
}

#define TAKE_FIRST(member)                                                                                             \
    do {                                                                                                               \
        if (!ret->member) {                                                                                            \
            ret->member = fault->member;                                                                               \
        }                                                                                                              \
    } while (0)

void world_fault_collect(struct world *world, const struct world_request *request, struct world_fault *ret)
{
    for (size_t i = 0; i < world->faults.n; i++) {
        struct world_fault *fault = world->faults.v[i];
        if (!concerns(fault, request) || fault->seen++ < fault->skip || (fault->times && fault->hits >= fault->times)) {
            continue;
        }
        fault->hits++;
        if (!ret->status && fault->status) {
            ret->status = fault->status;
            ret->type = fault->type;
            ret->headers = fault->headers;
            ret->body = fault->body;
        }
        if (ret->cut == WORLD_CUT_NONE && fault->cut != WORLD_CUT_NONE) {
            ret->cut = fault->cut;
            ret->after_bytes = fault->after_bytes;
            ret->after_events = fault->after_events;
        }
        TAKE_FIRST(name);
        TAKE_FIRST(delay_ms);
        TAKE_FIRST(silent);
        TAKE_FIRST(at_version);
        TAKE_FIRST(merge_ms);
        TAKE_FIRST(split);
        TAKE_FIRST(drip_ms);
        TAKE_FIRST(line_end);
        TAKE_FIRST(inject);
    }
}

// ---- the body

bool world_call_begin(struct world_call *call, const char *headers)
{
    struct buf BUF_CLEANUP all = {0};
    world_headers(call, headers, &all);
    call->world->requests.v[call->request].status = 200;
    call->begun = true;
    api_exchange_begin(call->exchange, "application/json", world_must(all.data));
    if (call->effect.cut != WORLD_CUT_NONE && call->effect.after_bytes == 0 && call->effect.after_events == 0) {
        world_call_cut(call, call->effect.cut);
        return false;
    }
    return true;
}

// Bytes go out, in chunks as the fault says.
static void send_bytes(struct world_call *call, const char *data, size_t len)
{
    struct buf BUF_CLEANUP packed = {0};
    if (call->gzip) {
        world_gzip(data, len, &packed);
        data = packed.data;
        len = packed.len;
    }
    size_t piece = call->effect.split ? call->effect.split : len;
    for (size_t at = 0; at < len; at += piece) {
        api_exchange_chunk(call->exchange, data + at, len - at < piece ? len - at : piece);
    }
}

static void keep_bytes(struct world_call *call, const char *data, size_t len)
{
    if (call->waiting.len == 0) {
        call->write_ms = num_now_ms() + (call->effect.merge_ms ? call->effect.merge_ms : call->effect.drip_ms);
    }
    buf_add(&call->waiting, data, len);
    if (call->waiting.failed) {
        abort();
    }
    world_call_arm(call);
}

static void flush_waiting(struct world_call *call)
{
    if (call->waiting.len) {
        send_bytes(call, call->waiting.data, call->waiting.len);
        buf_clear(&call->waiting);
    }
}

bool world_call_write(struct world_call *call, const char *data, size_t len, size_t n_events)
{
    const struct world_fault *effect = &call->effect;
    if (call->cut) {
        return false;
    }
    struct buf BUF_CLEANUP line = {0};
    if (n_events && (effect->inject || effect->line_end) && len && data[len - 1] == '\n') {
        buf_puts(&line, effect->inject ? effect->inject : "");
        buf_add(&line, data, len - 1);
        buf_puts(&line, effect->line_end ? effect->line_end : "\n");
        data = world_must(line.data);
        len = line.len;
    }
    bool last = false;
    if (effect->cut != WORLD_CUT_NONE) {
        bool by_bytes = effect->after_bytes != 0;
        last = by_bytes ? call->bytes + len >= effect->after_bytes : call->events + n_events >= effect->after_events;
        len = last && by_bytes ? effect->after_bytes - call->bytes : len;
        // A list has no events: it is never cut behind one.
        last = last && (by_bytes || n_events);
    }
    call->bytes += len;
    call->events += n_events;
    if (effect->merge_ms || effect->drip_ms) {
        keep_bytes(call, data, len);
    } else {
        send_bytes(call, data, len);
    }
    if (last) {
        flush_waiting(call);
        world_call_cut(call, effect->cut);
        return false;
    }
    return true;
}

void world_call_end(struct world_call *call)
{
    if (call->cut) {
        return;
    }
    if (call->effect.drip_ms && call->waiting.len) {
        call->end = true;
        return;
    }
    flush_waiting(call);
    api_exchange_end(call->exchange);
}

struct silence {
    size_t connection;
};

static void silence_one(struct world_call *call, void *arg)
{
    const struct silence *silence = arg;
    if (api_exchange_connection(call->exchange) == silence->connection) {
        call->cut = true;
        call->dead = true;
        world_call_listed(call);
    }
}

void world_call_cut(struct world_call *call, enum world_cut cut)
{
    switch (cut) {
    case WORLD_CUT_NONE:
        return;
    case WORLD_CUT_END:
        if (call->begun) {
            flush_waiting(call);
            api_exchange_end(call->exchange);
        } else {
            api_exchange_cut(call->exchange, false);
        }
        return;
    case WORLD_CUT_FIN:
        api_exchange_cut(call->exchange, false);
        return;
    case WORLD_CUT_CLOSE:
        flush_waiting(call);
        api_exchange_close(call->exchange);
        return;
    case WORLD_CUT_RST:
        api_exchange_cut(call->exchange, true);
        return;
    case WORLD_CUT_STREAM:
        api_exchange_reset_stream(call->exchange, H2_INTERNAL_ERROR);
        return;
    case WORLD_CUT_GOAWAY:
        api_exchange_goaway(call->exchange);
        return;
    case WORLD_CUT_HANG:
        call->cut = true;
        call->dead = true;
        return;
    case WORLD_CUT_BLACK_HOLE:
        if (!world_socket_black_hole(api_exchange_fd(call->exchange), true)) {
            abort();
        }
        world_each_call(call->world, silence_one,
                        &(struct silence){.connection = api_exchange_connection(call->exchange)});
        return;
    }
}

static void drip(struct world_call *call)
{
    size_t n = call->effect.split ? call->effect.split : 1;
    n = n < call->waiting.len ? n : call->waiting.len;
    api_exchange_chunk(call->exchange, call->waiting.data, n);
    memmove(call->waiting.data, call->waiting.data + n, call->waiting.len - n);
    call->waiting.len -= n;
    call->write_ms = num_now_ms() + call->effect.drip_ms;
}

void world_call_due(struct world_call *call)
{
    if (call->cut) {
        return;
    }
    if (call->waiting.len && num_now_ms() >= call->write_ms) {
        if (call->effect.merge_ms) {
            flush_waiting(call);
        } else {
            drip(call);
        }
        if (call->end && call->waiting.len == 0) {
            api_exchange_end(call->exchange);
            return;
        }
    }
    if (call->watching) {
        world_watch_due(call);
    } else {
        world_call_arm(call);
    }
}

void world_call_arm(struct world_call *call)
{
    uint64_t next = call->waiting.len ? call->write_ms : UINT64_MAX;
    if (call->watching) {
        next = call->bookmark_ms < next ? call->bookmark_ms : next;
        next = call->end_ms < next ? call->end_ms : next;
    }
    if (next == UINT64_MAX) {
        loop_disarm(call->timer);
        return;
    }
    uint64_t now = num_now_ms();
    loop_arm(call->timer, next > now ? next - now : 0);
}
