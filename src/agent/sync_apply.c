// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/sync_private.h"
#include "base/log.h"
#include "base/num.h"
#include "dataplane/ordered.h"

static int open_backend(struct sync *sync, struct err *err)
{
    if (sync->backend) {
        return 0;
    }
    const struct backend_ops *ops = sync->config.ops;
    return ops->probe(err) < 0 ? -1 : ops->open(&sync->config.backend_options, &sync->backend, err);
}

// One of prefixes may hold exceptions.
static bool only_widens(const struct engine_update *update)
{
    bool widens = update->outcome == ENGINE_MEMBERS;
    for (size_t i = 0; widens && i < update->n_changes; i++) {
        const struct engine_change *change = &update->changes[i];
        widens = change->n_remove == 0 && change->allows && change->type != SET_HASH_NET;
    }
    return widens;
}

// What an update wrote is in force.
static void use_applied(struct sync *sync, const struct engine_update *update, const struct apply_report *report,
                        uint64_t start_ns)
{
    const struct sync_applied applied = {
        .first = !sync->applied,
        .structural = !sync->applied || report->commits > 0,
        .touched = update->touched,
        .n_touched = update->n_touched,
        .everything = update->everything || !sync->applied || !sync->known,
        .widens = only_widens(update),
    };
    sync_count_writes(sync, report);
    sync_log_applied(sync, report, start_ns);
    metrics_observe(sync->config.metrics, METRIC_APPLY_DURATION, (double)(num_now_ns() - start_ns) / 1e9);
    if (sync->applied) {
        // The first one covers the time until everything was read, which is not a change's.
        metrics_observe(sync->config.metrics, METRIC_PROPAGATION, (double)(num_now_ns() - sync->dirty_since_ns) / 1e9);
    }
    sync->last = (struct sync_last){.report = *report,
                                    .end_ns = num_now_ns(),
                                    .ms = (double)(num_now_ns() - start_ns) / SYNC_NS_PER_MS,
                                    .outcome = update->outcome};
    sync->known = true;
    sync->applied = true;
    if (sync->config.applied) {
        sync->config.applied(&applied, sync->config.applied_arg);
    }
    engine_keep(sync->engine);
}

// A host that lacks one family's tables has the other one enforced (backend_ops.apply): connections of that one are cut
// there as everywhere.
static void tell_partial(struct sync *sync, const struct err *err)
{
    const struct sync_applied applied = {.first = !sync->applied, .everything = true, .partial = true};
    if (err->kind == ERR_UNSUPPORTED && sync->config.applied) {
        sync->config.applied(&applied, sync->config.applied_arg);
    }
}

_Static_assert(sizeof(struct set_change) == sizeof(struct engine_change) &&
                   offsetof(struct set_change, n_remove) == offsetof(struct engine_change, n_remove) &&
                   offsetof(struct set_change, add) == offsetof(struct engine_change, add),
               "a change is handed over as it is");

// Members alone. 1: they could not be written as such (a set is gone, or full), and the whole must be.
static int apply_members(struct sync *sync, const struct engine_update *update, struct apply_report *report,
                         struct err *err)
{
    struct err why = {0};
    const struct set_change *changes = (const struct set_change *)(const void *)update->changes;
    if (ordered_members(sync->config.ops, sync->backend, changes, update->n_changes, report, &why) == 0) {
        sync_gauge_changes(sync, update);
        return 0;
    }
    // Some of it may be done.
    sync->known = false;
    if (why.kind == ERR_NOT_FOUND || why.kind == ERR_LIMIT) {
        if (why.kind == ERR_NOT_FOUND) {
            sync_find_lost(sync);
        }
        log_event(LOG_LEVEL_WARN, "members-refused", "error=%s effect=%s", log_quote(why.msg),
                  log_quote("the kernel is read back and everything is compared"));
        return 1;
    }
    *err = why;
    return -1;
}

static int apply_rules(struct sync *sync, const struct engine_update *update, struct apply_report *report,
                       struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *whole = NULL;
    const struct ruleset *want = update->ruleset;
    if (!want && engine_ruleset(sync->engine, &whole, err) < 0) {
        return -1;
    }
    want = want ? want : whole;
    bool known = sync->known && update->have;
    struct arena arena = {0};
    struct ruleset room;
    const struct ruleset *marked = sync_marked(sync, want, &arena, &room, err);
    int rc =
        marked ? backend_apply(sync->config.ops, sync->backend, known ? update->have : NULL, marked, report, err) : -1;
    arena_free(&arena);
    if (rc < 0) {
        sync->known = false;
        return -1;
    }
    if (report->commits || !known) {
        sync_note_stamp(sync);
    }
    sync_note_leftovers(sync, &report->pinned, !known);
    sync_gauge_table(sync, want, FAMILY_V4);
    sync_gauge_table(sync, want, FAMILY_V6);
    sync_settle_drift(sync, report);
    if (known) {
        sync_claim_surprises(sync, update->have, want, report);
    }
    return 0;
}

// Brings the kernel in step with the state. Returns false when that failed.
bool sync_apply_change(struct sync *sync)
{
    struct err err = {0};
    struct engine_update update = {0};
    struct apply_report report = {0};
    uint64_t start = num_now_ns();
    if (open_backend(sync, &err) < 0) {
        sync_failed(sync, "open", &err);
        return false;
    }
    if (engine_update(sync->engine, &update, &err) < 0) {
        sync_failed(sync, "compile", &err);
        return false;
    }
    sync_set_stats(sync, &update.stats);
    if (sync->known && update.outcome == ENGINE_SAME && !update.everything) {
        engine_keep(sync->engine);
        return true;
    }
    int rc = 1;
    if (sync->known && update.outcome != ENGINE_RULES) {
        rc = update.outcome == ENGINE_MEMBERS ? apply_members(sync, &update, &report, &err) : 0;
    }
    rc = rc == 1 ? apply_rules(sync, &update, &report, &err) : rc;
    if (rc < 0) {
        sync_count_writes(sync, &report);
        sync_failed(sync, "apply", &err);
        tell_partial(sync, &err);
        return false;
    }
    use_applied(sync, &update, &report, start);
    return true;
}
