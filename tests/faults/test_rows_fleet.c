// SPDX-License-Identifier: Apache-2.0
//
// Many clients at one API server, row 40: thousands in virtual time, and tens of real ones.
#include <stdio.h>

#include "faults/faults.h"
#include "faults/fleet.h"

enum { REAL = 40 };

static uint64_t spread(struct api_retry *retry, struct api_random *random)
{
    (void)retry;
    return api_plan_spread(&api_timing_default, FLEET_CLIENTS, random);
}

static uint64_t at_once(struct api_retry *retry, struct api_random *random)
{
    (void)retry;
    (void)random;
    return 0;
}

// Everybody reads everything: after a rollout, or relists after a mass disconnect, which wait in the same window. The
// server's seats alone make it last more than 200 s.
static void row_start(struct faults *f)
{
    f->unsettled = true;
    struct fleet *fleet = fleet_new(spread);
    fleet_run(fleet);
    struct fleet_figures figures = fleet_figures(fleet, "spread");
    assert_int_equal(fleet->finished, FLEET_CLIENTS);
    assert_true(fleet->finished_ms <= 900 * 1000);
    // The first lists within the window of 50 s; behind it no second is worse than that.
    assert_true(figures.peak <= 700);
    assert_true(figures.peak_late <= 350);
    assert_true(figures.per_client <= 14);
    assert_true(figures.most <= 40);
    fleet_free(fleet);
    // What it would be like otherwise: this test can fail.
    struct fleet *naive = fleet_new(at_once);
    naive->naive = true;
    fleet_run(naive);
    struct fleet_figures storm = fleet_figures(naive, "all at once, again every second");
    assert_true(storm.peak > 3 * figures.peak);
    assert_true(storm.per_client > 5 * figures.per_client);
    fleet_free(naive);
}

static uint64_t broken(struct api_retry *retry, struct api_random *random)
{
    const struct api_outcome outcome = {
        .act = API_ACT_WATCH, .end = HTTP_BROKEN, .http = 200, .lived_ms = 200000, .events = 9, .asked_s = 400};
    struct api_plan plan = api_plan_next(&api_kind_rows[0], &outcome, &api_timing_default, 0, retry, random);
    assert_int_equal(plan.next, API_NEXT_WATCH);
    return plan.wait_ms;
}

// All watches break at once and go on from their versions: spread by the back-off of a broken connection.
static void row_rewatch(struct faults *f)
{
    f->unsettled = true;
    struct fleet *fleet = fleet_new(broken);
    fleet->watches = true;
    fleet_run(fleet);
    struct fleet_figures figures = fleet_figures(fleet, "watch again");
    assert_int_equal(fleet->finished, FLEET_CLIENTS);
    assert_int_equal(fleet->refused, 0);
    // Four watches each, few in the first moments, all within seconds.
    assert_true(fleet->arrivals[0] < FLEET_CLIENTS / 2);
    assert_true(fleet->finished_ms <= 10000);
    assert_int_equal(figures.most, FLEET_STEPS);
    fleet_free(fleet);
}

// Real sources in one process at a server with few seats.
static void row_real(struct faults *f)
{
    struct source *sources[REAL];
    struct state *states[REAL];
    bool synced[REAL] = {false};
    f->lists_max = REAL + 1;
    f->rate_max = REAL * 12;
    f->world->seats = 4;
    f->options.spread_start = true;
    // A window of two seconds for sixteen seconds of work.
    for (int i = 0; i < 200; i++) {
        (void)world_put(f->world, WORLD_NODES, "m%04d ip:192.0.2.1", i);
    }
    (void)world_fault(f->world, (struct world_fault){.name = "a busy server", .on = WORLD_READS, .delay_ms = 400});
    f->patience_ms = 1800000;
    faults_start(f);
    for (size_t i = 0; i < REAL; i++) {
        assert_int_equal(state_new(&states[i], &f->err), 0);
        sources[i] = faults_another(f, states[i], &synced[i]);
    }
    for (size_t i = 0; i < REAL; i++) {
        UNTIL(f, synced[i]);
    }
    faults_settle(f);
    size_t reads = world_count(f->world, WORLD_READS, 0, 0);
    size_t refused = 0;
    for (size_t i = 0; i < f->world->requests.n; i++) {
        refused += f->world->requests.v[i].status == 429;
    }
    (void)printf("%d clients, 4 seats: %zu lists, %zu refused, at most %zu at once\n", REAL + 1, reads, refused,
                 (size_t)f->world->lists_in_flight_max);
    assert_true(refused > 0);
    assert_true(reads <= (size_t)(REAL + 1) * 4 * 9);
    for (size_t i = 0; i < REAL; i++) {
        assert_int_equal(world_difference(f->world, states[i], 0, NULL), 0);
        sources[i]->ops->free(sources[i]);
        state_free(states[i]);
    }
}

static const struct fault_row rows[] = {
    ROW_AS_IS("40-5000-clients-start", row_start),
    ROW_AS_IS("40-5000-clients-watch-again", row_rewatch),
    ROW("40-real-clients", row_real),
};
FAULTS_MAIN(rows)
