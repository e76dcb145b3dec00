// SPDX-License-Identifier: Apache-2.0
//
// Facts read from this network namespace: rtnetlink dumps and /proc/sys; and a subscription to their changes.
#pragma once

#include "base/err.h"
#include "host/facts.h"

// Everything but ports (facts_read_claims.h) and revoked: what those say depends on more than the kernel.
NODISCARD int facts_read(struct facts **ret, struct err *err);
// facts.bridge_nf and bridge_nf_vlan alone, for looking often: rtnetlink does not say when they change.
void facts_read_bridge_nf(enum facts_switch ret[FAMILY_COUNT], enum facts_switch *ret_vlan);
// A non-blocking rtnetlink socket subscribed to links, addresses and routes of both families; readable means: read
// facts again (drain it with facts_monitor_drain first). The caller closes it.
NODISCARD int facts_monitor_open(int *ret_fd, struct err *err);
// Reads everything pending; true when something relevant changed (or messages were lost).
bool facts_monitor_drain(int fd);
