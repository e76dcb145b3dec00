// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/sync_private.h"
#include "base/log.h"
#include "base/num.h"

static int open_backend(struct sync *sync, struct err *err)
{
    if (sync->backend) {
        return 0;
    }
    const struct backend_ops *ops = sync->config.ops;
    return ops->probe(err) < 0 ? -1 : ops->open(&sync->config.backend_options, &sync->backend, err);
}

static void gauge_table(struct sync *sync, const struct ruleset *ruleset, enum family family)
{
    struct ruleset_size size;
    const char *label = family == FAMILY_V4 ? "4" : "6";
    struct metrics *metrics = sync->config.metrics;
    ruleset_size(ruleset, family, &size);
    sync->members[family] = size.members;
    metrics_set(metrics, METRIC_SETS, label, NULL, (double)size.sets);
    metrics_set(metrics, METRIC_SET_MEMBERS, label, NULL, (double)size.members);
    metrics_set(metrics, METRIC_CHAINS, label, NULL, (double)size.chains);
    metrics_set(metrics, METRIC_RULES, label, NULL, (double)size.rules);
}

// Of changes that left everything else as it was.
static void gauge_changes(struct sync *sync, const struct engine_update *update)
{
    for (size_t i = 0; i < update->n_changes; i++) {
        const struct engine_change *change = &update->changes[i];
        sync->members[change->family] += change->n_add - change->n_remove;
    }
    metrics_set(sync->config.metrics, METRIC_SET_MEMBERS, "4", NULL, (double)sync->members[FAMILY_V4]);
    metrics_set(sync->config.metrics, METRIC_SET_MEMBERS, "6", NULL, (double)sync->members[FAMILY_V6]);
}

static void count_writes(struct sync *sync, const struct apply_report *report)
{
    struct metrics *metrics = sync->config.metrics;
    metrics_add(metrics, METRIC_TABLE_COMMITS, NULL, NULL, (double)report->commits);
    metrics_add(metrics, METRIC_SET_MEMBER_CHANGES, "add", NULL, (double)report->members_added);
    metrics_add(metrics, METRIC_SET_MEMBER_CHANGES, "remove", NULL, (double)report->members_removed);
}

// complete: the kernel's sets were read back. Else only what has just come to be in the way is known.
static void note_leftovers(struct sync *sync, const struct leftovers *pinned, bool complete)
{
    if (!complete && pinned->n <= sync->pinned.n) {
        return;
    }
    bool same = pinned->n == sync->pinned.n && strcmp(pinned->names, sync->pinned.names) == 0;
    sync->pinned = *pinned;
    metrics_set(sync->config.metrics, METRIC_LEFTOVERS, NULL, NULL, (double)pinned->n);
    if (same) {
        return;
    }
    if (pinned->n == 0) {
        log_event(LOG_LEVEL_INFO, "leftovers-gone", "count=0");
        return;
    }
    log_event(LOG_LEVEL_WARN, "leftovers-pinned", "count=%zu names=%s effect=%s", pinned->n, log_quote(pinned->names),
              log_quote("not needed any more; rules of other programs use them, so they stay until those are gone"));
}

static void say_unenforceable(struct sync *sync, size_t before)
{
    if (sync->stats.unenforceable == before) {
        return;
    }
    char first[600] = "";
    size_t n;
    const struct policy *const *policies = state_policies(sync->config.state, &n);
    for (size_t i = 0; policies && i < n && !first[0]; i++) {
        if (policies[i]->unenforceable) {
            (void)snprintf(first, sizeof(first), "%s/%s", policies[i]->meta.ns, policies[i]->meta.name);
        }
    }
    log_event(sync->stats.unenforceable ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "policies-unenforceable",
              "count=%zu first=%s effect=%s", sync->stats.unenforceable, log_quote(first),
              log_quote("they isolate, and grant nothing from the parts that cannot be read"));
}

static void set_stats(struct sync *sync, const struct compile_stats *stats)
{
    size_t unenforceable = sync->stats.unenforceable;
    sync->stats = *stats;
    struct metrics *metrics = sync->config.metrics;
    metrics_set(metrics, METRIC_LOCAL_PODS, NULL, NULL, (double)stats->local_pods);
    metrics_set(metrics, METRIC_ENFORCED_PODS, NULL, NULL, (double)stats->enforced_pods);
    metrics_set(metrics, METRIC_ACTIVE_POLICIES, NULL, NULL, (double)stats->active_policies);
    metrics_set(metrics, METRIC_UNENFORCEABLE, NULL, NULL, (double)stats->unenforceable);
    say_unenforceable(sync, unenforceable);
}

static void log_applied(struct sync *sync, const struct apply_report *report, uint64_t start_ns)
{
    bool structural = !sync->applied || report->commits > 0;
    double ms = (double)(num_now_ns() - start_ns) / SYNC_NS_PER_MS;
    log_event(structural ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, sync->applied ? "applied" : "first-applied",
              "sets_created=%zu sets_destroyed=%zu members_added=%zu members_removed=%zu chains_created=%zu "
              "chains_rewritten=%zu chains_deleted=%zu jumps=%zu commits=%zu local_pods=%zu enforced_pods=%zu ms=%.3f",
              report->sets_created, report->sets_destroyed, report->members_added, report->members_removed,
              report->chains_created, report->chains_rewritten, report->chains_deleted, report->hooks_written,
              report->commits, sync->stats.local_pods, sync->stats.enforced_pods, ms);
    if (!sync->applied) {
        log_event(LOG_LEVEL_INFO, "enforced", "since_start_ms=%llu",
                  (unsigned long long)((num_now_ns() - sync->start_ns) / SYNC_NS_PER_MS));
    }
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
    };
    count_writes(sync, report);
    log_applied(sync, report, start_ns);
    metrics_observe(sync->config.metrics, METRIC_APPLY_DURATION, (double)(num_now_ns() - start_ns) / 1e9);
    if (sync->applied) {
        // The first one covers the time until everything was read, which is not a change's.
        metrics_observe(sync->config.metrics, METRIC_PROPAGATION, (double)(num_now_ns() - sync->dirty_since_ns) / 1e9);
    }
    sync->known = true;
    sync->applied = true;
    if (sync->config.applied) {
        sync->config.applied(&applied, sync->config.applied_arg);
    }
    engine_keep(sync->engine);
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
    if (sync->config.ops->change_members(sync->backend, changes, update->n_changes, report, &why) == 0) {
        gauge_changes(sync, update);
        return 0;
    }
    // Some of it may be done.
    sync->known = false;
    if (why.kind == ERR_NOT_FOUND || why.kind == ERR_LIMIT) {
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
    if (backend_apply(sync->config.ops, sync->backend, known ? update->have : NULL, want, report, err) < 0) {
        sync->known = false;
        return -1;
    }
    note_leftovers(sync, &report->pinned, !known);
    gauge_table(sync, want, FAMILY_V4);
    gauge_table(sync, want, FAMILY_V6);
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
    set_stats(sync, &update.stats);
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
        count_writes(sync, &report);
        sync_failed(sync, "apply", &err);
        return false;
    }
    use_applied(sync, &update, &report, start);
    return true;
}

static void count_drift(struct sync *sync, const char *kind, size_t count)
{
    if (count) {
        metrics_add(sync->config.metrics, METRIC_DRIFT_REPAIRED, kind, NULL, (double)count);
        log_event(LOG_LEVEL_WARN, "drift-repaired", "kind=%s count=%zu", kind, count);
    }
}

// Reads the kernel back and repairs what another program has changed.
bool sync_verify_kernel(struct sync *sync)
{
    struct err err = {0};
    struct apply_report report = {0};
    const struct backend_ops *ops = sync->config.ops;
    const struct ruleset *want = engine_kept(sync->engine);
    if (!want) {
        (void)err_oom(&err);
        sync_failed(sync, "verify", &err);
        return false;
    }
    // Behind a failed write the kernel may stand anywhere between two rulesets: not only drift.
    int rc = sync->known ? ops->apply(sync->backend, NULL, want, &report, &err)
                         : backend_apply(ops, sync->backend, NULL, want, &report, &err);
    if (rc < 0) {
        sync->known = false;
        count_writes(sync, &report);
        sync_failed(sync, "verify", &err);
        return false;
    }
    count_writes(sync, &report);
    note_leftovers(sync, &report.pinned, true);
    if (!sync->known) {
        // After a failed write: what differed may be our own doing.
        sync->known = true;
        return true;
    }
    count_drift(sync, "set", report.sets_created + report.sets_destroyed);
    count_drift(sync, "member", report.members_added + report.members_removed);
    count_drift(sync, "chain", report.chains_created + report.chains_rewritten + report.chains_deleted);
    count_drift(sync, "jump", report.hooks_written);
    log_event(LOG_LEVEL_DEBUG, "verified", "writes=%zu", report.writes);
    return true;
}
