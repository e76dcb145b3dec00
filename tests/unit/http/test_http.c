// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/num.h"
#include "http/http.h"
#include "support/api_server.h"

struct fixture {
    struct loop *loop;
    struct http *http;
    struct api_server *server;
    struct loop_timer *timeout;
    struct err err;
    // What the server saw and does.
    void (*serve)(struct fixture *f, struct api_exchange *exchange);
    unsigned served;
    char seen_host[128];
    char seen_accept[128];
    char seen_encoding[128];
    char seen_token[128];
    char seen_agent[128];
    // What the client was given.
    struct http_request *request;
    bool refuse_head;
    bool refuse_body;
    unsigned heads;
    char type[128];
    char encoding[64];
    struct buf body;
    bool done;
    struct http_result result;
    char why[512];
    char error_body[256];
    void (*on_done)(struct fixture *f);
};

static void server_fn(struct api_exchange *exchange, void *arg)
{
    struct fixture *f = arg;
    f->served++;
    (void)snprintf(f->seen_host, sizeof(f->seen_host), "%s", api_exchange_header(exchange, "Host"));
    (void)snprintf(f->seen_accept, sizeof(f->seen_accept), "%s", api_exchange_header(exchange, "Accept"));
    (void)snprintf(f->seen_encoding, sizeof(f->seen_encoding), "%s", api_exchange_header(exchange, "Accept-Encoding"));
    (void)snprintf(f->seen_token, sizeof(f->seen_token), "%s", api_exchange_header(exchange, "Authorization"));
    (void)snprintf(f->seen_agent, sizeof(f->seen_agent), "%s", api_exchange_header(exchange, "User-Agent"));
    f->serve(f, exchange);
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct fixture *f = arg;
    f->heads++;
    assert_int_equal(head->status, 200);
    (void)snprintf(f->type, sizeof(f->type), "%s", head->content_type);
    (void)snprintf(f->encoding, sizeof(f->encoding), "%s", head->content_encoding);
    return !f->refuse_head;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct fixture *f = arg;
    buf_add(&f->body, data, len);
    return !f->refuse_body;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct fixture *f = arg;
    f->done = true;
    f->request = NULL;
    f->result = *result;
    (void)snprintf(f->why, sizeof(f->why), "%s", result->why);
    (void)snprintf(f->error_body, sizeof(f->error_body), "%s", result->body);
    if (f->on_done) {
        f->on_done(f);
    } else {
        loop_quit(f->loop, 0);
    }
}

static struct http_handler handler_of(struct fixture *f)
{
    return (struct http_handler){.arg = f, .head = on_head, .body = on_body, .done = on_done};
}

static void on_timeout(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 1);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    return !f || loop_new(&f->loop, &f->err) < 0 || http_new(f->loop, "test/1", &f->http, &f->err) < 0 ||
           loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0 ||
           api_server_new(f->loop, 0, false, server_fn, f, &f->server, &f->err) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    http_free(f->http);
    api_server_free(f->server);
    buf_free(&f->body);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void start(struct fixture *f, struct http_options options)
{
    static char url[256];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x?y=1", api_server_port(f->server));
    options.url = options.url ? options.url : url;
    options.accept = "application/json";
    options.plain = true;
    options.timeout_ms = options.timeout_ms ? options.timeout_ms : 5000;
    const struct http_handler handler = handler_of(f);
    f->done = false;
    buf_clear(&f->body);
    assert_int_equal(http_start(f->http, &options, &handler, &f->request, &f->err), 0);
    assert_false(f->done);
}

// Runs until the request ends; false when it does not.
static bool run(struct fixture *f, unsigned ms)
{
    loop_arm(f->timeout, ms);
    return loop_run(f->loop, &f->err) == 0;
}

static void get(struct fixture *f, struct http_options options)
{
    start(f, options);
    assert_true(run(f, 8000));
    assert_true(f->done);
}

static void serve_hello(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_reply(exchange, 200, "application/json; charset=utf-8", "", "hello");
}

static void test_get(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_hello;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->result.status, 200);
    assert_int_equal(f->heads, 1);
    assert_string_equal(f->type, "application/json; charset=utf-8");
    assert_string_equal(f->encoding, "");
    assert_string_equal(f->body.data, "hello");
    assert_string_equal(f->why, "");
    assert_string_equal(f->seen_accept, "application/json");
    assert_string_equal(f->seen_agent, "test/1");
    assert_string_equal(f->seen_encoding, "");
    assert_string_equal(f->seen_token, "");
}

static void test_headers(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_hello;
    get(f, (struct http_options){.bearer = "s3cret", .host = "api.example:6443", .compressed = true});
    assert_string_equal(f->seen_token, "Bearer s3cret");
    assert_string_equal(f->seen_host, "api.example:6443");
    assert_non_null(strstr(f->seen_encoding, "gzip"));
}

static void test_connect_to(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_hello;
    char route[64];
    (void)snprintf(route, sizeof(route), "::127.0.0.1:%u", api_server_port(f->server));
    get(f, (struct http_options){.url = "http://name.invalid:6443/", .connect_to = route});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_string_equal(f->seen_host, "name.invalid:6443");
}

static void test_connections_are_reused(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_hello;
    get(f, (struct http_options){0});
    get(f, (struct http_options){0});
    assert_int_equal(api_server_connections(f->server), 1);
    get(f, (struct http_options){.fresh = true});
    assert_int_equal(api_server_connections(f->server), 2);
    assert_int_equal(f->served, 3);
}

static void serve_pieces(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    for (int i = 0; i < 1000; i++) {
        api_exchange_chunk(exchange, "0123456789", 10);
    }
    api_exchange_end(exchange);
}

static void test_chunks(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_pieces;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->body.len, 10000);
    assert_int_equal(f->heads, 1);
}

static void serve_nothing(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_reply(exchange, 200, "text/html", "", "");
}

static void test_head_of_an_empty_answer(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_nothing;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->heads, 1);
    assert_string_equal(f->type, "text/html");
    f->refuse_head = true;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_STOPPED);
}

static void test_owner_stops(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_pieces;
    f->refuse_head = true;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_STOPPED);
    assert_int_equal(f->body.len, 0);
    f->refuse_head = false;
    f->refuse_body = true;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_STOPPED);
    assert_int_equal(f->result.status, 200);
    assert_true(f->body.len > 0);
}

static void serve_busy(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_reply(exchange, 429, "text/plain", "Retry-After: 7\r\n", "Too many requests");
}

static void test_error_body_and_retry_after(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_busy;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->result.status, 429);
    assert_true(f->result.has_retry_after);
    assert_int_equal(f->result.retry_after_s, 7);
    assert_string_equal(f->error_body, "Too many requests");
    assert_int_equal(f->heads, 0);
    assert_int_equal(f->body.len, 0);
}

static void serve_odd_retry_after(struct fixture *f, struct api_exchange *exchange)
{
    static const char *const headers[] = {"Retry-After: -3\r\n", "Retry-After: soon\r\n", "",
                                          "Retry-After: 99999999999999999999\r\n"};
    api_exchange_reply(exchange, 503, "text/plain", headers[f->served % 4], "");
}

static void test_odd_retry_after(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_odd_retry_after;
    for (int i = 0; i < 8; i++) {
        get(f, (struct http_options){0});
        assert_int_equal(f->result.status, 503);
        assert_int_equal(f->result.has_retry_after, f->served % 4 != 2);
    }
}

static void serve_endless_error(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    static char body[2 * LIMIT_HTTP_ERROR_BODY];
    memset(body, 'e', sizeof(body) - 1);
    api_exchange_reply(exchange, 500, "text/plain", "", body);
}

static void test_error_body_is_bounded(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_endless_error;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->result.status, 500);
    assert_true(f->result.body_len < LIMIT_HTTP_ERROR_BODY);
}

static void serve_redirect(struct fixture *f, struct api_exchange *exchange)
{
    char headers[128];
    (void)snprintf(headers, sizeof(headers), "Location: http://127.0.0.1:%u/login\r\n", api_server_port(f->server));
    api_exchange_reply(exchange, 302, "text/html", headers, "");
}

static void test_redirects_are_not_followed(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_redirect;
    get(f, (struct http_options){.bearer = "s3cret"});
    assert_int_equal(f->result.status, 302);
    assert_int_equal(f->served, 1);
}

static void serve_cut(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "half", 4);
    api_exchange_cut(exchange, false);
}

static void serve_late(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "part", 4);
}

static void test_broken_answers(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_cut;
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_int_equal(f->result.status, 200);
    assert_true(f->why[0] != '\0');
    f->serve = serve_late;
    uint64_t start_ms = num_now_ms();
    get(f, (struct http_options){.timeout_ms = 200});
    assert_int_equal(f->result.outcome, HTTP_TIMEOUT);
    assert_string_equal(f->body.data, "part");
    assert_in_range(num_now_ms() - start_ms, 190, 4000);
}

static void test_refused_connection(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(api_server_outage(f->server, false, &f->err), 0);
    get(f, (struct http_options){0});
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_int_equal(f->result.status, 0);
    assert_true(f->why[0] != '\0');
}

static void test_plain_http_only_when_asked(void **state)
{
    struct fixture *f = *state;
    const struct http_handler handler = handler_of(f);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", api_server_port(f->server));
    const struct http_options options = {.url = url, .accept = "*/*", .timeout_ms = 1000};
    assert_int_equal(http_start(f->http, &options, &handler, &f->request, &f->err), 0);
    assert_true(run(f, 3000));
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_int_equal(f->served, 0);
}

static void serve_silence(struct fixture *f, struct api_exchange *exchange)
{
    (void)f;
    (void)exchange;
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_silence;
    start(f, (struct http_options){0});
    assert_false(run(f, 50));
    assert_int_equal(f->served, 1);
    http_cancel(f->request);
    f->request = NULL;
    assert_false(run(f, 50));
    assert_false(f->done);
    http_cancel(NULL);
    // What still runs ends with the pool.
    start(f, (struct http_options){0});
    assert_false(run(f, 20));
}

static void again(struct fixture *f)
{
    if (f->served < 20) {
        start(f, (struct http_options){0});
    } else {
        loop_quit(f->loop, 0);
    }
}

static void test_done_may_start_the_next(void **state)
{
    struct fixture *f = *state;
    f->serve = serve_hello;
    f->on_done = again;
    get(f, (struct http_options){0});
    assert_int_equal(f->served, 20);
    assert_int_equal(api_server_connections(f->server), 1);
}

static void test_broken_certificates_are_errors(void **state)
{
    struct fixture *f = *state;
    const struct http_handler handler = handler_of(f);
    char url[64];
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", api_server_port(f->server));
    const struct http_options options = {
        .url = url, .accept = "*/*", .timeout_ms = 2000, .ca_pem = "no certificate", .cert_pem = "x", .key_pem = "y"};
    assert_int_equal(http_start(f->http, &options, &handler, &f->request, &f->err), 0);
    assert_true(run(f, 4000));
    assert_int_equal(f->result.outcome, HTTP_BROKEN);
    assert_int_equal(f->served, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_are_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_of_an_empty_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_owner_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_body_and_retry_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_retry_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_body_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redirects_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_http_only_when_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_done_may_start_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_certificates_are_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
