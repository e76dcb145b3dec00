// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/num.h"
#include "support/http_fixture.h"

static void on_request(struct api_exchange *exchange, void *arg)
{
    struct http_fixture *f = arg;
    f->served++;
    f->last_connection = api_exchange_connection(exchange);
    f->last_http2 = api_exchange_is_http2(exchange);
    for (size_t i = 0; i < ARRAY_SIZE(f->wanted) && f->wanted[i]; i++) {
        (void)snprintf(f->seen[i], sizeof(f->seen[i]), "%s", api_exchange_header(exchange, f->wanted[i]));
    }
    if (f->serve) {
        f->serve(f, exchange);
    } else {
        api_exchange_reply(exchange, 200, "application/json", "", "hello");
    }
}

static void on_timeout(void *arg)
{
    loop_quit(((struct http_fixture *)arg)->loop, 1);
}

int http_fixture_setup(void **state)
{
    struct http_fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_new(&f->loop, &f->err) < 0 || http_new(f->loop, "test/1", &f->http, &f->err) < 0 ||
        loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0 ||
        api_server_new(f->loop, 0, false, on_request, f, &f->server, &f->err) < 0) {
        return 1;
    }
    f->scheme = "http";
    return 0;
}

int http_fixture_teardown(void **state)
{
    struct http_fixture *f = *state;
    http_free(f->http);
    api_server_free(f->server);
    api_authority_free(f->authority);
    for (size_t i = 0; i < ARRAY_SIZE(f->calls); i++) {
        buf_free(&f->calls[i].body);
        buf_free(&f->calls[i].warnings);
    }
    loop_free(f->loop);
    free(f);
    return 0;
}

void http_fixture_tls(struct http_fixture *f, struct api_cert cert, const char *client_ca_pem)
{
    int rc = api_server_tls(f->server, cert.cert, cert.key, client_ca_pem, &f->err);
    api_cert_free(&cert);
    assert_int_equal(rc, 0);
    f->scheme = "https";
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct http_call *call = arg;
    call->heads++;
    assert_int_equal(head->status, 200);
    (void)snprintf(call->type, sizeof(call->type), "%s", head->content_type);
    (void)snprintf(call->encoding, sizeof(call->encoding), "%s", head->content_encoding);
    return true;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    buf_add(&((struct http_call *)arg)->body, data, len);
    return true;
}

static void on_warning(const char *text, void *arg)
{
    buf_printf(&((struct http_call *)arg)->warnings, "%s\n", text);
}

static bool any_running(const struct http_fixture *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(f->calls); i++) {
        if (f->calls[i].request) {
            return true;
        }
    }
    return false;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct http_call *call = arg;
    call->done = true;
    call->request = NULL;
    call->result = *result;
    call->took_ms = (unsigned)(num_now_ms() - call->started_ms);
    (void)snprintf(call->why, sizeof(call->why), "%s", result->why);
    (void)snprintf(call->error_body, sizeof(call->error_body), "%s", result->body);
    call->result.why = call->why;
    call->result.body = call->error_body;
    if (!any_running(call->fixture)) {
        loop_quit(call->fixture->loop, 0);
    }
}

struct http_call *http_fixture_start(struct http_fixture *f, unsigned n, struct http_options options)
{
    struct http_call *call = &f->calls[n];
    assert_null(call->request);
    struct buf body = call->body;
    struct buf warnings = call->warnings;
    buf_clear(&body);
    buf_clear(&warnings);
    *call = (struct http_call){.fixture = f, .body = body, .warnings = warnings, .started_ms = num_now_ms()};
    char url[256];
    (void)snprintf(url, sizeof(url), "%s://%s:%u/call/%u?y=1", f->scheme, f->host ? f->host : "127.0.0.1",
                   f->port ? f->port : api_server_port(f->server), n);
    options.url = options.url ? options.url : url;
    options.accept = "application/json";
    options.plain = true;
    options.timeout_ms = options.timeout_ms ? options.timeout_ms : 5000;
    options.ca_pem = options.ca_pem ? options.ca_pem : f->authority ? api_authority_pem(f->authority) : NULL;
    const struct http_handler handler = {
        .arg = call, .head = on_head, .body = on_body, .done = on_done, .warning = on_warning};
    assert_int_equal(http_start(f->http, &options, &handler, &call->request, &f->err), 0);
    assert_false(call->done);
    return call;
}

bool http_fixture_run(struct http_fixture *f, unsigned ms)
{
    if (!any_running(f)) {
        return true;
    }
    loop_arm(f->timeout, ms);
    int rc = loop_run(f->loop, &f->err);
    loop_disarm(f->timeout);
    return rc == 0;
}

void http_fixture_wait(struct http_fixture *f, unsigned ms)
{
    uint64_t end = num_now_ms() + ms;
    for (uint64_t now = num_now_ms(); now < end; now = num_now_ms()) {
        loop_arm(f->timeout, end - now);
        (void)loop_run(f->loop, &f->err);
        loop_disarm(f->timeout);
    }
}

enum { PATIENCE_MS = 10000 };

void http_fixture_wait_done(const struct http_call *call)
{
    for (unsigned i = 0; i < PATIENCE_MS && !call->done; i++) {
        http_fixture_wait(call->fixture, 1);
    }
    assert_true(call->done);
}

void http_fixture_wait_body(const struct http_call *call, size_t len)
{
    for (unsigned i = 0; i < PATIENCE_MS && call->body.len < len; i++) {
        http_fixture_wait(call->fixture, 1);
    }
    assert_true(call->body.len >= len);
}

void http_fixture_wait_served(struct http_fixture *f, unsigned served)
{
    for (unsigned i = 0; i < PATIENCE_MS && f->served < served; i++) {
        http_fixture_wait(f, 1);
    }
    assert_true(f->served >= served);
}

struct http_call *http_fixture_get(struct http_fixture *f, struct http_options options)
{
    struct http_call *call = http_fixture_start(f, 0, options);
    assert_true(http_fixture_run(f, 20000));
    assert_true(call->done);
    return call;
}

void http_fixture_black_hole(int fd)
{
    struct sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {.len = ARRAY_SIZE(drop), .filter = drop};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}
