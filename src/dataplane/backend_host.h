// SPDX-License-Identifier: Apache-2.0
//
// Which backend goes with a host: what can be seen of it without changing it, and the choice, a pure function of that.
#pragma once

#include "dataplane/backend.h"

// One of the two ways to hold iptables' rules. Both families together.
struct backend_host_side {
    bool offered;     // by the kernel, as far as can be told without making anything
    bool usable;      // and the programs that we need are there
    char lacks[160];  // why it is not usable; "" when it is
    bool hinted;      // kubelet or kube-proxy keeps a chain here that tells other programs where to look
    char hint[48];    // that chain and its table: "KUBE-IPTABLES-HINT (mangle)"
    bool ours;        // a chain of ours is here
    size_t kube;      // chains of Kubernetes (KUBE-…)
    size_t rules;     // of the tables that are here, ours left out
};

struct backend_host {
    struct backend_host_side legacy;
    struct backend_host_side nft;
};

// Reads tables that are there, and makes none. What cannot be read (no rights) is left empty.
void backend_host_read(struct backend_host *ret);
void backend_host_choose(const struct backend_host *host, struct backend_choice *ret);
