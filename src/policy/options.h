// SPDX-License-Identifier: Apache-2.0
//
// The ruleset options of netpold (DESIGN 4: every verb that renders takes them from this one table), and what the
// evaluator must know of them.
#pragma once

#include <stdbool.h>

enum denied_verdict { DENIED_DROP, DENIED_REJECT };
enum allowed_verdict { ALLOWED_RETURN, ALLOWED_ACCEPT };

struct policy_options {
    enum denied_verdict denied;
    enum allowed_verdict allowed;
    bool host_egress_allowed;  // --host-egress=allow: pods may always reach their own node
};
