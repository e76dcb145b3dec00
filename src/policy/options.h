// SPDX-License-Identifier: Apache-2.0
//
// The ruleset options of netpold (DESIGN 4): every program and verb that compiles, renders, diffs or verifies takes
// them from this one table, so that offline bytes equal the daemon's.
#pragma once

#include <stdbool.h>

#include "base/cli.h"
#include "base/err.h"
#include "model/address.h"

enum denied_verdict { DENIED_DROP, DENIED_REJECT };
enum allowed_verdict { ALLOWED_RETURN, ALLOWED_ACCEPT };
enum source_guard { SOURCE_GUARD_ENFORCED, SOURCE_GUARD_ALL, SOURCE_GUARD_OFF };
enum unknown_pods { UNKNOWN_PODS_ALLOW, UNKNOWN_PODS_DROP };

enum { POD_CIDRS_MAX = 16, REVOKE_BIT_DEFAULT = 27 };

struct policy_options {
    enum denied_verdict denied;
    enum allowed_verdict allowed;
    bool host_egress_allowed;  // --host-egress=allow: pods may always reach their own node
    enum source_guard source_guard;
    bool encap_allowed;  // --no-drop-encap
    enum unknown_pods unknown_pods;
    // --pod-cidr; none: the node's spec.podCIDRs
    struct prefix pod_cidrs[POD_CIDRS_MAX];
    size_t n_pod_cidrs;
    // --revoke-mark BIT (0 … 31): the bit of the connmark that cuts a flow; its mask, 0 with --no-revoke.
    uint32_t revoke_mask;
};

// What the command line writes before policy_options_from reads it. policy_options_table fills in the defaults.
struct policy_options_args {
    unsigned denied;
    unsigned allowed;
    unsigned host_egress;
    unsigned source_guard;
    unsigned unknown_pods;
    bool encap_allowed;
    bool no_revoke;
    struct cli_list pod_cidrs;  // each may hold several, with commas
    uint64_t revoke_bit;
};

// The rows, with targets in args; the table ends with an empty row.
enum { POLICY_OPTIONS_ROWS = 12 };
void policy_options_table(struct policy_options_args *args, struct cli_option ret[POLICY_OPTIONS_ROWS]);
// ERR_USAGE: a --pod-cidr that is no CIDR, holds every address, or is one too many (POD_CIDRS_MAX).
NODISCARD int policy_options_from(const struct policy_options_args *args, struct policy_options *ret, struct err *err);
