// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "xtables/xtables_lock.h"

// The time is up: another errno than that of a lost commit race, which is tried again at once.
static void test_held_by_another(void **state)
{
    (void)state;
    char path[] = "/tmp/netpol-lock-XXXXXX";
    CLEANUP(fd) int made = mkstemp(path);
    assert_true(made >= 0);
    CLEANUP(fd) int first = -1;
    int second = -1;
    struct err err = {0};
    assert_int_equal(xtables_lock(path, 0, &first, &err), 0);
    uint64_t start = num_now_ms();
    assert_int_equal(xtables_lock(path, 50, &second, &err), -1);
    assert_in_range(num_now_ms() - start, 40, 2000);
    assert_int_equal(second, -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(err.num, EBUSY);
    assert_non_null(strstr(err.msg, "more than 50 ms"));
    assert_non_null(strstr(err.msg, "fuser"));
    (void)close(first);
    first = -1;
    err_clear(&err);
    assert_int_equal(xtables_lock(path, 0, &first, &err), 0);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_by_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
