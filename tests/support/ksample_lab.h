// SPDX-License-Identifier: Apache-2.0
//
// The three verdicts on a batch of packets: of the evaluator from the objects, of the simulator from the compiled
// rules, of the kernel from what arrives while those rules are in force.
#pragma once

#include "dataplane/backend.h"
#include "host/facts.h"
#include "model/state.h"
#include "policy/options.h"
#include "ruleset/ruleset.h"
#include "support/ksample_net.h"
#include "support/trial.h"

struct ksample_lab;

// In the namespaces of ksample_net.h. lock_path: of the xtables lock. tamper (NULL none) damages what is programmed,
// and only that. interfaces are borrowed.
NODISCARD int ksample_lab_open(const char *node, const char *peer, const char *lock_path,
                               const struct ksample_interfaces *interfaces, const struct backend_ops *backend,
                               trial_tamper_fn *tamper, struct ksample_lab **ret, struct err *err);
void ksample_lab_close(struct ksample_lab *lab);
bool ksample_lab_is_own(const struct ksample_lab *lab, const struct address *address);

struct ksample_verdicts {
    struct packet packet;  // as the rules saw it, without ours in force
    bool evaluator, simulator, kernel;
};

struct ksample_case {
    struct state *state;
    const char *node;
    const struct facts *facts;  // may be NULL
    struct policy_options options;
};

struct ksample_effort {
    size_t refused;  // flows that connection tracking would not take
    size_t again;    // packets asked twice, because nothing came where something was wanted
};

// samples[n]; verdicts[n] is written. Every packet is first sent without rules, and must arrive. The lab is left
// without rules. effort is added to.
NODISCARD int ksample_lab_judge(struct ksample_lab *lab, const struct ksample_case *what, const struct ksample *samples,
                                size_t n, struct ksample_verdicts *verdicts, struct ksample_effort *effort,
                                struct err *err);
