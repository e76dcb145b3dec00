// SPDX-License-Identifier: Apache-2.0
//
// What every dataplane backend promises (dataplane/backend.h), as checks that fail the running cmocka test.
#pragma once

#include "dataplane/backend.h"
#include "support/rng.h"

// An open backend and its steps so far.
struct contract {
    struct backend *backend;
    size_t before;  // steps begun
    size_t after;   // steps done
    // The write that fails with `refuse_with` instead of being done, counting from 1; 0: none.
    size_t refuse_at;
    int refuse_with;
    size_t refused;  // writes that were
    size_t asked;
    size_t fail_at;  // end the process at this step (counting begun and done ones from 1); 0: never
};
void contract_open(struct contract *contract, const struct backend_ops *ops);
void contract_close(struct contract *contract);

// Applies, and checks that every write was announced. Fails the test when apply fails.
struct apply_report contract_apply(struct contract *contract, const struct ruleset *have, const struct ruleset *want);
// The snapshot is equal to want, and applying it again, known or unknown, writes nothing.
void contract_expect(struct contract *contract, const struct ruleset *want);
// Text of a ruleset for a message; static.
void contract_print(const char *title, const struct ruleset *ruleset);
// A hash:ip set NP4-BIG of n members (10.x.y.z) and a chain with a rule that uses it.
struct ruleset *contract_big(size_t n, const char *skip);

// random_ruleset_change, mended where a rule names a set that went.
struct ruleset *contract_change(struct rng *rng, const struct ruleset *from);

// The cases: each leaves the kernel without anything of ours.
void contract_first(const struct backend_ops *ops);    // first apply: exact counts; purge
void contract_random(const struct backend_ops *ops);   // random rulesets and changes, seeds printed
void contract_members(const struct backend_ops *ops);  // deltas of members
void contract_changes(const struct backend_ops *ops);  // change_members: alone, repeated, refused
void contract_growth(const struct backend_ops *ops);   // a set beyond its first maxelem
void contract_faults(const struct backend_ops *ops);   // each write refused once, with each errno
void contract_full(const struct backend_ops *ops);     // change_members of a set without room
void contract_retype(const struct backend_ops *ops);   // a set's name with another type
