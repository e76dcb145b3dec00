// SPDX-License-Identifier: Apache-2.0
//
// Host settings without which rules do not see the packets of local pods, said for people: the daemon's readiness, log
// and metric, and `netpolctl status`.
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "host/facts.h"

struct facts_finding {
    // bridge-nf-filter-vlan-tagged: a pod that may write raw frames gets round the rules; honest packets do not. Else
    // all packets of the family do.
    bool vlan;
    enum family family;  // of the packets that go round the rules; without meaning for vlan
    const char *text;    // one line: what is off, for which bridges, what to set or load
};

struct facts_check {
    const struct facts_finding *findings;
    size_t n;
    struct arena arena;
};
void facts_check_free(struct facts_check *check);
CLEANUP_DEFINE(struct facts_check, facts_check_free);

// bridges: names of the bridges that enforced local pods are behind, by family (facts_pod_interface of their addresses
// with kind "bridge"); n: how many of each; sorted names give stable texts. A switch that is off is a finding only for
// a family that has such a bridge; FACTS_UNKNOWN never is one. The switch of VLAN tags is none while no bridged packet
// passes the rules at all: then that is what is said.
NODISCARD int facts_check(const struct facts *facts, const char *const *const bridges[FAMILY_COUNT],
                          const size_t n[FAMILY_COUNT], struct facts_check **ret, struct err *err);
