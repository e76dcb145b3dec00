// SPDX-License-Identifier: Apache-2.0
//
// Lists that come in pages, in part, late or not at all: rows 17, 18, 27, 28.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS), MANY = 1200, SEEDED = 3 };

static void many_pods(struct faults *f)
{
    for (int i = 0; i < MANY; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%04d ip:10.1.%d.%d", i, i / 250, i % 250);
    }
}

// As long as a relist of all pods goes on, and goes wrong, none may vanish.
static void relist_pods(struct faults *f)
{
    f->lowest_pods = SIZE_MAX;
    world_forget(f->world, PODS);
    (void)world_put(f->world, WORLD_PODS, "x/p0000 ip:10.1.0.0 app=changed");
    (void)world_put(f->world, WORLD_PODS, "y/more ip:10.2.0.0");
    world_forget(f->world, PODS);
    (void)world_fault(
        f->world, (struct world_fault){.name = "too old", .on = WORLD_WATCH, .kinds = PODS, .times = 1, .status = 410});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_settle(f);
    assert_true(f->lowest_pods >= MANY + SEEDED);
}

// The continue token for the third page is too old by the time that it is used.
static void expires(struct faults *f, bool new_token, bool relist)
{
    world_set_minor(f->world, 33);
    f->world->new_token = new_token;
    many_pods(f);
    if (relist) {
        (void)faults_sync(f);
    }
    f->world->token_ms = 4000;
    (void)world_fault(
        f->world, (struct world_fault){
                      .name = "a long wait", .on = WORLD_LIST, .kinds = PODS, .page = 3, .times = 1, .delay_ms = 5000});
    // An unset version, so that the list comes in pages.
    if (relist) {
        (void)world_fault(
            f->world, (struct world_fault){
                          .name = "too old", .on = WORLD_LIST, .kinds = PODS, .page = 1, .times = 1, .status = 410});
        size_t mark = world_mark(f->world);
        relist_pods(f);
        assert_int_equal(world_nth(f->world, WORLD_LIST, PODS, mark, 3)->status, 410);
        return;
    }
    (void)faults_sync(f);
    assert_int_equal(world_nth(f->world, WORLD_LIST, PODS, 0, 2)->status, 410);
    assert_int_equal(world_nth(f->world, WORLD_LIST, PODS, 0, 3)->page, 1);
    FAULTS_COUNT(f, WORLD_LIST, PODS, 0, 6);
}

static void row_expires(struct faults *f)
{
    expires(f, false, false);
}

static void row_expires_token(struct faults *f)
{
    expires(f, true, false);
}

static void row_expires_relist(struct faults *f)
{
    expires(f, false, true);
}

static void row_expires_relist_token(struct faults *f)
{
    expires(f, true, true);
}

static void row_empty_page(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->empty_page = true;
    many_pods(f);
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, PODS, 0, 4);
}

// A page of another server behind the same address, which has not heard of what the first page tells: what it lacks, no
// watch from the first page's version will tell.
static void row_later_page_older(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->quiet_violations = true;
    uint64_t before = f->world->version;
    many_pods(f);
    (void)world_fault(
        f->world, (struct world_fault){
                      .name = "older", .on = WORLD_LIST, .kinds = PODS, .times = 1, .skip = 1, .at_version = before});
    (void)faults_sync(f);
}

static void row_limit_ignored(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->limit_ignored = true;
    many_pods(f);
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, PODS, 0, 1);
}

static void row_items_null(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->items_null = true;
    (void)faults_sync(f);
    (void)world_delete(f->world, WORLD_POLICIES, "x/deny");
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_delete(f->world, WORLD_PODS, "y/c");
    world_listen(f->world, false);
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 0);
}

static void row_nothing_there(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->items_null = true;
    (void)world_delete(f->world, WORLD_POLICIES, "x/deny");
    (void)world_delete(f->world, WORLD_NODES, "n1");
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, 0, 0, 4);
}

static void row_no_remaining(struct faults *f)
{
    world_set_minor(f->world, 33);
    f->world->remaining = false;
    many_pods(f);
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, PODS, 0, 3);
}

// The relist asks a server that is behind: 504 after three seconds, then what is true now.
static void too_large(struct faults *f, unsigned minor)
{
    world_set_minor(f->world, minor);
    (void)faults_sync(f);
    uint64_t old = f->world->version;
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    size_t mark = world_mark(f->world);
    f->world->cache = old;
    (void)world_fault(
        f->world, (struct world_fault){.name = "too old", .on = WORLD_WATCH, .kinds = PODS, .times = 1, .status = 410});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    UNTIL(f, world_count(f->world, WORLD_READS, PODS, mark) == 2);
    const struct world_request *first = world_nth(f->world, WORLD_READS, PODS, mark, 0);
    const struct world_request *second = world_nth(f->world, WORLD_READS, PODS, mark, 1);
    assert_true(first->has_version);
    assert_false(second->has_version);
    assert_true(second->at_ms - first->at_ms <= 10000);
    world_thaw(f->world);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 2);
}

static void row_too_large(struct faults *f)
{
    too_large(f, 33);
}

static void row_too_large_initial(struct faults *f)
{
    too_large(f, 34);
}

static void row_504_timeout(struct faults *f)
{
    size_t mark = world_mark(f->world);
    struct world_fault *fault =
        world_fault(f->world, (struct world_fault){.name = "Timeout: request did not complete within the allotted "
                                                           "timeout",
                                                   .on = WORLD_READS,
                                                   .kinds = PODS,
                                                   .status = 504,
                                                   .delay_ms = 1000});
    faults_start(f);
    faults_run(f, 300000);
    assert_false(f->synced);
    assert_in_range(fault->hits, 5, 25);
    world_heal(f->world, fault);
    UNTIL(f, f->synced);
    faults_settle(f);
    assert_true(world_count(f->world, WORLD_READS, 0, mark) <= 30);
}

// Cut in the middle, at the first reading and at a later one.
static void cut_body(struct faults *f, enum world_cut cut, unsigned minor, size_t after_bytes)
{
    world_set_minor(f->world, minor);
    many_pods(f);
    const struct world_fault *fault = world_fault(f->world, (struct world_fault){.name = "cut in its body",
                                                                                 .on = WORLD_READS,
                                                                                 .kinds = PODS,
                                                                                 .times = 2,
                                                                                 .cut = cut,
                                                                                 .after_bytes = after_bytes});
    (void)faults_sync(f);
    assert_int_equal(fault->hits, 2);
    (void)world_fault(f->world, (struct world_fault){.name = "cut in its body",
                                                     .on = WORLD_READS,
                                                     .kinds = PODS,
                                                     .times = 2,
                                                     .cut = cut,
                                                     .after_bytes = after_bytes});
    relist_pods(f);
}

static void row_cut_fin(struct faults *f)
{
    cut_body(f, WORLD_CUT_FIN, 33, 100000);
}

static void row_cut_rst(struct faults *f)
{
    cut_body(f, WORLD_CUT_RST, 33, 100000);
}

static void row_cut_end(struct faults *f)
{
    cut_body(f, WORLD_CUT_END, 33, 100000);
}

static void row_cut_unpaged(struct faults *f)
{
    cut_body(f, WORLD_CUT_FIN, 30, 300000);
}

// 100 bytes a second: given up for being too slow, or at the latest with the page's own deadline.
static void row_drip(struct faults *f)
{
    world_set_minor(f->world, 33);
    many_pods(f);
    (void)world_fault(
        f->world,
        (struct world_fault){
            .name = "100 bytes a second", .on = WORLD_LIST, .kinds = PODS, .times = 1, .split = 50, .drip_ms = 500});
    (void)faults_sync(f);
    const struct world_request *first = world_nth(f->world, WORLD_LIST, PODS, 0, 0);
    const struct world_request *second = world_nth(f->world, WORLD_LIST, PODS, 0, 1);
    assert_true(second->at_ms - first->at_ms >= 25000);
    assert_true(second->at_ms - first->at_ms <= 100000);
}

static const struct fault_row rows[] = {
    ROW("17-continue-expires", row_expires),
    ROW("17-continue-expires-new-token", row_expires_token),
    ROW("17-continue-expires-on-relist", row_expires_relist),
    ROW("17-continue-expires-on-relist-new-token", row_expires_relist_token),
    ROW("18-empty-page-with-continue", row_empty_page),
    ROW("18-later-page-older", row_later_page_older),
    ROW("18-limit-ignored", row_limit_ignored),
    ROW("18-items-null", row_nothing_there),
    ROW("18-items-null-on-relist", row_items_null),
    ROW("18-no-remaining-item-count", row_no_remaining),
    ROW("27-504-too-large", row_too_large),
    ROW("27-504-too-large-initial-events", row_too_large_initial),
    ROW("27-504-timeout", row_504_timeout),
    ROW("28-list-cut-fin", row_cut_fin),
    ROW("28-list-cut-rst", row_cut_rst),
    ROW("28-list-cut-clean-end", row_cut_end),
    ROW("28-list-cut-unpaged", row_cut_unpaged),
    ROW("28-slow-drip", row_drip),
};
FAULTS_MAIN(rows)
