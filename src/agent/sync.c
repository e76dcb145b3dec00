// SPDX-License-Identifier: Apache-2.0
#include "agent/sync.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/num.h"
#include "policy/compile.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 30000,
    SETTLE_MS = 250,
    SETTLE_MAX = 8,
    NS_PER_MS = 1000000,
    TRIM_OBJECTS = 1000
};

struct sync {
    struct sync_config config;
    struct backend *backend;
    const struct facts *facts;
    struct loop_timer *apply_timer;
    struct loop_timer *period_timer;
    struct ruleset *want;  // of the last successful apply; NULL before the first
    bool known;            // the kernel's sets hold exactly want; else they must be read back
    struct compile_stats stats;
    struct leftovers pinned;
    bool source_synced;
    char source_why[512];
    bool synced;
    bool applied;  // once at least
    bool held;
    char held_why[512];
    bool unsettled;  // the state was not one to act upon when it was last looked at
    uint64_t settle_start_ns;
    uint64_t last_change_ns;
    bool dirty;
    bool verify;
    char not_synced_why[512];
    uint64_t start_ns;
    uint64_t dirty_since_ns;
    uint64_t last_apply_ns;
    uint64_t retry_ms;  // 0: the last try went well
    bool backing_off;   // the timer is armed for a retry, not for a change
    uint64_t failing_since_ns;
    size_t trimmed_objects;
};

static void on_apply(void *arg);

static void on_period(void *arg)
{
    sync_verify(arg);
}

int sync_new(const struct sync_config *config, struct sync **ret, struct err *err)
{
    CLEANUP(sync_free) struct sync *sync = calloc(1, sizeof(*sync));
    if (!sync) {
        return err_oom(err);
    }
    sync->config = *config;
    sync->config.retry_min_ms = config->retry_min_ms ? config->retry_min_ms : RETRY_MIN_MS;
    sync->config.retry_max_ms = config->retry_max_ms ? config->retry_max_ms : RETRY_MAX_MS;
    sync->config.settle_ms = config->settle_ms ? config->settle_ms : SETTLE_MS;
    sync->start_ns = num_now_ns();
    (void)snprintf(sync->source_why, sizeof(sync->source_why), "the source has not been read yet");
    if (loop_add_timer(config->loop, on_apply, sync, &sync->apply_timer, err) < 0 ||
        loop_add_timer(config->loop, on_period, sync, &sync->period_timer, err) < 0) {
        return -1;
    }
    metrics_set(config->metrics, METRIC_SYNCED, NULL, NULL, 0);
    *ret = TAKE(sync);
    return 0;
}

void sync_free(struct sync *sync)
{
    if (!sync) {
        return;
    }
    loop_remove_timer(sync->apply_timer);
    loop_remove_timer(sync->period_timer);
    if (sync->backend) {
        sync->backend->ops->close(sync->backend);
    }
    ruleset_free(sync->want);
    free(sync);
}

// Apply at once when idle; under load not before the interval is over. A change does not wait for the back-off of what
// failed before it: it may be what closes a pod.
static void schedule(struct sync *sync)
{
    if (loop_armed(sync->apply_timer) && !sync->backing_off) {
        return;
    }
    if (sync->backing_off) {
        sync->backing_off = false;
        loop_arm(sync->apply_timer, sync->config.retry_min_ms);
        return;
    }
    uint64_t since_ms = (num_now_ns() - sync->last_apply_ns) / NS_PER_MS;
    uint64_t interval = sync->last_apply_ns ? sync->config.min_apply_interval_ms : 0;
    loop_arm(sync->apply_timer, since_ms < interval ? interval - since_ms : 0);
}

static void mark_dirty(struct sync *sync)
{
    if (!sync->dirty) {
        sync->dirty = true;
        sync->dirty_since_ns = num_now_ns();
    }
    schedule(sync);
}

void sync_changed(struct sync *sync)
{
    sync->last_change_ns = num_now_ns();
    mark_dirty(sync);
}

void sync_source_synced(struct sync *sync, bool synced, const char *why)
{
    if (sync->source_synced) {
        return;
    }
    sync->source_synced = synced;
    (void)snprintf(sync->source_why, sizeof(sync->source_why), "%s", why);
    mark_dirty(sync);
}

void sync_facts(struct sync *sync, const struct facts *facts)
{
    sync->facts = facts;
    mark_dirty(sync);
}

void sync_verify(struct sync *sync)
{
    sync->verify = true;
    loop_arm(sync->apply_timer, 0);
}

static size_t object_count(const struct state *state)
{
    size_t total = 0;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++) {
        total += state_count(state, (enum object_kind)kind);
    }
    return total;
}

static bool pod_names_node(struct state *state, const char *node)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    for (size_t i = 0; pods && i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0) {
            return true;
        }
    }
    return false;
}

// The known node whose name is nearest, for people who mistyped; NULL when none is near.
static const char *nearest_node(struct state *state, const char *node)
{
    size_t n;
    const struct node *const *nodes = state_nodes(state, &n);
    const char *nearest = NULL;
    for (size_t i = 0; nodes && i < n && !nearest; i++) {
        const char *const words[] = {nodes[i]->meta.name, NULL};
        nearest = cli_nearest(node, words);
    }
    return nearest;
}

bool sync_gate(struct state *state, const char *node, char *why, size_t size)
{
    if (object_count(state) == 0) {
        (void)snprintf(why, size, "there is no object at all");
        return false;
    }
    if (!state_node(state, node) && !pod_names_node(state, node)) {
        const char *nearest = nearest_node(state, node);
        (void)snprintf(why, size, "no Node and no Pod names the node %s%s%s", node, nearest ? "; is it " : "",
                       nearest ? nearest : "");
        return false;
    }
    return true;
}

// Whether a state that has just become one to act upon is still being filled.
static bool is_settling(struct sync *sync)
{
    if (!sync->unsettled) {
        return false;
    }
    uint64_t now = num_now_ns();
    sync->settle_start_ns = sync->settle_start_ns ? sync->settle_start_ns : now;
    uint64_t settle_ns = sync->config.settle_ms * NS_PER_MS;
    uint64_t quiet_end = sync->last_change_ns + settle_ns;
    uint64_t end = sync->settle_start_ns + settle_ns * SETTLE_MAX;
    end = quiet_end < end ? quiet_end : end;
    if (now >= end) {
        sync->unsettled = false;
        sync->settle_start_ns = 0;
        return false;
    }
    loop_arm(sync->apply_timer, (end - now + NS_PER_MS - 1) / NS_PER_MS);
    return true;
}

static bool leave_not_synced(struct sync *sync)
{
    char why[sizeof(sync->not_synced_why)] = "";
    if (!sync->source_synced) {
        (void)snprintf(why, sizeof(why), "%s", sync->source_why);
    } else if (!sync_gate(sync->config.state, sync->config.node, why, sizeof(why))) {
        sync->unsettled = true;
    } else if (!sync->facts) {
        (void)snprintf(why, sizeof(why), "the facts of this host have not been read");
    } else if (is_settling(sync)) {
        return false;
    }
    if (why[0] == '\0') {
        sync->synced = true;
        (void)health_set(sync->config.health, HEALTH_SYNC, true, "");
        (void)health_set(sync->config.health, HEALTH_STATE, true, "");
        metrics_set(sync->config.metrics, METRIC_SYNCED, NULL, NULL, 1);
        log_event(LOG_LEVEL_INFO, "synced", "node=%s pods=%zu namespaces=%zu policies=%zu nodes=%zu",
                  log_quote(sync->config.node), state_count(sync->config.state, OBJECT_POD),
                  state_count(sync->config.state, OBJECT_NAMESPACE), state_count(sync->config.state, OBJECT_POLICY),
                  state_count(sync->config.state, OBJECT_NODE));
        return true;
    }
    if (strcmp(why, sync->not_synced_why) != 0) {
        (void)snprintf(sync->not_synced_why, sizeof(sync->not_synced_why), "%s", why);
        (void)health_set(sync->config.health, HEALTH_SYNC, false, why);
        (void)health_set(sync->config.health, HEALTH_STATE, false, why);
        log_event(LOG_LEVEL_WARN, "not-synced", "node=%s why=%s effect=%s", log_quote(sync->config.node),
                  log_quote(why), log_quote("the kernel stays as it is"));
    }
    return false;
}

// A state that holds nothing, or nothing of this node any more, is not acted upon, nor one that is being filled again.
static bool state_is_held(struct sync *sync)
{
    char why[sizeof(sync->held_why)] = "";
    if (!sync_gate(sync->config.state, sync->config.node, why, sizeof(why))) {
        if (!sync->held || strcmp(why, sync->held_why) != 0) {
            char text[sizeof(why) + 64];
            (void)snprintf(text, sizeof(text), "%s; the last rules stay in force", why);
            (void)snprintf(sync->held_why, sizeof(sync->held_why), "%s", why);
            (void)health_set(sync->config.health, HEALTH_STATE, false, text);
            log_event(LOG_LEVEL_ERROR, "state-held", "why=%s effect=%s", log_quote(why),
                      log_quote("the last rules stay in force"));
        }
        sync->held = true;
        sync->unsettled = true;
        sync->settle_start_ns = 0;
        return true;
    }
    if (sync->held && !is_settling(sync)) {
        sync->held = false;
        (void)health_set(sync->config.health, HEALTH_STATE, true, "");
        log_event(LOG_LEVEL_INFO, "state-back", "objects=%zu", object_count(sync->config.state));
    }
    return sync->held;
}

static void fail(struct sync *sync, const char *stage, const struct err *why)
{
    if (sync->retry_ms == 0) {
        sync->failing_since_ns = num_now_ns();
    }
    sync->retry_ms = sync->retry_ms ? sync->retry_ms * 2 : sync->config.retry_min_ms;
    if (sync->retry_ms > sync->config.retry_max_ms) {
        sync->retry_ms = sync->config.retry_max_ms;
    }
    loop_arm(sync->apply_timer, sync->retry_ms);
    sync->backing_off = true;
    char text[1024];
    (void)err_text(why, text, sizeof(text));
    char reason[1100];
    (void)snprintf(reason, sizeof(reason), "%s: %s", stage, text);
    (void)health_set(sync->config.health, HEALTH_APPLY, false, reason);
    metrics_add(sync->config.metrics, METRIC_APPLY_ERRORS, stage, NULL, 1);
    log_event(LOG_LEVEL_ERROR, "apply-failed", "stage=%s kind=%s error=%s retry_ms=%llu", stage,
              err_kind_name(why->kind), log_quote(text), (unsigned long long)sync->retry_ms);
}

static int open_backend(struct sync *sync, struct err *err)
{
    if (sync->backend) {
        return 0;
    }
    const struct backend_ops *ops = sync->config.ops;
    return ops->probe(err) < 0 ? -1 : ops->open(&sync->config.backend_options, &sync->backend, err);
}

static void gauge_table(struct sync *sync, enum family family)
{
    const struct table *table = &sync->want->tables[family];
    const char *label = family == FAMILY_V4 ? "4" : "6";
    size_t rules = 0;
    size_t members = 0;
    for (size_t i = 0; i < table->n_chains; i++) {
        rules += table->chains[i].n_rules;
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        members += table->sets[i].n_members;
    }
    struct metrics *metrics = sync->config.metrics;
    metrics_set(metrics, METRIC_SETS, label, NULL, (double)table->n_sets);
    metrics_set(metrics, METRIC_SET_MEMBERS, label, NULL, (double)members);
    metrics_set(metrics, METRIC_CHAINS, label, NULL, (double)table->n_chains);
    metrics_set(metrics, METRIC_RULES, label, NULL, (double)rules);
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

// The memory of a big load (texts, trees, the sorted lists) goes back to the system.
static void trim_memory(struct sync *sync)
{
    size_t objects = object_count(sync->config.state);
    size_t change = objects > sync->trimmed_objects ? objects - sync->trimmed_objects : sync->trimmed_objects - objects;
    if (change >= TRIM_OBJECTS) {
        (void)malloc_trim(0);
        sync->trimmed_objects = objects;
    }
}

static void succeed(struct sync *sync)
{
    if (sync->retry_ms) {
        log_event(LOG_LEVEL_INFO, "apply-recovered", "after_ms=%llu",
                  (unsigned long long)((num_now_ns() - sync->failing_since_ns) / NS_PER_MS));
    }
    sync->retry_ms = 0;
    (void)health_set(sync->config.health, HEALTH_APPLY, true, "");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    metrics_set(sync->config.metrics, METRIC_LAST_SYNC, NULL, NULL, (double)now.tv_sec + (double)now.tv_nsec / 1e9);
    if (sync->config.period_ms && !loop_armed(sync->period_timer)) {
        loop_arm(sync->period_timer, sync->config.period_ms);
    }
}

static void log_applied(struct sync *sync, const struct apply_report *report, uint64_t start_ns)
{
    bool structural = !sync->applied || report->commits > 0;
    double ms = (double)(num_now_ns() - start_ns) / NS_PER_MS;
    log_event(structural ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, sync->applied ? "applied" : "first-applied",
              "sets_created=%zu sets_destroyed=%zu members_added=%zu members_removed=%zu chains_created=%zu "
              "chains_rewritten=%zu chains_deleted=%zu jumps=%zu commits=%zu local_pods=%zu enforced_pods=%zu ms=%.3f",
              report->sets_created, report->sets_destroyed, report->members_added, report->members_removed,
              report->chains_created, report->chains_rewritten, report->chains_deleted, report->hooks_written,
              report->commits, sync->stats.local_pods, sync->stats.enforced_pods, ms);
    if (!sync->applied) {
        log_event(LOG_LEVEL_INFO, "enforced", "since_start_ms=%llu",
                  (unsigned long long)((num_now_ns() - sync->start_ns) / NS_PER_MS));
    }
}

static void use_applied(struct sync *sync, struct ruleset *want, const struct apply_report *report, uint64_t start_ns)
{
    ruleset_free(sync->want);
    sync->want = want;
    sync->known = true;
    gauge_table(sync, FAMILY_V4);
    gauge_table(sync, FAMILY_V6);
    count_writes(sync, report);
    log_applied(sync, report, start_ns);
    metrics_observe(sync->config.metrics, METRIC_APPLY_DURATION, (double)(num_now_ns() - start_ns) / 1e9);
    if (sync->applied) {
        // The first one covers the time until everything was read, which is not a change's.
        metrics_observe(sync->config.metrics, METRIC_PROPAGATION, (double)(num_now_ns() - sync->dirty_since_ns) / 1e9);
    }
    const struct sync_applied applied = {
        .first = !sync->applied, .structural = !sync->applied || report->commits > 0, .everything = true};
    sync->applied = true;
    if (sync->config.applied) {
        sync->config.applied(&applied, sync->config.applied_arg);
    }
}

// Brings the kernel in step with the state. Returns false when that failed.
static bool apply_change(struct sync *sync)
{
    struct err err = {0};
    uint64_t start = num_now_ns();
    if (open_backend(sync, &err) < 0) {
        fail(sync, "open", &err);
        return false;
    }
    CLEANUP(ruleset_free) struct ruleset *want = NULL;
    struct compile_stats stats = {0};
    if (compile_ruleset(sync->config.state, sync->config.node, sync->facts, &sync->config.options, &want, &stats,
                        &err) < 0) {
        fail(sync, "compile", &err);
        return false;
    }
    set_stats(sync, &stats);
    if (sync->known && ruleset_equal(sync->want, want)) {
        return true;
    }
    struct apply_report report = {0};
    bool known = sync->known;
    if (backend_apply(sync->config.ops, sync->backend, known ? sync->want : NULL, want, &report, &err) < 0) {
        sync->known = false;
        count_writes(sync, &report);
        fail(sync, "apply", &err);
        return false;
    }
    note_leftovers(sync, &report.pinned, !known);
    use_applied(sync, TAKE(want), &report, start);
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
static bool verify_kernel(struct sync *sync)
{
    struct err err = {0};
    struct apply_report report = {0};
    const struct backend_ops *ops = sync->config.ops;
    // Behind a failed write the kernel may stand anywhere between two rulesets: not only drift.
    int rc = sync->known ? ops->apply(sync->backend, NULL, sync->want, &report, &err)
                         : backend_apply(ops, sync->backend, NULL, sync->want, &report, &err);
    if (rc < 0) {
        sync->known = false;
        count_writes(sync, &report);
        fail(sync, "verify", &err);
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

static void on_apply(void *arg)
{
    struct sync *sync = arg;
    sync->backing_off = false;
    if (!sync->synced && !leave_not_synced(sync)) {
        return;
    }
    if (state_is_held(sync)) {
        // What is in force is looked after all the same.
        if (sync->want && (sync->verify || !sync->known) && verify_kernel(sync)) {
            sync->verify = false;
            succeed(sync);
        }
        return;
    }
    sync->last_apply_ns = num_now_ns();
    // A kernel that was read back for this very change needs no second look.
    bool known = sync->known;
    if ((sync->dirty || !known) && !apply_change(sync)) {
        return;
    }
    sync->dirty = false;
    if (sync->verify && known && !verify_kernel(sync)) {
        return;
    }
    sync->verify = false;
    succeed(sync);
    trim_memory(sync);
    health_tick(sync->config.health, num_now_ms());
}
