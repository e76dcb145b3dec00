// SPDX-License-Identifier: Apache-2.0
//
// Servers that do not know what we ask, and answers that are not an API server's: rows 32, 33.
#include "faults/faults.h"

enum { PODS = WORLD_BIT(WORLD_PODS) };

// spec.hostNetwork is no field label before 1.28: asked for once, and then done without.
static void row_field_label(struct faults *f)
{
    world_set_minor(f->world, 27);
    (void)faults_sync(f);
    assert_non_null(state_pod(f->state, "x", "host"));
    assert_null(state_pod(f->state, "x", "done"));
    assert_null(state_pod(f->state, "x", "late"));
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_settle(f);
    world_listen(f->world, false);
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    unsigned refused = 0;
    for (size_t i = 0; i < f->world->requests.n; i++) {
        refused += f->world->requests.v[i].status == 400;
    }
    assert_in_range(refused, 0, 1);
}

static void row_422_options(struct faults *f)
{
    world_set_minor(f->world, 33);
    (void)faults_sync(f);
    size_t mark = world_mark(f->world);
    const struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden",
                             .on = WORLD_READS,
                             .kinds = PODS,
                             .times = 1,
                             .status = 422});
    world_listen(f->world, false);
    (void)world_delete(f->world, WORLD_PODS, "x/a");
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_settle(f);
    assert_int_equal(fault->hits, 1);
    const struct world_request *second = world_nth(f->world, WORLD_READS, PODS, mark, 1);
    assert_non_null(second);
    assert_string_equal(second->match, "");
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 2);
}

static void row_406(struct faults *f)
{
    struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){
            .name = "only the following media types are accepted", .on = WORLD_READS, .kinds = PODS, .status = 406});
    faults_start(f);
    faults_run(f, 300000);
    assert_false(f->synced);
    assert_in_range(fault->hits, 3, 25);
    assert_true(faults_times(&f->reports, "406") > 0);
    world_heal(f->world, fault);
    UNTIL(f, f->synced);
}

#define LOGIN "<!DOCTYPE html><html><body>Please sign in <form action=\"/login\"></form></body></html>"

// Something else answers, with this; what is held stays, and nobody is asked in a loop.
static void intruder(struct faults *f, struct world_fault answer)
{
    size_t mark = faults_sync(f);
    unsigned changed = f->changed;
    struct world_fault *fault = world_fault(f->world, answer);
    world_listen(f->world, false);
    world_forget(f->world, 0);
    world_listen(f->world, true);
    faults_run(f, 300000);
    assert_int_equal(f->changed, changed);
    assert_true(fault->hits >= 4);
    FAULTS_COUNT(f, WORLD_OTHER, 0, mark, 0);
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        assert_in_range(world_count(f->world, 0, WORLD_BIT(kind), mark), 1, 25);
    }
    world_heal(f->world, fault);
    faults_settle(f);
}

static void row_html(struct faults *f)
{
    intruder(f, (struct world_fault){.name = "a login page", .status = 200, .type = "text/html", .body = LOGIN});
}

static void row_html_as_json(struct faults *f)
{
    intruder(f, (struct world_fault){.name = "a login page", .status = 200, .body = LOGIN});
}

static void row_other_json(struct faults *f)
{
    intruder(f, (struct world_fault){.name = "another service", .status = 200, .body = "{\"ok\":true}\n"});
}

static void row_empty_body(struct faults *f)
{
    intruder(f, (struct world_fault){.name = "nothing", .status = 200, .body = ""});
}

static void row_redirect(struct faults *f)
{
    intruder(f, (struct world_fault){.name = "elsewhere",
                                     .status = 302,
                                     .type = "text/html",
                                     .headers = "Location: /login\r\n",
                                     .body = "<a href=\"/login\">Found</a>.\n"});
}

static const struct fault_row rows[] = {
    ROW("32-400-field-label", row_field_label),
    ROW("32-422-list-options", row_422_options),
    ROW("32-406", row_406),
    ROW("33-html-with-200", row_html),
    ROW("33-html-as-json", row_html_as_json),
    ROW("33-other-json", row_other_json),
    ROW("33-empty-body", row_empty_body),
    ROW("33-302", row_redirect),
};
FAULTS_MAIN(rows)
