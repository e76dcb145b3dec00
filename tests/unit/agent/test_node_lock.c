// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node_lock.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/np-lock-XXXXXX");
    return !mkdtemp(dir) || setenv("NETPOLD_RUN_DIR", dir, 1);
}

static int teardown(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/sub/lock", dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/sub", dir);
    (void)rmdir(path);
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    (void)unlink(path);
    return rmdir(dir);
}

// Another process takes the lock, says so, and holds it until it is told to end.
static pid_t hold(int *ret_end)
{
    int ready[2];
    int end[2];
    assert_int_equal(pipe(ready) + pipe(end), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct node_lock *lock = NULL;
        struct err err = {0};
        char c = node_lock_take(&lock, &err) == 0;
        (void)close(end[1]);
        (void)!write(ready[1], &c, 1);
        (void)!read(end[0], &c, 1);
        _exit(0);
    }
    char c = 0;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(end[0]);
    *ret_end = end[1];
    return pid;
}

// What a holder says of itself, and what it leaves to the next one.
static void test_says(void **state)
{
    (void)state;
    struct err err = {0};
    struct node_lock *lock = NULL;
    struct loop *loop = NULL;
    assert_false(node_lock_has_daemon());
    assert_int_equal(node_lock_take(&lock, &err), 0);
    assert_false(node_lock_programmed(lock));
    assert_false(node_lock_has_daemon());
    node_lock_set_programmed(lock, true);
    assert_false(node_lock_has_daemon());
    node_lock_free(lock);
    assert_int_equal(node_lock_take(&lock, &err), 0);
    assert_true(node_lock_programmed(lock));
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(node_lock_listen(lock, loop, NULL, NULL, &err), 0);
    assert_true(node_lock_has_daemon());
    node_lock_free(lock);
    loop_free(loop);
    // Whoever comes next is no daemon before it says so.
    assert_int_equal(node_lock_take(&lock, &err), 0);
    assert_false(node_lock_has_daemon());
    assert_true(node_lock_programmed(lock));
    node_lock_set_programmed(lock, false);
    node_lock_free(lock);
    assert_int_equal(node_lock_take(&lock, &err), 0);
    assert_false(node_lock_programmed(lock));
    node_lock_free(lock);
}

static void test_taken_once(void **state)
{
    (void)state;
    int end;
    pid_t pid = hold(&end);
    struct err err = {0};
    struct node_lock *lock = NULL;
    assert_int_equal(node_lock_take(&lock, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_null(lock);
    char who[32];
    (void)snprintf(who, sizeof(who), "process %ld holds ", (long)pid);
    assert_int_equal(strncmp(err.msg, who, strlen(who)), 0);
    (void)close(end);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(node_lock_take(&lock, &err), 0);
    node_lock_free(lock);
}

static void test_freed_is_free(void **state)
{
    (void)state;
    struct err err = {0};
    for (int i = 0; i < 3; i++) {
        struct node_lock *lock = NULL;
        assert_int_equal(node_lock_take(&lock, &err), 0);
        node_lock_free(lock);
    }
    node_lock_free(NULL);
}

static void on_asked(void *arg)
{
    loop_quit(arg, 42);
}

static void on_timeout(void *arg)
{
    loop_quit(arg, 1);
}

static void test_holder_is_asked(void **state)
{
    (void)state;
    struct err err = {0};
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct loop_timer *timer;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(loop_add_timer(loop, on_timeout, loop, &timer, &err), 0);
    struct node_lock *lock = NULL;
    assert_int_equal(node_lock_take(&lock, &err), 0);
    assert_int_equal(node_lock_listen(lock, loop, on_asked, loop, &err), 0);
    loop_arm(timer, 20);
    assert_int_equal(loop_run(loop, &err), 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct node_lock *none = NULL;
        bool refused = node_lock_take(&none, &err) < 0 && err.kind == ERR_RETRY;
        _exit(refused && node_lock_ask(&err) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    loop_arm(timer, 2000);
    assert_int_equal(loop_run(loop, &err), 42);
    node_lock_free(lock);
}

static void test_makes_its_directory(void **state)
{
    (void)state;
    char sub[96];
    (void)snprintf(sub, sizeof(sub), "%s/sub", dir);
    assert_int_equal(setenv("NETPOLD_RUN_DIR", sub, 1), 0);
    struct err err = {0};
    struct node_lock *lock = NULL;
    assert_int_equal(node_lock_take(&lock, &err), 0);
    node_lock_free(lock);
    assert_int_equal(setenv("NETPOLD_RUN_DIR", "/proc/nowhere", 1), 0);
    lock = NULL;
    assert_int_equal(node_lock_take(&lock, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.msg, "/proc/nowhere"));
    assert_int_equal(setenv("NETPOLD_RUN_DIR", dir, 1), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_says), T(test_taken_once), T(test_freed_is_free), T(test_holder_is_asked), T(test_makes_its_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
