// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "support/http_fixture.h"

static int setup(void **state)
{
    if (http_fixture_setup(state) != 0) {
        return 1;
    }
    struct http_fixture *f = *state;
    f->authority = api_authority_new("test authority");
    http_fixture_tls(f, api_authority_server(f->authority), NULL);
    return 0;
}

static const struct http_call *good(struct http_fixture *f, struct http_options options)
{
    const struct http_call *call = http_fixture_get(f, options);
    assert_string_equal(call->why, "");
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_int_equal(call->result.status, 200);
    return call;
}

// Fails before the server hears of the request.
static const struct http_call *bad(struct http_fixture *f, struct http_options options)
{
    unsigned served = f->served;
    const struct http_call *call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(call->result.status, 0);
    assert_true(call->why[0] != '\0');
    assert_false(call->result.raced);
    assert_int_equal(f->served, served);
    return call;
}

static void test_get(void **state)
{
    struct http_fixture *f = *state;
    assert_string_equal(good(f, (struct http_options){0})->body.data, "hello");
    (void)good(f, (struct http_options){.host = "api.example:6443"});
    assert_int_equal(api_server_connections(f->server), 1);
}

static void test_certificates_of_the_server(void **state)
{
    struct http_fixture *f = *state;
    // Not signed by whom the request trusts: another name, and another key with the same name.
    struct api_authority *other = api_authority_new("other authority");
    struct api_authority *same_name = api_authority_new("test authority");
    assert_int_equal(bad(f, (struct http_options){.ca_pem = api_authority_pem(other)})->result.code, 60);
    (void)bad(f, (struct http_options){.ca_pem = api_authority_pem(same_name)});
    api_authority_free(other);
    api_authority_free(same_name);
    http_fixture_tls(f, api_authority_expired_server(f->authority), NULL);
    assert_int_equal(bad(f, (struct http_options){0})->result.code, 60);
    http_fixture_tls(f, api_authority_wrong_server(f->authority), NULL);
    assert_int_equal(bad(f, (struct http_options){0})->result.code, 60);
    (void)good(f, (struct http_options){.insecure = true});
    // What was let through unchecked is not a connection for those who check.
    (void)bad(f, (struct http_options){0});
    // The name of the URL is what counts.
    char url[64];
    char route[64];
    (void)snprintf(url, sizeof(url), "https://other.invalid:%u/", api_server_port(f->server));
    (void)snprintf(route, sizeof(route), "::127.0.0.1:%u", api_server_port(f->server));
    (void)good(f, (struct http_options){.url = url, .connect_to = route});
    http_fixture_tls(f, api_authority_server(f->authority), NULL);
    (void)good(f, (struct http_options){.fresh = true});
}

static void test_trust_that_changes_needs_a_new_connection(void **state)
{
    struct http_fixture *f = *state;
    (void)good(f, (struct http_options){0});
    struct api_authority *other = api_authority_new("other authority");
    (void)bad(f, (struct http_options){.ca_pem = api_authority_pem(other)});
    // Both, as while the authority is being replaced.
    struct buf BUF_CLEANUP both = {0};
    buf_printf(&both, "%s%s", api_authority_pem(other), api_authority_pem(f->authority));
    (void)good(f, (struct http_options){.ca_pem = both.data});
    http_fixture_tls(f, api_authority_server(other), NULL);
    (void)good(f, (struct http_options){.ca_pem = both.data, .fresh = true});
    (void)bad(f, (struct http_options){.fresh = true});
    api_authority_free(other);
}

static char client[64];

static void serve_client_name(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    (void)snprintf(client, sizeof(client), "%s", api_exchange_client_name(exchange));
    api_exchange_reply(exchange, 200, "application/json", "", "{}");
}

static void test_client_certificates(void **state)
{
    struct http_fixture *f = *state;
    struct api_authority *clients = api_authority_new("client authority");
    http_fixture_tls(f, api_authority_server(f->authority), api_authority_pem(clients));
    f->serve = serve_client_name;
    struct api_cert jane = api_authority_client(clients, "jane", "developers");
    struct api_cert joe = api_authority_client(clients, "joe", NULL);
    struct api_cert stranger = api_authority_client(f->authority, "stranger", NULL);
    (void)good(f, (struct http_options){0});
    assert_string_equal(client, "");
    (void)good(f, (struct http_options){.cert_pem = jane.cert, .key_pem = jane.key});
    assert_string_equal(client, "jane");
    // A certificate that was replaced does not live on in a connection.
    (void)good(f, (struct http_options){.cert_pem = joe.cert, .key_pem = joe.key});
    assert_string_equal(client, "joe");
    assert_int_equal(api_server_connections(f->server), 3);
    (void)bad(f, (struct http_options){.cert_pem = stranger.cert, .key_pem = stranger.key});
    // A key of somebody else.
    (void)bad(f, (struct http_options){.cert_pem = jane.cert, .key_pem = joe.key, .fresh = true});
    (void)good(f, (struct http_options){.cert_pem = jane.cert, .key_pem = jane.key});
    assert_string_equal(client, "jane");
    api_cert_free(&jane);
    api_cert_free(&joe);
    api_cert_free(&stranger);
    api_authority_free(clients);
}

static void test_silence_instead_of_tls(void **state)
{
    struct http_fixture *f = *state;
    api_server_silent(f->server, true);
    const struct http_call *call = http_fixture_get(f, (struct http_options){.times.connect_ms = 300});
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    assert_int_equal(call->result.status, 0);
    assert_in_range(call->took_ms, 250, 3000);
    assert_int_equal(api_server_connections(f->server), 1);
    api_server_silent(f->server, false);
    (void)good(f, (struct http_options){0});
}

static void test_alerts(void **state)
{
    struct http_fixture *f = *state;
    static const int alerts[] = {40, 48, 70, 80};
    for (size_t i = 0; i < ARRAY_SIZE(alerts); i++) {
        api_server_alert(f->server, alerts[i]);
        assert_int_equal(bad(f, (struct http_options){0})->result.code, 35);
    }
    api_server_alert(f->server, 0);
    (void)good(f, (struct http_options){0});
}

// Something else than TLS on that port.
static void test_plain_server(void **state)
{
    struct http_fixture *f = *state;
    assert_int_equal(api_server_tls(f->server, NULL, NULL, NULL, &f->err), 0);
    const struct http_call *call = http_fixture_get(f, (struct http_options){.times.connect_ms = 500});
    assert_int_not_equal(call->result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->served, 0);
}

static void serve_pieces(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "{\"a\":\"\xc3\xa4\"}\n", 11);
    api_exchange_chunk(exchange, "{}", 2);
    api_exchange_end(exchange);
}

static void test_a_record_for_each_byte(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_pieces;
    for (int http2 = 0; http2 < 2; http2++) {
        api_server_http2(f->server, http2);
        api_server_record_size(f->server, 1);
        const struct http_call *call =
            good(f, (struct http_options){.fresh = true, .version = http2 ? HTTP_VERSION_2 : HTTP_VERSION_1_1});
        assert_int_equal(f->last_http2, http2);
        assert_string_equal(call->body.data, "{\"a\":\"\xc3\xa4\"}\n{}");
        api_server_record_size(f->server, 0);
    }
}

static bool wanted_end;

static void serve_end_of_connection(struct http_fixture *f, struct api_exchange *exchange)
{
    (void)f;
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_chunk(exchange, "{}\n", 3);
    if (wanted_end) {
        api_exchange_close(exchange);
    } else {
        api_exchange_cut(exchange, false);
    }
}

// close_notify at the end of a line is no end of the answer either.
static void test_end_of_the_connection_within_an_answer(void **state)
{
    struct http_fixture *f = *state;
    f->serve = serve_end_of_connection;
    for (int i = 0; i < 2; i++) {
        wanted_end = i;
        const struct http_call *call = http_fixture_get(f, (struct http_options){0});
        assert_int_equal(call->result.outcome, HTTP_BROKEN);
        assert_false(call->result.raced);
        assert_int_equal(call->result.status, 200);
        assert_string_equal(call->body.data, "{}\n");
    }
}

static void on_ipv6(struct api_exchange *exchange, void *arg)
{
    (void)arg;
    api_exchange_reply(exchange, 200, "application/json", "", "six");
}

static void test_ipv6(void **state)
{
    struct http_fixture *f = *state;
    struct api_server *six = NULL;
    if (api_server_new_at(f->loop, "::1", 0, on_ipv6, NULL, &six, &f->err) < 0) {
        print_message("no IPv6 on the loopback interface: %s\n", f->err.msg);
        skip();
    }
    struct api_cert cert = api_authority_server(f->authority);
    assert_int_equal(api_server_tls(six, cert.cert, cert.key, NULL, &f->err), 0);
    f->host = "[::1]";
    f->port = api_server_port(six);
    struct http_call *call = http_fixture_start(f, 0, (struct http_options){0});
    char peer[64] = "";
    while (!call->done && !http_peer(call->request, peer, sizeof(peer))) {
        http_fixture_wait(f, 1);
    }
    assert_true(http_fixture_run(f, 5000));
    assert_string_equal(call->why, "");
    assert_string_equal(call->body.data, "six");
    api_cert_free(&cert);
    api_server_free(six);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_certificates_of_the_server, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_trust_that_changes_needs_a_new_connection, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_client_certificates, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_silence_instead_of_tls, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_alerts, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_plain_server, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_a_record_for_each_byte, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_end_of_the_connection_within_an_answer, setup, http_fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ipv6, setup, http_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
