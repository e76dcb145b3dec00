// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/fault.h"

static int steps_seen;

static void on_step(void *arg)
{
    (void)arg;
    steps_seen++;
}

static int setup(void **state)
{
    (void)state;
    return unsetenv("NETPOLD_TEST_KILL_AT") || unsetenv("NETPOLD_TEST_STEP_LOG") || unsetenv("NETPOLD_TEST_FAIL");
}

static void test_off_by_default(void **state)
{
    (void)state;
    struct fault fault;
    struct err err = {0};
    assert_int_equal(fault_init(&fault, &err), 0);
    fault.on_step = on_step;
    steps_seen = 0;
    for (int i = 0; i < 10; i++) {
        fault_step("commit", i % 2, &fault);
    }
    assert_int_equal(steps_seen, 10);
    fault_done(&fault);
}

static void test_kills_at_its_step(void **state)
{
    (void)state;
    assert_int_equal(setenv("NETPOLD_TEST_KILL_AT", "3", 1), 0);
    for (int steps = 2; steps <= 4; steps++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct fault fault;
            struct err err = {0};
            if (fault_init(&fault, &err) == 0) {
                for (int i = 0; i < steps; i++) {
                    fault_step("commit", i % 2, &fault);
                }
            }
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, steps >= 3);
    }
}

static void test_step_log(void **state)
{
    (void)state;
    char path[] = "/tmp/np-steps-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(setenv("NETPOLD_TEST_STEP_LOG", path, 1), 0);
    struct fault fault;
    struct err err = {0};
    assert_int_equal(fault_init(&fault, &err), 0);
    fault_step("set-add", false, &fault);
    fault_step("set-add", true, &fault);
    fault_done(&fault);
    char text[128] = "";
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "1 before set-add\n2 after set-add\n");
    (void)close(fd);
    (void)unlink(path);
}

static void say(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void test_writes_fail_as_the_file_says(void **state)
{
    (void)state;
    char path[] = "/tmp/np-fail-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    struct fault fault;
    struct err err = {0};
    assert_int_equal(fault_init(&fault, &err), 0);
    assert_null(fault_options(&fault).fail);
    assert_int_equal(setenv("NETPOLD_TEST_FAIL", path, 1), 0);
    assert_int_equal(fault_init(&fault, &err), 0);
    const struct backend_options options = fault_options(&fault);
    assert_ptr_equal(options.fail_arg, &fault);
    assert_int_equal((*options.fail)("commit", &fault), 0);
    // The second and the third commit.
    say(path, "commit 11 2 2\n");
    static const int want[] = {0, 11, 11, 0, 0};
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_int_equal((*options.fail)("set-add", &fault), 0);
        assert_int_equal((*options.fail)("commit", &fault), want[i]);
    }
    // Changed: counted anew. Every step, without end.
    say(path, "* 16 2 0\n");
    assert_int_equal((*options.fail)("set-add", &fault), 0);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal((*options.fail)(i % 2 ? "commit" : "lock", &fault), 16);
    }
    say(path, "");
    assert_int_equal((*options.fail)("commit", &fault), 0);
    say(path, "commit x");
    assert_int_equal((*options.fail)("commit", &fault), 0);
    (void)unlink(path);
    assert_int_equal((*options.fail)("commit", &fault), 0);
    fault_done(&fault);
}

static void test_bad_hooks_are_refused(void **state)
{
    (void)state;
    struct fault fault;
    struct err err = {0};
    assert_int_equal(setenv("NETPOLD_TEST_KILL_AT", "soon", 1), 0);
    assert_int_equal(fault_init(&fault, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(setup(NULL), 0);
    assert_int_equal(setenv("NETPOLD_TEST_STEP_LOG", "/nowhere/x", 1), 0);
    assert_int_equal(fault_init(&fault, &err), -1);
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_off_by_default),
        T(test_kills_at_its_step),
        T(test_step_log),
        T(test_writes_fail_as_the_file_says),
        T(test_bad_hooks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
