// SPDX-License-Identifier: Apache-2.0
//
// The door to libcurl: HTTP GET requests driven from the loop (curl multi with its socket and timer callbacks), without
// threads of ours. HTTP/1.1 or HTTP/2, no redirects, proxies only as told, keep-alive probes and TCP_USER_TIMEOUT on
// every connection (api-client.md 2.10, 4). Bodies are given as they arrive; nothing is collected but a bounded error
// body.
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
    HTTP_TIMEOUT,   // timeout_ms or head_timeout_ms passed, or the transfer was too slow
    HTTP_BROKEN,    // name, connection, TLS or framing; code is libcurl's
};

struct http_result {
    enum http_outcome outcome;
    unsigned status;  // 0: no status line was seen
    bool has_retry_after;
    unsigned retry_after_s;
    // The request and the server's end of the connection crossed (GOAWAY, or the end of an idle connection): it was not
    // answered, and may be sent again at once (api-client.md 4.7). Not an outage, unless it happens again and again.
    bool raced;
    int code;         // libcurl's
    const char *why;  // one line; "" for HTTP_COMPLETE
    // What an answer other than 200 said, LIMIT_HTTP_ERROR_BODY at most; NUL-terminated.
    const char *body;
    size_t body_len;
};

// head and body must not call any function of this header; done may start and cancel requests. None may free the http.
struct http_handler {
    void *arg;
    // The head of an answer with status 200 is there, before its first byte; false stops the request.
    bool (*head)(const struct http_head *head, void *arg);
    // The bytes of an answer with status 200, as they arrive (decompressed); false stops the request.
    bool (*body)(const char *data, size_t len, void *arg);
    // The end, once, never from within http_start or http_cancel; the request is gone when it is called.
    void (*done)(const struct http_result *result, void *arg);
    // A "Warning: 299" header of the answer, its text without quotes and in one line; NULL: nobody asks. Must not call
    // any function of this header.
    void (*warning)(const char *text, void *arg);
};

enum http_version {
    HTTP_VERSION_AUTO,  // 2 over TLS where libcurl's implementation is known to be sound (8.2 and later), else 1.1
    HTTP_VERSION_1_1,
    HTTP_VERSION_2,  // over TLS by ALPN, requests share a connection; 1.1 when the server does not offer it
};

// Times that concern the connection; 0: the value of http_times_default. Tests shorten them.
struct http_times {
    unsigned connect_ms;    // name, TCP and TLS together
    unsigned keepalive_s;   // of silence until the first probe
    unsigned probe_s;       // between probes; three unanswered ones end the connection
    unsigned unacked_ms;    // TCP_USER_TIMEOUT
    unsigned slow_s;        // window of min_speed
    unsigned connection_s;  // life of a connection for new requests, so that they spread over the servers
};
extern const struct http_times http_times_default;

struct http_header {
    const char *name;
    const char *value;  // without line breaks
};

// Everything is copied by http_start.
struct http_options {
    const char *url;
    const char *connect_to;  // "::host:port": where to connect instead of what the URL says; NULL: as it says
    const char *host;        // the Host header; NULL: from the URL
    const char *accept;
    const char *bearer;    // token; NULL none
    const char *username;  // basic authentication, both or none; never together with bearer
    const char *password;
    const struct http_header *headers;  // further ones (Impersonate-User …); any number, n_headers of them
    size_t n_headers;
    const char *proxy;  // "http://…", "https://…", "socks5h://…"; NULL: none, whatever the environment says
    bool proxy_from_environment;  // with proxy NULL: as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, like Go's clients
    enum http_version version;
    const char *ca_pem;    // certificates to trust; NULL: those of the system
    const char *cert_pem;  // client certificate and key, both or none
    const char *key_pem;
    bool insecure;    // do not check the server's certificate
    bool plain;       // accept http:// URLs
    bool compressed;  // accept gzip
    bool fresh;       // on a new connection, with the name resolved anew; the idle ones are given up
    unsigned timeout_ms;
    unsigned head_timeout_ms;  // until the first byte of the answer; 0: timeout_ms only
    unsigned min_speed;        // bytes a second over times.slow_s; 0: none
    struct http_times times;
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
// Whether two running requests share a connection, as far as libcurl tells: when one of them breaks, the other is dead
// as well, but libcurl notices only at its own timeout (api-client.md 4.2). False for a request without a connection.
bool http_same_connection(const struct http_request *a, const struct http_request *b);
// The address that the request is connected to, a proxy's where there is one: "ip:port" ("[ip]:port"). False: not
// connected yet.
bool http_peer(const struct http_request *request, char *ret, size_t size);
