// SPDX-License-Identifier: Apache-2.0
//
// What the files of the engine share.
//
//   engine.c         made, freed; what the state's observer notes
//   engine_update.c  an update: compiled where it must be, compared with what was kept
//   engine_match.c   label → selector index
//   engine_target.c  the sets that are followed, their members
#pragma once

#include "policy/engine.h"
#include "policy/engine_match.h"

enum { ENGINE_TOUCHED_MAX = 256 };

// What has changed in one set since the last update that was kept.
struct engine_report {
    struct engine_target *target;  // NULL: a set that only compiles change
    enum family family;
    const char *set;
    enum set_type type;
    struct engine_list list;
    bool told;  // the set was in the kernel before
};

struct engine {
    struct state *state;
    char *node;
    struct policy_options options;
    const struct facts *facts;
    struct state_observer observer;
    struct map *targets;  // text → struct engine_target
    struct engine_match *match;
    struct map *local;     // "ns\0name" of the node's live pods
    size_t unenforceable;  // policies of the state
    // What chains are made of has changed so often; what of it was in the last update, and in the last that was kept.
    uint64_t changes, changes_told, changes_kept;
    // The same for what makes any flow's verdict doubtful.
    uint64_t alarms, alarms_told, alarms_kept;
    bool lost;         // memory was out: nothing that is followed can be trusted
    unsigned compile;  // number of the last one that was for an update
    bool marking;      // and it runs now: targets are marked as used
    size_t compiles;
    struct ruleset *kept;  // of the last update that was kept; members of followed sets may be older than the kernel's
    struct ruleset *next;  // of the last update, when it compiled
    struct ruleset *have;
    struct compile_stats stats;
    // Around one change of the state.
    VEC(struct address) affected;
    struct engine_seats before;
    struct engine_seats after;
    bool local_before;
    // The last update.
    VEC(struct engine_report) reports;
    VEC(struct engine_change) told;
    VEC(struct address) touched;
};

// Nothing is followed; which pods are local, from the state. -1 when memory is out.
NODISCARD int engine_reset(struct engine *engine);
void engine_drop_targets(struct engine *engine);
void engine_drop_reports(struct engine *engine);
