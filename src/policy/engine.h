// SPDX-License-Identifier: Apache-2.0
//
// The compiler kept warm (DESIGN 5): the ruleset of a state that changes. It observes the state, knows at any time
// which sets each address belongs to, and so turns a change of a pod elsewhere into a few members of a few sets,
// whatever the size of the cluster. A change of what is local (pods of the node, policies that select them, facts,
// options) compiles the chains anew, out of members that are known already. Level-triggered: what engine_update gives
// follows from the state as it is, and engine_ruleset is, byte for byte, what compile_ruleset would make of it.
#pragma once

#include "policy/compile.h"

struct engine;

// Observes the state (state_observe) until it is freed. Everything must outlive it; facts may be NULL until
// engine_facts.
NODISCARD int engine_new(struct state *state, const char *node, const struct policy_options *options,
                         struct engine **ret, struct err *err);
void engine_free(struct engine *engine);
CLEANUP_DEFINE(struct engine, engine_free);
// Borrowed until the next call.
void engine_facts(struct engine *engine, const struct facts *facts);

enum engine_outcome {
    ENGINE_SAME,     // nothing that the kernel holds has changed
    ENGINE_MEMBERS,  // members of sets alone
    ENGINE_RULES,    // chains, jumps or sets: a whole ruleset
};

// Members of one set that came and went since the last update; neither is in the other.
struct engine_change {
    enum family family;
    const char *set;
    enum set_type type;
    bool allows;  // a set of peers of policies, which only ever allows; others may drop what is in them, or what is not
    const struct set_member *add;
    size_t n_add;
    const struct set_member *remove;
    size_t n_remove;
};

// What has changed since the last update that was kept (engine_keep). Borrowed until the next call of the engine or
// change of the state.
struct engine_update {
    enum engine_outcome outcome;
    const struct engine_change *changes;  // ENGINE_MEMBERS, and with ENGINE_RULES of the sets that stay
    size_t n_changes;
    const struct ruleset *ruleset;  // ENGINE_RULES: the whole
    // ENGINE_RULES: what the kernel holds when the last update that was kept is in it; NULL: not known (nothing was
    // kept, or memory was out meanwhile), so the kernel must be read.
    const struct ruleset *have;
    struct compile_stats stats;
    // For revocation (DESIGN 5.5): flows with one of these at an end may be judged differently now. Sorted, unique.
    // everything: too many to name, or facts or options changed.
    const struct address *touched;
    size_t n_touched;
    bool everything;
};

// Brings the indexes up to date and says what to write. Until engine_keep the next update tells the same again, with
// what has come since: a write that failed loses nothing. Errors: memory, ERR_LIMIT; the next call tries again.
NODISCARD int engine_update(struct engine *engine, struct engine_update *ret, struct err *err);
// The last update is in the kernel.
void engine_keep(struct engine *engine);
// The present state's whole ruleset, a new one, as the last update left it: for a kernel that is read back.
NODISCARD int engine_ruleset(struct engine *engine, struct ruleset **ret, struct err *err);

// What the kernel holds by the updates that were kept, whatever has come since; NULL: not known (nothing was kept, or
// memory is out). Borrowed until the next call of the engine.
const struct ruleset *engine_kept(struct engine *engine);

// How much it holds, for tests and benchmarks: selectors that are followed, and how many of them the last pod event was
// tested against.
struct engine_sizes {
    size_t selectors;
    size_t tested;
    size_t compiles;  // of chains, since it was made
};
void engine_sizes(const struct engine *engine, struct engine_sizes *ret);
