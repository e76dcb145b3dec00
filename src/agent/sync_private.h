// SPDX-License-Identifier: Apache-2.0
//
// What the files of the sync state machine share.
//
//   sync.c        when something is done: changes, periods, retries
//   sync_gate.c   whether the state may be acted upon
//   sync_apply.c  what is done: updates of the engine into the kernel, and the kernel read back
#pragma once

#include "agent/sync.h"
#include "policy/engine.h"

enum { SYNC_NS_PER_MS = 1000000 };

struct sync_waiter {
    void (*fn)(void *arg);
    void *arg;
};

struct sync {
    struct sync_config config;
    struct backend *backend;
    const struct facts *facts;
    struct loop_timer *apply_timer;
    struct loop_timer *period_timer;
    struct engine *engine;
    bool known;                    // the kernel's sets hold exactly what the engine kept; else they must be read back
    size_t members[FAMILY_COUNT];  // in the kernel's sets
    VEC(struct sync_waiter) waiters;
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

// ---- sync_gate.c ---------------------------------------------------------------------------------------------------

size_t sync_object_count(const struct state *state);
// Whether the first state that may be acted upon is there; says why not, and when to look again.
bool sync_leave_not_synced(struct sync *sync);
// A state that holds nothing, or nothing of this node any more, is not acted upon, nor one that is being filled again.
bool sync_is_held(struct sync *sync);

// ---- sync_apply.c --------------------------------------------------------------------------------------------------

// Brings the kernel in step with the state. False when that failed: sync_failed was told.
bool sync_apply_change(struct sync *sync);
// Reads the kernel back and repairs what another program has changed. False likewise.
bool sync_verify_kernel(struct sync *sync);

// ---- sync.c --------------------------------------------------------------------------------------------------------

// A write failed at that stage: log, metric, health, and the next try with its back-off.
void sync_failed(struct sync *sync, const char *stage, const struct err *why);
