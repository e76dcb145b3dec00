// SPDX-License-Identifier: Apache-2.0
//
// Words that people write for an end of a connection → struct endpoint (DESIGN 7 "Settled"): "ns/pod", an address,
// "node:NAME"; a bare pod name with a default namespace.
#pragma once

#include "base/limits.h"
#include "model/state.h"
#include "policy/evaluate.h"

// What a word names, before a family is chosen.
struct audit_end {
    const char *word;
    const struct pod *pod;            // a live pod-network pod, or NULL
    const char *node;                 // the node whose own address this is, or NULL
    const struct address *addresses;  // all it owns, in the object's order; borrowed from the state or `own`
    size_t n_addresses;
    struct address
        own[LIMIT_POD_ADDRESSES];  // an address given as such, or those of the pod that no other pod took over
    bool fixed;                    // given as an address: the only one meant
};

// ret borrows from word and from the state, and must not be copied: `addresses` may point to `own`.
// ERR_INPUT naming the word when it means nothing: unknown or finished pod, unknown node, not an address. default_ns
// may be NULL.
NODISCARD int audit_end_find(struct state *state, const char *word, const char *default_ns, struct audit_end *ret,
                             struct err *err);
// The end that a packet's address is: the live pod or the node that owns it, or the bare address. Memory alone fails.
NODISCARD int audit_endpoint_at(struct state *state, const struct address *address, struct endpoint *ret,
                                struct err *err);
// Choose the family: family_wanted 4 or 6, or 0 for the first that both ends have (an end without any address has every
// family). Fills query->from and query->to. ERR_INPUT when there is none in common.
NODISCARD int audit_ends_join(const struct audit_end *from, const struct audit_end *to, unsigned family_wanted,
                              struct query *query, enum family *ret_family, struct err *err);
// "TCP", "UDP", "SCTP", "ICMP", any letter case, or an IP protocol number; ICMP is ICMPv6 in IPv6.
NODISCARD int audit_protocol(const char *text, enum family family, uint8_t *ret, struct err *err);
// TCP, UDP and SCTP need a port (ret_needs).
bool audit_protocol_has_ports(uint8_t protocol);
