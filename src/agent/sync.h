// SPDX-License-Identifier: Apache-2.0
//
// The sync state machine: when the kernel is brought in step with the state, and when it is left alone.
//
//   not synced  the source has not read everything, or nothing names this node, or there is no object at all: the
//               kernel is not touched (DESIGN 2.6). Left once and never entered again: what is in force stays in force
//               through every outage of the source.
//   settling    objects appear where there were none, or the node's name where nothing knew it: somebody is filling the
//               state, perhaps file by file, and policies may come last. Nothing is written until no change came for
//               settle_ms (eight times that at most). A state that is complete when it is first seen does not wait.
//   synced      a change marks the state dirty; it is applied at once when idle, and at most every
//               min_apply_interval_ms under load. Each period, and when another program has written to the tables,
//               the kernel is read back and what differs is put back.
//   failing     a write failed: tried again after 100 ms, doubling to 30 s; changes wait for the next try.
//   held        while running, the state was emptied, or no Node and no Pod names this node any more. Neither happens
//               to a node that runs netpold, so it is an accident of the source: the last rules stay in force, not
//               ready, until the node is named again. --cleanup is how rules are removed on purpose.
#pragma once

#include "agent/health.h"
#include "agent/metrics.h"
#include "base/loop.h"
#include "dataplane/backend.h"
#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"
#include "ruleset/findings.h"

struct sync;

// What an apply wrote, for those who act upon it.
struct sync_applied {
    bool first;       // since the start
    bool structural;  // chains, jumps or sets, not members alone
    // Flows with one of these at an end may be judged differently now; everything: all may be.
    const struct address *touched;
    size_t n_touched;
    bool everything;
    // One family cannot be written on this host, and the other is in force: an apply that failed and is tried again.
    bool partial;
    // Nothing but members of sets, and all of them more addresses that something is allowed for: no flow is denied that
    // was not before.
    bool widens;
};

struct sync_config {
    struct loop *loop;
    struct state *state;
    const char *node;
    struct policy_options options;
    const struct backend_ops *ops;
    struct backend_options backend_options;
    struct metrics *metrics;
    struct health *health;
    uint64_t min_apply_interval_ms;
    uint64_t period_ms;     // 0: never verified by itself
    uint64_t retry_min_ms;  // 0: 100
    uint64_t retry_max_ms;  // 0: 30000
    uint64_t settle_ms;     // 0: 250
    uint64_t look_ms;       // the first look after drift was repaired; 0: 2000
    uint64_t stamp_ms;      // how often it is asked whether another program changed the tables; 0: 1000
    // The rules of others that a packet meets before ours; NULL: live_read.
    int (*rules_ahead)(struct findings *ret, struct err *err);
    // After each apply that wrote something, and after the first one in any case; NULL: nobody asks.
    void (*applied)(const struct sync_applied *applied, void *arg);
    void *applied_arg;
};

// Everything that config points to must outlive the object. Nothing is opened or written before the loop runs.
NODISCARD int sync_new(const struct sync_config *config, struct sync **ret, struct err *err);
// Leaves the kernel as it is.
void sync_free(struct sync *sync);
CLEANUP_DEFINE(struct sync, sync_free);

// What the source says (source_owner.synced, .changed).
void sync_source_synced(struct sync *sync, bool synced, const char *why);
void sync_changed(struct sync *sync);
// Facts of the host, borrowed until the next call. Nothing is written before they are known.
void sync_facts(struct sync *sync, const struct facts *facts);
// The kernel was changed on purpose, from elsewhere in this program: it is read back, and what differs is put right and
// is nobody's drift.
void sync_forget(struct sync *sync);
// Read the kernel back now (SIGHUP), without waiting for a back-off.
void sync_verify(struct sync *sync);

// Calls fn once, from the loop, when all that the state and the facts hold now is in the kernel; at once (still from
// the loop) when it is already. fn NULL takes back what was asked with that arg. -1 when memory is out.
NODISCARD int sync_when_applied(struct sync *sync, void (*fn)(void *arg), void *arg, struct err *err);
// Everything that `netpolctl status` shows of it, as members of a JSON object without the braces.
void sync_status(struct sync *sync, struct buf *out);

// Whether the state may be acted upon for this node; false: why says why not.
bool sync_gate(struct state *state, const char *node, char *why, size_t size);
