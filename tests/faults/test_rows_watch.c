// SPDX-License-Identifier: Apache-2.0
//
// The life of watches: rows 9, 10, 20, 21, 22, 37, and what the wall clock does to it, 42.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS), HOUR_MS = 3600000 };

// An hour in which only nodes change: other kinds live on bookmarks.
static void quiet_hour(struct faults *f)
{
    clock_speed(10 * FAULTS_SPEED);
    for (int i = 0; i < 60; i++) {
        (void)world_touch(f->world, WORLD_NODES, "n1");
        faults_run(f, HOUR_MS / 60);
    }
    clock_speed(FAULTS_SPEED);
}

static void row_clean_end(struct faults *f)
{
    size_t mark = faults_sync(f);
    quiet_hour(f);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    size_t n = world_count(f->world, WORLD_WATCH, PODS, mark);
    assert_in_range(n, 5, 13);
    for (size_t i = 1; i < n; i++) {
        const struct world_request *before = world_nth(f->world, WORLD_WATCH, PODS, mark, i - 1);
        const struct world_request *watch = world_nth(f->world, WORLD_WATCH, PODS, mark, i);
        // From the version of the last bookmark, at once.
        assert_int_equal(strlen(before->version), strlen(watch->version));
        assert_true(strcmp(before->version, watch->version) < 0);
        assert_true(before->over);
        assert_true(watch->at_ms - before->over_ms <= 2000);
    }
}

static void row_short_watches(struct faults *f)
{
    size_t mark = faults_sync(f);
    struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "closed at once", .on = WORLD_WATCH, .kinds = PODS, .cut = WORLD_CUT_END});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_run(f, 600000);
    size_t n = world_count(f->world, WORLD_WATCH, PODS, mark);
    assert_in_range(n, 10, 40);
    // The back-off has grown to its end.
    uint64_t gap = world_nth(f->world, WORLD_WATCH, PODS, mark, n - 1)->at_ms -
                   world_nth(f->world, WORLD_WATCH, PODS, mark, n - 2)->at_ms;
    assert_true(gap >= 20000);
    world_heal(f->world, fault);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// Hours of bookmarks only, then a server that has forgotten all but the last minutes.
static void row_only_bookmarks(struct faults *f)
{
    (void)faults_sync(f);
    quiet_hour(f);
    quiet_hour(f);
    faults_run(f, 130000);
    size_t mark = world_mark(f->world);
    world_restart(f->world);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_no_bookmarks(struct faults *f)
{
    f->world->bookmark_ms = 0;
    f->world->ring = 5;
    (void)faults_sync(f);
    for (int i = 0; i < 3; i++) {
        quiet_hour(f);
        // A server that comes back without history: what is held is too old for every kind.
        world_restart(f->world);
        (void)world_put(f->world, WORLD_PODS, "x/hour%d ip:10.0.7.%d", i, i);
        faults_settle(f);
    }
    world_restart(f->world);
    (void)world_delete(f->world, WORLD_PODS, "x/hour0");
    faults_settle(f);
    // Once for each time that its version was too old, and for nothing else.
    assert_in_range(world_count(f->world, WORLD_READS, PODS, 0), 2, 5);
}

static void row_selector_left(struct faults *f)
{
    size_t mark = faults_sync(f);
    assert_non_null(state_pod(f->state, "x", "a"));
    (void)world_put(f->world, WORLD_PODS, "x/a app=a ip:10.0.0.1 phase:Succeeded");
    (void)world_put(f->world, WORLD_PODS, "x/b app=b ip:10.0.0.2 phase:Failed");
    faults_settle(f);
    assert_null(state_pod(f->state, "x", "a"));
    // Its address may be another pod's at once.
    (void)world_put(f->world, WORLD_PODS, "y/heir ip:10.0.0.1");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_selector_entered(struct faults *f)
{
    size_t mark = faults_sync(f);
    assert_null(state_pod(f->state, "x", "late"));
    (void)world_put(f->world, WORLD_PODS, "x/late app=late phase:Pending");
    (void)world_put(f->world, WORLD_PODS, "x/late app=late ip:10.0.0.7");
    faults_settle(f);
    assert_non_null(state_pod(f->state, "x", "late"));
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

// How many events of pods of that type the source has read.
static unsigned events(const struct faults *f, const char *type)
{
    char part[64];
    (void)snprintf(part, sizeof(part), "watch_events pods/%s\n", type);
    return faults_times(&f->counts, part);
}

static void row_repeated_added(struct faults *f)
{
    size_t mark = faults_sync(f);
    CLEANUP(free) char *pod = world_json(f->world, WORLD_PODS, "x/a");
    unsigned changed = f->changed;
    unsigned added = events(f, "ADDED");
    unsigned modified = events(f, "MODIFIED");
    world_event(f->world, PODS, "ADDED", pod);
    world_event(f->world, PODS, "ADDED", pod);
    world_event(f->world, PODS, "MODIFIED", pod);
    UNTIL(f, events(f, "ADDED") == added + 2 && events(f, "MODIFIED") == modified + 1);
    faults_run(f, 5000);
    assert_int_equal(f->changed, changed);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_modified_unknown(struct faults *f)
{
    size_t mark = faults_sync(f);
    world_freeze(f->world);
    (void)world_put(f->world, WORLD_PODS, "x/new app=new ip:10.0.0.9");
    CLEANUP(free) char *pod = world_json(f->world, WORLD_PODS, "x/new");
    world_event(f->world, PODS, "MODIFIED", pod);
    UNTIL(f, state_pod(f->state, "x", "new"));
    world_thaw(f->world);
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_deleted_unknown(struct faults *f)
{
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/gone ip:10.0.0.9");
    CLEANUP(free) char *pod = world_json(f->world, WORLD_PODS, "x/gone");
    (void)world_delete(f->world, WORLD_PODS, "x/gone");
    faults_settle(f);
    world_event(f->world, PODS, "DELETED", pod);
    (void)world_put(f->world, WORLD_PODS, "x/after ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

// An old object's end that arrives behind its successor takes nothing away.
static void row_deleted_predecessor(struct faults *f)
{
    size_t mark = faults_sync(f);
    CLEANUP(free) char *old = world_json(f->world, WORLD_PODS, "x/a");
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_put(f->world, WORLD_PODS, "x/a app=a ip:10.0.0.1");
    faults_settle(f);
    unsigned deleted = events(f, "DELETED");
    world_event(f->world, PODS, "DELETED", old);
    UNTIL(f, events(f, "DELETED") == deleted + 1);
    faults_run(f, 5000);
    assert_non_null(state_pod(f->state, "x", "a"));
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

// Initial events come by key, so their versions go up and down: only the end bookmark's counts.
static void row_initial_order(struct faults *f)
{
    (void)world_put(f->world, WORLD_PODS, "x/a app=latest ip:10.0.0.1");
    (void)world_put(f->world, WORLD_NAMESPACES, "zzz");
    char latest[32];
    (void)snprintf(latest, sizeof(latest), "%llu", (unsigned long long)f->world->version);
    size_t mark = faults_sync(f);
    assert_true(world_count(f->world, WORLD_INITIAL, PODS, 0) == 1);
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    faults_settle(f);
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        const struct world_request *watch = world_nth(f->world, WORLD_WATCH, WORLD_BIT(kind), mark, 0);
        assert_non_null(watch);
        assert_string_equal(watch->version, latest);
    }
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_slow_client(struct faults *f)
{
    f->world->slow_bytes = 1 << 20;
    size_t mark = faults_sync(f);
    // 30 MB without a moment to read them.
    for (int i = 0; i < 6000; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%03d ip:10.0.8.%d n=%d pad:5000", i % 200, i % 200, i);
    }
    assert_int_equal(world_watchers(f->world, PODS), 0);
    f->world->slow_bytes = 0;
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    assert_true(world_count(f->world, WORLD_WATCH, PODS, mark) >= 1);
}

static void row_wall_clock(struct faults *f)
{
    size_t mark = faults_sync(f);
    clock_jump_wall(8 * HOUR_MS);
    faults_run(f, 60000);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    clock_jump_wall(-16 * HOUR_MS);
    faults_run(f, 60000);
    FAULTS_COUNT(f, 0, 0, mark, 0);
    // Waits are not measured with it either.
    struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "closed at once", .on = WORLD_WATCH, .kinds = PODS, .cut = WORLD_CUT_END});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_run(f, 60000);
    clock_jump_wall(16 * HOUR_MS);
    faults_run(f, 60000);
    clock_jump_wall(-8 * HOUR_MS);
    assert_in_range(fault->hits, 5, 15);
    world_heal(f->world, fault);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// Awake again: hours have passed on the wall, no connection is alive, and nobody has said so.
static void row_suspend(struct faults *f)
{
    f->timing.http.keepalive_s = 1;
    f->timing.http.probe_s = 1;
    f->timing.http.unacked_ms = 2500;
    (void)faults_sync(f);
    assert_int_equal(world_cut(f->world, 0, WORLD_CUT_BLACK_HOLE), 4);
    clock_jump_wall(8 * HOUR_MS);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.1");
    world_forget(f->world, 0);
    size_t mark = world_mark(f->world);
    clock_speed(0);
    f->patience_ms = 20000;
    faults_settle(f);
    clock_jump_wall(-8 * HOUR_MS);
    assert_true(world_count(f->world, WORLD_READS, 0, mark) <= 4);
}

static const struct fault_row rows[] = {
    ROW("09-clean-end-behind-bookmark", row_clean_end),
    ROW("10-endless-short-watches", row_short_watches),
    ROW("20-only-bookmarks-for-hours", row_only_bookmarks),
    ROW("20-no-bookmarks-ever", row_no_bookmarks),
    ROW("21-selector-left", row_selector_left),
    ROW("21-selector-entered", row_selector_entered),
    ROW("22-repeated-added", row_repeated_added),
    ROW("22-modified-unknown", row_modified_unknown),
    ROW("22-deleted-unknown", row_deleted_unknown),
    ROW("22-deleted-predecessor", row_deleted_predecessor),
    ROW("22-initial-versions-not-monotonic", row_initial_order),
    ROW("37-slow-client", row_slow_client),
    ROW("42-wall-clock-jump", row_wall_clock),
    ROW_AS_IS("42-suspend", row_suspend),
};
FAULTS_MAIN(rows)
