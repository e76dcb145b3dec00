// SPDX-License-Identifier: Apache-2.0
//
// Label → selector index: the targets that can have a pod, by one requirement of each peer that the pod would have to
// meet. So an event is tested against the few selectors that its labels can match, however many there are. Private to
// the engine.
#pragma once

#include "policy/engine_target.h"

struct engine_match;

// An empty index; NULL when memory is out. before: the one that it takes the place of for targets that live on, or
// NULL.
struct engine_match *engine_match_new(const struct engine_match *before);
void engine_match_free(struct engine_match *match);
CLEANUP_DEFINE(struct engine_match, engine_match_free);
// The target must stay where it is as long as the index lives. -1 when memory is out.
NODISCARD int engine_match_add(struct engine_match *match, struct engine_target *target);

// An address in a set.
struct engine_seat {
    struct engine_target *target;
    struct set_member member;
};
struct engine_seats {
    struct engine_seat *v;
    size_t n;
    size_t cap;
};
// Appends where the address of that pod, its owner, has its seats. -1 when memory is out.
NODISCARD int engine_match_seats(struct engine_match *match, const struct state *state, const struct pod *pod,
                                 const struct address *address, struct engine_seats *to);
// Targets that were tested for the last address.
size_t engine_match_tested(const struct engine_match *match);
