// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/num.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_timer *other;
    struct loop_fd *a;
    struct loop_fd *b;
    int pipe[2];
    int pipe2[2];
    int count;
    int order[8];
    unsigned events;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    return !f || loop_new(&f->loop, &f->err) < 0 || pipe2(f->pipe, O_CLOEXEC) < 0 || pipe2(f->pipe2, O_CLOEXEC) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_free(f->loop);
    for (int i = 0; i < 2; i++) {
        (void)close(f->pipe[i]);
        (void)close(f->pipe2[i]);
    }
    free(f);
    return 0;
}

static void on_quit(void *arg)
{
    struct fixture *f = arg;
    loop_quit(f->loop, 7);
}

static void on_again(void *arg)
{
    struct fixture *f = arg;
    if (++f->count < 5) {
        loop_arm(f->timer, 0);
    } else {
        loop_quit(f->loop, 0);
    }
}

static void test_timer_fires_not_early(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_timer(f->loop, on_quit, f, &f->timer, &f->err), 0);
    assert_false(loop_armed(f->timer));
    uint64_t start = num_now_ns();
    loop_arm(f->timer, 1000000);
    loop_arm(f->timer, 20);
    assert_true(loop_armed(f->timer));
    assert_int_equal(loop_run(f->loop, &f->err), 7);
    assert_false(loop_armed(f->timer));
    assert_true(num_now_ns() - start >= 20000000);
}

static void test_timer_rearms_itself(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_timer(f->loop, on_again, f, &f->timer, &f->err), 0);
    loop_arm(f->timer, 0);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    assert_int_equal(f->count, 5);
}

static void on_first(void *arg)
{
    struct fixture *f = arg;
    f->order[f->count++] = 1;
}

static void on_second(void *arg)
{
    struct fixture *f = arg;
    f->order[f->count++] = 2;
    loop_quit(f->loop, 0);
}

static void test_timers_fire_in_order_of_their_time(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_timer(f->loop, on_first, f, &f->timer, &f->err), 0);
    assert_int_equal(loop_add_timer(f->loop, on_second, f, &f->other, &f->err), 0);
    loop_arm(f->other, 4);
    loop_arm(f->timer, 2);
    (void)usleep(8000);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->order[0], 1);
    assert_int_equal(f->order[1], 2);
}

static void test_disarmed_timer_stays_quiet(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_timer(f->loop, on_first, f, &f->timer, &f->err), 0);
    assert_int_equal(loop_add_timer(f->loop, on_quit, f, &f->other, &f->err), 0);
    loop_arm(f->timer, 1);
    loop_arm(f->other, 10);
    loop_disarm(f->timer);
    assert_int_equal(loop_run(f->loop, &f->err), 7);
    assert_int_equal(f->count, 0);
}

static void on_remove_both(void *arg)
{
    struct fixture *f = arg;
    f->count++;
    loop_remove_timer(f->timer);
    loop_remove_timer(f->other);
    loop_quit(f->loop, 0);
}

static void test_timer_removes_itself_and_another(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_timer(f->loop, on_remove_both, f, &f->timer, &f->err), 0);
    assert_int_equal(loop_add_timer(f->loop, on_remove_both, f, &f->other, &f->err), 0);
    loop_arm(f->timer, 0);
    loop_arm(f->other, 0);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    assert_int_equal(f->count, 1);
}

static void on_read(int fd, unsigned events, void *arg)
{
    struct fixture *f = arg;
    char c;
    f->events = events;
    f->count++;
    if (events & LOOP_READ) {
        (void)!read(fd, &c, 1);
    }
    loop_quit(f->loop, 3);
}

static void test_fd_readable_and_hangup(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_fd(f->loop, f->pipe[0], LOOP_READ, on_read, f, &f->a, &f->err), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(loop_run(f->loop, &f->err), 3);
    assert_int_equal(f->events, LOOP_READ);
    (void)close(f->pipe[1]);
    assert_int_equal(loop_run(f->loop, &f->err), 3);
    assert_true(f->events & LOOP_ERROR);
    f->pipe[1] = -1;
}

static void test_fd_change(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_fd(f->loop, f->pipe[1], 0, on_read, f, &f->a, &f->err), 0);
    assert_int_equal(loop_add_timer(f->loop, on_quit, f, &f->timer, &f->err), 0);
    loop_arm(f->timer, 5);
    assert_int_equal(loop_run(f->loop, &f->err), 7);
    assert_int_equal(f->count, 0);
    assert_int_equal(loop_change_fd(f->a, LOOP_WRITE, &f->err), 0);
    assert_int_equal(loop_run(f->loop, &f->err), 3);
    assert_int_equal(f->events, LOOP_WRITE);
}

static void on_read_remove_all(int fd, unsigned events, void *arg)
{
    struct fixture *f = arg;
    (void)fd;
    (void)events;
    f->count++;
    loop_remove_fd(f->a);
    loop_remove_fd(f->b);
    f->a = f->b = NULL;
    loop_quit(f->loop, 0);
}

static void test_fd_removed_while_its_event_waits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_add_fd(f->loop, f->pipe[0], LOOP_READ, on_read_remove_all, f, &f->a, &f->err), 0);
    assert_int_equal(loop_add_fd(f->loop, f->pipe2[0], LOOP_READ, on_read_remove_all, f, &f->b, &f->err), 0);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_int_equal(write(f->pipe2[1], "x", 1), 1);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    assert_int_equal(f->count, 1);
    loop_remove_fd(NULL);
}

static void test_fd_bad_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct loop_fd *untouched = NULL;
    assert_int_equal(loop_add_fd(f->loop, -1, LOOP_READ, on_read, f, &untouched, &f->err), -1);
    assert_int_equal(f->err.kind, ERR_SYSTEM);
    assert_null(untouched);
}

static void on_signal(int signo, void *arg)
{
    struct fixture *f = arg;
    f->order[f->count++] = signo;
    if (f->count == 2) {
        loop_quit(f->loop, 0);
    }
}

static void test_signals_arrive_in_the_loop(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(loop_on_signal(f->loop, SIGUSR1, on_signal, f, &f->err), 0);
    assert_int_equal(loop_on_signal(f->loop, SIGUSR2, on_signal, f, &f->err), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
    assert_int_equal(f->order[0] + f->order[1], SIGUSR1 + SIGUSR2);
    assert_int_equal(loop_on_signal(f->loop, 0, on_signal, f, &f->err), -1);
    assert_int_equal(loop_on_signal(f->loop, 65, on_signal, f, &f->err), -1);
}

static void test_quit_before_run_returns_at_once(void **state)
{
    struct fixture *f = *state;
    loop_quit(f->loop, 9);
    assert_int_equal(loop_run(f->loop, &f->err), 9);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_timer_fires_not_early),
        T(test_timer_rearms_itself),
        T(test_timers_fire_in_order_of_their_time),
        T(test_disarmed_timer_stays_quiet),
        T(test_timer_removes_itself_and_another),
        T(test_fd_readable_and_hangup),
        T(test_fd_change),
        T(test_fd_removed_while_its_event_waits),
        T(test_fd_bad_is_an_error),
        T(test_signals_arrive_in_the_loop),
        T(test_quit_before_run_returns_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
