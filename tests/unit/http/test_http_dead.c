// SPDX-License-Identifier: Apache-2.0
// Servers that vanish: what bounds the wait, and that what comes next does not meet the same dead connection.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "base/mem.h"
#include "support/http_fixture.h"

static struct api_exchange *held;

static void serve_watch(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "abc", 3);
    held = exchange;
}

static void use_tls(struct http_fixture *f)
{
    f->authority = api_authority_new("test authority");
    http_fixture_tls(f, api_authority_server(f->authority), NULL);
    api_server_http2(f->server, true);
}

static const struct http_times quick = {.keepalive_s = 1, .probe_s = 1, .unacked_ms = 2000};

// An idle watch whose server is gone: nothing is sent, so only probes can tell.
static void test_vanished_server(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *call = http_fixture_start(f, 0, (struct http_options){.times = quick, .timeout_ms = 20000});
    http_fixture_wait_body(call, 3);
    http_fixture_black_hole(api_exchange_fd(held));
    assert_true(http_fixture_run(f, 15000));
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_false(call->result.raced);
    assert_string_equal(call->body.data, "abc");
    assert_in_range(call->took_ms, 1500, 6000);
}

// A server that lives and has nothing to say is not given up.
static void test_silent_server(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *call = http_fixture_start(f, 0, (struct http_options){.times = quick, .timeout_ms = 20000});
    http_fixture_wait(f, 6000);
    assert_false(call->done);
    api_exchange_end(held);
    assert_true(http_fixture_run(f, 3000));
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
}

static void test_streams_die_together(void **state)
{
    struct http_fixture *f = *state;
    use_tls(f);
    f->serve = serve_watch;
    const struct http_options options = {.version = HTTP_VERSION_2, .times = quick, .timeout_ms = 20000};
    for (unsigned i = 0; i < 4; i++) {
        (void)http_fixture_start(f, i, options);
    }
    for (unsigned i = 0; i < 4; i++) {
        http_fixture_wait_body(&f->calls[i], 3);
    }
    assert_int_equal(f->served, 4);
    assert_int_equal(api_server_connections(f->server), 1);
    http_fixture_black_hole(api_exchange_fd(held));
    assert_true(http_fixture_run(f, 15000));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(f->calls[i].result.outcome, HTTP_BROKEN);
        assert_false(f->calls[i].result.raced);
        assert_in_range(f->calls[i].took_ms, 1500, 6000);
    }
}

// The connection under a stream that timed out looks alive to libcurl; a fresh request and all that come after it must
// not find it.
static void test_fresh_after_a_dead_connection(void **state)
{
    struct http_fixture *f = *state;
    use_tls(f);
    for (int http2 = 0; http2 < 2; http2++) {
        enum http_version version = http2 ? HTTP_VERSION_2 : HTTP_VERSION_1_1;
        const struct http_options hurry = {.version = version, .timeout_ms = 500};
        f->serve = NULL;
        (void)http_fixture_get(f, (struct http_options){.version = version, .fresh = true});
        f->serve = serve_watch;
        const struct http_call *call = http_fixture_start(f, 0, hurry);
        http_fixture_wait_body(call, 3);
        http_fixture_black_hole(api_exchange_fd(held));
        assert_true(http_fixture_run(f, 5000));
        assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
        f->serve = NULL;
        size_t before = api_server_connections(f->server);
        call = http_fixture_get(f, (struct http_options){.version = version, .timeout_ms = 2000, .fresh = true});
        assert_string_equal(call->why, "");
        for (int i = 0; i < 3; i++) {
            call = http_fixture_get(f, hurry);
            assert_string_equal(call->why, "");
        }
        assert_int_equal(api_server_connections(f->server), before + 1);
    }
}

// Idle connections are not kept for later when somebody asked for a fresh one; busy ones are left alone.
static void test_fresh_ends_idle_connections_only(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *watch = http_fixture_start(f, 0, (struct http_options){0});
    http_fixture_wait_body(watch, 3);
    f->serve = NULL;
    http_fixture_wait_done(http_fixture_start(f, 1, (struct http_options){0}));
    assert_int_equal(api_server_connections(f->server), 2);
    http_fixture_wait_done(http_fixture_start(f, 1, (struct http_options){.fresh = true}));
    assert_int_equal(f->last_connection, 3);
    http_fixture_wait_done(http_fixture_start(f, 1, (struct http_options){0}));
    assert_int_equal(f->last_connection, 3);
    assert_false(watch->done);
    api_exchange_end(held);
    assert_true(http_fixture_run(f, 3000));
    assert_int_equal(watch->result.outcome, HTTP_COMPLETE);
}

static void test_unanswered_connect(void **state)
{
    struct http_fixture *f = *state;
    http_fixture_black_hole(api_server_fd(f->server));
    const struct http_call *call = http_fixture_get(f, (struct http_options){.times.connect_ms = 300});
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    assert_int_equal(call->result.status, 0);
    assert_in_range(call->took_ms, 250, 3000);
    assert_int_equal(f->served, 0);
    const int off = 0;
    assert_int_equal(setsockopt(api_server_fd(f->server), SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof(off)), 0);
    call = http_fixture_get(f, (struct http_options){.fresh = true});
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
}

static void test_slow_answer(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_watch;
    const struct http_call *call =
        http_fixture_get(f, (struct http_options){.min_speed = 1000, .times.slow_s = 1, .timeout_ms = 15000});
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    assert_in_range(call->took_ms, 900, 5000);
}

static void test_connections_grow_old(void **state)
{
    struct http_fixture *f = *state;
    const struct http_options options = {.times.connection_s = 1};
    (void)http_fixture_get(f, options);
    (void)http_fixture_get(f, options);
    assert_int_equal(api_server_connections(f->server), 1);
    http_fixture_wait(f, 2200);
    const struct http_call *call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_int_equal(api_server_connections(f->server), 2);
}

static void test_times_by_default(void **state)
{
    (void)state;
    // What api-client.md 2.10 and 4.7 say: a vanished server is noticed within 45 s.
    assert_int_equal(http_times_default.connect_ms, 10000);
    assert_int_equal(http_times_default.keepalive_s + 3 * http_times_default.probe_s, 45);
    assert_int_equal(http_times_default.unacked_ms, 45000);
    assert_int_equal(http_times_default.connection_s, 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vanished_server, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_silent_server, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_streams_die_together, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_fresh_after_a_dead_connection, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_fresh_ends_idle_connections_only, http_fixture_setup,
                                        http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_unanswered_connect, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_slow_answer, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_connections_grow_old, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test(test_times_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
