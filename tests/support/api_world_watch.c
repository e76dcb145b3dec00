// SPDX-License-Identifier: Apache-2.0
//
// Watches of the model server: from a version, or with everything that there is first (WatchList), bookmarks and ends
// (api-client.md 2).
#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"
#include "support/api_world_private.h"

enum { LAST_BOOKMARK_MS = 2000, TIMEOUT_S = 2700 };

static bool write_object(struct world_call *call, const char *type, const struct world_version *object,
                         uint64_t version)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "{\"type\":\"%s\",\"object\":", type);
    world_version_json(object, version, call->kind, call->api_version, &line);
    buf_puts(&line, "}\n");
    return world_call_write(call, world_must(line.data), line.len, 1);
}

static bool write_bookmark(struct world_call *call, uint64_t version, bool end)
{
    const struct world_kind_row *row = &world_kind_rows[call->kind];
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line,
               "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\",\"metadata\":{"
               "\"resourceVersion\":\"%" PRIu64 "\",\"creationTimestamp\":null%s}%s}}\n",
               row->name, row->group, row->group[0] ? "/" : "", call->api_version, version,
               end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "",
               call->kind == WORLD_PODS ? ",\"spec\":{\"containers\":null},\"status\":{}" : "");
    return world_call_write(call, world_must(line.data), line.len, 1);
}

static void write_error(struct world_call *call, unsigned code, const char *reason, const char *message,
                        const char *more)
{
    struct buf BUF_CLEANUP line = {0};
    buf_puts(&line, "{\"type\":\"ERROR\",\"object\":");
    world_status_json(code, reason, message, more, &line);
    buf_puts(&line, "}\n");
    if (world_call_write(call, world_must(line.data), line.len, 1)) {
        world_call_end(call);
    }
}

static size_t first_after(const struct world *world, uint64_t version)
{
    size_t low = 0;
    size_t high = world->history.n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (world->history.v[middle].version <= version) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// Leaving the selector is a DELETED with what was there before, entering it an ADDED; false: the call is gone.
static bool write_event(struct world_call *call, const struct world_event *event)
{
    bool before = event->old && world_selector_matches(call->kind, call->selector, event->old);
    bool after = event->new &&world_selector_matches(call->kind, call->selector, event->new);
    if (before || after) {
        call->shown = event->version;
    }
    if (after) {
        return write_object(call, before ? "MODIFIED" : "ADDED", event->new, event->version);
    }
    return !before || write_object(call, "DELETED", event->old, event->version);
}

void world_watch_pump(struct world_call *call)
{
    const struct world *world = call->world;
    uint64_t until = world_cache(world);
    for (size_t i = first_after(world, call->sent); i < world->history.n; i++) {
        const struct world_event *event = &world->history.v[i];
        if (event->version > until) {
            break;
        }
        call->sent = event->version;
        if (event->kind == call->kind && !write_event(call, event)) {
            return;
        }
        // A watcher whose channel is full is not waited for.
        if (world->slow_bytes && api_exchange_pending(call->exchange) > world->slow_bytes) {
            world_call_end(call);
            return;
        }
    }
    call->sent = call->sent > until ? call->sent : until;
}

static void plan(struct world_call *call)
{
    uint64_t now = num_now_ms();
    uint64_t last = call->end_ms - LAST_BOOKMARK_MS;
    call->bookmark_ms = UINT64_MAX;
    if (call->world->bookmark_ms && call->bookmarks && now < last) {
        uint64_t next = now + call->world->bookmark_ms;
        call->bookmark_ms = next < last ? next : last;
    }
    world_call_arm(call);
}

void world_watch_due(struct world_call *call)
{
    uint64_t now = num_now_ms();
    if (now >= call->end_ms) {
        world_call_end(call);
        return;
    }
    if (now >= call->bookmark_ms) {
        // None before something has happened since the watch began, in any kind.
        uint64_t cache = world_cache(call->world);
        if (cache > call->start && call->sent == cache && !write_bookmark(call, cache, false)) {
            return;
        }
        plan(call);
    } else {
        world_call_arm(call);
    }
}

struct initial {
    struct world_call *call;
    VEC(struct world_version *) list;
};

static void initial_add(struct world_version *object, void *arg)
{
    struct initial *initial = arg;
    if (world_selector_matches(initial->call->kind, initial->call->selector, object) &&
        vec_push(&initial->list, world_version_ref(object)) < 0) {
        abort();
    }
}

// Everything there is, in the order of keys; false: the call is gone.
static bool write_initial(struct world_call *call, uint64_t version)
{
    struct initial initial = {.call = call};
    bool going = true;
    if (!world_at(call->world, call->kind, version, initial_add, &initial)) {
        abort();
    }
    for (size_t i = 0; i < initial.list.n; i++) {
        going = going && write_object(call, "ADDED", initial.list.v[i], initial.list.v[i]->version);
        world_version_unref(initial.list.v[i]);
    }
    vec_free(&initial.list);
    return going;
}

static bool param_is(const struct world_call *call, const char *name, const char *value)
{
    char text[64];
    return api_exchange_param(call->exchange, name, text, sizeof(text)) && strcmp(text, value) == 0;
}

static void invalid(struct world_call *call, const char *what)
{
    struct buf BUF_CLEANUP message = {0};
    buf_printf(&message, "ListOptions.meta.k8s.io \"\" is invalid: %s", what);
    world_reply_status(call, 422, "Invalid", world_must(message.data), "", "");
}

// What the request asks for is allowed; false: it has its answer.
static bool check_options(struct world_call *call)
{
    const struct world *world = call->world;
    const struct world_request *request = &world->requests.v[call->request];
    const char *unknown = world_selector_check(world, call->kind, call->selector);
    if (unknown) {
        struct buf BUF_CLEANUP message = {0};
        buf_printf(&message, "field label not supported: %s", unknown);
        world_reply_status(call, 400, "BadRequest", world_must(message.data), "", "");
        return false;
    }
    if (world->watch_list == WORLD_WATCH_LIST_UNKNOWN) {
        return true;
    }
    if (call->type == WORLD_INITIAL && world->watch_list == WORLD_WATCH_LIST_OFF) {
        invalid(call, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList "
                      "feature gate is enabled");
        return false;
    }
    if (call->type == WORLD_INITIAL && strcmp(request->match, "NotOlderThan") != 0) {
        world_violation(call->world, call, "a WatchList without resourceVersionMatch");
        invalid(call, "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                      "NotOlderThan");
        return false;
    }
    if (call->type == WORLD_WATCH && request->match[0]) {
        world_violation(call->world, call, "a watch with resourceVersionMatch");
        invalid(call, "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
                      "sendInitialEvents is provided");
        return false;
    }
    return true;
}

// Errors of a watch are events behind a good head.
static bool check_version(struct world_call *call, bool initial)
{
    const struct world *world = call->world;
    struct buf BUF_CLEANUP message = {0};
    if (!initial && call->start < world->floor[call->kind]) {
        buf_printf(&message, "too old resource version: %" PRIu64 " (%" PRIu64 ")", call->start,
                   world->floor[call->kind]);
        write_error(call, 410, "Expired", world_must(message.data), "");
        return false;
    }
    if (initial && call->start > world_cache(world)) {
        world_too_large(call->start, world_cache(world), &message);
        write_error(call, 504, "Timeout", world_must(message.data),
                    ",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large "
                    "resource version\"}],\"retryAfterSeconds\":1}");
        return false;
    }
    if (initial && world->watch_list == WORLD_WATCH_LIST_NO_PROGRESS) {
        write_error(call, 500, "InternalError", "Internal error occurred: etcd does not support progress notifications",
                    "");
        return false;
    }
    return true;
}

void world_watch(struct world_call *call)
{
    struct world *world = call->world;
    const struct world_request *request = &world->requests.v[call->request];
    if (!check_options(call)) {
        return;
    }
    bool marked = call->type == WORLD_INITIAL && world->watch_list != WORLD_WATCH_LIST_UNKNOWN;
    if (request->has_version && request->version[0] &&
        !num_parse_u64(request->version, strlen(request->version), UINT64_MAX, &call->start)) {
        world_violation(world, call, "no resource version");
        world_reply_status(call, 400, "BadRequest", "invalid resource version", "", "");
        return;
    }
    char seconds[32];
    uint64_t timeout = TIMEOUT_S;
    if (api_exchange_param(call->exchange, "timeoutSeconds", seconds, sizeof(seconds)) &&
        !num_parse_u64(seconds, strlen(seconds), UINT32_MAX, &timeout)) {
        timeout = TIMEOUT_S;
    }
    call->end_ms = num_now_ms() + timeout * 1000;
    call->bookmarks = param_is(call, "allowWatchBookmarks", "true");
    call->gzip = call->type == WORLD_INITIAL && world->gzip_initial;
    if (!world_call_begin(call, call->gzip ? "Content-Encoding: gzip\r\n" : "")) {
        return;
    }
    bool initial = marked || call->start == 0;
    if (!check_version(call, initial)) {
        return;
    }
    call->watching = true;
    if (initial) {
        uint64_t version = call->effect.at_version           ? call->effect.at_version
                           : request->has_version && !marked ? world_cache(world)
                           : call->start                     ? world_cache(world)
                                                             : world->version;
        call->start = version;
        call->sent = version;
        if (!write_initial(call, version) || (marked && call->bookmarks && !write_bookmark(call, version, true))) {
            return;
        }
        world_call_listed(call);
    } else {
        call->sent = call->start;
    }
    plan(call);
    world_watch_pump(call);
}
