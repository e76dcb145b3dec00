// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/revoke.h"
#include "agent/revoke_queue.h"
#include "base/log.h"
#include "support/build.h"
#include "support/conntrack_fill.h"

// Passes over the kernel's own table, in a network namespace of the test, with entries made by hand and changes told by
// hand. The world of build.h on node n1: x/a is 10.0.1.1, y/a 10.0.2.1, x/c 10.0.1.3 on another node.

enum { BIT = 1 << 27, PERIOD_MS = 200, LONG_MS = 3600000 };

static const struct policy_options options = {.revoke_mask = BIT};

struct world {
    struct loop *loop;
    struct state *state;
    struct facts *facts;
    struct metrics *metrics;
    struct revoke *revoke;
    struct flows *flows;
    struct loop_timer *timer;
    bool announced[FAMILY_COUNT];
    unsigned announcements;
    size_t marked;
    struct flow all[64];
    size_t n_all;
};

static void on_marked(const bool marked[FAMILY_COUNT], void *arg)
{
    struct world *world = arg;
    memcpy(world->announced, marked, sizeof(world->announced));
    world->announcements++;
}

static void on_timer(void *arg)
{
    loop_quit(((struct world *)arg)->loop, 0);
}

static void must(int rc, const struct err *err)
{
    if (rc < 0) {
        fail_msg("%s", err->msg);
    }
}

static void open_keeping(struct world *world, const struct policy_options *with, uint64_t period_ms, uint64_t keep_ms)
{
    struct err err = {0};
    const struct revoke_config config = {.loop = world->loop,
                                         .state = world->state,
                                         .node = "n1",
                                         .options = *with,
                                         .metrics = world->metrics,
                                         .period_ms = period_ms,
                                         .keep_ms = keep_ms,
                                         .marked = on_marked,
                                         .arg = world};
    must(revoke_new(&config, &world->revoke, &err), &err);
    revoke_facts(world->revoke, world->facts);
}

static void open_revoke(struct world *world, const struct policy_options *with, uint64_t period_ms)
{
    open_keeping(world, with, period_ms, 0);
}

static struct world *open_world(const char *policies, uint64_t period_ms)
{
    struct err err = {0};
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->state = build_world(policies);
    must(loop_new(&world->loop, &err), &err);
    must(facts_new(&world->facts, &err), &err);
    must(metrics_new(&world->metrics, &err), &err);
    must(flows_open(world->loop, &world->flows, &err), &err);
    must(loop_add_timer(world->loop, on_timer, world, &world->timer, &err), &err);
    open_revoke(world, &options, period_ms);
    return world;
}

static void close_world(struct world *world)
{
    revoke_free(world->revoke);
    flows_close(world->flows);
    loop_remove_timer(world->timer);
    loop_free(world->loop);
    facts_free(world->facts);
    metrics_free(world->metrics);
    state_free(world->state);
    free(world);
}

static void run(struct world *world, uint64_t ms)
{
    struct err err = {0};
    loop_arm(world->timer, ms);
    must(loop_run(world->loop, &err), &err);
}

static void on_flow(const struct flow *flow, void *arg)
{
    ((struct world *)arg)->marked += (flow->mark & BIT) != 0;
}

static void on_done(const struct err *err, void *arg)
{
    must(err ? -1 : 0, err);
    loop_quit(((struct world *)arg)->loop, 0);
}

static size_t marked_of(struct world *world, enum family family)
{
    struct err err = {0};
    const struct flow_filter all = {.family = family};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = world};
    world->marked = 0;
    must(flows_list(world->flows, &all, &reader, &err), &err);
    must(loop_run(world->loop, &err), &err);
    return world->marked;
}

static void touch(struct world *world, const char *text, bool widens)
{
    struct address address;
    assert_true(address_parse(text, &address));
    const struct sync_applied applied = {.touched = &address, .n_touched = 1, .widens = widens};
    revoke_applied(world->revoke, &applied);
}

#define CLOSED POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]}")
#define OPEN POLICY("x", "p", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress], ingress: [{}]}")

static void fill(void)
{
    struct flow flows[] = {
        conntrack_flow("10.0.2.1", "10.0.1.1", 6, 40000, 80),  // to x/a
        conntrack_flow("10.0.1.3", "10.0.1.1", 17, 40000, 53),
        conntrack_flow("10.0.1.1", "10.0.2.1", 6, 40001, 80),  // from x/a
        conntrack_flow("10.0.1.3", "10.0.2.1", 6, 40000, 80),  // of others
        conntrack_flow("fd00::2:1", "fd00::1:1", 6, 40000, 80),
        conntrack_flow("fd00::1:1", "fd00::2:1", 6, 40001, 80),
    };
    struct err err = {0};
    must(conntrack_fill(flows, ARRAY_SIZE(flows), &err), &err);
}

// Until so many flows are marked, the rule is there for them and no pass runs: a machine with other work is slow.
static void settle(struct world *world, enum family family, size_t marked)
{
    for (unsigned i = 0; i < 500; i++) {
        run(world, 20);
        BUF_CLEANUP struct buf status = {0};
        revoke_status(world->revoke, &status);
        if (marked_of(world, family) == marked && world->announced[family] == (marked > 0) &&
            strstr(status.data, "\"running\":false")) {
            return;
        }
    }
}

static void on_any(const struct flow *flow, void *arg)
{
    struct world *world = arg;
    assert_true(world->n_all < ARRAY_SIZE(world->all));
    world->all[world->n_all++] = *flow;
}

static size_t list_all(struct world *world, enum family family)
{
    struct err err = {0};
    const struct flow_filter all = {.family = family};
    const struct flow_reader reader = {.flow = on_any, .done = on_done, .arg = world};
    world->n_all = 0;
    must(flows_list(world->flows, &all, &reader, &err), &err);
    must(loop_run(world->loop, &err), &err);
    return world->n_all;
}

static void test_passes(void **unused)
{
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    size_t all = list_all(world, FAMILY_V4);
    // Told once what there is.
    assert_int_equal(world->announcements, 1);
    assert_false(world->announced[FAMILY_V4] || world->announced[FAMILY_V6]);

    // A change of another pod's concerns no flow of x/a.
    touch(world, "10.0.1.2", false);
    run(world, 200);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    touch(world, "10.0.1.1", false);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    settle(world, FAMILY_V4, 2);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    assert_int_equal(marked_of(world, FAMILY_V6), 0);
    assert_true(world->announced[FAMILY_V4] && !world->announced[FAMILY_V6]);
    touch(world, "fd00::1:1", false);
    settle(world, FAMILY_V6, 1);
    assert_int_equal(marked_of(world, FAMILY_V6), 1);
    assert_true(world->announced[FAMILY_V4] && world->announced[FAMILY_V6]);
    assert_true(metrics_get(world->metrics, METRIC_REVOKED_FLOWS, NULL, NULL) == 3);
    assert_true(metrics_get(world->metrics, METRIC_CUT_FLOWS, "4", NULL) == 2);

    // What is cut is not cut twice.
    touch(world, "10.0.1.1", false);
    run(world, 300);
    assert_true(metrics_get(world->metrics, METRIC_REVOKED_FLOWS, NULL, NULL) == 3);

    // Allowed again, and the rule goes with the last.
    build_apply(world->state, OPEN);
    touch(world, "10.0.1.1", false);
    settle(world, FAMILY_V4, 0);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    assert_int_equal(marked_of(world, FAMILY_V6), 1);
    assert_true(!world->announced[FAMILY_V4] && world->announced[FAMILY_V6]);
    // More is allowed, whatever the address: what is marked is looked at.
    touch(world, "10.0.9.9", true);
    settle(world, FAMILY_V6, 0);
    assert_int_equal(marked_of(world, FAMILY_V6), 0);
    assert_false(world->announced[FAMILY_V4] || world->announced[FAMILY_V6]);
    assert_true(metrics_get(world->metrics, METRIC_RESTORED_FLOWS, NULL, NULL) == 3);
    BUF_CLEANUP struct buf status = {0};
    revoke_status(world->revoke, &status);
    assert_non_null(strstr(status.data, "\"cut\":3,\"restored\":3,"));
    assert_non_null(strstr(status.data, "\"failing\":null"));
    // What was set free on purpose was not lost.
    run(world, 400);
    assert_true(metrics_get(world->metrics, METRIC_REVOKE_MARKS_LOST, NULL, NULL) == 0);
    assert_int_equal(list_all(world, FAMILY_V4), all);
    close_world(world);
}

// Another program's rule writes the whole mark: what was cut is taken out of the table, and that is said.
static void test_mark_lost(void **unused)
{
    (void)unused;
    struct err err = {0};
    struct world *world = open_world(CLOSED, PERIOD_MS);
    size_t before = list_all(world, FAMILY_V4);
    touch(world, "10.0.1.1", false);
    settle(world, FAMILY_V4, 2);
    assert_int_equal(list_all(world, FAMILY_V4), before);
    must(flows_mark(world->flows, world->all, world->n_all, BIT, false, NULL, &err), &err);
    for (unsigned i = 0; i < 100 && metrics_get(world->metrics, METRIC_REVOKE_MARKS_LOST, NULL, NULL) == 0; i++) {
        run(world, 50);
    }
    assert_true(metrics_get(world->metrics, METRIC_REVOKE_MARKS_LOST, NULL, NULL) == 2);
    assert_int_equal(list_all(world, FAMILY_V4), before - 2);
    BUF_CLEANUP struct buf status = {0};
    revoke_status(world->revoke, &status);
    assert_non_null(strstr(status.data, "\"marks_lost\":2"));
    // An answer that was on its way begins a connection of the server's, which its client would go on with. Another
    // port's is none of them.
    struct flow turned[] = {conntrack_flow("10.0.1.1", "10.0.1.3", 17, 53, 40000),
                            conntrack_flow("10.0.1.1", "10.0.1.3", 17, 53, 40009)};
    must(conntrack_fill(turned, ARRAY_SIZE(turned), &err), &err);
    for (unsigned i = 0; i < 100 && list_all(world, FAMILY_V4) > before - 1; i++) {
        run(world, 20);
    }
    assert_int_equal(list_all(world, FAMILY_V4), before - 1);
    // It is not for ever: what begins later is a connection like others.
    run(world, 1000);
    must(conntrack_fill(turned, 1, &err), &err);
    run(world, 300);
    assert_int_equal(list_all(world, FAMILY_V4), before);
    for (size_t i = 0; i < world->n_all; i++) {
        if (world->all[i].original.source_port == 53) {
            must(flows_delete(world->flows, &world->all[i], 1, &err), &err);
        }
    }
    close_world(world);
    struct flow again[] = {conntrack_flow("10.0.2.1", "10.0.1.1", 6, 40000, 80),
                           conntrack_flow("10.0.1.3", "10.0.1.1", 17, 40000, 53)};
    must(conntrack_fill(again, ARRAY_SIZE(again), &err), &err);
}

// Labels that come and go cut and free the same flows all the time: their rule does not come and go with them.
static void test_rule_stays_a_while(void **unused)
{
    enum { KEEP_MS = 1000 };
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    revoke_free(world->revoke);
    open_keeping(world, &options, LONG_MS, KEEP_MS);
    world->announcements = 0;
    for (unsigned i = 0; i < 3; i++) {
        touch(world, "10.0.1.1", false);
        settle(world, FAMILY_V4, 2);
        build_apply(world->state, OPEN);
        touch(world, "10.0.1.1", true);
        for (unsigned look = 0; look < 500 && marked_of(world, FAMILY_V4); look++) {
            run(world, 20);
        }
        assert_int_equal(marked_of(world, FAMILY_V4), 0);
        build_apply(world->state, CLOSED);
    }
    assert_int_equal(world->announcements, 1);
    assert_true(world->announced[FAMILY_V4]);
    build_apply(world->state, OPEN);
    for (unsigned look = 0; look < 500 && world->announced[FAMILY_V4]; look++) {
        run(world, 20);
    }
    assert_false(world->announced[FAMILY_V4]);
    assert_int_equal(world->announcements, 2);
    close_world(world);
}

// A change that only allows more cuts nothing, though the flows are denied.
static void test_widening_cuts_nothing(void **unused)
{
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    touch(world, "10.0.1.1", true);
    run(world, 200);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    close_world(world);
}

// First, everything; over a restart marks are known at once; and what the lists missed comes with the period.
static void test_restart(void **unused)
{
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    const struct sync_applied first = {.first = true};
    revoke_applied(world->revoke, &first);
    run(world, 300);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    assert_int_equal(marked_of(world, FAMILY_V6), 1);
    close_world(world);

    world = open_world(CLOSED, LONG_MS);
    assert_true(world->announced[FAMILY_V4] && world->announced[FAMILY_V6]);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    build_apply(world->state, OPEN);
    revoke_applied(world->revoke, &first);
    run(world, 300);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    assert_int_equal(marked_of(world, FAMILY_V6), 0);
    assert_false(world->announced[FAMILY_V4] || world->announced[FAMILY_V6]);
    close_world(world);

    world = open_world(CLOSED, PERIOD_MS);
    touch(world, "10.0.1.2", false);
    run(world, PERIOD_MS / 2);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    run(world, 2 * PERIOD_MS);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    // With the period, those that are marked are looked at.
    build_apply(world->state, OPEN);
    run(world, 3 * PERIOD_MS);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    assert_false(world->announced[FAMILY_V4]);
    close_world(world);
}

// Nothing is cut, and nothing freed, by a state that is not one to act upon.
static void test_gate(void **unused)
{
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    const struct sync_applied first = {.first = true};
    revoke_applied(world->revoke, &first);
    run(world, 300);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    struct state *whole = world->state;
    revoke_free(world->revoke);
    struct err err = {0};
    must(state_new(&world->state, &err), &err);
    open_revoke(world, &options, LONG_MS);
    revoke_applied(world->revoke, &first);
    run(world, 300);
    assert_int_equal(marked_of(world, FAMILY_V4), 2);
    revoke_free(world->revoke);
    state_free(world->state);
    world->state = whole;
    build_apply(whole, OPEN);
    open_revoke(world, &options, LONG_MS);
    revoke_applied(world->revoke, &first);
    run(world, 300);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    close_world(world);
}

static void test_no_revoke(void **unused)
{
    (void)unused;
    struct world *world = open_world(CLOSED, LONG_MS);
    revoke_free(world->revoke);
    static const struct policy_options off = {.revoke_mask = 0};
    open_revoke(world, &off, PERIOD_MS);
    const struct sync_applied first = {.first = true};
    revoke_applied(world->revoke, &first);
    run(world, 3 * PERIOD_MS);
    assert_int_equal(marked_of(world, FAMILY_V4), 0);
    assert_false(world->announced[FAMILY_V4] || world->announced[FAMILY_V6]);
    BUF_CLEANUP struct buf status = {0};
    revoke_status(world->revoke, &status);
    assert_string_equal(status.data, "{\"enabled\":false}");
    close_world(world);
}

// What cannot be listed is said, counted and tried again. Comes last: the rights do not come back.
static void test_denied(void **unused)
{
    (void)unused;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {0};
    struct world *world = open_world(CLOSED, LONG_MS);
    assert_int_equal(syscall(SYS_capset, &header, none), 0);
    const struct sync_applied first = {.first = true};
    revoke_applied(world->revoke, &first);
    run(world, 200);
    assert_true(metrics_get(world->metrics, METRIC_REVOKE_ERRORS, NULL, NULL) == 1);
    run(world, 1200);
    assert_true(metrics_get(world->metrics, METRIC_REVOKE_ERRORS, NULL, NULL) == 2);
    BUF_CLEANUP struct buf status = {0};
    revoke_status(world->revoke, &status);
    assert_non_null(strstr(status.data, "\"failing\":\"list connections: "));
    close_world(world);
}

// ---- the queue -----------------------------------------------------------------------------------------------------

static struct address numbered(enum family family, unsigned n)
{
    struct address address = {.family = family, .bytes = {10}};
    address.bytes[3] = (uint8_t)n;
    return address;
}

static void test_queue(void **unused)
{
    (void)unused;
    struct revoke_queue queue = {0};
    struct flow_filter steps[REVOKE_STEPS_MAX];
    assert_true(revoke_queue_empty(&queue));
    assert_int_equal(revoke_queue_steps(&queue, BIT, steps), 0);
    for (unsigned i = 0; i < REVOKE_ADDRESSES_MAX; i++) {
        const struct address address = numbered(FAMILY_V4, i);
        revoke_queue_add(&queue, &address, 1, false);
        revoke_queue_add(&queue, &address, 1, false);
    }
    assert_false(revoke_queue_empty(&queue));
    assert_int_equal(revoke_queue_steps(&queue, BIT, steps), 2 * REVOKE_ADDRESSES_MAX);
    assert_true(steps[0].has_original_source && !steps[0].has_reply_source && steps[1].has_reply_source);
    assert_false(revoke_counts(&steps[0]) || revoke_counts(&steps[1]));
    queue.of[FAMILY_V4].marked = true;
    assert_int_equal(revoke_queue_steps(&queue, BIT, steps), 2 * REVOKE_ADDRESSES_MAX + 1);
    assert_true(revoke_counts(&steps[2 * REVOKE_ADDRESSES_MAX]));
    // One more is everything, of that family.
    struct revoke_queue other = {0};
    const struct address fifth = numbered(FAMILY_V4, 99);
    const struct address sixth = numbered(FAMILY_V6, 1);
    revoke_queue_add(&other, &fifth, 1, false);
    revoke_queue_add(&other, &sixth, 1, false);
    revoke_queue_join(&queue, &other);
    assert_int_equal(revoke_queue_steps(&queue, BIT, steps), 2);
    assert_true(revoke_counts(&steps[0]) && steps[0].family == FAMILY_V4 && steps[0].mark_mask == 0);
    // IPv6: one list tells what two would.
    assert_true(revoke_counts(&steps[1]) && steps[1].family == FAMILY_V6);
    revoke_queue_add(&other, NULL, 0, true);
    assert_true(other.of[FAMILY_V4].everything && other.of[FAMILY_V6].everything);
}

static void silent(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

int main(void)
{
    const struct log_config quiet = {.level = LOG_LEVEL_ERROR, .sink = silent};
    log_configure(&quiet);
    if (!conntrack_fill_enter()) {
        printf("SKIPPED: a network namespace cannot be made here: %s\n", strerror(errno));
        return 77;
    }
    struct err err = {0};
    const struct flow probe = conntrack_flow("192.0.2.1", "192.0.2.2", 17, 1, 1);
    if (conntrack_fill(&probe, 1, &err) < 0) {
        printf("SKIPPED: no conntrack entries can be made here: %s\n", err.msg);
        return 77;
    }
    fill();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_rule_stays_a_while),
        cmocka_unit_test(test_widening_cuts_nothing),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_mark_lost),
        cmocka_unit_test(test_no_revoke),
        cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
