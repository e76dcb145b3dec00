// SPDX-License-Identifier: Apache-2.0
// What a request says, and what of an answer its owner is given.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "support/http_fixture.h"

static void test_basic_authentication(void **state)
{
    struct http_fixture *f = *state;
    f->wanted[0] = "Authorization";
    (void)http_fixture_get(f, (struct http_options){.username = "Aladdin", .password = "open sesame"});
    assert_string_equal(f->seen[0], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    (void)http_fixture_get(f, (struct http_options){.username = "Aladdin", .password = ""});
    assert_string_equal(f->seen[0], "Basic QWxhZGRpbjo=");
    // The next one on that connection is nobody.
    (void)http_fixture_get(f, (struct http_options){0});
    assert_string_equal(f->seen[0], "");
    assert_int_equal(api_server_connections(f->server), 1);
}

static void refused(struct http_fixture *f, struct http_options options)
{
    struct http_request *request = NULL;
    const struct http_handler handler = {0};
    options.url = options.url ? options.url : "http://127.0.0.1:1/";
    options.accept = options.accept ? options.accept : "*/*";
    options.plain = true;
    err_clear(&f->err);
    assert_int_equal(http_start(f->http, &options, &handler, &request, &f->err), -1);
    assert_null(request);
    assert_true(f->err.msg[0] != '\0');
}

static void test_credentials_that_do_not_fit(void **state)
{
    struct http_fixture *f = *state;
    refused(f, (struct http_options){.username = "u"});
    refused(f, (struct http_options){.password = "p"});
    refused(f, (struct http_options){.username = "u", .password = "p", .bearer = "t"});
}

static char groups[3][64];
static bool has_empty;

static void serve_groups(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        (void)snprintf(groups[i], sizeof(groups[i]), "%s", api_exchange_header_at(exchange, "Impersonate-Group", i));
    }
    has_empty = api_exchange_has_header(exchange, "X-Empty");
    api_exchange_reply(exchange, 200, "application/json", "", "{}");
}

static void test_further_headers(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_groups;
    f->wanted[0] = "Impersonate-User";
    f->wanted[1] = "Impersonate-Extra-Scopes";
    f->wanted[2] = "X-Empty";
    f->wanted[3] = "X-After";
    const struct http_header headers[] = {{"Impersonate-User", "jane; \"doe\""},
                                          {"Impersonate-Group", "developers"},
                                          {"Impersonate-Group", "admins"},
                                          {"Impersonate-Extra-Scopes", "view"},
                                          {"X-Empty", ""},
                                          {"X-After", "there"}};
    (void)http_fixture_get(f, (struct http_options){.headers = headers, .n_headers = ARRAY_SIZE(headers)});
    assert_string_equal(f->seen[0], "jane; \"doe\"");
    assert_string_equal(groups[0], "developers");
    assert_string_equal(groups[1], "admins");
    assert_string_equal(groups[2], "");
    assert_string_equal(f->seen[1], "view");
    assert_true(has_empty);
    assert_string_equal(f->seen[2], "");
    assert_string_equal(f->seen[3], "there");
}

static void test_many_headers(void **state)
{
    struct http_fixture *f = *state;
    struct http_header headers[500];
    char names[ARRAY_SIZE(headers)][16];
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "X-%zu", i);
        headers[i] = (struct http_header){names[i], names[i]};
    }
    f->wanted[0] = "X-0";
    f->wanted[1] = "X-499";
    (void)http_fixture_get(f, (struct http_options){.headers = headers, .n_headers = ARRAY_SIZE(headers)});
    assert_string_equal(f->seen[0], "X-0");
    assert_string_equal(f->seen[1], "X-499");
}

// A value with a line break would send headers of its own; no message repeats what may be secret.
static void test_headers_of_more_than_a_line(void **state)
{
    struct http_fixture *f = *state;
    static const struct http_header bad[] = {{"X-Bad", "secret\r\nX-Evil: 1"},
                                             {"X-Bad", "secret\nX-Evil: 1"},
                                             {"X-Bad: 1\r\nX-Evil", "secret"},
                                             {"", "secret"},
                                             {"X Bad", "secret"},
                                             {"X-Bad:", "secret"}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        refused(f, (struct http_options){.headers = &bad[i], .n_headers = 1});
        assert_null(strstr(f->err.msg, "secret"));
    }
    refused(f, (struct http_options){.bearer = "secret\r\nX-Evil: 1"});
    assert_null(strstr(f->err.msg, "secret"));
    refused(f, (struct http_options){.host = "a\r\nX-Evil: 1"});
}

static void serve_late_head(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    (void)exchange;
}

static void test_head_timeout(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_late_head;
    const struct http_call *call = http_fixture_get(f, (struct http_options){.head_timeout_ms = 150});
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    assert_int_equal(call->result.status, 0);
    assert_int_equal(call->result.code, 28);
    assert_string_equal(call->why, "no answer within 150 ms");
    assert_in_range(call->took_ms, 140, 3000);
    // It goes with the request that is cancelled.
    struct http_call *cancelled = http_fixture_start(f, 0, (struct http_options){.head_timeout_ms = 400});
    http_fixture_wait(f, 20);
    http_cancel(cancelled->request);
    cancelled->request = NULL;
    http_fixture_wait(f, 600);
    assert_false(cancelled->done);
}

static struct api_exchange *held;

static void serve_slow_body(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    held = exchange;
}

// A watch is silent for minutes once its answer has begun.
static void test_head_timeout_is_for_the_head(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_slow_body;
    const struct http_call *call = http_fixture_start(f, 0, (struct http_options){.head_timeout_ms = 500});
    http_fixture_wait(f, 1000);
    assert_false(call->done);
    api_exchange_chunk(held, "late", 4);
    api_exchange_end(held);
    assert_true(http_fixture_run(f, 3000));
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_string_equal(call->body.data, "late");
}

static const char *warning_headers;

static void serve_warnings(struct http_fixture *f, struct api_exchange *exchange)
{
    api_exchange_reply(exchange, f->served == 1 ? 200 : 404, "application/json", warning_headers, "{}");
}

static void test_warnings(void **state)
{
    static const struct {
        const char *headers, *want;
    } cases[] = {
        {"", ""},
        {"Warning: 299 - \"v1beta1 is deprecated\"\r\n", "v1beta1 is deprecated\n"},
        {"warning:299 kube \"a\"\r\nX: y\r\nWarning: 299 - \"b\"\r\n", "a\nb\n"},
        {"Warning: 299 - \"a\", 299 - \"b, \\\"c\\\"\" \"Wed, 21 Oct 2015 07:28:00 GMT\", 299 - \"d\"\r\n",
         "a\nb, \"c\"\nd\n"},
        {"Warning: 110 proxy \"stale\", 299 - \"mine\"\r\n", "mine\n"},
        {"Warning: 2999 - \"x\"\r\nWarning: 299 \"x\r\nWarning: 299 - x\r\nWarning: \"x\"\r\nWarning:\r\n"
         "Warning: 299 - \"open\r\nWarnings: 299 - \"x\"\r\nWarning: 299\r\n",
         ""},
        {"Warning: 299 - \"a\tb\"\r\n", "a b\n"},
        {"Warning: 299 - \"\"\r\n", "\n"},
    };
    struct http_fixture *f = *state;
    f->serve = serve_warnings;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        warning_headers = cases[i].headers;
        // Also with an answer that is an error.
        for (f->served = 0; f->served < 2;) {
            const struct http_call *call = http_fixture_get(f, (struct http_options){0});
            assert_int_equal(call->result.outcome, HTTP_COMPLETE);
            assert_string_equal(call->warnings.data ? call->warnings.data : "", cases[i].want);
        }
    }
}

static void serve_encoded(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_reply(exchange, 200, "application/json", "Content-Encoding: gzip\r\n", "not gzip at all");
}

// The owner decides; libcurl must not try to decode what was not asked for (api-client.md 2.9).
static void test_encoding_that_nobody_asked_for(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_encoded;
    const struct http_call *call = http_fixture_get(f, (struct http_options){0});
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_string_equal(call->encoding, "gzip");
    assert_string_equal(call->body.data, "not gzip at all");
    // Asked for, it is what it says or an error.
    call = http_fixture_get(f, (struct http_options){.compressed = true});
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
}

static void serve_other_status(struct http_fixture *f, struct api_exchange *exchange)
{
    static const unsigned statuses[] = {201, 203, 206, 300, 301, 302, 303, 307, 308, 400, 500};
    char headers[128];
    (void)snprintf(headers, sizeof(headers), "Location: http://127.0.0.1:%u/login\r\n", api_server_port(f->server));
    unsigned status = statuses[(f->served - 1) % ARRAY_SIZE(statuses)];
    api_exchange_reply(exchange, status, "text/html", headers, "<html>");
}

static void test_only_200_is_an_answer(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_other_status;
    for (unsigned i = 1; i <= 11; i++) {
        const struct http_call *call = http_fixture_get(f, (struct http_options){.bearer = "s3cret"});
        assert_int_equal(call->result.outcome, HTTP_COMPLETE);
        assert_int_not_equal(call->result.status, 200);
        assert_int_equal(call->heads, 0);
        assert_int_equal(call->body.len, 0);
        assert_string_equal(call->error_body, "<html>");
        assert_int_equal(f->served, i);
    }
}

static void test_peer_and_same_connection(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_slow_body;
    char want[64];
    char peer[64] = "";
    (void)snprintf(want, sizeof(want), "127.0.0.1:%u", api_server_port(f->server));
    const struct http_call *a = http_fixture_start(f, 0, (struct http_options){0});
    const struct http_call *b = http_fixture_start(f, 1, (struct http_options){0});
    assert_false(http_peer(a->request, peer, sizeof(peer)));
    assert_false(http_same_connection(a->request, b->request));
    assert_false(http_same_connection(a->request, a->request));
    http_fixture_wait_served(f, 2);
    assert_true(http_peer(a->request, peer, sizeof(peer)));
    assert_string_equal(peer, want);
    assert_true(http_peer(b->request, peer, sizeof(peer)));
    assert_string_equal(peer, want);
    assert_true(http_same_connection(a->request, a->request));
    assert_false(http_same_connection(a->request, b->request));
    assert_int_equal(api_server_connections(f->server), 2);
}

// Credential plugins are started while connections stand; those are not for them.
static void test_sockets_are_not_inherited(void **state)
{
    struct http_fixture *f = *state;
    (void)http_fixture_get(f, (struct http_options){0});
    unsigned found = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == api_server_port(f->server)) {
            found++;
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
    }
    assert_int_equal(found, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_basic_authentication, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_credentials_that_do_not_fit, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_further_headers, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_many_headers, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_headers_of_more_than_a_line, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_head_timeout, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_head_timeout_is_for_the_head, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_warnings, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_encoding_that_nobody_asked_for, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_only_200_is_an_answer, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_sockets_are_not_inherited, http_fixture_setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_peer_and_same_connection, http_fixture_setup, http_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
