// SPDX-License-Identifier: Apache-2.0
//
// The answers of the model server that are neither lists nor watches: statuses, discovery, single objects; and who may
// ask.
#include <stdio.h>

#include "support/api_world_private.h"

static void note_status(struct world_call *call, unsigned status)
{
    call->world->requests.v[call->request].status = status;
}

void world_headers(const struct world_call *call, const char *headers, struct buf *out)
{
    buf_puts(out, "Audit-Id: 5b0c0c7e-0000-4000-8000-000000000000\r\nCache-Control: no-cache, private\r\n");
    if (call->world->warning) {
        buf_printf(out, "Warning: 299 - \"%s\"\r\n", call->world->warning);
    }
    buf_puts(out, headers ? headers : "");
}

void world_reply(struct world_call *call, unsigned status, const char *type, const char *headers, const char *body)
{
    struct buf BUF_CLEANUP all = {0};
    world_headers(call, headers, &all);
    note_status(call, status);
    api_exchange_reply(call->exchange, status, type, world_must(all.data), body);
}

void world_status_json(unsigned code, const char *reason, const char *message, const char *more, struct buf *out)
{
    buf_puts(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
    world_json_string(out, message);
    buf_printf(out, ",\"reason\":\"%s\"%s,\"code\":%u}", reason, more, code);
}

void world_reply_status(struct world_call *call, unsigned code, const char *reason, const char *message,
                        const char *headers, const char *more)
{
    struct buf BUF_CLEANUP body = {0};
    world_status_json(code, reason, message, more, &body);
    buf_putc(&body, '\n');
    world_reply(call, code, "application/json", headers, world_must(body.data));
}

static const char *reason_of(unsigned code)
{
    switch (code) {
    case 400:
        return "BadRequest";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "NotFound";
    case 406:
        return "NotAcceptable";
    case 410:
        return "Expired";
    case 422:
        return "Invalid";
    case 429:
        return "TooManyRequests";
    case 500:
        return "InternalError";
    case 503:
        return "ServiceUnavailable";
    case 504:
        return "Timeout";
    default:
        return "";
    }
}

static void reply_effect(struct world_call *call)
{
    const struct world_fault *effect = &call->effect;
    struct buf BUF_CLEANUP body = {0};
    if (effect->body) {
        buf_puts(&body, effect->body);
    } else {
        world_status_json(effect->status, reason_of(effect->status), effect->name, "", &body);
    }
    if (effect->cut == WORLD_CUT_NONE && effect->status != 200) {
        world_reply(call, effect->status, effect->type ? effect->type : "application/json", effect->headers,
                    world_must(body.data));
        return;
    }
    // In pieces, so that it can be cut.
    note_status(call, effect->status);
    call->begun = true;
    api_exchange_begin_status(call->exchange, effect->status, effect->type ? effect->type : "application/json",
                              effect->headers ? effect->headers : "");
    if (world_call_write(call, world_must(body.data), body.len, 0)) {
        world_call_end(call);
    }
}

// ---- the rest of the API

static void serve_version(struct world_call *call)
{
    struct buf BUF_CLEANUP body = {0};
    const char *minor = call->world->minor;
    buf_printf(&body, "{\"major\":\"1\",\"minor\":\"%s\",\"gitVersion\":\"v1.%.*s.1\",\"platform\":\"linux/amd64\"}",
               minor, (int)strspn(minor, "0123456789"), minor);
    world_reply(call, 200, "application/json", "", world_must(body.data));
}

static void not_found(struct world_call *call)
{
    world_reply(call, 404, "text/plain; charset=utf-8", "X-Content-Type-Options: nosniff\r\n", "404 page not found\n");
}

// "/apis/<group>/<version>", "/apis/<group>" and "/api/v1".
static void serve_discovery(struct world_call *call)
{
    const char *path = api_exchange_path(call->exchange);
    char prefix[256];
    struct buf BUF_CLEANUP resources = {0};
    struct buf BUF_CLEANUP body = {0};
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        const struct world_kind_row *row = &world_kind_rows[kind];
        for (size_t i = 0; i < ARRAY_SIZE(row->api_versions) && row->api_versions[i]; i++) {
            (void)snprintf(prefix, sizeof(prefix), "%s%s/%s", row->group[0] ? "/apis/" : "/api", row->group,
                           row->api_versions[i]);
            if (call->world->served & WORLD_BIT(kind) && strcmp(path, prefix) == 0) {
                buf_printf(&resources,
                           "%s{\"name\":\"%s\",\"singularName\":\"\",\"namespaced\":%s,\"kind\":\"%s\",\"verbs\":"
                           "[\"get\",\"list\",\"watch\"]}",
                           resources.len ? "," : "", row->plural, row->namespaced ? "true" : "false", row->name);
            }
        }
        (void)snprintf(prefix, sizeof(prefix), "/apis/%s", row->group);
        if (row->group[0] && call->world->served & WORLD_BIT(kind) && strcmp(path, prefix) == 0) {
            buf_printf(&body, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",\"name\":\"%s\",\"versions\":[",
                       row->group);
            for (size_t i = 0; i < ARRAY_SIZE(row->api_versions) && row->api_versions[i]; i++) {
                buf_printf(&body, "%s{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}", i ? "," : "", row->group,
                           row->api_versions[i], row->api_versions[i]);
            }
            buf_printf(&body, "],\"preferredVersion\":{\"groupVersion\":\"%s/%s\",\"version\":\"%s\"}}", row->group,
                       row->api_versions[0], row->api_versions[0]);
        }
    }
    if (resources.len) {
        const char *group_version = path + (strncmp(path, "/apis/", 6) == 0 ? 6 : 5);
        buf_printf(&body,
                   "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"%s\",\"resources\":[%s]}",
                   group_version, resources.data);
    }
    if (body.len) {
        world_reply(call, 200, "application/json", "", body.data);
    } else {
        not_found(call);
    }
}

static void serve_get(struct world_call *call, const char *name)
{
    CLEANUP(free) char *text = world_json(call->world, call->kind, name);
    if (text) {
        world_reply(call, 200, "application/json", "", text);
    } else {
        struct buf BUF_CLEANUP message = {0};
        buf_printf(&message, "%s \"%s\" not found", world_kind_rows[call->kind].plural, name);
        world_reply_status(call, 404, "NotFound", world_must(message.data), "", "");
    }
}

static bool authorized(struct world_call *call)
{
    struct world *world = call->world;
    const struct world_request *request = &world->requests.v[call->request];
    if (world->token && strcmp(request->token, world->token) != 0) {
        world_reply_status(call, 401, "Unauthorized", "Unauthorized", "", "");
        return false;
    }
    if (call->kind >= 0 && world->forbidden & WORLD_BIT(call->kind)) {
        const struct world_kind_row *row = &world_kind_rows[call->kind];
        struct buf BUF_CLEANUP message = {0};
        buf_printf(&message,
                   "%s%s%s is forbidden: User \"system:serviceaccount:netpol-system:netpold\" cannot %s resource "
                   "\"%s\" in API group \"%s\" at the cluster scope",
                   row->plural, row->group[0] ? "." : "", row->group,
                   call->type & (WORLD_WATCH | WORLD_INITIAL) ? "watch" : "list", row->plural, row->group);
        world_reply_status(call, 403, "Forbidden", world_must(message.data), "", "");
        return false;
    }
    return true;
}

void world_answer(struct world_call *call)
{
    struct world *world = call->world;
    call->answered = true;
    if (call->effect.silent) {
        if (call->effect.cut != WORLD_CUT_NONE) {
            world_call_cut(call, call->effect.cut);
        }
        return;
    }
    if (call->effect.status) {
        reply_effect(call);
        return;
    }
    if (!authorized(call)) {
        return;
    }
    if (call->lists && world->seats && world->lists_in_flight > world->seats) {
        world_reply(call, 429, "text/plain; charset=utf-8",
                    "Retry-After: 1\r\nX-Kubernetes-PF-FlowSchema-UID: 1b4c0e5a-0000-4000-8000-000000000000\r\n"
                    "X-Kubernetes-PF-PriorityLevel-UID: 2b4c0e5a-0000-4000-8000-000000000000\r\n",
                    "Too many requests, please try again later.\n");
        return;
    }
    if (call->kind >= 0 && !(world->served & WORLD_BIT(call->kind))) {
        not_found(call);
        return;
    }
    switch (call->type) {
    case WORLD_LIST:
    case WORLD_PROBE:
        world_list(call);
        return;
    case WORLD_WATCH:
    case WORLD_INITIAL:
        world_watch(call);
        return;
    case WORLD_VERSION:
        serve_version(call);
        return;
    case WORLD_DISCOVERY:
        serve_discovery(call);
        return;
    case WORLD_GET:
        serve_get(call, call->name);
        return;
    default:
        not_found(call);
    }
}
