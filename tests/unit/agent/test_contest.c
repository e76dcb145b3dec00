// SPDX-License-Identifier: Apache-2.0
//
// A jump that another program keeps pushing down: put back three times within a minute, then left, then tried again;
// and the sync state machine that does so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/contest.h"
#include "base/num.h"
#include "support/sync_fixture.h"

static struct drift behind(bool forward)
{
    struct drift drift = {0};
    drift.behind[FAMILY_V4][0] = forward;
    return drift;
}

static enum contest_news found(struct contest *contest, bool forward, uint64_t second)
{
    struct drift drift = behind(forward);
    return contest_found(contest, &drift, second * 1000);
}

static void test_left_after_three_rounds(void **state)
{
    (void)state;
    struct contest contest = {0};
    char names[64];
    for (unsigned round = 0; round < CONTEST_ROUNDS; round++) {
        assert_int_equal(found(&contest, true, 100 + 10 * round), CONTEST_SAME);
        assert_int_equal(found(&contest, false, 105 + 10 * round), CONTEST_SAME);
        assert_int_equal(contest_count_left(&contest), 0);
    }
    assert_int_equal(found(&contest, true, 159), CONTEST_LEFT);
    assert_true(contest_is_left(&contest, FAMILY_V4, 0));
    assert_false(contest_is_left(&contest, FAMILY_V6, 0));
    assert_false(contest_is_left(&contest, FAMILY_V4, 1));
    contest_names_left(&contest, names, sizeof(names));
    assert_string_equal(names, "IPv4 FORWARD");
    assert_int_equal(found(&contest, true, 300), CONTEST_SAME);
    assert_int_equal(contest_count_left(&contest), 1);
    // The other program has gone, with its rule.
    assert_int_equal(found(&contest, false, 310), CONTEST_BACK);
    assert_int_equal(contest_count_left(&contest), 0);
    // All rounds are new ones.
    assert_int_equal(found(&contest, true, 311), CONTEST_SAME);
    assert_int_equal(contest_count_left(&contest), 0);
}

static void test_slow_rounds_go_on(void **state)
{
    (void)state;
    struct contest contest = {0};
    for (unsigned round = 0; round < 100; round++) {
        assert_int_equal(found(&contest, true, 100 + 20 * round), CONTEST_SAME);
    }
    // Three within the minute before: one more is too many.
    assert_int_equal(found(&contest, true, 100 + 20 * 99 + 10), CONTEST_LEFT);
}

static void test_tried_again_after_ten_minutes(void **state)
{
    (void)state;
    struct contest contest = {0};
    for (unsigned round = 0; round <= CONTEST_ROUNDS; round++) {
        (void)found(&contest, true, 100 + round);
    }
    assert_int_equal(contest_count_left(&contest), 1);
    uint64_t end = 100 + CONTEST_ROUNDS + CONTEST_LEAVE_MS / 1000;
    assert_int_equal(found(&contest, true, end - 1), CONTEST_SAME);
    assert_int_equal(contest_count_left(&contest), 1);
    assert_int_equal(found(&contest, true, end), CONTEST_BACK);
    assert_int_equal(contest_count_left(&contest), 0);
}

static void test_marks_only_those(void **state)
{
    (void)state;
    struct contest contest = {0};
    struct hook hooks[] = {{.builtin = "FORWARD"}, {.builtin = "INPUT"}};
    struct ruleset want = {0};
    struct ruleset marked;
    struct arena arena = {0};
    struct err err = {0};
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        want.tables[family].hooks = hooks;
        want.tables[family].n_hooks = ARRAY_SIZE(hooks);
    }
    contest.jumps[FAMILY_V6][0].left = true;
    assert_int_equal(contest_mark(&contest, &want, &arena, &marked, &err), 0);
    assert_false(marked.tables[FAMILY_V4].hooks[0].anywhere);
    assert_true(marked.tables[FAMILY_V6].hooks[0].anywhere);
    assert_false(marked.tables[FAMILY_V6].hooks[1].anywhere);
    assert_false(hooks[0].anywhere);
    arena_free(&arena);
}

// ---- the state machine ---------------------------------------------------------------------------------------------

static int long_period(void **state)
{
    fixture_period_ms = 200;
    return sync_setup(state);
}

static int end(void **state)
{
    fixture_period_ms = 0;
    return sync_teardown(state);
}

static void until_left(struct fixture *f)
{
    uint64_t start = num_now_ms();
    while (count_log(f, "event=jump-left") == 0 && num_now_ms() - start < 5000) {
        run(f, 5);
    }
    assert_int_equal(count_log(f, "event=jump-left names=\"IPv4 FORWARD\""), 1);
}

static void test_sync_leaves_it(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.pushed = true;
    until_left(f);
    assert_int_equal(count_log(f, "event=drift-repaired kind=jump-moved"), CONTEST_ROUNDS);
    assert_true(metrics_get(f->metrics, METRIC_DRIFT_REPAIRED, "jump-moved", NULL) == CONTEST_ROUNDS);
    assert_true(metrics_get(f->metrics, METRIC_JUMPS_LEFT, NULL, NULL) == 1);
    // Nothing before it decides: ready, and the table is left alone.
    assert_true(health_ready(&f->health));
    int applies = spy.applies + spy.read_backs;
    run(f, 500);
    assert_int_equal(spy.applies + spy.read_backs, applies);
    assert_int_equal(count_log(f, "event=jump-left"), 1);
    // A change of policies does not move it either.
    put_pod(f, "b", "n1", "10.0.0.2", "b");
    sync_changed(f->sync);
    run(f, 200);
    assert_true(spy.anywhere);
    // The other program goes away.
    spy.pushed = false;
    run(f, 500);
    assert_int_equal(count_log(f, "event=jump-back"), 1);
    assert_true(metrics_get(f->metrics, METRIC_JUMPS_LEFT, NULL, NULL) == 0);
    put_pod(f, "c", "n1", "10.0.0.3", "b");
    sync_changed(f->sync);
    run(f, 200);
    assert_false(spy.anywhere);
}

static void test_not_ready_while_a_rule_before_it_may_accept(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    spy.pushed = true;
    spy.ahead = "-i cali+ -j ACCEPT";
    until_left(f);
    assert_false(health_ready(&f->health));
    assert_non_null(strstr(f->health.checks[HEALTH_JUMPS].why, "rule 1: -i cali+ -j ACCEPT"));
    assert_int_equal(count_log(f, "event=jump-behind"), 1);
    // Where the kernel numbers no rules.
    spy.ahead_where = "IPv4 filter FORWARD";
    run(f, 300);
    assert_false(health_ready(&f->health));
    // Another chain is another matter.
    spy.ahead_where = "IPv4 filter FORWARDING rule 1";
    run(f, 500);
    assert_true(health_ready(&f->health));
    spy.ahead_where = "IPv6 filter FORWARD rule 1";
    run(f, 500);
    assert_true(health_ready(&f->health));
    spy.ahead_where = NULL;
    run(f, 500);
    assert_false(health_ready(&f->health));
    // One that only denies opens nothing.
    spy.ahead = "-s 192.0.2.0/24 -j DROP";
    run(f, 500);
    assert_true(health_ready(&f->health));
    // Words that look like it: a chain that is named after a verdict, a comment, one that was cut.
    static const char *const accepting[] = {"-j DROPPER", "-m comment --comment \"not -j DROP\" -j ACCEPT",
                                            "-m comment --comment \"-j DROP", "-g DROP", "-j ACCEPT"};
    static const char *const denying[] = {"-j DROP", "-p tcp -j REJECT --reject-with tcp-reset"};
    for (size_t i = 0; i < ARRAY_SIZE(accepting); i++) {
        spy.ahead = accepting[i];
        run(f, 500);
        assert_false(health_ready(&f->health));
    }
    for (size_t i = 0; i < ARRAY_SIZE(denying); i++) {
        spy.ahead = denying[i];
        run(f, 500);
        assert_true(health_ready(&f->health));
    }
    // What cannot be read may be anything.
    spy.fail_ahead = true;
    run(f, 500);
    assert_false(health_ready(&f->health));
    assert_non_null(strstr(f->health.checks[HEALTH_JUMPS].why, "CAP_NET_RAW is missing"));
    spy.pushed = false;
    run(f, 500);
    assert_true(health_ready(&f->health));
}

static void test_the_period_alone(void **state)
{
    struct fixture *f = *state;
    sync_up(f);
    int snapshots = spy.snapshots;
    run(f, 900);
    assert_in_range(spy.snapshots - snapshots, 3, 4);
    // Drift that is not repeated: one look soon after, then the period again.
    snapshots = spy.snapshots;
    spy.drift = true;
    run(f, 400);
    assert_int_equal(count_log(f, "event=drift-repaired kind=chain-missing"), 1);
    run(f, 600);
    assert_in_range(spy.snapshots - snapshots, 4, 7);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, long_period, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_left_after_three_rounds),
        cmocka_unit_test(test_slow_rounds_go_on),
        cmocka_unit_test(test_tried_again_after_ten_minutes),
        cmocka_unit_test(test_marks_only_those),
        T(test_sync_leaves_it),
        T(test_not_ready_while_a_rule_before_it_may_accept),
        T(test_the_period_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
