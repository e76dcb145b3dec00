// SPDX-License-Identifier: Apache-2.0
//
// The door to libcurl: HTTP GET requests driven from the loop (curl multi with its socket and timer callbacks), without
// threads of ours. HTTP/1.1, no redirects, no proxies, keep-alive probes and TCP_USER_TIMEOUT on every connection
// (api-client.md 2.10, 4). Bodies are given as they arrive; nothing is collected but a bounded error body.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"

struct http;          // a pool of connections
struct http_request;  // one running request

// What the first bytes of an answer said.
struct http_head {
    unsigned status;
    const char *content_type;      // "" when absent
    const char *content_encoding;  // "" when absent
};

enum http_outcome {
    HTTP_COMPLETE,  // the answer arrived to its end, whatever its status
    HTTP_STOPPED,   // a callback returned false
    HTTP_TIMEOUT,   // timeout_ms passed, or the transfer was too slow
    HTTP_BROKEN,    // name, connection, TLS or framing; code is libcurl's
};

struct http_result {
    enum http_outcome outcome;
    unsigned status;  // 0: no status line was seen
    bool has_retry_after;
    unsigned retry_after_s;
    int code;         // libcurl's
    const char *why;  // one line; "" for HTTP_COMPLETE
    // What an answer other than 200 said, LIMIT_HTTP_ERROR_BODY at most; NUL-terminated.
    const char *body;
    size_t body_len;
};

// head and body must not call any function of this header; done may start and cancel requests. None may free the http.
struct http_handler {
    void *arg;
    // Before the first byte of an answer with status 200; false stops the request.
    bool (*head)(const struct http_head *head, void *arg);
    // The bytes of an answer with status 200, as they arrive (decompressed); false stops the request.
    bool (*body)(const char *data, size_t len, void *arg);
    // The end, once, never from within http_start or http_cancel; the request is gone when it is called.
    void (*done)(const struct http_result *result, void *arg);
};

// Everything is copied by http_start.
struct http_options {
    const char *url;
    const char *connect_to;  // "::host:port": where to connect instead of what the URL says; NULL: as it says
    const char *host;        // the Host header; NULL: from the URL
    const char *accept;
    const char *bearer;    // token; NULL none
    const char *ca_pem;    // certificates to trust; NULL: those of the system
    const char *cert_pem;  // client certificate and key, both or none
    const char *key_pem;
    bool insecure;    // do not check the server's certificate
    bool plain;       // accept http:// URLs
    bool compressed;  // accept gzip
    bool fresh;       // on a new connection
    unsigned timeout_ms;
    unsigned min_speed;  // bytes a second over 30 s; 0: none
};

// Fails when libcurl was not built with OpenSSL: other backends ignore certificates that are given in memory. SIGPIPE
// is ignored by the process from here on (the TLS library writes to sockets that may be closed).
NODISCARD int http_new(struct loop *loop, const char *user_agent, struct http **ret, struct err *err);
// Cancels what runs.
void http_free(struct http *http);
CLEANUP_DEFINE(struct http, http_free);

NODISCARD int http_start(struct http *http, const struct http_options *options, const struct http_handler *handler,
                         struct http_request **ret, struct err *err);
// Ends it without calling done. NULL is accepted.
void http_cancel(struct http_request *request);
