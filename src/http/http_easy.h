// SPDX-License-Identifier: Apache-2.0
//
// One request as libcurl's easy handle: its options, its callbacks, its result. Private to this module.
#pragma once

#include "base/buf.h"
#include "base/loop.h"
#include "http/http.h"

// The two ends of a connection, which name it as long as it lives.
struct http_ends {
    char local_ip[64], peer_ip[64];
    unsigned local_port, peer_port;  // 0: not connected
};

struct http_request {
    struct http *http;
    struct http_request *prev, *next;
    void *easy;     // the easy handle
    void *headers;  // list of header lines; may hold secrets
    void *route;    // where to connect
    struct http_handler handler;
    struct http_times times;        // without zeros
    struct loop_timer *head_timer;  // armed until the answer begins; NULL: no limit
    unsigned head_timeout_ms;
    struct http_ends ends;
    struct buf error_body;
    bool answered;    // the answer has begun
    bool head_given;  // the handler has seen the head of the present answer
    bool refused;     // a callback of the owner returned false
    char error[256];  // libcurl's own words
};

// An easy handle that is ready to be run.
NODISCARD int http_request_new(struct http *http, const struct http_options *options,
                               const struct http_handler *handler, const char *user_agent, struct http_request **ret,
                               struct err *err);
void http_request_free(struct http_request *request);
CLEANUP_DEFINE(struct http_request, http_request_free);
// Fills ret, with texts that live as long as request and why.
void http_request_result(struct http_request *request, int code, char *why, size_t why_size, struct http_result *ret);

// Gives the easy handle of request all of options; the callbacks are set elsewhere.
NODISCARD int http_setup(struct http_request *request, const struct http_options *options, const char *user_agent,
                         struct err *err);
// The proxy of options: its address and its credentials apart, as libcurl would show them together in messages.
// Returns a CURLcode, or -1 with err.
NODISCARD int http_setup_proxy(void *easy, const struct http_options *options, struct err *err);
// Whether a proxy of the environment is not for that server ("host:port", "[address]:port", the port may be missing):
// it stands on this machine, or no_proxy excepts it. no_proxy, NULL for none: a list with commas of host names (with
// what is below them; with a dot before, only what is below), addresses, blocks, any with ":port" but blocks, and "*"
// (golang.org/x/net/http/httpproxy).
bool http_goes_direct(const char *authority, unsigned default_port, const char *no_proxy);
// libcurl makes and closes its sockets through these: the pool knows which it has. -1: no socket.
NODISCARD int http_open_socket(struct http *http, int family, int type, int protocol);
void http_close_socket(struct http *http, int fd);

// Gives the texts of a "Warning" header's value that have the code 299 to fn, one after the other. The value is a list
// of `code agent "text" "date"` (RFC 7234 5.5); what is not of that form ends it.
void http_warnings(const char *value, size_t len, void (*fn)(const char *text, void *arg), void *arg);
