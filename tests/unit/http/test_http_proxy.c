// SPDX-License-Identifier: Apache-2.0
// Proxies: a small one that speaks CONNECT and SOCKS5 and leads every connection to the fixture's server.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http_easy.h"
#include "support/http_fixture.h"

enum { PROXY_PEERS = 16 };

enum stage { GREETING, PASSWORD, WHERE, TUNNEL };

struct proxy;

struct peer {
    struct proxy *proxy;
    int client, server;  // -1: none
    struct loop_fd *client_source, *server_source;
    enum stage stage;
    struct buf in;
};

struct proxy {
    struct loop *loop;
    int fd;
    struct loop_fd *source;
    unsigned port;
    unsigned target;  // port on the loopback interface
    bool socks;
    bool wants_password;
    unsigned refuse;  // CONNECT's answer; 0: 200
    struct peer peers[PROXY_PEERS];
    size_t n_peers;
    unsigned tunnels;
    char where[256];        // the last one asked for, "host:port"
    char credentials[256];  // of the last client
};

static void hang_up(struct peer *peer)
{
    loop_remove_fd(peer->client_source);
    loop_remove_fd(peer->server_source);
    peer->client_source = peer->server_source = NULL;
    if (peer->client >= 0) {
        (void)close(peer->client);
    }
    if (peer->server >= 0) {
        (void)close(peer->server);
    }
    peer->client = peer->server = -1;
    buf_free(&peer->in);
}

static void say(struct peer *peer, const void *data, size_t len)
{
    assert_int_equal(send(peer->client, data, len, MSG_NOSIGNAL), len);
}

// The pieces of a test fit the socket buffers, so a write never waits.
static bool carry(int from, int to)
{
    char data[65536];
    ssize_t n = read(from, data, sizeof(data));
    if (n < 0 && errno == EAGAIN) {
        return true;
    }
    return n > 0 && send(to, data, (size_t)n, MSG_NOSIGNAL) == n;
}

static void on_server(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    struct peer *peer = arg;
    if (!carry(peer->server, peer->client)) {
        hang_up(peer);
    }
}

static void lead_on(struct peer *peer)
{
    struct proxy *proxy = peer->proxy;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)proxy->target), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    peer->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer->server, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(loop_add_fd(proxy->loop, peer->server, LOOP_READ, on_server, peer, &peer->server_source, NULL), 0);
    peer->stage = TUNNEL;
    proxy->tunnels++;
}

static void consume(struct peer *peer, size_t n)
{
    memmove(peer->in.data, peer->in.data + n, peer->in.len - n + 1);
    peer->in.len -= n;
}

static void take_connect(struct peer *peer)
{
    struct proxy *proxy = peer->proxy;
    const char *end = strstr(peer->in.data, "\r\n\r\n");
    if (!end) {
        return;
    }
    static const char name[] = "\r\nProxy-Authorization: ";
    const char *credentials = strcasestr(peer->in.data, name);
    proxy->credentials[0] = '\0';
    if (credentials) {
        credentials += sizeof(name) - 1;
        (void)snprintf(proxy->credentials, sizeof(proxy->credentials), "%.*s", (int)strcspn(credentials, "\r"),
                       credentials);
    }
    // Neither the server's token nor what else is for the server.
    assert_null(strstr(peer->in.data, "\r\nAuthorization:"));
    assert_null(strstr(peer->in.data, "X-Server-Only"));
    assert_int_equal(sscanf(peer->in.data, "CONNECT %255[^ ] HTTP/1.1\r\n", proxy->where), 1);
    consume(peer, (size_t)(end - peer->in.data) + 4);
    char answer[256];
    (void)snprintf(answer, sizeof(answer), "HTTP/1.1 %u X\r\nWarning: 299 - \"the proxy's\"\r\n%s\r\n",
                   proxy->refuse ? proxy->refuse : 200, proxy->refuse ? "Content-Length: 0\r\n" : "");
    say(peer, answer, strlen(answer));
    if (!proxy->refuse) {
        lead_on(peer);
    }
}

// RFC 1928 and 1929.
static void take_socks(struct peer *peer)
{
    struct proxy *proxy = peer->proxy;
    const unsigned char *in = (const unsigned char *)peer->in.data;
    size_t len = peer->in.len;
    if (peer->stage == GREETING && len >= 2 && len >= 2u + in[1]) {
        const unsigned char method[] = {5, proxy->wants_password ? 2 : 0};
        assert_int_equal(in[0], 5);
        assert_non_null(memchr(in + 2, method[1], in[1]));
        peer->stage = proxy->wants_password ? PASSWORD : WHERE;
        consume(peer, 2u + in[1]);
        say(peer, method, sizeof(method));
    } else if (peer->stage == PASSWORD && len >= 2 && len >= 3u + in[1] && len >= 3u + in[1] + in[2 + in[1]]) {
        size_t password = 2u + in[1];
        (void)snprintf(proxy->credentials, sizeof(proxy->credentials), "%.*s:%.*s", in[1], in + 2, in[password],
                       in + password + 1);
        peer->stage = WHERE;
        consume(peer, password + 1 + in[password]);
        say(peer, "\x01\x00", 2);
    } else if (peer->stage == WHERE && len >= 5 && len >= 7u + in[4]) {
        // A name, as the proxy is to resolve it.
        assert_memory_equal(in, "\x05\x01\x00\x03", 4);
        size_t port = 5u + in[4];
        (void)snprintf(proxy->where, sizeof(proxy->where), "%.*s:%u", in[4], in + 5, in[port] * 256u + in[port + 1]);
        consume(peer, port + 2);
        say(peer, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
        lead_on(peer);
    }
}

static void on_client(UNUSED int fd, UNUSED unsigned events, void *arg)
{
    struct peer *peer = arg;
    if (peer->stage == TUNNEL) {
        if (!carry(peer->client, peer->server)) {
            hang_up(peer);
        }
        return;
    }
    char data[4096];
    ssize_t n = read(peer->client, data, sizeof(data));
    if (n <= 0) {
        hang_up(peer);
        return;
    }
    buf_add(&peer->in, data, (size_t)n);
    if (peer->proxy->socks) {
        take_socks(peer);
    } else {
        take_connect(peer);
    }
    // libcurl waits for each answer, so nothing is left over.
    assert_true(peer->stage != TUNNEL || peer->in.len == 0);
}

static void on_accept(int fd, UNUSED unsigned events, void *arg)
{
    struct proxy *proxy = arg;
    assert_true(proxy->n_peers < PROXY_PEERS);
    struct peer *peer = &proxy->peers[proxy->n_peers++];
    *peer = (struct peer){.proxy = proxy, .server = -1};
    peer->client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(loop_add_fd(proxy->loop, peer->client, LOOP_READ, on_client, peer, &peer->client_source, NULL), 0);
}

static int setup(void **state)
{
    if (http_fixture_setup(state) != 0) {
        return 1;
    }
    struct http_fixture *f = *state;
    struct proxy *proxy = calloc(1, sizeof(*proxy));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    if (!proxy) {
        return 1;
    }
    f->arg = proxy;
    f->authority = api_authority_new("test authority");
    http_fixture_tls(f, api_authority_server(f->authority), NULL);
    proxy->loop = f->loop;
    proxy->target = api_server_port(f->server);
    proxy->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY",    "HTTP_PROXY"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)unsetenv(names[i]);
    }
    if (bind(proxy->fd, (struct sockaddr *)&address, len) < 0 || listen(proxy->fd, 8) < 0 ||
        getsockname(proxy->fd, (struct sockaddr *)&address, &len) < 0) {
        return 1;
    }
    proxy->port = ntohs(address.sin_port);
    return loop_add_fd(f->loop, proxy->fd, LOOP_READ, on_accept, proxy, &proxy->source, NULL);
}

static int teardown(void **state)
{
    struct proxy *proxy = ((struct http_fixture *)*state)->arg;
    for (size_t i = 0; i < proxy->n_peers; i++) {
        hang_up(&proxy->peers[i]);
    }
    loop_remove_fd(proxy->source);
    (void)close(proxy->fd);
    int rc = http_fixture_teardown(state);
    free(proxy);
    return rc;
}

// A name that only the proxy could know, with what the certificate says for localhost.
static const char *far(void)
{
    return "https://localhost:6443/far";
}

static const char *proxy_url(const struct proxy *proxy, const char *before)
{
    static char url[128];
    (void)snprintf(url, sizeof(url), "%s127.0.0.1:%u", before, proxy->port);
    return url;
}

static void test_connect(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    f->wanted[0] = "Authorization";
    f->wanted[1] = "Proxy-Authorization";
    const struct http_header header = {"X-Server-Only", "1"};
    const struct http_options options = {
        .url = far(), .proxy = proxy_url(proxy, "http://"), .bearer = "token", .headers = &header, .n_headers = 1};
    const struct http_call *call = http_fixture_get(f, options);
    assert_string_equal(call->why, "");
    assert_string_equal(call->body.data, "hello");
    assert_string_equal(proxy->where, "localhost:6443");
    assert_string_equal(proxy->credentials, "");
    assert_string_equal(f->seen[0], "Bearer token");
    assert_string_equal(f->seen[1], "");
    // What the proxy says in its head is not the server's.
    assert_int_equal(call->warnings.len, 0);
    // The tunnel is kept.
    call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_COMPLETE);
    assert_int_equal(proxy->tunnels, 1);
    // Without a proxy it is another connection, and the name leads nowhere.
    call = http_fixture_get(f, (struct http_options){.url = far()});
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
}

static void test_connect_with_http2(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    api_server_http2(f->server, true);
    const struct http_options options = {.url = far(), .proxy = proxy_url(proxy, "http://"), .version = HTTP_VERSION_2};
    (void)http_fixture_start(f, 0, options);
    (void)http_fixture_start(f, 1, options);
    assert_true(http_fixture_run(f, 5000));
    assert_int_equal(f->calls[0].result.outcome, HTTP_COMPLETE);
    assert_int_equal(f->calls[1].result.outcome, HTTP_COMPLETE);
    assert_true(f->last_http2);
    assert_int_equal(proxy->tunnels, 1);
}

static void test_credentials_for_connect(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    const struct http_options options = {.url = far(), .proxy = proxy_url(proxy, "http://Aladdin:open%20sesame@")};
    const struct http_call *call = http_fixture_get(f, options);
    assert_string_equal(call->why, "");
    assert_string_equal(proxy->credentials, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}

static void test_socks(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    proxy->socks = true;
    static const char *const schemes[] = {"socks5h://", "socks5://", "SOCKS5://"};
    for (unsigned i = 0; i < ARRAY_SIZE(schemes); i++) {
        const struct http_options options = {
            .url = "https://name.invalid:1/", .insecure = true, .proxy = proxy_url(proxy, schemes[i]), .fresh = true};
        const struct http_call *call = http_fixture_get(f, options);
        assert_string_equal(call->why, "");
        assert_string_equal(call->body.data, "hello");
        assert_string_equal(proxy->where, "name.invalid:1");
        assert_int_equal(proxy->tunnels, i + 1);
    }
    proxy->wants_password = true;
    const struct http_options options = {
        .url = far(), .proxy = proxy_url(proxy, "socks5h://us%3Aer:pa%2541ss:word%25@"), .fresh = true};
    const struct http_call *call = http_fixture_get(f, options);
    assert_string_equal(call->why, "");
    assert_string_equal(proxy->credentials, "us:er:pa%41ss:word%");
}

static void test_proxy_that_refuses(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    static const unsigned answers[] = {403, 407, 502};
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        proxy->refuse = answers[i];
        const struct http_options options = {.url = far(), .proxy = proxy_url(proxy, "http://user:secret@")};
        const struct http_call *call = http_fixture_get(f, options);
        // No answer of the server, whatever the number.
        assert_int_equal(call->result.outcome, HTTP_BROKEN);
        assert_int_equal(call->result.status, 0);
        assert_false(call->result.raced);
        assert_int_equal(call->heads, 0);
        assert_null(strstr(call->why, "secret"));
        assert_true(call->why[0] != '\0');
    }
    assert_int_equal(f->served, 0);
}

static void test_proxy_that_is_not_there(void **state)
{
    struct http_fixture *f = *state;
    static const char *const proxies[] = {"http://user:secret@127.0.0.1:1", "socks5h://user:secret@127.0.0.1:1",
                                          "https://user:secret@127.0.0.1:1", "http://user:secret@name.invalid:1"};
    for (size_t i = 0; i < ARRAY_SIZE(proxies); i++) {
        const struct http_call *call = http_fixture_get(f, (struct http_options){.url = far(), .proxy = proxies[i]});
        assert_int_equal(call->result.outcome, HTTP_BROKEN);
        assert_null(strstr(call->why, "secret"));
    }
}

// The way to a proxy is checked as well: against what the cluster's authority signed, as kubectl does. The fixture's
// server gives no answer to CONNECT, so a handshake that succeeds ends in a timeout.
static void test_proxy_over_tls(void **state)
{
    struct http_fixture *f = *state;
    char url[64];
    (void)snprintf(url, sizeof(url), "https://u:secret@127.0.0.1:%u", api_server_port(f->server));
    struct api_authority *other = api_authority_new("other authority");
    struct http_options options = {.url = far(), .proxy = url, .times.connect_ms = 400};
    const struct http_call *call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    options.ca_pem = api_authority_pem(other);
    call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(call->result.code, 60);
    assert_null(strstr(call->why, "secret"));
    options.insecure = true;
    call = http_fixture_get(f, options);
    assert_int_equal(call->result.outcome, HTTP_TIMEOUT);
    assert_int_equal(f->served, 0);
    api_authority_free(other);
}

static void test_malformed_proxies(void **state)
{
    struct http_fixture *f = *state;
    static const char *const proxies[] = {"http://user:secret@host:99999", "http://user:secret@",
                                          "ftp://user:secret@host",        "socks4://user:secret@host",
                                          "http://user:secret@ho st",      "http://user:sec%00ret@host",
                                          "://user:secret@host",           ""};
    for (size_t i = 0; i < ARRAY_SIZE(proxies); i++) {
        const struct http_options options = {.url = far(), .accept = "*/*", .proxy = proxies[i]};
        const struct http_handler handler = {0};
        struct http_request *request = NULL;
        err_clear(&f->err);
        assert_int_equal(http_start(f->http, &options, &handler, &request, &f->err), -1);
        assert_int_equal(f->err.kind, ERR_INPUT);
        assert_null(strstr(f->err.msg, "sec"));
        assert_null(strstr(f->err.msg, "user"));
    }
}

static void test_environment(void **state)
{
    struct http_fixture *f = *state;
    struct proxy *proxy = f->arg;
    // As it is often written, without a scheme.
    assert_int_equal(setenv("HTTPS_PROXY", proxy_url(proxy, "user:secret@"), 1), 0);
    const struct http_options asked = {
        .url = far(), .connect_to = "::far.example:6443", .proxy_from_environment = true, .fresh = true};
    const struct http_call *call = http_fixture_get(f, asked);
    assert_string_equal(call->why, "");
    assert_int_equal(proxy->tunnels, 1);
    assert_string_equal(proxy->credentials, "Basic dXNlcjpzZWNyZXQ=");
    // Not for what stands on this machine.
    call = http_fixture_get(f, (struct http_options){.url = far(), .proxy_from_environment = true, .fresh = true});
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(proxy->tunnels, 1);
    // Not unless asked.
    call = http_fixture_get(f, (struct http_options){.fresh = true});
    assert_string_equal(call->why, "");
    assert_int_equal(proxy->tunnels, 1);
    // Exceptions, which concern the environment's proxy only: where the connection goes counts, not the name for TLS.
    assert_int_equal(setenv("NO_PROXY", "10.0.0.0/8, .example:6443", 1), 0);
    call = http_fixture_get(f, asked);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(proxy->tunnels, 1);
    assert_int_equal(setenv("NO_PROXY", "localhost", 1), 0);
    call = http_fixture_get(f, asked);
    assert_string_equal(call->why, "");
    assert_int_equal(proxy->tunnels, 2);
    call =
        http_fixture_get(f, (struct http_options){.url = far(), .proxy = proxy_url(proxy, "http://"), .fresh = true});
    assert_string_equal(call->why, "");
    assert_int_equal(proxy->tunnels, 3);
    assert_int_equal(unsetenv("NO_PROXY"), 0);
    // The capitals go first.
    assert_int_equal(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
    call = http_fixture_get(f, asked);
    assert_string_equal(call->why, "");
    assert_int_equal(proxy->tunnels, 4);
    assert_int_equal(unsetenv("HTTPS_PROXY"), 0);
    call = http_fixture_get(f, asked);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(unsetenv("https_proxy"), 0);
    // kubectl knows no such variable.
    assert_int_equal(setenv("ALL_PROXY", proxy_url(proxy, "http://"), 1), 0);
    assert_int_equal(setenv("all_proxy", proxy_url(proxy, "http://"), 1), 0);
    call = http_fixture_get(f, asked);
    assert_int_equal(call->result.outcome, HTTP_BROKEN);
    assert_int_equal(proxy->tunnels, 4);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    assert_int_equal(unsetenv("all_proxy"), 0);
}

static void test_exceptions(UNUSED void **state)
{
    static const struct {
        const char *server;
        const char *no_proxy;
        bool direct;
    } cases[] = {
        // What stands on this machine.
        {"localhost", NULL, true},
        {"LocalHost:6443", "", true},
        {"127.0.0.1:6443", NULL, true},
        {"127.255.3.4", NULL, true},
        {"[::1]:6443", NULL, true},
        {"[::ffff:127.0.0.1]:6443", NULL, true},
        {"localhost.example", NULL, false},
        {"128.0.0.1", NULL, false},
        {"127.0.0.1.example", NULL, false},
        {"[::2]:6443", NULL, false},
        {"api.example:6443", NULL, false},
        {"api.example:6443", "", false},
        // Everything.
        {"api.example", "*", true},
        {"10.0.0.1", "x, * ,y", true},
        {"api.example", "**", false},
        // Names.
        {"api.example.com:6443", "example.com", true},
        {"example.com", "example.com", true},
        {"API.Example.COM", " eXample.com\t", true},
        {"myexample.com", "example.com", false},
        {"api.example.com", ".example.com", true},
        {"example.com", ".example.com", false},
        {"api.example.com", "*.example.com", true},
        {"example.com", "*.example.com", false},
        {"api.example.com", "api.example.com.", false},
        {"api.example.com", "example.com.org,,example", false},
        {"api.example.com", "com", true},
        {"api.example.com:6443", "example.com:6443", true},
        {"api.example.com:6443", "example.com:443", false},
        {"api.example.com", "example.com:443", true},
        {"api.example.com:6443", "example.com:", true},
        {"api.example.com:6443", "example.com:https", false},
        {"api.example.com:6443", "example.com:0", false},
        {"api.example.com:6443", ":6443", false},
        {"api.example.com:6443", "https://api.example.com:6443", false},
        // Addresses.
        {"10.0.0.1:6443", "10.0.0.1", true},
        {"10.0.0.1:6443", "10.0.0.1:6443", true},
        {"10.0.0.1:6443", "10.0.0.1:443", false},
        {"10.0.0.11", "10.0.0.1", false},
        {"10.0.0.1", "0.0.1", true},
        {"[fd00::1]:6443", "fd00:0::1", true},
        {"[fd00::1]:6443", "[fd00::1]:6443", true},
        {"[fd00::1]:6443", "[fd00::1]:1", false},
        {"[fd00::1]:6443", "[fd00::1", false},
        {"[::ffff:10.0.0.1]:6443", "10.0.0.1", true},
        // Blocks.
        {"10.1.2.3:6443", "10.0.0.0/8", true},
        {"11.1.2.3:6443", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.0/23", true},
        {"10.1.4.3", "10.1.2.0/23", false},
        {"10.1.2.3", "10.1.2.3/32", true},
        {"10.1.2.3", "0.0.0.0/0", true},
        {"10.1.2.3", "10.0.0.0/33", false},
        {"10.1.2.3", "10.0.0.0/", false},
        {"10.1.2.3", "10.0.0.0/8:6443", false},
        {"[fd00:1::1]:6443", "fd00::/8", true},
        {"[fe00:1::1]:6443", "fd00::/8", false},
        {"[fd00:1::1]:6443", "::/0", true},
        {"10.1.2.3", "::/0", false},
        {"[fd00::1]", "0.0.0.0/0", false},
        {"api.example", "0.0.0.0/0,::/0", false},
        {"api.example", ",, ,10.0.0.1, example ,", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (http_goes_direct(cases[i].server, 443, cases[i].no_proxy) != cases[i].direct) {
            fail_msg("%s, NO_PROXY=%s", cases[i].server, cases[i].no_proxy ? cases[i].no_proxy : "(none)");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exceptions),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_with_http2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credentials_for_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_socks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_proxy_that_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_proxy_that_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_proxy_over_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed_proxies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
