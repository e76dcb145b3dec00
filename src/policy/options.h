// SPDX-License-Identifier: Apache-2.0
//
// The ruleset options of netpold (DESIGN 4): every program and verb that compiles, renders, diffs or verifies takes
// them from this one table, so that offline bytes equal the daemon's.
#pragma once

#include <stdbool.h>

#include "base/cli.h"

enum denied_verdict { DENIED_DROP, DENIED_REJECT };
enum allowed_verdict { ALLOWED_RETURN, ALLOWED_ACCEPT };

struct policy_options {
    enum denied_verdict denied;
    enum allowed_verdict allowed;
    bool host_egress_allowed;  // --host-egress=allow: pods may always reach their own node
};

// What the command line writes before policy_options_from reads it; zero is every default.
struct policy_options_args {
    unsigned denied;
    unsigned allowed;
    unsigned host_egress;
};

// The rows, with targets in args; the table ends with an empty row.
enum { POLICY_OPTIONS_ROWS = 4 };
void policy_options_table(struct policy_options_args *args, struct cli_option ret[POLICY_OPTIONS_ROWS]);
struct policy_options policy_options_from(const struct policy_options_args *args);
