// SPDX-License-Identifier: Apache-2.0
//
// The requests of the model server: what they ask for, who may ask, and everything that is neither list nor watch.
#include <stdio.h>
#include <strings.h>

#include "base/num.h"
#include "support/api_world_private.h"

static bool path_is(const char *path, int kind, const char **ret_version, const char **ret_name)
{
    const struct world_kind_row *row = &world_kind_rows[kind];
    for (size_t i = 0; i < ARRAY_SIZE(row->api_versions) && row->api_versions[i]; i++) {
        char prefix[256];
        (void)snprintf(prefix, sizeof(prefix), "%s%s/%s/%s", row->group[0] ? "/apis/" : "/api", row->group,
                       row->api_versions[i], row->plural);
        size_t len = strlen(prefix);
        if (strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/')) {
            *ret_version = row->api_versions[i];
            *ret_name = path[len] ? path + len + 1 : NULL;
            return true;
        }
    }
    return false;
}

static void classify(struct world_call *call, struct world_request *request, const char **ret_name)
{
    const char *path = api_exchange_path(call->exchange);
    char value[4096];
    *ret_name = NULL;
    call->kind = 0;
    while (call->kind < WORLD_KINDS && !path_is(path, call->kind, &call->api_version, ret_name)) {
        call->kind++;
    }
    request->page = 1;
    if (call->kind == WORLD_KINDS) {
        call->kind = -1;
        call->type = strcmp(path, "/version") == 0                                     ? WORLD_VERSION
                     : strncmp(path, "/apis", 5) == 0 || strncmp(path, "/api", 4) == 0 ? WORLD_DISCOVERY
                                                                                       : WORLD_OTHER;
    } else if (*ret_name) {
        call->type = WORLD_GET;
    } else if (api_exchange_param(call->exchange, "watch", value, sizeof(value))) {
        bool initial =
            api_exchange_param(call->exchange, "sendInitialEvents", value, sizeof(value)) && strcmp(value, "true") == 0;
        call->type = initial ? WORLD_INITIAL : WORLD_WATCH;
    } else if (api_exchange_param(call->exchange, "continue", value, sizeof(value))) {
        call->type = WORLD_LIST;
        request->page = world_token_page(value);
    } else {
        bool one = api_exchange_param(call->exchange, "limit", value, sizeof(value)) && strcmp(value, "1") == 0;
        call->type = one ? WORLD_PROBE : WORLD_LIST;
    }
}

static void check_manners(struct world_call *call)
{
    struct world *world = call->world;
    const struct api_exchange *exchange = call->exchange;
    char value[64];
    if (strcmp(api_exchange_header(exchange, "Accept"), "application/json") != 0) {
        world_violation(world, call, "Accept is not application/json");
    }
    if (call->type & (WORLD_WATCH | WORLD_INITIAL)) {
        if (strstr(api_exchange_header(exchange, "Accept-Encoding"), "gzip")) {
            world_violation(world, call, "a watch asks for gzip");
        }
        if (!api_exchange_param(exchange, "timeoutSeconds", value, sizeof(value))) {
            world_violation(world, call, "a watch without timeoutSeconds");
        }
        if (!api_exchange_param(exchange, "allowWatchBookmarks", value, sizeof(value))) {
            world_violation(world, call, "a watch without bookmarks");
        }
    }
    if (call->type == WORLD_WATCH &&
        (!api_exchange_param(exchange, "resourceVersion", value, sizeof(value)) || strcmp(value, "0") == 0)) {
        world_violation(world, call, "a watch from nowhere");
    }
}

static void fill_request(struct world_call *call, struct world_request *request)
{
    const struct api_exchange *exchange = call->exchange;
    request->at_ms = num_now_ms();
    request->type = call->type;
    request->kind = call->kind;
    request->has_version = api_exchange_param(exchange, "resourceVersion", request->version, sizeof(request->version));
    (void)api_exchange_param(exchange, "resourceVersionMatch", request->match, sizeof(request->match));
    (void)api_exchange_param(exchange, "fieldSelector", request->selector, sizeof(request->selector));
    struct buf query = {0};
    buf_puts(&query, api_exchange_query(exchange));
    request->query = world_must(buf_take(&query));
    const char *authorization = api_exchange_header(exchange, "Authorization");
    (void)snprintf(request->token, sizeof(request->token), "%.*s", (int)sizeof(request->token) - 1,
                   strncmp(authorization, "Bearer ", 7) == 0 ? authorization + 7 : "");
    request->connection = api_exchange_connection(exchange);
    request->gzip = strstr(api_exchange_header(exchange, "Accept-Encoding"), "gzip") != NULL;
}

// ---- calls

static void on_over(void *arg)
{
    struct world_call *call = arg;
    struct world *world = call->world;
    struct world_request *request = &world->requests.v[call->request];
    request->over = true;
    request->over_ms = num_now_ms();
    request->events = call->events;
    world_call_listed(call);
    if (call->prev) {
        call->prev->next = call->next;
    } else {
        world->calls = call->next;
    }
    if (call->next) {
        call->next->prev = call->prev;
    }
    loop_remove_timer(call->timer);
    buf_free(&call->waiting);
    free(call->name);
    free(call);
}

void world_call_listed(struct world_call *call)
{
    if (call->lists) {
        call->lists = false;
        call->world->lists_in_flight--;
    }
}

static void on_timer(void *arg)
{
    struct world_call *call = arg;
    if (!call->answered) {
        world_answer(call);
    } else {
        world_call_due(call);
    }
}

void world_serve(struct api_exchange *exchange, void *arg)
{
    struct world *world = arg;
    struct world_call *call = world_must(calloc(1, sizeof(*call)));
    *call =
        (struct world_call){.world = world, .exchange = exchange, .request = world->requests.n, .next = world->calls};
    struct world_request request = {.kind = -1};
    const char *name;
    classify(call, &request, &name);
    call->name = name ? world_must(strdup(name)) : NULL;
    fill_request(call, &request);
    if (call->kind >= 0 && call->type & (WORLD_READS | WORLD_WATCH)) {
        (void)snprintf(call->selector, sizeof(call->selector), "%s", request.selector);
        memcpy(world->selector[call->kind], call->selector, sizeof(call->selector));
    }
    if (vec_push(&world->requests, request) < 0 ||
        loop_add_timer(world->loop, on_timer, call, &call->timer, NULL) < 0) {
        abort();
    }
    if (world->calls) {
        world->calls->prev = call;
    }
    world->calls = call;
    api_exchange_on_over(exchange, on_over, call);
    check_manners(call);
    if (call->type & WORLD_READS) {
        call->lists = true;
        world->lists_in_flight++;
        if (world->lists_in_flight > world->lists_in_flight_max) {
            world->lists_in_flight_max = world->lists_in_flight;
        }
    }
    world_fault_collect(world, &world->requests.v[call->request], &call->effect);
    if (call->effect.delay_ms) {
        loop_arm(call->timer, call->effect.delay_ms);
    } else {
        world_answer(call);
    }
}
