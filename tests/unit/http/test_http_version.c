// SPDX-License-Identifier: Apache-2.0
// HTTP/2: requests that share a connection, and how one of them or all of them end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "support/http_fixture.h"

static struct api_exchange *held[HTTP_CALLS];
static unsigned n_held;
// What the next request meets; after that they are answered.
static void (*fate)(struct api_exchange *exchange);

static void serve(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    void (*once)(struct api_exchange * exchange) = fate;
    fate = NULL;
    if (once) {
        once(exchange);
    } else {
        api_exchange_reply(exchange, 200, "application/json", "Warning: 299 - \"two\"\r\nX-Other: y\r\n", "hello");
    }
}

static void serve_watch(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "abc", 3);
    held[n_held++] = exchange;
}

static int setup(void **state)
{
    if (http_fixture_setup(state) != 0) {
        return 1;
    }
    struct http_fixture *f = *state;
    f->authority = api_authority_new("test authority");
    http_fixture_tls(f, api_authority_server(f->authority), NULL);
    api_server_http2(f->server, true);
    f->serve = serve;
    n_held = 0;
    fate = NULL;
    return 0;
}

static struct http_call *start2(struct http_fixture *f, unsigned n, struct http_options options)
{
    options.version = HTTP_VERSION_2;
    return http_fixture_start(f, n, options);
}

static struct http_call *get2(struct http_fixture *f)
{
    struct http_call *call = start2(f, 0, (struct http_options){0});
    assert_true(http_fixture_run(f, 20000));
    return call;
}

static void is_good(struct http_fixture *f, const struct http_call *call, const char *body)
{
    assert_string_equal(call->why, "");
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_string_equal(call->body.data, body);
    assert_true(f->last_http2);
}

static void test_chosen_by_alpn(void **state)
{
    struct http_fixture *f = *state;
    f->wanted[0] = "Host";
    f->wanted[1] = "Authorization";
    const struct http_call *call =
        http_fixture_get(f, (struct http_options){.version = HTTP_VERSION_2, .bearer = "t", .host = "api.example"});
    is_good(f, call, "hello");
    assert_string_equal(call->type, "application/json");
    assert_string_equal(call->warnings.data, "two\n");
    assert_string_equal(f->seen[0], "api.example");
    assert_string_equal(f->seen[1], "Bearer t");
    is_good(f, get2(f), "hello");
    assert_int_equal(api_server_connections(f->server), 1);
    // A server that does not offer it is spoken to all the same.
    api_server_http2(f->server, false);
    call = http_fixture_get(f, (struct http_options){.version = HTTP_VERSION_2, .fresh = true});
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_false(f->last_http2);
}

static void test_only_when_asked(void **state)
{
    struct http_fixture *f = *state;
    // Left to us, it depends on the libcurl that is there.
    (void)http_fixture_get(f, (struct http_options){0});
    assert_int_equal(f->last_http2, curl_version_info(CURLVERSION_NOW)->version_num >= 0x080200);
    f->served = 0;
    (void)http_fixture_get(f, (struct http_options){.version = HTTP_VERSION_1_1, .fresh = true});
    assert_int_equal(f->served, 1);
    assert_false(f->last_http2);
    // Without TLS it is HTTP/1.1.
    assert_int_equal(api_server_tls(f->server, NULL, NULL, NULL, &f->err), 0);
    f->scheme = "http";
    (void)get2(f);
    assert_int_equal(f->served, 2);
    assert_false(f->last_http2);
}

static void test_requests_share_a_connection(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    // At once, before there is a connection.
    for (unsigned i = 0; i < HTTP_CALLS; i++) {
        (void)start2(f, i, (struct http_options){0});
    }
    for (unsigned i = 0; i < HTTP_CALLS; i++) {
        http_fixture_wait_body(&f->calls[i], 3);
    }
    assert_int_equal(api_server_connections(f->server), 1);
    for (unsigned i = 1; i < HTTP_CALLS; i++) {
        assert_true(http_same_connection(f->calls[0].request, f->calls[i].request));
    }
    // One that wants a connection of its own gets one, and leaves the others alone.
    http_cancel(f->calls[7].request);
    f->calls[7].request = NULL;
    n_held = 0;
    http_fixture_wait_body(start2(f, 7, (struct http_options){.fresh = true}), 3);
    assert_int_equal(api_server_connections(f->server), 2);
    assert_false(http_same_connection(f->calls[0].request, f->calls[7].request));
    for (unsigned i = 0; i < HTTP_CALLS; i++) {
        assert_false(f->calls[i].done);
    }
}

static void hold(struct api_exchange *exchange)
{
    held[n_held++] = exchange;
}

// A request that is given up ends alone.
static void test_one_stream_ends(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *watch = start2(f, 0, (struct http_options){0});
    http_fixture_wait_body(watch, 3);
    f->serve = serve;
    fate = hold;
    const struct http_call *late = start2(f, 1, (struct http_options){.head_timeout_ms = 300});
    http_fixture_wait_done(late);
    assert_int_equal(late->result.outcome, HTTP_TIMEOUT);
    const struct http_call *call = start2(f, 2, (struct http_options){0});
    http_fixture_wait_done(call);
    is_good(f, call, "hello");
    f->serve = serve_watch;
    const struct http_call *reset = start2(f, 3, (struct http_options){0});
    http_fixture_wait_body(reset, 3);
    api_exchange_reset_stream(held[n_held - 1], 2);
    http_fixture_wait_done(reset);
    assert_int_equal(reset->result.outcome, HTTP_BROKEN);
    assert_int_equal(reset->result.code, 92);
    assert_false(reset->result.raced);
    assert_int_equal(api_server_connections(f->server), 1);
    api_exchange_end(held[0]);
    assert_true(http_fixture_run(f, 3000));
    is_good(f, watch, "abc");
}

static void reset_connection(struct api_exchange *exchange)
{
    api_exchange_cut(exchange, true);
}

static void cut_connection(struct api_exchange *exchange)
{
    api_exchange_cut(exchange, false);
}

static void refuse_stream(struct api_exchange *exchange)
{
    api_exchange_reset_stream(exchange, 7);
}

static void break_stream(struct api_exchange *exchange)
{
    api_exchange_reset_stream(exchange, 2);
}

// However the server closes a connection as a request is on its way: either libcurl sends it again, or we are told that
// we may.
static void test_races(void **state)
{
    static void (*const fates[])(struct api_exchange * exchange) = {api_exchange_goaway, reset_connection,
                                                                    cut_connection, refuse_stream};
    struct http_fixture *f = *state;
    for (size_t i = 0; i < ARRAY_SIZE(fates); i++) {
        is_good(f, get2(f), "hello");
        fate = fates[i];
        const struct http_call *call = get2(f);
        if (call->result.outcome != HTTP_COMPLETE) {
            assert_int_equal(call->result.outcome, HTTP_BROKEN);
            assert_true(call->result.raced);
            assert_non_null(strstr(call->why, "the server was closing the connection: "));
            is_good(f, get2(f), "hello");
        }
    }
    // GOAWAY at the first request of a connection is one as well.
    fate = api_exchange_goaway;
    const struct http_call *call = http_fixture_get(f, (struct http_options){.version = HTTP_VERSION_2, .fresh = true});
    assert_true(call->result.outcome == HTTP_COMPLETE || call->result.raced);
}

// The server has seen these.
static void test_what_is_no_race(void **state)
{
    struct http_fixture *f = *state;
    is_good(f, get2(f), "hello");
    fate = break_stream;
    const struct http_call *call = get2(f);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(call->result.code, 92);
    assert_false(call->result.raced);
    fate = cut_connection;
    call = http_fixture_get(f, (struct http_options){.version = HTTP_VERSION_2, .fresh = true});
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_false(call->result.raced);
    // An answer that has begun.
    f->serve = serve_watch;
    http_fixture_wait_body(start2(f, 0, (struct http_options){0}), 3);
    api_exchange_goaway(held[0]);
    assert_true(http_fixture_run(f, 3000));
    assert_int_equal(f->calls[0].result.outcome, HTTP_BROKEN);
    assert_false(f->calls[0].result.raced);
}

static void test_goaway_with_living_streams(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *a = start2(f, 0, (struct http_options){0});
    const struct http_call *b = start2(f, 1, (struct http_options){0});
    http_fixture_wait_body(a, 3);
    http_fixture_wait_body(b, 3);
    f->serve = serve;
    api_server_goaway(f->server);
    http_fixture_wait(f, 50);
    // Later requests go elsewhere, also one that crosses it.
    const struct http_call *c = start2(f, 2, (struct http_options){0});
    http_fixture_wait_done(c);
    is_good(f, c, "hello");
    assert_int_equal(api_server_connections(f->server), 2);
    fate = api_exchange_goaway;
    const struct http_call *d = start2(f, 3, (struct http_options){0});
    http_fixture_wait_done(d);
    assert_true(d->result.outcome == HTTP_COMPLETE || d->result.raced);
    assert_false(a->done || b->done);
    for (unsigned i = 0; i < 2; i++) {
        api_exchange_chunk(held[i], "def", 3);
        api_exchange_end(held[i]);
    }
    assert_true(http_fixture_run(f, 3000));
    is_good(f, a, "abcdef");
    is_good(f, b, "abcdef");
}

static void test_all_streams_end_with_the_connection(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    for (int how = 0; how < 3; how++) {
        const struct http_call *a = start2(f, 0, (struct http_options){0});
        const struct http_call *b = start2(f, 1, (struct http_options){0});
        http_fixture_wait_body(a, 3);
        http_fixture_wait_body(b, 3);
        if (how < 2) {
            api_exchange_cut(held[0], how == 0);
        } else {
            api_exchange_close(held[0]);
        }
        n_held = 0;
        assert_true(http_fixture_run(f, 3000));
        assert_int_equal(a->result.outcome, HTTP_BROKEN);
        assert_int_equal(b->result.outcome, HTTP_BROKEN);
        assert_false(a->result.raced || b->result.raced);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chosen_by_alpn, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_only_when_asked, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_requests_share_a_connection, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_one_stream_ends, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_races, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_race, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_goaway_with_living_streams, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_all_streams_end_with_the_connection, setup, http_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
