// SPDX-License-Identifier: Apache-2.0
//
// One packet on one node of one state, as values of its own: what evaluator and simulator say about it, and how it is
// shown to the one who has to find out who is wrong.
#pragma once

#include "host/facts.h"
#include "policy/options.h"
#include "ruleset/ruleset.h"
#include "support/random_state.h"

// Damages a compiled ruleset before it is asked: for tests of what finds disagreements. Edits in place.
typedef void trial_tamper_fn(struct ruleset *ruleset);

struct trial {
    struct random_object *objects;  // each object is heap memory of its own
    size_t n_objects;
    struct facts *facts;  // NULL: nothing known
    const char *node;     // borrowed
    struct policy_options options;
    struct packet packet;
    trial_tamper_fn *tamper;  // NULL none
};

// Copies of all of it. These end the process when memory is out.
void trial_init(struct trial *trial, const struct random_object *objects, size_t n_objects, const struct facts *facts,
                const char *node, const struct policy_options *options, const struct packet *packet);
void trial_done(struct trial *trial);
static inline void cleanup_trial(struct trial *trial)
{
    trial_done(trial);
}
#define TRIAL_CLEANUP __attribute__((cleanup(cleanup_trial)))

struct facts *trial_copy_facts(const struct facts *facts);  // NULL of NULL
void *trial_copy_object(const struct random_object *object);
struct state *trial_state(const struct trial *trial);

// Do evaluator and simulator judge the packet differently? A compile or a walk that fails is a difference, too.
bool trial_differs(const struct trial *trial);
// The objects as YAML, facts and options, the packet, both verdicts and the walk, to standard output.
void trial_print(const struct trial *trial);
