// SPDX-License-Identifier: Apache-2.0
//
// What this node's kernel holds now, for proofs and reports: our rules as the kernel walks them, what of ours cannot be
// told, and whose rules come before ours. Reads only: no table is made, no lock is taken (a table is read in one
// piece, and again when it changed meanwhile).
#pragma once

#include "dataplane/backend.h"
#include "ruleset/findings.h"

struct live {
    // Jumps in built-in chains stand where they stand; a missing one is missing here.
    struct ruleset *ruleset;
    // Of ours, and not as struct rule could say it: a match or target that netpold does not use, an inversion, flags
    // that disagree with what a tool prints, a set of our name that is none of ours. The ruleset lacks what they mean.
    struct findings unprovable;
    // Of others, and asked before ours: rules ahead of our jump in FORWARD, INPUT and OUTPUT; rules of the raw and
    // mangle tables; base chains of nf_tables that run before the filter table.
    struct findings foreign;
};
void live_free(struct live *live);
CLEANUP_DEFINE(struct live, live_free);

// Of the legacy backend. options may be NULL. ERR_DENIED without the right to read tables.
NODISCARD int live_read(const struct backend_options *options, struct live **ret, struct err *err);
