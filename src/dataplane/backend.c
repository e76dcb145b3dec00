// SPDX-License-Identifier: Apache-2.0
#include "dataplane/backend.h"

#include <errno.h>

#include "dataplane/interim.h"

static const struct backend_ops *const backends[] = {&backend_legacy, &backend_memory};

const struct backend_ops *backend_find(const char *name)
{
    if (strcmp(name, "auto") == 0) {
        return &backend_legacy;
    }
    for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
        if (strcmp(name, backends[i]->name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static void report_add(struct apply_report *sum, const struct apply_report *more)
{
    sum->sets_created += more->sets_created;
    sum->sets_destroyed += more->sets_destroyed;
    sum->members_added += more->members_added;
    sum->members_removed += more->members_removed;
    sum->chains_created += more->chains_created;
    sum->chains_rewritten += more->chains_rewritten;
    sum->chains_deleted += more->chains_deleted;
    sum->hooks_written += more->hooks_written;
    sum->commits += more->commits;
    sum->writes += more->writes;
    sum->pinned = more->pinned;  // the last step tries all of them again
}

static int apply_steps(const struct backend_ops *ops, struct backend *backend, const struct ruleset *have,
                       const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *read = NULL;
    CLEANUP(ruleset_free) struct ruleset *first = NULL;
    CLEANUP(ruleset_free) struct ruleset *second = NULL;
    if ((!have && ops->snapshot(backend, &read, err) < 0) ||
        interim_make(have ? have : read, want, &first, &second, err) < 0) {
        return -1;
    }
    if (!first) {
        return ops->apply(backend, have, want, ret, err);
    }
    const struct ruleset *const steps[] = {have, first, second, want};
    struct apply_report sum = {0};
    for (size_t i = 1; i < ARRAY_SIZE(steps); i++) {
        struct apply_report report;
        if (ops->apply(backend, steps[i - 1], steps[i], &report, err) < 0) {
            return -1;
        }
        report_add(&sum, &report);
    }
    *ret = sum;
    return 0;
}

int backend_apply(const struct backend_ops *ops, struct backend *backend, const struct ruleset *have,
                  const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    struct err why = {0};
    if (apply_steps(ops, backend, have, want, ret, &why) == 0) {
        return 0;
    }
    // A set stands that was thought to be gone (a leftover that is needed again), or the other way round.
    bool stale = why.kind == ERR_NOT_FOUND || (why.kind == ERR_RETRY && why.num == EEXIST);
    if (have && stale) {
        return apply_steps(ops, backend, NULL, want, ret, err);
    }
    if (err) {
        *err = why;
    }
    return -1;
}
