// SPDX-License-Identifier: Apache-2.0
//
// Settings of this host without which packets of local pods go round the rules, for the pods that are there. Shared by
// the daemon and --once.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "host/facts.h"
#include "model/state.h"

// The settings without which rules do not see packets of the live pods of node, as one text per finding: a line each in
// out; ok by family.
NODISCARD int host_check_bridges(const struct facts *facts, struct state *state, const char *node,
                                 bool ret_ok[FAMILY_COUNT], struct buf *out, struct err *err);
// Both that and bridge-nf-filter-vlan-tagged: off, a pod with CAP_NET_RAW gets round the rules. That is a warning:
// honest packets are judged, and what is not the default of the kernel must not keep a node from being ready.
NODISCARD int host_check_all(const struct facts *facts, struct state *state, const char *node,
                             bool ret_ok[FAMILY_COUNT], struct buf *out, bool *ret_vlan_ok, struct buf *vlan_out,
                             struct err *err);
