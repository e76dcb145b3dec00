// SPDX-License-Identifier: Apache-2.0
//
// What the engine follows: a set whose members are pods, with its own copy of the selectors that make it (policies come
// and go under them). Private to the engine.
//
// Members of one family are a sorted array that rulesets share, and what has come and gone since it was made (delta).
// An event costs its own changes only; the array is made anew when somebody asks for it. Beside that stands what the
// kernel does not hold yet (pending). Both are kept as signs by member, so that what comes and goes again leaves
// nothing.
#pragma once

#include "base/map.h"
#include "policy/compile_build.h"

struct engine_members {
    char name[SET_NAME_SIZE];  // of the set in the last ruleset that has it; "" in none
    struct set_members *base;  // NULL: the family is not followed
    struct map *delta;         // member → sign, base → present
    struct map *pending;       // member → sign, kernel → present
};

// One port name of a set of addresses and ports.
struct engine_group {
    const char *port;
    bool any;  // every pod
    const struct select_peer *peers;
    size_t n_peers;
    struct region *region;  // NULL: no block
};

struct engine_target {
    const char *text;  // identity, as compile has it
    enum set_type type;
    const struct select_peer *peers;  // SET_HASH_IP
    size_t n_peers;
    uint8_t protocol;  // SET_HASH_IP_PORT
    struct engine_group *groups;
    size_t n_groups;
    size_t tested;     // number of the pod that it was tested against last
    unsigned compile;  // number of the compile that used it last
    struct engine_members members[FAMILY_COUNT];
    struct arena arena;
};

// Copies what it needs; NULL when memory is out.
struct engine_target *engine_target_of_union(const struct compile_union *u);
struct engine_target *engine_target_of_groups(const char *text, struct compile_group *const *groups, size_t n,
                                              enum family family);
void engine_target_free(struct engine_target *target);
CLEANUP_DEFINE(struct engine_target, engine_target_free);

// The family is followed from now on, with these members (one more reference). -1 when memory is out.
NODISCARD int engine_target_follow(struct engine_target *target, enum family family, struct set_members *members);
// A member has come or gone; nothing when the family is not followed. -1 when memory is out: nothing has changed, or
// delta has.
NODISCARD int engine_target_change(struct engine_target *target, const struct set_member *member, bool come);
// The present members, with the delta merged into them; NULL when memory is out. Borrowed.
struct set_members *engine_target_members(struct engine_target *target, enum family family);
// Takes a change out of what is pending: the kernel holds it. -1 when memory is out.
NODISCARD int engine_target_settle(struct engine_target *target, const struct set_member *member, bool come);

// What is pending in the family, sorted. The arrays are the caller's (vec_free).
struct engine_list {
    VEC(struct set_member) add;
    VEC(struct set_member) remove;
};
NODISCARD int engine_target_pending(const struct engine_target *target, enum family family, struct engine_list *ret);
void engine_list_free(struct engine_list *list);
