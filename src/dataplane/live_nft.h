// SPDX-License-Identifier: Apache-2.0
//
// Chains of nf_tables that a packet meets before the legacy filter table: another firewall on the same node.
#pragma once

#include "ruleset/findings.h"

// Adds one finding a base chain on prerouting, input, forward, output or ingress that holds rules or drops by policy,
// and does not run behind the filter table's priority. A kernel without nf_tables has none.
NODISCARD int live_nft_read(struct findings *to, struct err *err);
