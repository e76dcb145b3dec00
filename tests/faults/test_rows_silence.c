// SPDX-License-Identifier: Apache-2.0
//
// What goes on beside a fault: silent watches and their replacements, kinds that wait for others, reads that nobody
// needed.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS), NAMESPACES = WORLD_BIT(WORLD_NAMESPACES) };

// Bookmarks about once a minute on every watch, which lasts for long.
static size_t sync_with_bookmarks(struct faults *f)
{
    f->timing.watch_min_s = f->timing.watch_max_s = 3000;
    f->patience_ms = 900000;
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    size_t mark = faults_sync(f);
    for (int i = 0; i < 3; i++) {
        (void)world_touch(f->world, WORLD_PODS, "x/a");
        (void)world_touch(f->world, WORLD_NODES, "n1");
        faults_run(f, 65000);
    }
    return mark;
}

// The replacement of a silent watch begins where that was when it was asked for; what the old one delivers until the
// new one answers must not be turned back by it.
static void row_replacement_replays(struct faults *f)
{
    (void)sync_with_bookmarks(f);
    f->world->bookmark_ms = 0;
    size_t mark = world_mark(f->world);
    world_freeze(f->world);
    (void)world_fault(f->world, (struct world_fault){.name = "drip",
                                                     .on = WORLD_WATCH,
                                                     .kinds = PODS,
                                                     .times = 1,
                                                     .split = 200,
                                                     .drip_ms = 1000,
                                                     .delay_ms = 10000});
    UNTIL(f, world_count(f->world, WORLD_WATCH, PODS, mark) > 0);
    for (int i = 0; i < 5; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/a app=v%d ip:10.0.0.1", i);
    }
    (void)world_put(f->world, WORLD_PODS, "x/gone app=g ip:10.0.0.77");
    (void)world_delete(f->world, WORLD_PODS, "x/gone");
    (void)world_put(f->world, WORLD_PODS, "x/a app=v9 ip:10.0.0.1");
    world_thaw(f->world);
    bool seen = false;
    for (int i = 0; i < 600; i++) {
        faults_run(f, 100);
        const struct pod *pod = state_pod(f->state, "x", "a");
        const char *value = pod ? labels_get(&pod->meta.labels, "app") : NULL;
        bool newest = value && strcmp(value, "v9") == 0;
        assert_true(newest || !seen);
        assert_null(seen ? state_pod(f->state, "x", "gone") : NULL);
        seen = seen || newest;
    }
    assert_true(seen);
}

static void row_replacement_refused(struct faults *f)
{
    (void)sync_with_bookmarks(f);
    f->world->bookmark_ms = 0;
    size_t mark = world_mark(f->world);
    (void)world_fault(f->world, (struct world_fault){.name = "429",
                                                     .on = WORLD_WATCH,
                                                     .kinds = PODS,
                                                     .times = 1,
                                                     .status = 429,
                                                     .headers = "Retry-After: 60\r\n"});
    UNTIL(f, world_count(f->world, WORLD_WATCH, PODS, mark) > 0);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    uint64_t begin = num_now_ms();
    UNTIL(f, state_pod(f->state, "x", "new"));
    assert_in_range(num_now_ms() - begin, 0, 1000);
}

// The replacement answers and says at once that its version is gone: that one counts by then, and the silent one is
// over.
static void row_replacement_expired(struct faults *f)
{
    f->lists_max = 2;
    (void)sync_with_bookmarks(f);
    f->world->bookmark_ms = 0;
    size_t mark = world_mark(f->world);
    (void)world_fault(
        f->world, (struct world_fault){
                      .name = "410-inside",
                      .on = WORLD_WATCH,
                      .kinds = PODS,
                      .times = 1,
                      .status = 200,
                      .body = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
                              "\"message\":\"too old resource version: 1 (2)\"}}\n"});
    UNTIL(f, world_count(f->world, WORLD_WATCH, PODS, mark) > 0);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    uint64_t begin = num_now_ms();
    UNTIL(f, state_pod(f->state, "x", "new"));
    assert_in_range(num_now_ms() - begin, 0, 5000);
    assert_int_equal(world_count(f->world, WORLD_READS, PODS, mark), 1);
}

// Another cluster answers while every watch is silent and the lists hang: there is no version to watch from.
static void row_silent_and_another_cluster(struct faults *f)
{
    f->world->quiet_violations = true;
    f->lists_max = 2;
    (void)sync_with_bookmarks(f);
    f->world->bookmark_ms = 0;
    faults_run(f, 165000);
    struct world_fault *hung =
        world_fault(f->world, (struct world_fault){.name = "hung", .on = WORLD_LIST | WORLD_INITIAL, .silent = true});
    world_event(
        f->world, NAMESPACES, "MODIFIED",
        "{\"kind\":\"Namespace\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"kube-system\",\"uid\":\"other\","
        "\"resourceVersion\":\"1001\"}}");
    faults_run(f, 120000);
    world_heal(f->world, hung);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    UNTIL(f, state_pod(f->state, "x", "new"));
}

// Something on the way cuts idle connections: that is no sign that the server went back, and costs no list.
static void row_cut_every_50s(struct faults *f)
{
    f->rate_max = 100;
    size_t mark = faults_sync(f);
    for (int i = 0; i < 12; i++) {
        faults_run(f, 50000);
        (void)world_cut(f->world, 0, WORLD_CUT_FIN);
    }
    assert_int_equal(world_count(f->world, WORLD_PROBE | WORLD_READS, 0, mark), 0);
}

// Nobody needs what a SIGHUP asks for: while it cannot be had, the watch goes on.
static void row_refresh_while_throttled(struct faults *f)
{
    (void)faults_sync(f);
    struct world_fault *busy = world_fault(
        f->world,
        (struct world_fault){
            .name = "429", .on = WORLD_READS, .kinds = PODS, .status = 429, .headers = "Retry-After: 30\r\n"});
    size_t mark = world_mark(f->world);
    f->source->ops->refresh(f->source);
    faults_run(f, 5000);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    uint64_t begin = num_now_ms();
    UNTIL(f, state_pod(f->state, "x", "new"));
    assert_in_range(num_now_ms() - begin, 0, 31000);
    faults_run(f, 600000);
    assert_in_range(world_count(f->world, WORLD_READS, PODS, mark), 5, 25);
    world_heal(f->world, busy);
    mark = world_mark(f->world);
    UNTIL(f, world_count(f->world, WORLD_READS, PODS, mark) > 0);
}

// A kind that the server always refuses takes its turn, and not that of the others.
static void row_one_kind_throttled(struct faults *f)
{
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    (void)faults_sync(f);
    struct world_fault *busy = world_fault(
        f->world,
        (struct world_fault){
            .name = "429", .on = WORLD_READS, .kinds = NAMESPACES, .status = 429, .headers = "Retry-After: 30\r\n"});
    world_listen(f->world, false);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    (void)world_put(f->world, WORLD_NAMESPACES, "znew");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    uint64_t begin = num_now_ms();
    UNTIL(f, state_pod(f->state, "x", "new"));
    assert_in_range(num_now_ms() - begin, 0, 4 * 61000);
    world_heal(f->world, busy);
}

static void row_always_500(struct faults *f)
{
    (void)world_fault(f->world, (struct world_fault){.name = "500", .on = WORLD_INITIAL, .status = 500});
    faults_start(f);
    UNTIL(f, f->synced);
    assert_int_equal(world_count(f->world, WORLD_INITIAL, PODS, 0), 3);
}

static const struct fault_row rows[] = {
    ROW_AS_IS("08-replacement-expired", row_replacement_expired),
    ROW_AS_IS("08-replacement-replays", row_replacement_replays),
    ROW_AS_IS("08-replacement-refused", row_replacement_refused),
    ROW_AS_IS("10-cut-every-50s", row_cut_every_50s),
    ROW_AS_IS("23-refresh-while-throttled", row_refresh_while_throttled),
    ROW_AS_IS("23-one-kind-throttled", row_one_kind_throttled),
    ROW_AS_IS("34-always-500", row_always_500),
    ROW_AS_IS("36-silent-and-another-cluster", row_silent_and_another_cluster),
};
FAULTS_MAIN(rows)
