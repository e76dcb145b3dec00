// SPDX-License-Identifier: Apache-2.0
//
// What differs between two rulesets, in the order in which a backend applies it: sets to create and fill, chains and
// hooks to write (one commit a family), members to remove, sets to destroy (DESIGN 5.4).
#pragma once

#include "base/buf.h"
#include "ruleset/ruleset.h"

// added and removed are sorted. Creating adds every member, destroying removes every member; a set whose type changed
// (from and to both set, types unequal: to be destroyed and created again) has both.
// A hash:net element that only changes its nomatch flag is in `added` alone: adding it overwrites the flag in the
// kernel, whereas removing the old one would take the new one away with it.
struct set_delta {
    const struct set *from;  // NULL: create
    const struct set *to;    // NULL: destroy
    const struct set_member *const *added;
    size_t n_added;
    const struct set_member *const *removed;
    size_t n_removed;
};

struct chain_delta {
    const struct chain *from;  // NULL: create
    const struct chain *to;    // NULL: delete
};

struct table_diff {
    const struct table *from;
    const struct table *to;
    const struct set_delta *sets;  // by name
    size_t n_sets;
    const struct chain_delta *chains;  // by name
    size_t n_chains;
    bool hooks_differ;
};

struct ruleset_diff {
    struct table_diff tables[FAMILY_COUNT];
    struct arena arena;  // the rulesets compared must outlive the diff
};
void ruleset_diff_free(struct ruleset_diff *diff);
CLEANUP_DEFINE(struct ruleset_diff, ruleset_diff_free);

// from NULL: an empty kernel. O(n) in the size of both.
NODISCARD int ruleset_diff_make(const struct ruleset *from, const struct ruleset *to, struct ruleset_diff **ret,
                                struct err *err);
bool ruleset_diff_empty(const struct ruleset_diff *diff);
// Text for people and --dry-run: "+ set NP4-… hash:ip 3 members", "~ chain …" with -/+ rules. Nothing when empty.
void ruleset_diff_render(const struct ruleset_diff *diff, struct buf *out);
