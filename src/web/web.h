// SPDX-License-Identifier: Apache-2.0
//
// The door to libmicrohttpd: a small HTTP server for health checks and metrics, driven from the loop without threads.
// GET and HEAD only; connections, their memory and their idle time are bounded.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"

struct web;
struct web_request;

struct web_response {
    unsigned status;   // preset 200
    const char *type;  // Content-Type, a literal; preset "text/plain; charset=utf-8"
    struct buf body;   // freed by the server
};

// Answers one request for a path ("/metrics", percent-decoded). A route that does not exist sets status 404.
typedef void web_route_fn(const char *path, const struct web_request *request, struct web_response *response,
                          void *arg);

// Listens on address: "127.0.0.1:9469", "[::1]:9469", ":9469" (every address, both families), port 0 for any free one.
NODISCARD int web_new(struct loop *loop, const char *address, web_route_fn *fn, void *arg, struct web **ret,
                      struct err *err);
void web_free(struct web *web);
CLEANUP_DEFINE(struct web, web_free);
unsigned web_port(const struct web *web);

// Whether the query string has that argument: with any value (value NULL), or with exactly that value, perhaps among
// several of the name.
bool web_query(const struct web_request *request, const char *name, const char *value);
