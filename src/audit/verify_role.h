// SPDX-License-Identifier: Apache-2.0
//
// One end of a packet held fast, all that the rest of it can be: cut step by step, and judged. Private to the proof
// (docs/PROOF.md).
#pragma once

#include "audit/verify_class.h"
#include "audit/verify_ports.h"

struct verify_proof {
    const struct verify_input *input;
    const struct verify_options *options;
    verify_visit_fn *visit;  // NULL none
    void *visit_arg;
    struct verify_pods pods;
    struct verify_result *result;
    size_t examples_cap;
    size_t done;
    size_t of;
};

// The proof of one family.
struct verify_work {
    struct verify_proof *proof;
    struct verify_space *space;
    struct verify_reach *reach;
    bool protocols[256];        // told apart
    uint32_t *start;            // by cell: local pods apart, and what the table's prefixes tell apart
    VEC(uint32_t) all;          // every cell
    VEC(uint32_t) remote;       // those that are no local pod's
    VEC(uint32_t) local;        // those that are
    struct verify_tests tests;  // of the step at hand
    struct verify_ports ports;
    VEC(uint32_t) marks;  // one of each class
    VEC(uint32_t) kinds[VERIFY_DIMENSIONS];
    struct err *err;
};

// Judges every class of packets with this arrival whose other end is `cell`, which stands for `fixed`; the open end is
// one of the items (cells).
NODISCARD int verify_role_judge(struct verify_work *work, enum arrival arrival, enum verify_side open,
                                struct verify_members fixed, uint32_t cell, const uint32_t *items, size_t n_items);
