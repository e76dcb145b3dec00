// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/sync_private.h"
#include "base/log.h"
#include "base/num.h"

void sync_gauge_table(struct sync *sync, const struct ruleset *ruleset, enum family family)
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
void sync_gauge_changes(struct sync *sync, const struct engine_update *update)
{
    for (size_t i = 0; i < update->n_changes; i++) {
        const struct engine_change *change = &update->changes[i];
        sync->members[change->family] += change->n_add - change->n_remove;
    }
    metrics_set(sync->config.metrics, METRIC_SET_MEMBERS, "4", NULL, (double)sync->members[FAMILY_V4]);
    metrics_set(sync->config.metrics, METRIC_SET_MEMBERS, "6", NULL, (double)sync->members[FAMILY_V6]);
}

void sync_count_writes(struct sync *sync, const struct apply_report *report)
{
    struct metrics *metrics = sync->config.metrics;
    metrics_add(metrics, METRIC_TABLE_COMMITS, NULL, NULL, (double)report->commits);
    metrics_add(metrics, METRIC_SET_MEMBER_CHANGES, "add", NULL, (double)report->members_added);
    metrics_add(metrics, METRIC_SET_MEMBER_CHANGES, "remove", NULL, (double)report->members_removed);
}

// complete: the kernel's sets were read back. Else only what has just come to be in the way is known.
void sync_note_leftovers(struct sync *sync, const struct leftovers *pinned, bool complete)
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

void sync_set_stats(struct sync *sync, const struct compile_stats *stats)
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

void sync_log_applied(struct sync *sync, const struct apply_report *report, uint64_t start_ns)
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
