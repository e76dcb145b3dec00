// SPDX-License-Identifier: Apache-2.0
//
// What this node's kernel holds now, for proofs and reports: our rules as the kernel walks them, what of ours cannot be
// told, and whose rules come before ours. Reads only: no table is made, no module loaded, no lock taken (a table is
// read in one piece, and all of it until two readings agree).
#pragma once

#include "dataplane/backend.h"
#include "ruleset/findings.h"

struct live {
    // Rules say what the kernel does by an entry, whatever a tool prints of it. Jumps in built-in chains stand where
    // they stand; a missing one is missing here.
    struct ruleset *ruleset;
    // Of ours, and not as struct rule could say it: a match, a revision or a target that netpold does not use, an
    // inversion, a wildcard, flags that leave open what the kernel does; a set of our name of another kind that a rule
    // uses. The ruleset lacks what they mean: with one of these nothing is proven.
    struct findings unprovable;
    // Of others, asked before ours and able to change a verdict: legacy rules (foreign.h); base chains of nf_tables
    // (live_nft.h).
    struct findings foreign;
    // Our jumps: one that is missing, one that stands twice (jumps.h). The ruleset has them so.
    struct findings jumps;
};
void live_free(struct live *live);
CLEANUP_DEFINE(struct live, live_free);

// Of the backend that holds ours: nf_tables when a chain of ours is there, else the legacy tables. Rules of ours in
// both are unprovable. In nf_tables a rule says what iptables-nft-save prints of it. options may be NULL. ERR_DENIED
// names the right that is missing; ERR_RETRY: the rules change faster than they can be read. Of a family that the
// kernel does not speak, or that has no tables, nothing is there.
NODISCARD int live_read(const struct backend_options *options, struct live **ret, struct err *err);
