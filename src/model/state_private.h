// SPDX-License-Identifier: Apache-2.0
//
// What the files of the state share.
//
//   state.c        objects, and who owns which address
//   state_table.c  one kind of objects
//   state_learn.c  addresses that a pod has before its status says so
#pragma once

#include "model/state.h"
#include "model/state_table.h"

struct state {
    struct state_table tables[OBJECT_KIND_COUNT];
    // Address → link: the last (and almost always only) pod itself, or a struct claim, marked by its lowest bit, with
    // the next link.
    struct map *claims;
    const struct state_observer *observer;
    struct map *learnt;  // "ns\0name" → struct state_learnt; made when the first is learnt
};

// ---- state_learn.c -------------------------------------------------------------------------------------------------

struct state_learnt;
// What was learnt of this very pod; NULL when nothing.
struct state_learnt *state_learnt_of(const struct state *state, const struct pod *pod);
// *ret: a copy of the pod as its source gave it, with what was learnt behind its own addresses.
NODISCARD int state_learnt_add(const struct state_learnt *learnt, const struct pod *pod, struct pod **ret,
                               struct err *err);
// How well it is known that the pod has the address, which is one of its own: 4 told and named by its status; 3 told,
// and the status lags; 2 by its status alone, or told beside another one that the status names (an old sandbox's, or of
// a further network); STATE_RANK_STALE: by its status, and it was told of others since.
enum { STATE_RANK_STALE = 1 };
unsigned state_learnt_rank(const struct pod *pod, const struct address *address);
void state_learnt_free_all(struct state *state);
