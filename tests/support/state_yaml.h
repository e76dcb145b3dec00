// SPDX-License-Identifier: Apache-2.0
//
// Objects as Kubernetes YAML that decodes to equal objects: what a failing case is printed as, and how random states
// get the many spellings of one meaning. What no text gives (the shapes of random_cluster.wild) comes near: an
// unreadable selector makes its peer unreadable, an empty In list the selector.
#pragma once

#include "base/buf.h"
#include "support/clause.h"
#include "support/random_state.h"

// Adds one document. rng NULL: the plain spelling; else a random one of the same meaning, and *ret_text (may be NULL)
// says by which clauses.
void state_yaml_object(const struct random_object *object, struct rng *rng, struct clause_set *ret_text,
                       struct buf *out);

// The objects of the text, as a new state. Fails the running test when a document is lost.
struct state *state_yaml_read(const struct buf *text);

// Does the state hold an object equal to this one?
bool state_yaml_holds(struct state *state, const struct random_object *object);
