// SPDX-License-Identifier: Apache-2.0
//
// Regions: unions of (cidr − excepts) of one family, and their shortest writing for a hash:net set (DESIGN 4,
// dataplane.md 2.2). In such a set the longest prefix wins, match or nomatch, so entries of two blocks must never be
// added independently: the region is united first, then written as a whole.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"
#include "ruleset/ruleset.h"

struct region;

NODISCARD int region_new(enum family family, struct region **ret, struct err *err);
void region_free(struct region *region);
CLEANUP_DEFINE(struct region, region_free);

// Unites one ipBlock: the addresses of cidr that no except holds. Excepts cut this block only (networkpolicy-v1.md
// 3.16); a cidr of the other family adds nothing, an except outside of cidr cuts nothing. The region is unchanged when
// it fails (memory).
NODISCARD int region_add(struct region *region, const struct prefix *cidr, const struct prefix *excepts,
                         size_t n_excepts, struct err *err);

bool region_is_empty(struct region *region);
bool region_is_whole(struct region *region);  // every address of the family
bool region_contains(struct region *region, const struct address *address);

struct region_members {
    struct set_member *v;
    size_t n;
    size_t cap;
};
// Appends the fewest hash:net entries that mean the region, in the order of set_member_compare. Prefix lengths are 1 or
// more, for the kernel has no /0: the whole family is its two halves. Equal regions give equal entries, whatever blocks
// made them. On failure ret holds what it held.
NODISCARD int region_write(struct region *region, struct region_members *ret, struct err *err);
