// SPDX-License-Identifier: Apache-2.0
//
// Sends the packets of a batch and sees which of them the kernel let through. There are two network namespaces:
//
//   node   one bridge for each interface name, with the ports NAME-s and NAME-r; forwards; holds the rules
//   peer   the other ends, s-NAME and r-NAME, without addresses
//
// A packet that is forwarded enters by s-NAME of its in-interface and has come through when r-NAME of another or the
// same interface sees it; one to the node has when a raw socket there gets it; one from the node starts at a raw
// socket. The source's link-layer address says where to: 02:4e:50:00:TT:WW, TT 1 not to be tracked, WW 1 + the index of
// the out-interface, or KSAMPLE_NET_LOCAL for the node itself. What tracking says comes back in the traffic class.
// tests/kernel/test_sample.sh makes all that.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "support/ksample_fit.h"

enum { KSAMPLE_NET_LOCAL = 99 };

struct ksample_net;

// Opens everything; the calling thread stays in the namespace of the node, on one CPU (so that packets keep their
// order). interfaces are borrowed.
NODISCARD int ksample_net_open(const char *node, const char *peer, const struct ksample_interfaces *interfaces,
                               struct ksample_net **ret, struct err *err);
void ksample_net_close(struct ksample_net *net);

// Is it one of the node's addresses (loopback included)?
bool ksample_net_is_own(const struct ksample_net *net, const struct address *address);

// A packet as the node's rules saw it and let it through.
struct ksample_arrival {
    bool arrived;
    struct packet packet;
};

// Sends samples[i] for which only (may be NULL: all) says so, and the last one always, and reads what comes through
// into arrivals[i], which keeps what it has. The last must be sure to pass: packets keep their order, so when it has
// arrived, so have all others that will. Those that wanted (may be NULL: all) names are waited for a little longer. -1:
// packets cannot be sent.
struct ksample_run {
    struct ksample *samples;  // their wire.id is set
    size_t n;
    const bool *only;
    const bool *wanted;
    struct ksample_arrival *arrivals;
};
NODISCARD int ksample_net_run(struct ksample_net *net, const struct ksample_run *run, struct err *err);
