// SPDX-License-Identifier: Apache-2.0
//
// What the rules still ask about a packet of which only a part is known. Rules that the known part rules out are not
// reached, nor what stands behind a rule that takes every such packet; of all others the open tests are gathered.
// Packets that agree in these tests meet the same rules, so the simulator cannot tell them apart. Private to the proof
// (docs/PROOF.md).
#pragma once

#include "audit/verify_space.h"

enum verify_side { VERIFY_SOURCE, VERIFY_DESTINATION };
#define VERIFY_SIDES 2
enum verify_knowledge {
    VERIFY_OPEN,
    VERIFY_PREFIXES,  // the cell stands for all that are in the same prefixes: sets are open
    VERIFY_KNOWN,     // the cell answers every test
};
enum { VERIFY_ANY = -1 };

// The part of a packet that is known.
struct verify_known {
    enum arrival arrival;
    struct {
        enum verify_knowledge knowledge;
        uint32_t cell;
    } ends[VERIFY_SIDES];
    int protocol;   // VERIFY_ANY: open, and so on
    int ct;         // an enum ct_state
    int icmp_type;  // told apart only where the protocol is the family's ICMP
    int hop_limit;
    int source_is_node;
    bool names;  // all but ports, names and the mark is known: those are gathered
};
struct verify_known verify_known_init(enum arrival arrival);

// Is the flow's mark, as far as the mask goes, the value?
struct verify_mark {
    uint32_t value;
    uint32_t mask;
};

struct verify_tests {
    VEC(uint32_t) addresses[VERIFY_SIDES];  // numbers of address tests, each once
    bool protocols[256];
    bool ct_masks[64];  // masks of enum ct_state that rules ask for
    bool icmp_types[256];
    bool hop_limits[256];
    bool source_is_node;
    bool dnat;
    // Signatures by number of the name, once both ends are known; names that are judged alike have one. That of any
    // name without a number is 0.
    struct verify_signatures {
        uint64_t *v;
        size_t n;
        size_t cap;
    } names[VERIFY_DIMENSIONS];
    VEC(struct verify_mark) marks;  // with repetitions
    VEC(struct port_range) ports;   // with repetitions
};
void verify_tests_free(struct verify_tests *tests);

struct verify_reach;
// Borrows the space and its input's ruleset; numbers every address test of the rules.
NODISCARD int verify_reach_new(struct verify_space *space, struct verify_reach **ret, struct err *err);
void verify_reach_free(struct verify_reach *reach);
CLEANUP_DEFINE(struct verify_reach, verify_reach_free);

// The open tests; ret is emptied first and owned by the caller. Rules that lead nowhere are left to the simulator to
// complain about.
NODISCARD int verify_reach_tests(struct verify_reach *reach, const struct verify_known *known, struct verify_tests *ret,
                                 struct err *err);
// The protocols that any rule names.
void verify_reach_protocols(const struct verify_reach *reach, bool ret[256]);
