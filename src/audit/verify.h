// SPDX-License-Identifier: Apache-2.0
//
// The proof that policies and rules of one node agree for every packet (DESIGN 2.2, docs/PROOF.md): packets are cut
// into classes that neither the evaluator nor the simulator can tell apart inside, and one witness of each class is
// judged by both.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/facts.h"
#include "model/packet.h"
#include "model/state.h"
#include "policy/options.h"
#include "ruleset/ruleset.h"

struct verify_input {
    struct state *state;
    const char *node;
    const struct facts *facts;  // NULL: nothing known, no interface guards
    const struct policy_options *options;
    const struct ruleset *ruleset;  // compiled, read from text, or read back from a kernel
};

// A class that the two judge differently.
struct verify_example {
    struct packet packet;  // the witness
    bool wanted;           // the policies allow it
    bool got;              // the rules let it pass
};

struct verify_result {
    uint64_t classes;    // packet classes judged, both families
    uint64_t differing;  // of them judged differently
    uint64_t pods;       // addresses of local pods at one end
    uint64_t pairs;      // pairs of local pods' addresses judged at both ends
    uint64_t cells;      // pieces that the addresses of both families were cut into
    // The first of the differing classes: at most one for each end, direction, protocol and verdict, in order of
    // judgement.
    struct verify_example *examples;
    size_t n_examples;
};
void verify_result_free(struct verify_result *result);
CLEANUP_DEFINE(struct verify_result, verify_result_free);

// Called now and then with how many of the local pods' addresses are done; may be NULL.
typedef void verify_progress_fn(size_t done, size_t of, void *arg);

struct verify_options {
    size_t max_examples;
    verify_progress_fn *progress;
    void *progress_arg;
};

// Judges every class. Differences are no error. Errors: those of simulate_packet for rules that no kernel could hold (a
// missing chain or set, a loop), ERR_LIMIT beyond LIMIT_VERIFY_CLASSES, memory.
NODISCARD int verify_ruleset(const struct verify_input *input, const struct verify_options *options,
                             struct verify_result **ret, struct err *err);
