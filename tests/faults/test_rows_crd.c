// SPDX-License-Identifier: Apache-2.0
//
// A kind that the server does not always have: row 31.
#include "faults/faults.h"

enum { CUSTOM = WORLD_BIT(WORLD_CUSTOM) };

static const struct api_kind_row with_custom[] = {
    {.kind = OBJECT_NAMESPACE, .label = "namespaces", .group = "", .versions = {"v1"}},
    {.kind = OBJECT_POLICY,
     .label = "books",
     .group = WORLD_CUSTOM_GROUP,
     .versions = {"v2", "v1", "v1beta1"},
     .optional = true},
    {.kind = OBJECT_NODE, .label = "nodes", .group = "", .versions = {"v1"}},
    {.kind = OBJECT_POD, .label = "pods", .group = "", .versions = {"v1"}},
};

static size_t sync_with_custom(struct faults *f)
{
    f->kinds = with_custom;
    f->n_kinds = ARRAY_SIZE(with_custom);
    return faults_sync(f);
}

static void row_crd_absent(struct faults *f)
{
    size_t mark = sync_with_custom(f);
    faults_run(f, 3600000);
    // Every five minutes, more or less; a look may ask for each version.
    assert_in_range(world_count(f->world, WORLD_DISCOVERY, 0, mark), 6, 75);
    FAULTS_COUNT(f, WORLD_READS | WORLD_WATCH, CUSTOM, mark, 0);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_crd_installed_later(struct faults *f)
{
    (void)sync_with_custom(f);
    faults_run(f, 60000);
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    f->patience_ms = 900000;
    faults_settle(f);
    assert_non_null(state_policy(f->state, "x", "book"));
    (void)world_put(f->world, WORLD_CUSTOM, "x/more select:app=b");
    faults_settle(f);
    assert_int_equal(f->synced_calls, 1);
}

static void row_crd_there(struct faults *f)
{
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    (void)sync_with_custom(f);
    // Known before the owner is told that all is.
    assert_non_null(state_policy(f->state, "x", "book"));
}

static void row_crd_removed(struct faults *f)
{
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    size_t mark = sync_with_custom(f);
    world_remove(f->world, WORLD_CUSTOM);
    f->patience_ms = 900000;
    UNTIL(f, !state_policy(f->state, "x", "book"));
    // Not without having asked.
    assert_true(world_count(f->world, WORLD_DISCOVERY, 0, mark) >= 1);
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/again select:app=a");
    faults_settle(f);
    assert_non_null(state_policy(f->state, "x", "again"));
}

// 404 for a while, from a server that is coming up: discovery still has the kind, so nothing is taken away.
static void row_crd_blinks(struct faults *f)
{
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    (void)sync_with_custom(f);
    struct world_fault *fault = world_fault(f->world, (struct world_fault){.name = "404",
                                                                           .on = WORLD_READS | WORLD_WATCH,
                                                                           .kinds = CUSTOM,
                                                                           .status = 404,
                                                                           .type = "text/plain; charset=utf-8",
                                                                           .body = "404 page not found\n"});
    (void)world_cut(f->world, CUSTOM, WORLD_CUT_END);
    for (int i = 0; i < 600; i++) {
        faults_run(f, 1000);
        assert_non_null(state_policy(f->state, "x", "book"));
    }
    assert_true(fault->hits >= 1);
    world_heal(f->world, fault);
    f->patience_ms = 900000;
    faults_settle(f);
}

// Discovery that fails is no confirmation.
static void row_crd_discovery_fails(struct faults *f)
{
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    (void)sync_with_custom(f);
    struct world_fault *gone = world_fault(f->world, (struct world_fault){.name = "404",
                                                                          .on = WORLD_READS | WORLD_WATCH,
                                                                          .kinds = CUSTOM,
                                                                          .status = 404,
                                                                          .type = "text/plain; charset=utf-8",
                                                                          .body = "404 page not found\n"});
    struct world_fault *broken =
        world_fault(f->world, (struct world_fault){.name = "broken", .on = WORLD_DISCOVERY, .status = 503});
    (void)world_cut(f->world, CUSTOM, WORLD_CUT_END);
    for (int i = 0; i < 600; i++) {
        faults_run(f, 1000);
        assert_non_null(state_policy(f->state, "x", "book"));
    }
    world_heal(f->world, gone);
    world_heal(f->world, broken);
    f->patience_ms = 900000;
    faults_settle(f);
}

// Neither 403 nor a broken backend of an optional kind holds up the others.
static void optional(struct faults *f, struct world_fault answer)
{
    world_install(f->world, WORLD_CUSTOM);
    (void)world_put(f->world, WORLD_CUSTOM, "x/book select:app=a");
    answer.kinds = CUSTOM;
    answer.on = WORLD_READS | WORLD_WATCH;
    struct world_fault *fault = world_fault(f->world, answer);
    f->kinds = with_custom;
    f->n_kinds = ARRAY_SIZE(with_custom);
    faults_start(f);
    UNTIL(f, f->synced);
    faults_run(f, 600000);
    assert_true(fault->hits >= 1);
    world_heal(f->world, fault);
    f->patience_ms = 900000;
    faults_settle(f);
}

static void row_optional_403(struct faults *f)
{
    optional(f, (struct world_fault){.name = "books.library.example.org is forbidden", .status = 403});
}

static void row_optional_503(struct faults *f)
{
    optional(f, (struct world_fault){.name = "error trying to reach service", .status = 503});
}

static const struct fault_row rows[] = {
    ROW("31-crd-404", row_crd_absent),
    ROW("31-crd-there", row_crd_there),
    ROW("31-crd-installed-later", row_crd_installed_later),
    ROW("31-crd-removed-again", row_crd_removed),
    ROW("31-crd-404-unconfirmed", row_crd_blinks),
    ROW("31-crd-404-discovery-fails", row_crd_discovery_fails),
    ROW("31-crd-403", row_optional_403),
    ROW("31-crd-503", row_optional_503),
};
FAULTS_MAIN(rows)
