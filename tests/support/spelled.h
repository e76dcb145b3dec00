// SPDX-License-Identifier: Apache-2.0
//
// A random state by way of text: each object written in a random spelling (state_yaml.h) and read back.
#pragma once

#include "support/clause_observe.h"
#include "support/random_state.h"

struct spelled {
    struct state *state;
    struct clause_set *text[OBJECT_KIND_COUNT];  // of each object, by its place in the state's sorted array
};

// The cluster must not be wild. Fails the running test when an object does not read back as itself.
void spelled_make(struct spelled *spelled, const struct random_cluster *cluster, uint64_t seed);
void spelled_free(struct spelled *spelled);
