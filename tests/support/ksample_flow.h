// SPDX-License-Identifier: Apache-2.0
//
// The flows that packets of a batch belong to before any of them is sent, written into the connection tracking of this
// network namespace: answered ones, announced ones, translated ones, and those that ICMP errors quote.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "support/ksample_fit.h"

struct ksample_flows;

NODISCARD int ksample_flows_open(struct ksample_flows **ret, struct err *err);
void ksample_flows_close(struct ksample_flows *flows);

// Forgets every flow, then writes those of the batch. What the kernel has no flows for (most ICMP types) it refuses;
// *ret_refused (may be NULL) counts them.
NODISCARD int ksample_flows_reset(struct ksample_flows *flows, const struct ksample *samples, size_t n,
                                  size_t *ret_refused, struct err *err);
