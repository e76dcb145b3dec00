// SPDX-License-Identifier: Apache-2.0
//
// Cuts established flows that the policies deny now (DESIGN 5.5), and lets those live again that are allowed again.
//
// After each write, the entries of the addresses that it concerned are listed and judged; those denied get the bit of
// the connmark that the rules drop, both directions, for good. An entry is never deleted: the next packet of either end
// would make it anew.
//
// What a list cannot see. A packet that passed the old rules may have its entry confirmed after the list went by: it
// has only the rest of its own path to go, microseconds, but on a machine that stands still meanwhile, or through a
// queue of another program, it may be long. So the list begins a moment after the write, and once after changes, with
// the sync period, everything is judged again. Entries that appear later passed the new rules.
#pragma once

#include "agent/metrics.h"
#include "agent/sync.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"

struct revoke;

struct revoke_config {
    struct loop *loop;
    struct state *state;
    const char *node;
    struct policy_options options;
    struct metrics *metrics;
    uint64_t period_ms;  // of the look at what is marked; 0: a minute
    uint64_t keep_ms;    // their rule stays so long behind the last marked flow: each coming and going is a commit
    // Flows of these families are marked from now on, or none is any more: their rule is needed. Told once by
    // revoke_new, with what is marked from an earlier run, and at most 50 ms after the first mark of a family is set,
    // for both families at once where it can be.
    void (*marked)(const bool marked[FAMILY_COUNT], void *arg);
    // After a pass when nothing waits to be judged; err NULL: it went well. May be NULL.
    void (*idle)(const struct err *err, void *arg);
    void *arg;
};

// Everything that config points to must outlive it. options.revoke_mask 0: nothing is ever listed or marked. Marks of
// an earlier run then stay as they are, for no rule asks about them: the bit may be another program's by now.
NODISCARD int revoke_new(const struct revoke_config *config, struct revoke **ret, struct err *err);
void revoke_free(struct revoke *revoke);
CLEANUP_DEFINE(struct revoke, revoke_free);

// Borrowed until the next call. Nothing is judged before they are known.
void revoke_facts(struct revoke *revoke, const struct facts *facts);
void revoke_applied(struct revoke *revoke, const struct sync_applied *applied);
// A JSON object.
void revoke_status(const struct revoke *revoke, struct buf *out);

// Which families have marked flows now; blocks. A kernel that cannot tell has none.
void revoke_present(const struct policy_options *options, bool ret_marked[FAMILY_COUNT]);
// Judges everything once, for a pass without a daemon; blocks. ret_marked: the families that have marked flows now, and
// so need their rule; ret_cut (may be NULL): how many were cut by this. With revoke_mask 0 nothing is done.
NODISCARD int revoke_once(struct state *state, const char *node, const struct policy_options *options,
                          const struct facts *facts, bool ret_marked[FAMILY_COUNT], size_t *ret_cut, struct err *err);
