// SPDX-License-Identifier: Apache-2.0
//
// What the files of the sync state machine share.
//
//   sync.c        when something is done: changes, periods, retries
//   sync_gate.c   whether the state may be acted upon
//   sync_apply.c  what is done: updates of the engine into the kernel
//   sync_verify.c the kernel read back: drift, and jumps that another program pushes down
//   sync_report.c metrics and logs of what was done
//   sync_status.c everything, for people
#pragma once

#include "agent/contest.h"
#include "agent/drift.h"
#include "agent/sync.h"
#include "policy/engine.h"

enum { SYNC_NS_PER_MS = 1000000 };

struct sync_waiter {
    void (*fn)(void *arg);
    void *arg;
};

struct sync_last {
    struct apply_report report;
    uint64_t end_ns;
    double ms;
    enum engine_outcome outcome;
};

struct sync {
    struct sync_config config;
    struct backend *backend;
    const struct facts *facts;
    struct loop_timer *apply_timer;
    struct loop_timer *period_timer;
    struct loop_timer *stamp_timer;
    struct engine *engine;
    bool known;                    // the kernel's sets hold exactly what the engine kept; else they must be read back
    size_t members[FAMILY_COUNT];  // in the kernel's sets
    VEC(struct sync_waiter) waiters;
    struct compile_stats stats;
    struct leftovers pinned;
    struct contest contest;
    struct drift pending_drift;  // found, and the repair has not gone well yet
    bool repair_failed;          // at least once, and may have done a part
    struct drift last_drift;     // repaired last
    uint64_t last_drift_ns;      // 0: never
    size_t drift_totals[DRIFT_KIND_COUNT];
    uint64_t look_ms;  // the pause before the last look that was sooner than the period; 0: none
    bool stamped;
    bool unsure;           // whether what was written last is still there (backend_ops.overwritable)
    uint64_t stamp_ns;     // when it was written
    uint64_t stamp;        // of the tables when they were written or read last
    uint64_t verify_ns;    // what the last look took
    uint64_t verified_ns;  // and when it ended
    bool source_synced;
    char source_why[512];
    bool synced;
    bool applied;  // once at least
    bool held;
    char held_why[512];
    char *witness_ns;  // a pod that named the node when it was last looked for, where no Node object does
    char *witness_name;
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
    uint64_t said_ms;   // when a failure was logged last
    uint64_t failing_since_ns;
    char failing[256];      // the stage and the reason of the last failure
    struct sync_last last;  // what was written last
    size_t trimmed_objects;
};

// ---- sync_gate.c ---------------------------------------------------------------------------------------------------

size_t sync_object_count(const struct state *state);
// Whether the first state that may be acted upon is there; says why not, and when to look again.
bool sync_leave_not_synced(struct sync *sync);
// A state that holds nothing, or nothing of this node any more, is not acted upon, nor one that is being filled again.
bool sync_is_held(struct sync *sync);

// ---- sync_apply.c --------------------------------------------------------------------------------------------------

// Brings the kernel in step with the state. False when that failed: sync_failed was told.
bool sync_apply_change(struct sync *sync);

// ---- sync_verify.c -------------------------------------------------------------------------------------------------

// Reads the kernel back and repairs what another program has changed. False when that failed: sync_failed was told.
bool sync_verify_kernel(struct sync *sync);
// want, with the jumps marked that are left where another program pushes them: want itself, or room, which borrows from
// want and arena. NULL: memory.
const struct ruleset *sync_marked(struct sync *sync, const struct ruleset *want, struct arena *arena,
                                  struct ruleset *room, struct err *err);
// Log, metrics and status of drift that was repaired.
void sync_claim_drift(struct sync *sync, const struct drift *drift);
// A write has repaired what was found before: it is claimed.
void sync_settle_drift(struct sync *sync, const struct apply_report *report);
// A set of ours is gone: notes what else another program has removed, for sync_settle_drift.
void sync_find_lost(struct sync *sync);
// Chains and jumps are compared with the kernel at every apply: claims what it put right beside its own changes.
void sync_claim_surprises(struct sync *sync, const struct ruleset *have, const struct ruleset *want,
                          const struct apply_report *report);
// The tables as they are now are those that we wrote.
void sync_note_stamp(struct sync *sync);
// Reads the kernel back when another program has written to the tables since (DESIGN 5.6), and once behind a write of
// ours that it may have undone. A hundredth of a core at most: some write all the time, to what is not ours.
void sync_look_if_changed(struct sync *sync);
// Reads the kernel back before the period is over, with longer and longer pauses while there is something to find.
void sync_look_soon(struct sync *sync);

// ---- sync_report.c -------------------------------------------------------------------------------------------------

void sync_gauge_table(struct sync *sync, const struct ruleset *ruleset, enum family family);
// Of changes that left everything else as it was.
void sync_gauge_changes(struct sync *sync, const struct engine_update *update);
void sync_count_writes(struct sync *sync, const struct apply_report *report);
// complete: the kernel's sets were read back. Else only what has just come to be in the way is known.
void sync_note_leftovers(struct sync *sync, const struct leftovers *pinned, bool complete);
void sync_set_stats(struct sync *sync, const struct compile_stats *stats);
void sync_log_applied(struct sync *sync, const struct apply_report *report, uint64_t start_ns);

// ---- sync.c --------------------------------------------------------------------------------------------------------

// A write failed at that stage: log, metric, health, and the next try with its back-off.
void sync_failed(struct sync *sync, const char *stage, const struct err *why);
