// SPDX-License-Identifier: Apache-2.0
//
// Chains of nf_tables that a packet meets before the legacy filter table: another firewall on the same node.
#pragma once

#include <stdbool.h>

#include "ruleset/findings.h"

// Adds one finding a base chain on prerouting, input, forward, output or ingress that holds rules or drops by policy,
// but for those behind the filter table's priority on input, forward and output, and for chains that translate
// addresses in tables where no rule drops. A kernel without nf_tables has none. ERR_RETRY when it changed meanwhile.
// but_iptables: without those of iptables-nft's tables raw, mangle, nat and filter, which were told of otherwise.
NODISCARD int live_nft_read(bool but_iptables, struct findings *to, struct err *err);
