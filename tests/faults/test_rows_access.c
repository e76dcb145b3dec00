// SPDX-License-Identifier: Apache-2.0
//
// Who may read what, and in which order it comes: rows 29, 30, 38.
#include "faults/faults.h"

#include <unistd.h>

enum {
    PODS = WORLD_BIT(WORLD_PODS),
    OTHERS = FAULTS_KINDS & ~(unsigned)PODS,
};

// ---- 29: tokens

static size_t sync_with_token(struct faults *f)
{
    f->world->token = "first";
    faults_write_token(f, "first\n");
    return faults_sync(f);
}

// How many requests were refused since.
static size_t refusals(const struct faults *f, size_t mark, unsigned status)
{
    size_t n = 0;
    for (size_t i = mark; i < f->world->requests.n; i++) {
        n += f->world->requests.v[i].status == status;
    }
    return n;
}

static void row_token_rotated(struct faults *f)
{
    size_t mark = sync_with_token(f);
    faults_write_token(f, "second\n");
    f->world->token = "second";
    // Running watches go on; the next request has the new one.
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(refusals(f, mark, 401), 0);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// The server knows of the new token before the file does.
static void row_401_once(struct faults *f)
{
    size_t mark = sync_with_token(f);
    f->world->token = "second";
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    UNTIL(f, refusals(f, mark, 401) == 1);
    faults_write_token(f, "second\n");
    faults_settle(f);
    assert_in_range(refusals(f, mark, 401), 1, 2);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_401_forever(struct faults *f)
{
    size_t mark = sync_with_token(f);
    unsigned changed = f->changed;
    f->world->token = "another";
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_run(f, 600000);
    assert_int_equal(f->changed, changed);
    assert_in_range(world_count(f->world, 0, PODS, mark), 10, 40);
    // No secret in what is told.
    assert_null(strstr(faults_text(&f->reports), "first"));
    assert_int_equal(faults_times(&f->reports, "401") + faults_times(&f->reports, "nauthorized") > 0, 1);
    f->world->token = "first";
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_token_empty(struct faults *f)
{
    size_t mark = sync_with_token(f);
    faults_write_token(f, "");
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(refusals(f, mark, 401), 0);
    faults_write_token(f, " \n\n");
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(refusals(f, mark, 401), 0);
}

static void row_token_missing(struct faults *f)
{
    size_t mark = sync_with_token(f);
    assert_int_equal(unlink(f->token_file), 0);
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(refusals(f, mark, 401), 0);
    f->world->token = "third";
    faults_write_token(f, "third");
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(refusals(f, mark, 401), 0);
}

// ---- 30: permissions

static void row_403_then_granted(struct faults *f)
{
    f->world->forbidden = PODS;
    faults_start(f);
    faults_run(f, 600000);
    assert_false(f->synced);
    assert_int_equal(world_difference(f->world, f->state, OTHERS, NULL), 0);
    assert_true(world_current(f->world, OTHERS));
    // Every 30 to 60 s, and said once.
    assert_in_range(world_count(f->world, WORLD_READS, PODS, 0), 9, 22);
    assert_int_equal(faults_times(&f->reports, "kind=pods"), 1);
    assert_int_equal(faults_times(&f->reports, "403"), 1 + (strstr(faults_text(&f->reports), "HTTP 403") != NULL));
    f->world->forbidden = 0;
    UNTIL(f, f->synced);
}

static void row_403_next_watch(struct faults *f)
{
    size_t mark = faults_sync(f);
    f->world->forbidden = PODS;
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_run(f, 300000);
    (void)world_put(f->world, WORLD_NAMESPACES, "z");
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    UNTIL(f, state_namespace(f->state, "z"));
    assert_non_null(state_pod(f->state, "x", "a"));
    assert_in_range(world_count(f->world, 0, PODS, mark), 4, 12);
    f->world->forbidden = 0;
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// ---- 38: order

static void row_pod_first(struct faults *f)
{
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "later/p app=p ip:10.0.0.9");
    UNTIL(f, state_pod(f->state, "later", "p"));
    assert_null(state_namespace(f->state, "later"));
    (void)world_put(f->world, WORLD_NAMESPACES, "later team=l");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_policy_first(struct faults *f)
{
    (void)world_delete(f->world, WORLD_NAMESPACES, "x");
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    size_t mark = faults_sync(f);
    assert_non_null(state_policy(f->state, "x", "deny"));
    (void)world_put(f->world, WORLD_POLICIES, "later/deny select:app=a from:app=b");
    faults_settle(f);
    (void)world_put(f->world, WORLD_PODS, "later/a app=a ip:10.0.0.9");
    (void)world_put(f->world, WORLD_NAMESPACES, "later");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_namespace_gone_first(struct faults *f)
{
    size_t mark = faults_sync(f);
    (void)world_delete(f->world, WORLD_NAMESPACES, "y");
    UNTIL(f, !state_namespace(f->state, "y"));
    assert_non_null(state_pod(f->state, "y", "c"));
    (void)world_delete(f->world, WORLD_PODS, "y/c");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

// Whichever kind never syncs, the owner never hears that all is known.
static void never(struct faults *f, int kind)
{
    struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "not ready", .on = WORLD_READS, .kinds = WORLD_BIT(kind), .status = 503});
    faults_start(f);
    faults_run(f, 900000);
    assert_false(f->synced);
    assert_string_not_equal(f->why, "");
    assert_int_equal(world_difference(f->world, f->state, FAULTS_KINDS & ~WORLD_BIT(kind), NULL), 0);
    world_heal(f->world, fault);
    UNTIL(f, f->synced);
}

static void row_never_namespaces(struct faults *f)
{
    never(f, WORLD_NAMESPACES);
}

static void row_never_policies(struct faults *f)
{
    never(f, WORLD_POLICIES);
}

static void row_never_pods(struct faults *f)
{
    never(f, WORLD_PODS);
}

static const struct fault_row rows[] = {
    ROW("29-token-rotated", row_token_rotated),
    ROW("29-401-once", row_401_once),
    ROW("29-401-forever", row_401_forever),
    ROW("29-token-file-empty", row_token_empty),
    ROW("29-token-file-missing", row_token_missing),
    ROW("30-403-then-granted", row_403_then_granted),
    ROW("30-403-at-next-watch", row_403_next_watch),
    ROW("38-pod-before-namespace", row_pod_first),
    ROW("38-policy-first", row_policy_first),
    ROW("38-namespace-gone-first", row_namespace_gone_first),
    ROW("38-namespaces-never-sync", row_never_namespaces),
    ROW("38-policies-never-sync", row_never_policies),
    ROW("38-pods-never-sync", row_never_pods),
};
FAULTS_MAIN(rows)
