// SPDX-License-Identifier: Apache-2.0
//
// The daemon's side of netpold-cni (DESIGN 5, "New pods"). Ops of the control socket:
//
//   cni-add     {"id","ifname","ns","name","uid","port","addresses":[…],"timeout_ms"}: the pod has these addresses.
//               Answered when the Pod object is in the state and the rules that follow from it and from them are in the
//               kernel; refused with the code "timeout", and what it waited for, when that is not so in time.
//   cni-check   the same question without telling anything: whether it is so.
//   cni-del     {"id","ifname"}: the attachment is gone. Never refused for one that is not known. An add of it that
//   still
//               waits is refused with "deleted".
//   cni-status  whether an add could be served now; else refused with "not-synced" and why.
//
// An add or a check above CNI_WAITS_MAX is refused with "busy".
//
// What was told counts until cni-del, or until its file is removed (what the plugin does when nobody answers), or until
// the pod is gone from the state for CNI_MISSING_MS (a delete that went astray). It is on the disk before the state
// learns it.
//
// A static pod's sandbox has another uid than its mirror object, whose name ends with "-" and the node's name: such a
// pod is known by its name alone.
#pragma once

#include "agent/control.h"
#include "agent/health.h"
#include "agent/host_watch.h"
#include "agent/metrics.h"
#include "agent/sync.h"
#include "base/loop.h"
#include "model/state.h"

struct cni;

// CNI_WAITS_MAX: adds and checks that wait; the other connections are for what is answered at once.
enum {
    CNI_MISSING_MS = 600000,
    CNI_TIMEOUT_MAX_MS = 600000,
    CNI_OPS = 4,
    CNI_WAITS_MAX = CONTROL_CONNECTIONS_MAX - 32
};

struct cni_config {
    struct loop *loop;
    struct state *state;
    const char *node;
    struct sync *sync;
    struct host_watch *host;  // NULL: nobody is told of ports
    struct health *health;    // read; HEALTH_CNI is set
    struct metrics *metrics;
    const char *folder;   // cni_book_folder
    uint64_t missing_ms;  // 0: CNI_MISSING_MS
};

// Everything that config points to must outlive it, folder apart. The state learns what the folder holds.
NODISCARD int cni_new(const struct cni_config *config, struct cni **ret, struct err *err);
// After control_free: nobody waits any more.
void cni_free(struct cni *cni);
CLEANUP_DEFINE(struct cni, cni_free);

// For a pass without a daemon: the state learns what the daemon at that socket keeps on the disk, now or before it
// ended. Nothing is changed there.
NODISCARD int cni_learn_kept(struct state *state, const char *node, const char *socket_path, struct err *err);

// CNI_OPS rows for control_new.
void cni_ops(struct cni *cni, struct control_op *rows);
// The source has changed the state; the source has read everything (once true, always true).
void cni_changed(struct cni *cni);
void cni_source_synced(struct cni *cni, bool synced);
// A JSON object, for a struct status_section.
void cni_status(struct buf *out, void *arg);
