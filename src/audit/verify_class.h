// SPDX-License-Identifier: Apache-2.0
//
// One packet class of the proof, for whoever wants to look inside: the tests draw members at random. Private to the
// proof (docs/PROOF.md).
#pragma once

#include "audit/verify_reach.h"

// The cells of one end: items of `cells` whose class, seen through `map`, is `wanted`.
struct verify_members {
    const uint32_t *cells;
    size_t n;
    const uint32_t *class_of;  // by item; NULL: all of them
    const uint32_t *map;       // by class; NULL: the class itself
    uint32_t wanted;
};
static inline bool verify_members_has(const struct verify_members *members, size_t item)
{
    if (!members->class_of) {
        return true;
    }
    uint32_t class = members->class_of[item];
    return (members->map ? members->map[class] : class) == members->wanted;
}

// A value and those told apart from it: the members are all that are not told apart, or the value alone.
struct verify_bytes {
    bool alone;
    bool apart[256];
};

// What all members have in common with the witness, dimension by dimension.
struct verify_class {
    struct packet witness;
    const struct verify_space *space;
    struct verify_members ends[VERIFY_SIDES];
    struct verify_bytes protocol;
    struct verify_bytes icmp_type;
    struct verify_bytes hop_limit;
    unsigned ct_states;  // mask of enum ct_state
    bool any_source_is_node;
    bool any_dnat;
    // The ports: all (NULL: of a protocol without ports), those of the witness's signature.
    const struct port_range *ports;
    size_t n_ports;
    // Names: those with the witness's signature (verify_names.h).
    const struct verify_signatures *signatures;
    uint64_t wanted[VERIFY_DIMENSIONS];
    // Marks: those that give the same answers as the witness's.
    const struct verify_mark *marks;
    size_t n_marks;
};
bool verify_class_has_name(const struct verify_class *class, enum verify_dimension dimension, const char *name);
bool verify_class_has_mark(const struct verify_class *class, uint32_t mark);

// Called for each class with both verdicts. -1 ends the proof with err.
typedef int verify_visit_fn(const struct verify_class *class, bool wanted, bool got, void *arg, struct err *err);

// verify_ruleset that shows its classes; visit may be NULL.
NODISCARD int verify_ruleset_visit(const struct verify_input *input, const struct verify_options *options,
                                   verify_visit_fn *visit, void *arg, struct verify_result **ret, struct err *err);
// Both verdicts about one packet.
NODISCARD int verify_judge(const struct verify_input *input, const struct packet *packet, bool *ret_wanted,
                           bool *ret_got, struct err *err);
