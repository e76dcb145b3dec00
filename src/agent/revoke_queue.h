// SPDX-License-Identifier: Apache-2.0
//
// Which flows are to be judged: joined while a pass runs, and turned into lists of the kernel's table.
#pragma once

#include "flow/flow.h"

// A list of one address costs the kernel a walk over its table (10 ms and 0.2 us an entry), and an address needs two;
// telling everything costs 2.4 us an entry. From about four addresses on, everything is cheaper.
enum { REVOKE_ADDRESSES_MAX = 4, REVOKE_STEPS_MAX = FAMILY_COUNT * (2 * REVOKE_ADDRESSES_MAX + 1) };

struct revoke_queue {
    struct {
        bool everything;
        bool marked;  // those that are marked
        struct address addresses[REVOKE_ADDRESSES_MAX];
        size_t n_addresses;
    } of[FAMILY_COUNT];
};

void revoke_queue_add(struct revoke_queue *queue, const struct address *addresses, size_t n, bool everything);
void revoke_queue_join(struct revoke_queue *queue, const struct revoke_queue *other);
bool revoke_queue_empty(const struct revoke_queue *queue);
// The fewest lists that tell every flow of it, by family. Ends are the judged ones: the original source and the reply's
// source; what a translation hides behind its other names is no end of a judgement.
size_t revoke_queue_steps(const struct revoke_queue *queue, uint32_t mask, struct flow_filter ret[REVOKE_STEPS_MAX]);
// Whether that list tells every marked flow of its family.
bool revoke_counts(const struct flow_filter *step);
