// SPDX-License-Identifier: Apache-2.0
//
// What of nf_tables can be asked by netlink alone, so that a host without rules of ours runs no program, and none can
// make what it is asked to print.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"

// ERR_UNSUPPORTED names the module, ERR_DENIED the right. May load the module.
NODISCARD int nft_kernel_probe(struct err *err);
// A number that every change of nf_tables in this network namespace moves by one, whoever makes it.
NODISCARD int nft_kernel_generation(uint32_t *ret, struct err *err);

// ERR_SYSTEM when the family's table filter sleeps (the flag dormant, which no program of iptables shows): then it has
// rules, and none is asked. 0 when there is no such table.
NODISCARD int nft_kernel_awake(enum family family, struct err *err);

// A chain of a table that iptables-nft would manage (raw, mangle, nat, filter, security of ip and ip6).
struct nft_kernel_chain {
    enum family family;
    char table[16];
    char name[64];  // longer ones are cut
    uint32_t uses;  // its rules, and the rules that jump to it
};
// A kernel without nf_tables has none. fn: -1 with err stops it. ERR_RETRY when it changed meanwhile.
NODISCARD int nft_kernel_chains(int (*fn)(const struct nft_kernel_chain *chain, void *arg, struct err *err), void *arg,
                                struct err *err);
// How many chains of ours the family's filter table has.
NODISCARD int nft_kernel_own_chains(enum family family, size_t *ret, struct err *err);
