// SPDX-License-Identifier: Apache-2.0
//
// Each write of each kind of change fails with each errno: said, tried again, and in the end the kernel holds what the
// state asks for, with nothing claimed as another program's doing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "support/sync_fixture.h"

static const char from_far[] =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: far}\n"
    "spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: far}}}]}]}\n";
static const char from_near[] =
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {namespace: x, name: near}\n"
    "spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: near}}}]}]}\n";

// ---- changes -------------------------------------------------------------------------------------------------------

static void member_comes(struct fixture *f)
{
    put_pod(f, "elsewhere", "n2", "10.0.9.9", "far");
}

static void member_goes(struct fixture *f)
{
    put_pod(f, "stays", "n2", "10.0.9.8", "other");
}

static void policy_comes(struct fixture *f)
{
    load(f, from_near);
    put_pod(f, "elsewhere", "n2", "10.0.9.9", "near");
    // Rules and members of a set that stays: goes by way of interim copies.
    put_pod(f, "stays", "n2", "10.0.9.8", "near");
}

static void policy_goes(struct fixture *f)
{
    assert_int_equal(state_remove(f->state, OBJECT_POLICY, "x", "far", ""), STATE_REMOVED);
}

static const struct {
    const char *name;
    void (*make)(struct fixture *f);
} changes[] = {
    {"a member comes", member_comes},
    {"a member goes", member_goes},
    {"a policy comes", policy_comes},
    {"a policy goes", policy_goes},
};

static const char *const steps[] = {"set-create", "set-add", "commit", "set-del", "set-destroy"};
static const int nums[] = {EBUSY, ENOMEM, EAGAIN, EINTR, ENOENT, EIO, EPERM, ENOSPC};

// ---- one fault -----------------------------------------------------------------------------------------------------

static void up(struct fixture *f)
{
    sync_up(f);
    load(f, from_far);
    put_pod(f, "stays", "n2", "10.0.9.8", "far");
    sync_changed(f->sync);
    run(f, (unsigned)fixture_interval_ms + 20);
    assert_true(health_ready(&f->health));
}

static void wait_ready(struct fixture *f)
{
    uint64_t start = num_now_ms();
    while ((!health_ready(&f->health) || spy.fail_count) && num_now_ms() - start < 3000) {
        run(f, 5);
    }
    assert_true(health_ready(&f->health));
}

// Returns whether the change has such a write.
static bool one_fault(size_t change, size_t step, int num, unsigned count)
{
    void *state = NULL;
    fixture_interval_ms = 5;
    assert_int_equal(sync_setup(&state), 0);
    fixture_interval_ms = 100;
    struct fixture *f = state;
    up(f);
    spy.fail_step = steps[step];
    spy.fail_num = num;
    spy.fail_count = count;
    changes[change].make(f);
    sync_changed(f->sync);
    run(f, 15);
    bool hit = spy.failed_steps > 0;
    spy.fail_count = hit ? spy.fail_count : 0;
    wait_ready(f);
    if (hit && count_log(f, "event=apply-failed") + count_log(f, "event=members-refused") == 0) {
        fail_msg("%s, %s, errno %d: it failed, and nobody said so", changes[change].name, steps[step], num);
    }
    if (count_log(f, "event=apply-failed") && count_log(f, "event=apply-recovered") != 1) {
        fail_msg("%s, %s, errno %d: recovered is not logged once", changes[change].name, steps[step], num);
    }
    // What the kernel holds is what a compile from scratch gives.
    spy.fail_step = NULL;
    int verified = count_log(f, "event=verified writes=0");
    sync_verify(f->sync);
    run(f, 10);
    if (count_log(f, "event=verified writes=0") != verified + 1 || count_log(f, "drift-repaired")) {
        fail_msg("%s, %s, errno %d: not in step afterwards\n%s", changes[change].name, steps[step], num, f->log);
    }
    sync_teardown(&state);
    return hit;
}

static void test_each_write_of_each_change(void **state)
{
    (void)state;
    unsigned hits[ARRAY_SIZE(steps)] = {0};
    for (size_t change = 0; change < ARRAY_SIZE(changes); change++) {
        for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
            if (!one_fault(change, step, EBUSY, 1)) {
                continue;
            }
            hits[step]++;
            for (size_t num = 1; num < ARRAY_SIZE(nums); num++) {
                assert_true(one_fault(change, step, nums[num], 1 + (unsigned)num % 3));
            }
        }
    }
    for (size_t step = 0; step < ARRAY_SIZE(steps); step++) {
        print_message("%s: in %u of %zu changes, %zu errnos each\n", steps[step], hits[step], ARRAY_SIZE(changes),
                      ARRAY_SIZE(nums));
        assert_true(hits[step] > 0);
    }
}

// ---- what is seen of it --------------------------------------------------------------------------------------------

static void test_a_failure_that_lasts_is_said_and_the_loop_goes_on(void **state)
{
    struct fixture *f = *state;
    up(f);
    spy.fail_step = "commit";
    spy.fail_num = EAGAIN;
    spy.fail_count = 1000;
    policy_comes(f);
    sync_changed(f->sync);
    run(f, 300);
    assert_false(health_ready(&f->health));
    assert_non_null(strstr(f->health.checks[HEALTH_APPLY].why, "apply: "));
    assert_non_null(strstr(f->health.checks[HEALTH_APPLY].why, "commit"));
    assert_true(metrics_get(f->metrics, METRIC_APPLY_ERRORS, "apply", NULL) >= 3);
    assert_int_equal(count_log(f, "event=apply-failed"),
                     (int)metrics_get(f->metrics, METRIC_APPLY_ERRORS, "apply", NULL));
    // The wait doubles: 20, 40, 80, 160 ms.
    assert_true(count_log(f, "event=apply-failed") <= 6);
    assert_int_equal(count_log(f, "retry_ms=160"), 1);
    BUF_CLEANUP struct buf status = {0};
    sync_status(f->sync, &status);
    assert_non_null(strstr(status.data, "\"failing\":{\"seconds\":"));
    assert_non_null(strstr(status.data, "\"in_step\":false"));
    assert_true(spy.failed_steps >= 3);
    spy.fail_count = 0;
    wait_ready(f);
    assert_int_equal(count_log(f, "event=apply-recovered"), 1);
    // No interim copy is left, however often it failed.
    sync_verify(f->sync);
    run(f, 20);
    assert_int_equal(count_log(f, "event=verified writes=0"), 1);
    buf_clear(&status);
    sync_status(f->sync, &status);
    assert_non_null(strstr(status.data, "\"failing\":null"));
    assert_non_null(strstr(status.data, "\"in_step\":true"));
    assert_non_null(strstr(status.data, "\"last_apply\":{\"seconds_ago\":"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_write_of_each_change),
        cmocka_unit_test_setup_teardown(test_a_failure_that_lasts_is_said_and_the_loop_goes_on, sync_setup,
                                        sync_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
