// SPDX-License-Identifier: Apache-2.0
//
// The nft backend: iptables' rules in nf_tables by iptables-nft-restore and -save, and ipset by netlink. What its files
// share.
//
//   nft.c         probe, open, apply, purge
//   nft_table.c   one family's filter table: compare, one transaction
//   nft_read.c    what iptables-nft-save prints
//   nft_tool.c    running the iptables programs
//   nft_kernel.c  what can be asked by netlink
//   nft_live.c    the tables for a proof
#pragma once

#include "base/buf.h"
#include "dataplane/kernel_apply.h"
#include "dataplane/nft/nft_read.h"
#include "ruleset/findings.h"

struct nft {
    struct backend backend;
    struct kernel_sets kernel;
};

// False: the kernel speaks no IPv6 (ipv6.disable=1), so there is nothing to filter.
bool nft_has_family(enum family family);
// One family's filter table. *ret is empty where it holds nothing of ours: no program is run then. *ret_generation (may
// be NULL): of nf_tables, while all of it was as told.
NODISCARD int nft_table_read(enum family family, const struct table *sets, struct arena *arena, struct nft_seen **ret,
                             uint32_t *ret_generation, struct err *err);
// What iptables-nft-save prints of one table.
NODISCARD int nft_table_save(enum family family, const char *table, struct buf *out, struct err *err);
// Adds the family's chains and jumps to the ruleset, whose arena they live in. as_it_is: a jump that is not where it
// belongs keeps its own comment.
NODISCARD int nft_fill_table(struct ruleset *ruleset, enum family family, const struct nft_seen *seen, bool as_it_is,
                             struct err *err);
// What this kernel holds of ours, for a proof (live.h). foreign gets the rules of others in the tables of iptables-nft
// that are asked before ours. has_sets false: this kernel holds no sets, and asking might load a module.
NODISCARD int nft_live_read(struct kernel_sets *kernel, bool has_sets, struct findings *unprovable,
                            struct findings *foreign, struct ruleset **ret, struct err *err);
// Phase 2 of an apply: one commit at most, unless others change the table meanwhile.
NODISCARD int nft_table_apply(struct nft *nft, struct kernel_sets_apply *apply, enum family family, struct err *err);
