// SPDX-License-Identifier: Apache-2.0
//
// For the tests of the proof: a random state with the rules compiled for one of its nodes, and faults to plant in them.
#pragma once

#include "audit/verify.h"
#include "support/random_state.h"

struct verify_world {
    struct random_cluster cluster;
    struct state *state;
    struct facts *facts;
    struct ruleset *ruleset;
    struct policy_options options;
    struct verify_input input;
};
// Ends the process when the rules cannot be compiled.
void verify_world_make(struct verify_world *world, uint64_t seed, const char *node);
void verify_world_free(struct verify_world *world);

struct verify_fault {
    const char *name;
    // Changes the rules in place; false when they have nothing of the kind.
    bool (*plant)(struct ruleset *ruleset, struct rng *rng);
};
enum { VERIFY_FAULTS = 12 };
extern const struct verify_fault verify_faults[VERIFY_FAULTS];
