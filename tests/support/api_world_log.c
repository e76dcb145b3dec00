// SPDX-License-Identifier: Apache-2.0
//
// What the model server was asked, for assertions.
#include <inttypes.h>
#include <stdio.h>

#include "support/api_world_private.h"

static bool wanted(const struct world_request *request, unsigned types, unsigned kinds)
{
    return (types == 0 || types & request->type) &&
           (kinds == 0 || (request->kind >= 0 && kinds & WORLD_BIT(request->kind)));
}

size_t world_mark(const struct world *world)
{
    return world->requests.n;
}

size_t world_count(const struct world *world, unsigned types, unsigned kinds, size_t since)
{
    size_t n = 0;
    for (size_t i = since; i < world->requests.n; i++) {
        n += wanted(&world->requests.v[i], types, kinds);
    }
    return n;
}

const struct world_request *world_nth(const struct world *world, unsigned types, unsigned kinds, size_t since, size_t n)
{
    for (size_t i = since; i < world->requests.n; i++) {
        if (wanted(&world->requests.v[i], types, kinds) && n-- == 0) {
            return &world->requests.v[i];
        }
    }
    return NULL;
}

const struct world_request *world_last(const struct world *world, unsigned types, unsigned kinds, size_t since)
{
    size_t n = world_count(world, types, kinds, since);
    return n ? world_nth(world, types, kinds, since, n - 1) : NULL;
}

size_t world_rate(const struct world *world, unsigned types, unsigned kinds, size_t since, uint64_t window_ms)
{
    size_t most = 0;
    size_t n = 0;
    size_t first = since;
    for (size_t i = since; i < world->requests.n; i++) {
        const struct world_request *request = &world->requests.v[i];
        if (!wanted(request, types, kinds) || request->page > 1) {
            continue;
        }
        n++;
        for (; world->requests.v[first].at_ms + window_ms <= request->at_ms; first++) {
            n -= wanted(&world->requests.v[first], types, kinds) && world->requests.v[first].page <= 1;
        }
        most = n > most ? n : most;
    }
    return most;
}

static const char *type_name(unsigned type)
{
    switch (type) {
    case WORLD_LIST:
        return "list";
    case WORLD_WATCH:
        return "watch";
    case WORLD_INITIAL:
        return "watchlist";
    case WORLD_PROBE:
        return "probe";
    case WORLD_DISCOVERY:
        return "discovery";
    case WORLD_VERSION:
        return "version";
    case WORLD_GET:
        return "get";
    default:
        return "other";
    }
}

void world_log(const struct world *world, size_t since, struct buf *out)
{
    uint64_t start = world->requests.n ? world->requests.v[0].at_ms : 0;
    for (size_t i = since; i < world->requests.n; i++) {
        const struct world_request *request = &world->requests.v[i];
        buf_printf(out, "%8" PRIu64 " ms #%zu %s %s ", request->at_ms - start, request->connection,
                   type_name(request->type), request->kind >= 0 ? world_kind_rows[request->kind].plural : "");
        buf_puts(out, request->query);
        buf_printf(out, " -> %u", request->status);
        if (request->over) {
            buf_printf(out, ", over after %" PRIu64 " ms, %zu events\n", request->over_ms - request->at_ms,
                       request->events);
        } else {
            buf_puts(out, ", open\n");
        }
    }
}
