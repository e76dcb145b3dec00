// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "agent/sync_private.h"
#include "base/log.h"
#include "base/num.h"
#include "dataplane/live.h"

// ---- what is said of drift -----------------------------------------------------------------------------------------

void sync_claim_drift(struct sync *sync, const struct drift *drift)
{
    if (drift_total(drift) == 0) {
        return;
    }
    for (size_t i = 0; i < DRIFT_KIND_COUNT; i++) {
        const char *kind = drift_kind_name((enum drift_kind)i);
        size_t n = drift->kinds[i].n;
        if (n) {
            sync->drift_totals[i] += n;
            metrics_add(sync->config.metrics, METRIC_DRIFT_REPAIRED, kind, NULL, (double)n);
            log_event(LOG_LEVEL_WARN, "drift-repaired", "kind=%s count=%zu names=%s", kind, n,
                      log_quote(drift->kinds[i].names));
        }
    }
    sync->last_drift = *drift;
    sync->last_drift_ns = num_now_ns();
    // Who did it may not be done yet.
    sync_look_soon(sync);
    if (sync->config.applied) {
        // Flows that came up meanwhile were judged by nobody.
        const struct sync_applied applied = {.structural = true, .everything = true};
        sync->config.applied(&applied, sync->config.applied_arg);
    }
}

// How many chains a change from one table to the other writes or deletes.
static size_t count_chains(const struct table *from, const struct table *to)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < from->n_chains || j < to->n_chains;) {
        const struct chain *old = i < from->n_chains ? &from->chains[i] : NULL;
        const struct chain *new = j < to->n_chains ? &to->chains[j] : NULL;
        int order = !new ? -1 : !old ? 1 : strcmp(old->name, new->name);
        n += order != 0 || !chain_equal(old, new);
        i += order <= 0;
        j += order >= 0;
    }
    return n;
}

void sync_claim_surprises(struct sync *sync, const struct ruleset *have, const struct ruleset *want,
                          const struct apply_report *report)
{
    // More commits: in steps, of which each writes chains.
    if (report->commits == 0 || report->commits > FAMILY_COUNT) {
        return;
    }
    struct drift drift = {0};
    size_t expected = 0;
    bool own_hooks = false;
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        expected += count_chains(&have->tables[family], &want->tables[family]);
        own_hooks = own_hooks || !table_hooks_equal(&have->tables[family], &want->tables[family]);
    }
    size_t chains = report->chains_created + report->chains_rewritten + report->chains_deleted;
    drift.kinds[DRIFT_CHAIN_CHANGED].n = chains > expected ? chains - expected : 0;
    if (!own_hooks) {
        drift.kinds[DRIFT_JUMP_MISSING].n = report->hooks_missing;
        drift.kinds[DRIFT_JUMP_MOVED].n = report->hooks_written - report->hooks_missing;
    }
    sync_claim_drift(sync, &drift);
}

void sync_look_soon(struct sync *sync)
{
    if (sync->config.period_ms == 0) {
        return;
    }
    sync->look_ms = sync->look_ms ? sync->look_ms * 2 : sync->config.look_ms;
    if (sync->look_ms > sync->config.period_ms) {
        sync->look_ms = sync->config.period_ms;
    }
    loop_arm(sync->period_timer, sync->look_ms);
}

// ---- whether another program was there -----------------------------------------------------------------------------

// False: nothing is known.
static bool read_stamp(struct sync *sync, uint64_t *ret)
{
    struct err ignored = {0};
    const struct backend_ops *ops = sync->config.ops;
    return ops->stamp && sync->backend && ops->stamp(sync->backend, ret, &ignored) == 0;
}

void sync_note_stamp(struct sync *sync)
{
    sync->stamped = read_stamp(sync, &sync->stamp);
    sync->unsure = sync->config.ops->overwritable;
    sync->stamp_ns = num_now_ns();
}

// A program that had read before our write has written its copy by now, if it was about to.
static bool is_due(const struct sync *sync)
{
    return sync->unsure && num_now_ns() - sync->stamp_ns >= sync->config.stamp_ms * SYNC_NS_PER_MS;
}

void sync_look_if_changed(struct sync *sync)
{
    enum { SHARE = 100 };
    uint64_t stamp;
    // A look is to come already, or a write that compares the tables with what they must be.
    if (!sync->applied || !sync->known || sync->dirty || sync->look_ms || sync->retry_ms || !sync->stamped ||
        !read_stamp(sync, &stamp) || (stamp == sync->stamp && !is_due(sync)) ||
        num_now_ns() - sync->verified_ns < sync->verify_ns * SHARE) {
        return;
    }
    if (stamp == sync->stamp) {
        sync_verify(sync);
        return;
    }
    metrics_add(sync->config.metrics, METRIC_FOREIGN_CHANGES, NULL, NULL, 1);
    log_event(LOG_LEVEL_DEBUG, "tables-changed", "effect=%s", log_quote("another program did it: they are read back"));
    sync_verify(sync);
}

// ---- jumps that another program pushes down ------------------------------------------------------------------------

// The target stands last, with options of its own behind it at most: a rule's words hold whatever its author wrote into
// a comment, and a chain may be named after a verdict.
static bool only_denies(const char *what)
{
    static const char *const verdicts[] = {"DROP", "REJECT"};
    const char *target = NULL;
    for (const char *at = what; (at = strstr(at, "-j ")); at++) {
        target = at + strlen("-j ");
    }
    for (size_t i = 0; target && !strchr(what, '"') && i < ARRAY_SIZE(verdicts); i++) {
        size_t len = strlen(verdicts[i]);
        if (strncmp(target, verdicts[i], len) == 0 && (target[len] == '\0' || target[len] == ' ')) {
            return true;
        }
    }
    return false;
}

static bool stands_ahead(const struct contest *contest, const struct finding *finding)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        for (unsigned builtin = 0; builtin < DRIFT_BUILTINS; builtin++) {
            char place[FINDING_WHERE];
            (void)snprintf(place, sizeof(place), "%s filter %s", family_name(family), drift_builtins[builtin]);
            // "IPv4 filter FORWARD rule 1"; without a number where none is known.
            size_t len = strlen(place);
            bool here =
                strncmp(finding->where, place, len) == 0 && (finding->where[len] == '\0' || finding->where[len] == ' ');
            if (here && contest_is_left(contest, family, builtin)) {
                return true;
            }
        }
    }
    return false;
}

static int read_ahead(struct findings *to, struct err *err)
{
    CLEANUP(live_free) struct live *live = NULL;
    if (live_read(NULL, &live, err) < 0) {
        return -1;
    }
    *to = live->foreign;
    live->foreign = (struct findings){0};
    return 0;
}

// Why the node is not protected while jumps are left: a rule before them may accept. "" when none can.
static void judge_left(struct sync *sync, char *why, size_t size)
{
    FINDINGS_CLEANUP struct findings ahead = {0};
    struct err err = {0};
    char names[160];
    why[0] = '\0';
    contest_names_left(&sync->contest, names, sizeof(names));
    int (*read)(struct findings *, struct err *) = sync->config.rules_ahead ? sync->config.rules_ahead : read_ahead;
    if (read(&ahead, &err) < 0) {
        (void)snprintf(why, size,
                       "another program keeps its rules before the jump in %s, and they cannot be read: %.200s", names,
                       err.msg);
        return;
    }
    for (size_t i = 0; i < ahead.n; i++) {
        if (stands_ahead(&sync->contest, &ahead.v[i]) && !only_denies(ahead.v[i].what)) {
            (void)snprintf(why, size,
                           "another program keeps its rules before the jump in %s, and one may accept: %.80s: %.160s",
                           names, ahead.v[i].where, ahead.v[i].what);
            return;
        }
    }
    if (ahead.more) {
        (void)snprintf(why, size, "another program keeps its rules before the jump in %s: too many to tell", names);
    }
}

static void note_jumps(struct sync *sync, enum contest_news news)
{
    size_t left = contest_count_left(&sync->contest);
    char why[640] = "";
    char names[160];
    contest_names_left(&sync->contest, names, sizeof(names));
    if (left) {
        judge_left(sync, why, sizeof(why));
    }
    if (news == CONTEST_LEFT) {
        log_event(LOG_LEVEL_ERROR, "jump-left", "names=%s rounds=%d effect=%s", log_quote(names), CONTEST_ROUNDS,
                  log_quote("another program pushes it down again and again: it stays there, and judges what the rules "
                            "before it let through"));
    } else if (news == CONTEST_BACK) {
        log_event(LOG_LEVEL_INFO, "jump-back", "left=%zu", left);
    }
    metrics_set(sync->config.metrics, METRIC_JUMPS_LEFT, NULL, NULL, (double)left);
    if (health_set(sync->config.health, HEALTH_JUMPS, why[0] == '\0', why) && why[0]) {
        log_event(LOG_LEVEL_ERROR, "jump-behind", "why=%s", log_quote(why));
    }
}

const struct ruleset *sync_marked(struct sync *sync, const struct ruleset *want, struct arena *arena,
                                  struct ruleset *room, struct err *err)
{
    if (contest_count_left(&sync->contest) == 0) {
        return want;
    }
    return contest_mark(&sync->contest, want, arena, room, err) < 0 ? NULL : room;
}

// ---- reading back --------------------------------------------------------------------------------------------------

// What differs from what is in force, after it was decided which jumps are left. want is marked accordingly.
static int find_drift(struct sync *sync, const struct ruleset *kept, struct arena *arena, struct ruleset *room,
                      const struct ruleset **ret_want, struct drift *ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    if (sync->config.ops->snapshot(sync->backend, &live, err) < 0 || drift_of(live, kept, ret, err) < 0) {
        return -1;
    }
    note_jumps(sync, contest_found(&sync->contest, ret, num_now_ms()));
    *ret_want = sync_marked(sync, kept, arena, room, err);
    return !*ret_want ? -1 : *ret_want == kept ? 0 : drift_of(live, *ret_want, ret, err);
}

static int repair(struct sync *sync, const struct ruleset *want, struct apply_report *report, struct err *err)
{
    const struct backend_ops *ops = sync->config.ops;
    // Behind a failed write the kernel may stand anywhere between two rulesets: not only drift.
    int rc = sync->known ? ops->apply(sync->backend, NULL, want, report, err)
                         : backend_apply(ops, sync->backend, NULL, want, report, err);
    sync_count_writes(sync, report);
    if (rc < 0) {
        sync->known = false;
        sync->repair_failed = true;
        return -1;
    }
    sync_note_leftovers(sync, &report->pinned, true);
    sync->known = true;
    return 0;
}

static int verify(struct sync *sync, struct arena *arena, struct err *err)
{
    struct apply_report report = {0};
    struct drift drift = {0};
    struct ruleset room;
    const struct ruleset *kept = engine_kept(sync->engine);
    if (!kept) {
        return err_oom(err);
    }
    bool known = sync->known;
    uint64_t stamp;
    bool stamped = read_stamp(sync, &stamp);
    const struct ruleset *want = known ? kept : sync_marked(sync, kept, arena, &room, err);
    if (!want || (known && find_drift(sync, kept, arena, &room, &want, &drift, err) < 0)) {
        return -1;
    }
    if (known && drift_total(&drift) == 0 && sync->pinned.n == 0) {
        sync->look_ms = 0;
        sync->stamped = stamped;
        sync->stamp = stamped ? stamp : 0;
        sync->unsure = false;
        log_event(LOG_LEVEL_DEBUG, "verified", "writes=0");
        return 0;
    }
    if (known) {
        drift_leave_out(&drift, sync->pinned.n);
        sync->pending_drift = drift;
    }
    if (repair(sync, want, &report, err) < 0) {
        return -1;
    }
    sync_note_stamp(sync);
    sync_settle_drift(sync, &report);
    log_event(LOG_LEVEL_DEBUG, "verified", "writes=%zu", report.writes);
    return 0;
}

void sync_settle_drift(struct sync *sync, const struct apply_report *report)
{
    struct drift drift = sync->pending_drift;
    sync->pending_drift = (struct drift){0};
    if (!sync->repair_failed) {
        drift_keep_repaired(&drift, report);
    }
    sync->repair_failed = false;
    sync_claim_drift(sync, &drift);
}

bool sync_verify_kernel(struct sync *sync)
{
    struct arena arena = {0};
    struct err err = {0};
    uint64_t start = num_now_ns();
    int rc = verify(sync, &arena, &err);
    arena_free(&arena);
    sync->verified_ns = num_now_ns();
    sync->verify_ns = sync->verified_ns - start;
    if (rc < 0) {
        sync_failed(sync, "verify", &err);
    }
    return rc == 0;
}

// A set of ours is gone, which no write of ours does: what else is. Members are left out, some of which are half
// written.
void sync_find_lost(struct sync *sync)
{
    CLEANUP(ruleset_free) struct ruleset *live = NULL;
    struct err ignored = {0};
    struct drift drift;
    const struct ruleset *kept = engine_kept(sync->engine);
    if (!kept || sync->config.ops->snapshot(sync->backend, &live, &ignored) < 0 ||
        drift_of(live, kept, &drift, &ignored) < 0) {
        return;
    }
    drift.kinds[DRIFT_MEMBER_MISSING].n = drift.kinds[DRIFT_MEMBER_FOREIGN].n = 0;
    sync->pending_drift = drift;
}
