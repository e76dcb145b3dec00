// SPDX-License-Identifier: Apache-2.0
//
// What every test of the HTTP client needs: a loop, a pool, a scripted server, and requests that keep what they were
// given.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/loop.h"
#include "http/http.h"
#include "support/api_certs.h"
#include "support/api_server.h"

struct http_fixture;

// One request and its answer.
struct http_call {
    struct http_fixture *fixture;
    struct http_request *request;  // NULL: ended
    unsigned heads;
    char type[128];
    char encoding[64];
    struct buf body;
    struct buf warnings;  // a line each
    bool done;
    struct http_result result;  // its texts are below
    char why[512];
    char error_body[256];
    unsigned took_ms;
    unsigned long long started_ms;
};

enum { HTTP_CALLS = 8 };

struct http_fixture {
    struct loop *loop;
    struct http *http;
    struct api_server *server;
    struct loop_timer *timeout;
    struct err err;
    // What the server does; NULL: hello.
    void (*serve)(struct http_fixture *f, struct api_exchange *exchange);
    unsigned served;
    size_t last_connection;  // of the last request served
    bool last_http2;
    char seen[8][256];  // headers of the last request, as wanted below
    const char *wanted[8];
    struct http_call calls[HTTP_CALLS];
    // With https: what the server has.
    struct api_authority *authority;
    const char *scheme;
    const char *host;  // NULL: 127.0.0.1
    unsigned port;     // 0: the server's
    void *arg;         // the test's
};

// For cmocka.
int http_fixture_setup(void **state);
int http_fixture_teardown(void **state);
// The server speaks TLS with a certificate of f->authority, which requests trust from now on; later ones use https.
void http_fixture_tls(struct http_fixture *f, struct api_cert cert, const char *client_ca_pem);

// Starts a request to the fixture's server (or options.url) as call number n.
struct http_call *http_fixture_start(struct http_fixture *f, unsigned n, struct http_options options);
// Runs until every call has ended; false after so many milliseconds.
bool http_fixture_run(struct http_fixture *f, unsigned ms);
// Just lets time pass.
void http_fixture_wait(struct http_fixture *f, unsigned ms);
// Until the call has ended, or has so many bytes of a body, or the server has seen so many requests; fails after 10 s.
void http_fixture_wait_done(const struct http_call *call);
void http_fixture_wait_body(const struct http_call *call, size_t len);
void http_fixture_wait_served(struct http_fixture *f, unsigned served);
// Start as call 0, and run to its end.
struct http_call *http_fixture_get(struct http_fixture *f, struct http_options options);

// From here on nothing that comes to this socket is seen by it: no answer, no acknowledgement, no reset.
void http_fixture_black_hole(int fd);
