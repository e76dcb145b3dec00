// SPDX-License-Identifier: Apache-2.0
//
// What the bridges of this network namespace have learnt of addresses. It asks about single addresses, and never reads
// a whole table: pods can fill those. Kernels before 5.0 cannot be asked so.
#pragma once

#include "host/facts_ports.h"

enum { FACTS_CLAIM_ADDRESSES = 2048 };  // asked about at once; of more, the first

// Sources: RTM_GETNEIGH of the bridge for the address, then of its table (AF_BRIDGE) for the MAC; the links give names.
// Of the addresses, those that are routed to a bridge (facts) count. Adds to claims. An entry that is not there is no
// error; ERR_UNSUPPORTED: the kernel does not answer such questions.
NODISCARD int facts_read_claims(const struct facts *facts, const struct address *addresses, size_t n,
                                facts_claims *claims, struct err *err);
// Every address in the neighbour tables of bridges, in no order, for who does not know which are pods'
// (--print-facts). Reads these tables whole.
typedef VEC(struct address) facts_addresses;
NODISCARD int facts_read_neighbours(const struct facts *facts, facts_addresses *addresses, struct err *err);
// A socket that becomes readable when any neighbour table or bridge table changes. Pods cause that as often as they
// like: close it at the first word, ask after a while, open it again.
NODISCARD int facts_claims_monitor_open(int *ret_fd, struct err *err);
