// SPDX-License-Identifier: Apache-2.0
//
// Jumps of ours that another program keeps pushing down (DESIGN 4). One that is found behind rules of others is put
// back at the head, and looked at again soon, with longer and longer pauses. Found there once more after three rounds
// within a minute it is left where it stands: two programs that write the same table without end harm the node more
// than a jump in second place, whose traffic is judged all the same unless a rule before it accepts. It is tried again
// after ten minutes; the other program may be gone.
#pragma once

#include <stdint.h>

#include "agent/drift.h"

enum {
    CONTEST_ROUNDS = 3,
    CONTEST_WINDOW_MS = 60 * 1000,
    CONTEST_LEAVE_MS = 10 * 60 * 1000,
};

struct contest_jump {
    uint64_t rounds[CONTEST_ROUNDS];  // when it was put back last, the oldest first
    unsigned n_rounds;
    bool left;
    uint64_t left_ms;
};
struct contest {
    struct contest_jump jumps[FAMILY_COUNT][DRIFT_BUILTINS];
};

enum contest_news { CONTEST_SAME, CONTEST_LEFT, CONTEST_BACK };
// What a read-back has found, before anything is repaired: which jumps are put back by that, and which are left.
// CONTEST_LEFT: one more is left; CONTEST_BACK: one that was left is at the head again, or tried again.
enum contest_news contest_found(struct contest *contest, const struct drift *drift, uint64_t now_ms);
size_t contest_count_left(const struct contest *contest);
// "IPv4 FORWARD, IPv6 FORWARD"; "" none.
void contest_names_left(const struct contest *contest, char *ret, size_t size);
bool contest_is_left(const struct contest *contest, enum family family, unsigned builtin);

// want with those jumps marked (hook.anywhere). Borrows from want and arena: not to be freed.
NODISCARD int contest_mark(const struct contest *contest, const struct ruleset *want, struct arena *arena,
                           struct ruleset *ret, struct err *err);
