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

#include "agent/routes.h"
#include "base/num.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *timeout;
    struct loop_fd *client;
    struct metrics *metrics;
    struct state *state;
    struct health health;
    struct routes *routes;
    char response[65536];
    size_t len;
    struct err err;
};

static void on_timeout(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 1);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f || loop_new(&f->loop, &f->err) < 0 || metrics_new(&f->metrics, &f->err) < 0 ||
        state_new(&f->state, &f->err) < 0 || loop_add_timer(f->loop, on_timeout, f, &f->timeout, &f->err) < 0) {
        return -1;
    }
    health_init(&f->health, num_now_ms());
    const struct routes_config config = {
        .address = "127.0.0.1:0", .loop = f->loop, .metrics = f->metrics, .health = &f->health, .state = f->state};
    return routes_new(&config, &f->routes, &f->err);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    routes_free(f->routes);
    state_free(f->state);
    metrics_free(f->metrics);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void on_client(int fd, unsigned events, void *arg)
{
    struct fixture *f = arg;
    (void)events;
    ssize_t n = read(fd, f->response + f->len, sizeof(f->response) - 1 - f->len);
    if (n > 0) {
        f->len += (size_t)n;
    } else {
        loop_quit(f->loop, 0);
    }
}

static const char *get(struct fixture *f, const char *target)
{
    memset(f->response, 0, sizeof(f->response));
    f->len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)routes_port(f->routes))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    char request[256];
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", target);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    assert_int_equal(loop_add_fd(f->loop, fd, LOOP_READ, on_client, f, &f->client, &f->err), 0);
    loop_arm(f->timeout, 3000);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    loop_remove_fd(f->client);
    (void)close(fd);
    return f->response;
}

static void assert_answer(struct fixture *f, const char *target, const char *status, const char *part)
{
    const char *got = get(f, target);
    assert_int_equal(strncmp(got + strlen("HTTP/1.x "), status, strlen(status)), 0);
    if (!strstr(got, part)) {
        fail_msg("\"%s\" is not in \"%s\"", part, got);
    }
}

static void all_ready(struct fixture *f)
{
    for (unsigned i = 0; i < HEALTH_CHECK_COUNT; i++) {
        (void)health_set(&f->health, (enum health_check)i, true, "");
    }
}

static void test_health(void **state)
{
    struct fixture *f = *state;
    assert_answer(f, "/livez", "200", "\r\n\r\nok");
    assert_answer(f, "/healthz", "200", "\r\n\r\nok");
    assert_answer(f, "/readyz", "503", "[-]sync failed: not yet\n");
    all_ready(f);
    assert_answer(f, "/readyz", "200", "\r\n\r\nok");
    assert_answer(f, "/readyz?verbose", "200", "[+]bridge ok\n");
    (void)health_set(&f->health, HEALTH_APPLY, false, "the lock is busy");
    assert_answer(f, "/readyz", "503", "[-]apply failed: the lock is busy\n");
    assert_answer(f, "/readyz?exclude=apply", "200", "\r\n\r\nok");
    assert_answer(f, "/livez", "200", "\r\n\r\nok");
    f->health.tick_ms = num_now_ms() - HEALTH_TICK_MAX_MS;
    assert_answer(f, "/livez", "503", "[-]loop failed: ");
}

static void test_metrics(void **state)
{
    struct fixture *f = *state;
    assert_answer(f, "/metrics", "200", "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_answer(f, "/metrics", "200", "\nnetpold_objects{resource=\"networkpolicies\"} 0\n");
    assert_answer(f, "/metrics", "200", "\nnetpold_ready 0\n");
    assert_answer(f, "/metrics", "200", "\nprocess_resident_memory_bytes ");
    assert_true(metrics_get(f->metrics, METRIC_RESIDENT_MEMORY, NULL, NULL) > 100000);
}

static void test_unknown_path(void **state)
{
    assert_answer(*state, "/", "404", "/metrics");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_health),
        T(test_metrics),
        T(test_unknown_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
