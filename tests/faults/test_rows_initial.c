// SPDX-License-Identifier: Apache-2.0
//
// WatchList and its fallbacks: row 34.
#include "faults/faults.h"

enum { PODS = WORLD_BIT(WORLD_PODS) };

// The server does not have it: found out once, then everything goes by lists.
static void without(struct faults *f, enum world_watch_list how)
{
    f->world->watch_list = how;
    (void)faults_sync(f);
    assert_in_range(world_count(f->world, WORLD_INITIAL, 0, 0), 0, 1);
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    size_t mark = world_mark(f->world);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_INITIAL, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_LIST, PODS, mark, 1);
}

static void row_422(struct faults *f)
{
    without(f, WORLD_WATCH_LIST_OFF);
}

static void row_no_progress(struct faults *f)
{
    without(f, WORLD_WATCH_LIST_NO_PROGRESS);
}

// An ancient server sends what it has and never says that this was all: given up after a minute of silence.
static void row_ignored(struct faults *f)
{
    without(f, WORLD_WATCH_LIST_UNKNOWN);
    const struct world_request *first = world_nth(f->world, WORLD_INITIAL, 0, 0, 0);
    if (first) {
        assert_in_range(first->over_ms - first->at_ms, 55000, 90000);
    }
}

static void row_served(struct faults *f)
{
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, 0, 0, 0);
    FAULTS_COUNT(f, WORLD_WATCH, 0, 0, 0);
    FAULTS_COUNT(f, WORLD_INITIAL, 0, 0, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_false(world_nth(f->world, WORLD_INITIAL, 0, 0, i)->has_version);
    }
}

// Its beginning breaks off, at the first reading and at a later one: begun anew, and nothing is swept.
static void cut(struct faults *f, enum world_cut how, size_t after_bytes, size_t after_events)
{
    for (int i = 0; i < 100; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%03d ip:10.0.8.%d", i, i);
    }
    const struct world_fault fault = {.name = "cut before the end bookmark",
                                      .on = WORLD_INITIAL,
                                      .kinds = PODS,
                                      .times = 2,
                                      .cut = how,
                                      .after_bytes = after_bytes,
                                      .after_events = after_events};
    (void)world_fault(f->world, fault);
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_INITIAL, PODS, 0, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_false(world_nth(f->world, WORLD_INITIAL, PODS, 0, i)->has_version);
    }
    // The versions of its events are no place to go on from.
    FAULTS_COUNT(f, WORLD_WATCH, PODS, 0, 0);
    (void)world_fault(f->world, fault);
    f->lowest_pods = SIZE_MAX;
    world_listen(f->world, false);
    (void)world_put(f->world, WORLD_PODS, "x/p000 app=changed ip:10.0.8.0");
    (void)world_delete(f->world, WORLD_PODS, "x/p099");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_true(f->lowest_pods >= 102);
}

static void row_cut_fin(struct faults *f)
{
    cut(f, WORLD_CUT_FIN, 0, 50);
}

static void row_cut_rst(struct faults *f)
{
    cut(f, WORLD_CUT_RST, 20000, 0);
}

// The server may end it cleanly, too: that is no end of the objects.
static void row_cut_end(struct faults *f)
{
    cut(f, WORLD_CUT_END, 0, 50);
}

static void row_hangs(struct faults *f)
{
    (void)world_fault(f->world, (struct world_fault){.name = "no end bookmark",
                                                     .on = WORLD_INITIAL,
                                                     .kinds = PODS,
                                                     .times = 1,
                                                     .cut = WORLD_CUT_HANG,
                                                     .after_events = 2});
    f->lists_max = 2;
    (void)faults_sync(f);
    assert_in_range(world_count(f->world, WORLD_READS, PODS, 0), 2, 2);
    assert_in_range(world_nth(f->world, WORLD_READS, PODS, 0, 1)->at_ms -
                        world_nth(f->world, WORLD_READS, PODS, 0, 0)->at_ms,
                    55000, 120000);
}

static void row_nothing_there(struct faults *f)
{
    (void)world_delete(f->world, WORLD_POLICIES, "x/deny");
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_delete(f->world, WORLD_PODS, "y/c");
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

// Nothing is left at a later reading: the end bookmark alone sweeps.
static void row_nothing_left(struct faults *f)
{
    (void)faults_sync(f);
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_delete(f->world, WORLD_PODS, "y/c");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 0);
}

// A member of gzip for each write, whatever the client asked for: libcurl reads the first only.
static void row_gzip(struct faults *f)
{
    f->world->gzip_initial = true;
    (void)faults_sync(f);
    assert_in_range(world_count(f->world, WORLD_INITIAL, 0, 0), 1, 4);
    FAULTS_COUNT(f, WORLD_LIST, 0, 0, 4);
}

// Events go on behind the end bookmark, on the same stream, and between the objects and the bookmark nothing is lost.
static void row_goes_on(struct faults *f)
{
    (void)world_fault(
        f->world,
        (struct world_fault){
            .name = "slowly", .on = WORLD_INITIAL, .kinds = PODS, .times = 1, .split = 1000, .drip_ms = 1000});
    faults_start(f);
    for (int i = 0; i < 30; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/during ip:10.0.0.9 n=%d", i);
        (void)world_put(f->world, WORLD_PODS, "x/b app=b ip:10.0.0.2 n=%d", i);
        faults_run(f, 1000);
    }
    (void)world_delete(f->world, WORLD_PODS, "x/during");
    faults_settle(f);
    FAULTS_COUNT(f, 0, PODS, 0, 1);
}

static const struct fault_row rows[] = {
    ROW("34-served", row_served),
    ROW("34-served-slowly", row_goes_on),
    ROW("34-422", row_422),
    ROW("34-error-500", row_no_progress),
    ROW("34-parameters-ignored", row_ignored),
    ROW("34-cut-before-end-fin", row_cut_fin),
    ROW("34-cut-before-end-rst", row_cut_rst),
    ROW("34-cut-before-end-clean", row_cut_end),
    ROW("34-hangs-before-end", row_hangs),
    ROW("34-bookmark-without-items", row_nothing_there),
    ROW("34-bookmark-without-items-on-relist", row_nothing_left),
    ROW("34-gzip-members", row_gzip),
};
FAULTS_MAIN(rows)
