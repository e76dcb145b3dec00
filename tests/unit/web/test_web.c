// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "web/web.h"

struct client {
    struct loop_fd *source;
    int fd;
    size_t sent;
    const char *request;
    char response[70000];
    size_t len;
    bool done;
};

struct fixture {
    struct loop *loop;
    struct web *web;
    struct loop_timer *timeout;
    struct client clients[200];
    size_t n_clients;
    int served;
    struct err err;
};

static void route(const char *path, const struct web_request *request, struct web_response *response, void *arg)
{
    struct fixture *f = arg;
    f->served++;
    if (strcmp(path, "/hello") == 0) {
        buf_printf(&response->body, "hello%s%s%s", web_query(request, "verbose", NULL) ? " verbose" : "",
                   web_query(request, "exclude", "b") ? " without-b" : "",
                   web_query(request, "exclude", "c") ? " without-c" : "");
    } else if (strcmp(path, "/big") == 0) {
        for (int i = 0; i < 60000; i++) {
            buf_putc(&response->body, 'x');
        }
    } else if (strcmp(path, "/fails") == 0) {
        response->body.failed = true;
    } else {
        response->status = 404;
        buf_puts(&response->body, "not found\n");
    }
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
    return !f || loop_new(&f->loop, &f->err) < 0 || web_new(f->loop, "127.0.0.1:0", route, f, &f->web, &f->err) < 0 ||
           loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_clients; i++) {
        loop_remove_fd(f->clients[i].source);
        (void)close(f->clients[i].fd);
    }
    web_free(f->web);
    loop_free(f->loop);
    free(f);
    return 0;
}

struct pending {
    struct fixture *f;
    struct client *client;
};

static void on_client(int fd, unsigned events, void *arg)
{
    struct client *c = arg;
    (void)events;
    ssize_t n = read(fd, c->response + c->len, sizeof(c->response) - 1 - c->len);
    if (n > 0) {
        c->len += (size_t)n;
        return;
    }
    loop_remove_fd(c->source);
    c->source = NULL;
    c->done = true;
}

static struct client *ask(struct fixture *f, const char *request)
{
    struct client *c = &f->clients[f->n_clients++];
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)web_port(f->web))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
    size_t len = strlen(request);
    assert_int_equal(send(c->fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
    assert_int_equal(loop_add_fd(f->loop, c->fd, LOOP_READ, on_client, c, &c->source, &f->err), 0);
    return c;
}

// Runs the loop until the client's connection ends (or, without a client, for that long).
static void run(struct fixture *f, const struct client *c, unsigned ms)
{
    uint64_t end = num_now_ms() + ms;
    while (num_now_ms() < end && !(c && c->done)) {
        loop_arm(f->timeout, 5);
        assert_int_equal(loop_run(f->loop, &f->err), 1);
    }
}

#define CLOSE "Host: x\r\nConnection: close\r\n\r\n"

static const char *answer(struct fixture *f, const char *request)
{
    struct client *c = ask(f, request);
    run(f, c, 3000);
    assert_true(c->done);
    return c->response;
}

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

static void test_get(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "GET /hello HTTP/1.1\r\n" CLOSE);
    assert_int_equal(strncmp(got, "HTTP/1.1 200 ", 13), 0);
    assert_contains(got, "Content-Type: text/plain; charset=utf-8\r\n");
    assert_contains(got, "\r\n\r\nhello");
    assert_int_equal(f->served, 1);
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    assert_contains(answer(f, "GET /hello?verbose HTTP/1.1\r\n" CLOSE), "\r\n\r\nhello verbose");
    assert_contains(answer(f, "GET /hello?exclude=a&exclude=b&verbosely=1 HTTP/1.1\r\n" CLOSE),
                    "\r\n\r\nhello without-b");
}

static void test_head_has_no_body(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "HEAD /hello HTTP/1.1\r\n" CLOSE);
    assert_int_equal(strncmp(got, "HTTP/1.1 200 ", 13), 0);
    assert_contains(got, "Content-Length: 5\r\n");
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
}

static void test_other_methods_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "POST /hello HTTP/1.1\r\nContent-Length: 1000000\r\n" CLOSE);
    assert_int_equal(strncmp(got, "HTTP/1.1 405 ", 13), 0);
    assert_contains(got, "Allow: GET, HEAD\r\n");
    assert_int_equal(strncmp(answer(f, "DELETE /hello HTTP/1.1\r\n" CLOSE), "HTTP/1.1 405 ", 13), 0);
    assert_int_equal(f->served, 0);
}

static void test_unknown_path(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(strncmp(answer(f, "GET /../etc/passwd HTTP/1.1\r\n" CLOSE), "HTTP/1.1 404 ", 13), 0);
}

static void test_body_of_a_get_is_dropped(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody");
    assert_int_equal(strncmp(got, "HTTP/1.1 200 ", 13), 0);
    assert_contains(got, "\r\n\r\nhello");
}

static void test_large_answer_arrives_whole(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "GET /big HTTP/1.1\r\n" CLOSE);
    const char *body = strstr(got, "\r\n\r\n");
    assert_non_null(body);
    assert_int_equal(strspn(body + 4, "x"), 60000);
}

static void test_keep_alive_serves_twice(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?verbose HTTP/1.1\r\n" CLOSE);
    assert_contains(got, "hello verbose");
    assert_int_equal(f->served, 2);
}

static void test_garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    (void)answer(f, "\x16\x03\x01\x02garbage\r\n\r\n");
    (void)answer(f, "GET\r\n\r\n");
    char *big = malloc(40000);
    assert_non_null(big);
    memset(big, 'a', 39999);
    memcpy(big, "GET /", 5);
    memcpy(big + 39999 - 40, " HTTP/1.1\r\nHost: x\r\n\r\n", 22);
    big[39999 - 18] = '\0';
    const char *got = answer(f, big);
    free(big);
    assert_int_equal(strncmp(got, "HTTP/1.1 4", 10), 0);
    assert_int_equal(f->served, 0);
    assert_contains(answer(f, "GET /hello HTTP/1.1\r\n" CLOSE), "hello");
}

static void test_answer_that_failed_closes(void **state)
{
    struct fixture *f = *state;
    const char *got = answer(f, "GET /fails HTTP/1.1\r\n" CLOSE);
    assert_null(strstr(got, "200"));
    assert_contains(answer(f, "GET /hello HTTP/1.1\r\n" CLOSE), "hello");
}

static void test_idle_connections_do_not_take_all(void **state)
{
    struct fixture *f = *state;
    // Half requests by more clients than there are connections: memory stays bounded, and the next one is served as
    // soon as some of them go.
    for (int i = 0; i < 100; i++) {
        (void)ask(f, "GET /hello HTT");
        if (i % 20 == 0) {
            run(f, NULL, 5);
        }
    }
    run(f, NULL, 50);
    for (int i = 0; i < 100; i++) {
        (void)shutdown(f->clients[i].fd, SHUT_RDWR);
    }
    assert_contains(answer(f, "GET /hello HTTP/1.1\r\n" CLOSE), "hello");
}

static void test_free_with_open_connections(void **state)
{
    struct fixture *f = *state;
    (void)ask(f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)ask(f, "GET /hel");
    run(f, NULL, 20);
}

static void test_addresses(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "9469", "127.0.0.1", "::1:80", "localhost:80", "127.0.0.1:", "1.2.3.4:x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct web *web = NULL;
        assert_int_equal(web_new(f->loop, bad[i], route, f, &web, &f->err), -1);
        assert_int_equal(f->err.kind, ERR_USAGE);
        assert_null(web);
    }
    struct web *web = NULL;
    assert_int_equal(web_new(f->loop, ":0", route, f, &web, &f->err), 0);
    assert_true(web_port(web) > 0);
    web_free(web);
    char taken[32];
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", web_port(f->web));
    web = NULL;
    assert_int_equal(web_new(f->loop, taken, route, f, &web, &f->err), -1);
    assert_contains(f->err.msg, "cannot listen on 127.0.0.1:");
    assert_null(web);
    web_free(NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_get),
        T(test_query),
        T(test_head_has_no_body),
        T(test_other_methods_are_refused),
        T(test_unknown_path),
        T(test_body_of_a_get_is_dropped),
        T(test_large_answer_arrives_whole),
        T(test_keep_alive_serves_twice),
        T(test_garbage_is_refused),
        T(test_answer_that_failed_closes),
        T(test_idle_connections_do_not_take_all),
        T(test_free_with_open_connections),
        T(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
