// SPDX-License-Identifier: Apache-2.0
//
// Histories that are gone, and servers that know less than the client: rows 15, 16, 19, 35, 36.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS) };

static void version_text(uint64_t version, char ret[32])
{
    (void)snprintf(ret, 32, "%llu", (unsigned long long)version);
}

// While nobody is connected, everything that a watch would have told happens, and is forgotten.
static void miss_changes(struct faults *f)
{
    (void)faults_sync(f);
    world_listen(f->world, false);
    faults_run(f, 1000);
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_put(f->world, WORLD_PODS, "x/a app=relabeled ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "y/c");
    (void)world_put(f->world, WORLD_PODS, "y/c ip:10.0.0.3 node:n2");
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.2");
    (void)world_delete(f->world, WORLD_POLICIES, "x/deny");
    (void)world_put(f->world, WORLD_NAMESPACES, "y team=y");
    world_forget(f->world, 0);
}

// Relists at the last version that was seen, and only there where something was missed.
static void too_old(struct faults *f, unsigned minor)
{
    char last[32];
    world_set_minor(f->world, minor);
    version_text(f->world->version, last);
    miss_changes(f);
    size_t mark = world_mark(f->world);
    world_listen(f->world, true);
    faults_settle(f);
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        const struct world_request *read = world_nth(f->world, WORLD_READS, WORLD_BIT(kind), mark, 0);
        assert_non_null(read);
        assert_string_equal(read->version, last);
        assert_string_equal(read->match, "NotOlderThan");
        FAULTS_COUNT(f, WORLD_READS, WORLD_BIT(kind), mark, 1);
    }
}

static void row_410_list(struct faults *f)
{
    too_old(f, 33);
}

static void row_410_initial(struct faults *f)
{
    too_old(f, 34);
}

static void row_410_http(struct faults *f)
{
    (void)faults_sync(f);
    size_t mark = world_mark(f->world);
    (void)world_fault(f->world, (struct world_fault){.name = "too old", .on = WORLD_WATCH, .times = 4, .status = 410});
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 1);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 4);
}

static void again_410(struct faults *f, unsigned minor, const char *body)
{
    world_set_minor(f->world, minor);
    miss_changes(f);
    size_t mark = world_mark(f->world);
    (void)world_fault(
        f->world,
        (struct world_fault){
            .name = "too old", .on = WORLD_READS, .kinds = PODS, .times = 1, .status = body ? 200 : 410, .body = body});
    world_listen(f->world, true);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 2);
    assert_true(world_nth(f->world, WORLD_READS, PODS, mark, 0)->has_version);
    assert_false(world_nth(f->world, WORLD_READS, PODS, mark, 1)->has_version);
    // At once, or nearly so.
    assert_true(world_nth(f->world, WORLD_READS, PODS, mark, 1)->at_ms -
                    world_nth(f->world, WORLD_READS, PODS, mark, 0)->at_ms <=
                3000);
}

static void row_410_relist(struct faults *f)
{
    again_410(f, 33, NULL);
}

static void row_410_relist_initial(struct faults *f)
{
    again_410(f, 34,
              "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":"
              "\"too old resource version: 7 (9)\"}}\n");
}

static void row_deleted_meanwhile(struct faults *f)
{
    (void)faults_sync(f);
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_delete(f->world, WORLD_POLICIES, "x/deny");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_null(state_pod(f->state, "x", "a"));
    assert_null(state_policy(f->state, "x", "deny"));
}

static void row_recreated_meanwhile(struct faults *f)
{
    (void)faults_sync(f);
    CLEANUP(free) char *uid = strdup(state_pod(f->state, "x", "a")->meta.uid);
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_put(f->world, WORLD_PODS, "x/a app=a ip:10.0.0.1 ip:fd00::1 port:http=80");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_string_not_equal(state_pod(f->state, "x", "a")->meta.uid, uid);
}

static void row_relabeled_meanwhile(struct faults *f)
{
    (void)faults_sync(f);
    world_listen(f->world, false);
    (void)world_put(f->world, WORLD_PODS, "x/a app=other ip:10.0.0.1");
    (void)world_put(f->world, WORLD_NAMESPACES, "x team=other");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_string_equal(labels_get(&state_pod(f->state, "x", "a")->meta.labels, "app"), "other");
}

// The same within the history: told by events, nothing is read anew.
static void row_missed_within_history(struct faults *f)
{
    size_t mark = faults_sync(f);
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_put(f->world, WORLD_PODS, "x/a app=new ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_put(f->world, WORLD_PODS, "y/c app=c ip:10.0.0.3");
    world_listen(f->world, true);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// Another API server answers, whose cache is behind. What is held must not become older.
static void behind(struct faults *f, unsigned minor)
{
    world_set_minor(f->world, minor);
    (void)faults_sync(f);
    uint64_t old = f->world->version;
    (void)world_put(f->world, WORLD_PODS, "x/a app=newer ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    faults_settle(f);
    size_t mark = world_mark(f->world);
    f->world->cache = old;
    f->source->ops->refresh(f->source);
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    for (int i = 0; i < 60; i++) {
        faults_run(f, 1000);
        assert_string_equal(labels_get(&state_pod(f->state, "x", "a")->meta.labels, "app"), "newer");
        assert_null(state_pod(f->state, "x", "b"));
    }
    for (size_t i = 0; i < world_count(f->world, WORLD_READS, 0, mark); i++) {
        assert_string_not_equal(world_nth(f->world, WORLD_READS, 0, mark, i)->version, "0");
    }
    world_thaw(f->world);
    faults_settle(f);
}

static void row_behind_zero(struct faults *f)
{
    behind(f, 30);
}

static void row_behind_pages(struct faults *f)
{
    behind(f, 33);
}

static void row_behind_initial(struct faults *f)
{
    behind(f, 34);
}

// A relist that is older than what we hold, though it was asked not to be.
static void lower(struct faults *f, unsigned minor)
{
    world_set_minor(f->world, minor);
    (void)faults_sync(f);
    uint64_t old = f->world->version;
    (void)world_put(f->world, WORLD_PODS, "x/a app=newer ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    faults_settle(f);
    size_t mark = world_mark(f->world);
    (void)world_fault(
        f->world,
        (struct world_fault){.name = "an old list", .on = WORLD_READS, .kinds = PODS, .times = 1, .at_version = old});
    (void)world_fault(
        f->world, (struct world_fault){.name = "too old", .on = WORLD_WATCH, .kinds = PODS, .times = 1, .status = 410});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    UNTIL(f, world_count(f->world, WORLD_READS, PODS, mark) >= 1);
    for (int i = 0; i < 100; i++) {
        faults_run(f, 20);
        assert_string_equal(labels_get(&state_pod(f->state, "x", "a")->meta.labels, "app"), "newer");
        assert_null(state_pod(f->state, "x", "b"));
    }
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 2);
    assert_false(world_nth(f->world, WORLD_READS, PODS, mark, 1)->has_version);
}

static void row_lower_pages(struct faults *f)
{
    lower(f, 33);
}

static void row_lower_initial(struct faults *f)
{
    lower(f, 34);
}

// etcd is restored from a backup: watches from the future are silent, and nothing tells.
static void restored(struct faults *f)
{
    (void)faults_sync(f);
    uint64_t backup = f->world->version;
    for (int i = 0; i < 500; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%03d ip:10.0.9.%d", i % 200, i % 200);
    }
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_put(f->world, WORLD_POLICIES, "x/later");
    faults_settle(f);
    size_t mark = world_mark(f->world);
    world_restore(f->world, backup);
    (void)world_put(f->world, WORLD_PODS, "x/restored ip:10.0.0.5");
    f->patience_ms = 3600000;
    faults_settle(f);
    assert_null(state_policy(f->state, "x", "later"));
    assert_non_null(state_pod(f->state, "x", "b"));
    // Each kind is read once more; looking costs one small request now and then.
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        FAULTS_COUNT(f, WORLD_READS, WORLD_BIT(kind), mark, 1);
    }
    assert_in_range(world_count(f->world, WORLD_PROBE, 0, mark), 1, 10);
}

// Found out by watches that end without a word, the second time; nothing else looks.
static void row_restored_silent(struct faults *f)
{
    f->timing.probe_ms = 24 * 3600 * 1000;
    restored(f);
}

// Watches that never end: by looking now and then.
static void row_restored_look(struct faults *f)
{
    f->timing.watch_min_s = f->timing.watch_max_s = 24 * 3600;
    restored(f);
}

// The counter of the restored cluster has overtaken ours before we look: only the identity of a namespace tells.
static void row_another_cluster(struct faults *f)
{
    (void)faults_sync(f);
    uint64_t backup = f->world->version;
    for (int i = 0; i < 50; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%03d ip:10.0.9.%d", i, i);
    }
    // Every kind holds a version that the restored server reaches later only.
    (void)world_touch(f->world, WORLD_NAMESPACES, "x");
    (void)world_touch(f->world, WORLD_POLICIES, "x/deny");
    (void)world_touch(f->world, WORLD_NODES, "n1");
    faults_settle(f);
    world_restore(f->world, backup);
    (void)world_delete(f->world, WORLD_NAMESPACES, "kube-system");
    (void)world_put(f->world, WORLD_NAMESPACES, "kube-system");
    for (int i = 0; i < 100; i++) {
        (void)world_touch(f->world, WORLD_NODES, "n1");
    }
    // The history goes back far enough for the versions that we hold.
    for (int kind = 0; kind < WORLD_KINDS; kind++) {
        f->world->floor[kind] = backup;
    }
    f->patience_ms = 3600000;
    faults_settle(f);
}

static const struct fault_row rows[] = {
    ROW("15-410-inside-200", row_410_list),
    ROW("15-410-inside-200-initial-events", row_410_initial),
    ROW("16-http-410", row_410_http),
    ROW("16-410-again-on-relist", row_410_relist),
    ROW("16-410-again-on-initial-events", row_410_relist_initial),
    ROW("19-deleted-while-away", row_deleted_meanwhile),
    ROW("19-recreated-while-away", row_recreated_meanwhile),
    ROW("19-relabeled-while-away", row_relabeled_meanwhile),
    ROW("19-within-history", row_missed_within_history),
    ROW("35-stale-cache-version-0", row_behind_zero),
    ROW("35-stale-cache-pages", row_behind_pages),
    ROW("35-stale-cache-initial-events", row_behind_initial),
    ROW("35-relist-lower-version", row_lower_pages),
    ROW("35-initial-events-lower-version", row_lower_initial),
    ROW("36-restored-silent-watches", row_restored_silent),
    ROW("36-restored-endless-watches", row_restored_look),
    ROW("36-another-cluster", row_another_cluster),
};
FAULTS_MAIN(rows)
