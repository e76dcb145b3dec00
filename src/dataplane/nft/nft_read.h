// SPDX-License-Identifier: Apache-2.0
//
// What iptables-nft-save prints of one family's filter table, as far as it is ours.
#pragma once

#include "base/map.h"
#include "ruleset/ruleset.h"

// A rule of a built-in chain that leads to a chain of ours.
struct nft_jump {
    const char *builtin;
    unsigned position;  // among all rules of its chain, from 0
    const char *text;   // what stands behind "-A BUILTIN "
    struct rule rule;
};

// A rule of ours that could not be told.
struct nft_unknown {
    const char *chain;
    unsigned number;   // in its chain, from 1
    const char *text;  // as it was printed, without "-A CHAIN "
};

struct nft_seen {
    VEC(struct chain) chains;  // ours, sorted by name
    VEC(struct nft_jump) jumps;
    VEC(struct nft_unknown) unknown;
    struct map *referrers;  // name of a chain of ours → name of a chain of others with a rule that jumps to it
};
void nft_seen_free(struct nft_seen *seen);
CLEANUP_DEFINE(struct nft_seen, nft_seen_free);

// Texts and rules live in the arena. sets: where the types of sets are looked up. A rule of ours that cannot be told
// becomes backend_unknown_rule(). ERR_UNSUPPORTED when iptables says that nft's own rules stand in the table, which it
// cannot tell; ERR_INPUT when the text is not a table.
NODISCARD int nft_seen_parse(enum family family, const char *text, size_t len, const struct table *sets,
                             struct arena *arena, struct nft_seen **ret, struct err *err);
const struct chain *nft_seen_chain(const struct nft_seen *seen, const char *name);
