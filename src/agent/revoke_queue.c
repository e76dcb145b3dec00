// SPDX-License-Identifier: Apache-2.0
#include "agent/revoke_queue.h"

static void add_one(struct revoke_queue *queue, const struct address *address)
{
    enum family family = address->family;
    for (size_t i = 0; i < queue->of[family].n_addresses; i++) {
        if (address_equal(&queue->of[family].addresses[i], address)) {
            return;
        }
    }
    if (queue->of[family].n_addresses == REVOKE_ADDRESSES_MAX) {
        queue->of[family].everything = true;
        return;
    }
    queue->of[family].addresses[queue->of[family].n_addresses++] = *address;
}

void revoke_queue_add(struct revoke_queue *queue, const struct address *addresses, size_t n, bool everything)
{
    for (unsigned family = 0; everything && family < FAMILY_COUNT; family++) {
        queue->of[family].everything = true;
    }
    for (size_t i = 0; i < n; i++) {
        add_one(queue, &addresses[i]);
    }
}

void revoke_queue_join(struct revoke_queue *queue, const struct revoke_queue *other)
{
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        queue->of[family].everything = queue->of[family].everything || other->of[family].everything;
        queue->of[family].marked = queue->of[family].marked || other->of[family].marked;
        revoke_queue_add(queue, other->of[family].addresses, other->of[family].n_addresses, false);
    }
}

bool revoke_queue_empty(const struct revoke_queue *queue)
{
    bool empty = true;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        empty = empty && !queue->of[family].everything && !queue->of[family].marked && !queue->of[family].n_addresses;
    }
    return empty;
}

size_t revoke_queue_steps(const struct revoke_queue *queue, uint32_t mask, struct flow_filter ret[REVOKE_STEPS_MAX])
{
    size_t n = 0;
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        // By IPv6 addresses the kernel cannot filter: one list of everything is the least.
        if (queue->of[family].everything || (family == FAMILY_V6 && queue->of[family].n_addresses)) {
            ret[n++] = (struct flow_filter){.family = family};
            continue;
        }
        for (size_t i = 0; i < queue->of[family].n_addresses; i++) {
            const struct address *address = &queue->of[family].addresses[i];
            ret[n++] = (struct flow_filter){.family = family, .has_original_source = true, .original_source = *address};
            ret[n++] = (struct flow_filter){.family = family, .has_reply_source = true, .reply_source = *address};
        }
        if (queue->of[family].marked) {
            ret[n++] = (struct flow_filter){.family = family, .mark = mask, .mark_mask = mask};
        }
    }
    return n;
}

bool revoke_counts(const struct flow_filter *step)
{
    return !step->has_original_source && !step->has_original_destination && !step->has_reply_source &&
           !step->has_reply_destination;
}
