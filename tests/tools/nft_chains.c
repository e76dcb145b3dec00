// SPDX-License-Identifier: Apache-2.0
//
// The chains of iptables' tables in nf_tables, one "family table chain uses" a line, by netlink alone: the programs
// that could be asked instead make what they are asked for.
#include <stdio.h>

#include "dataplane/nft/nft_kernel.h"

static int print_chain(const struct nft_kernel_chain *chain, void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    (void)printf("%s %s %s %u\n", chain->family == FAMILY_V6 ? "ip6" : "ip", chain->table, chain->name, chain->uses);
    return 0;
}

int main(void)
{
    struct err err = {0};
    if (nft_kernel_chains(print_chain, NULL, &err) < 0) {
        (void)fprintf(stderr, "nft_chains: %s\n", err.msg);
        return 1;
    }
    return 0;
}
