// SPDX-License-Identifier: Apache-2.0
//
// One writer per node: a lock (flock) on a file in the run directory. The run directory is /run/netpold, or
// $NETPOLD_RUN_DIR. Whoever shares the directory may ask the holder to look again by touching the file: that works
// between containers, and no signal can go astray to a process that has the pid by now.
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"

struct node_lock;

// Creates the run directory where it is missing. Another process holds the lock: ERR_RETRY; the message names its pid
// where that can be seen from here (not in another pid namespace).
NODISCARD int node_lock_take(struct node_lock **ret, struct err *err);
// The file stays: removing it would let two processes hold two locks.
void node_lock_free(struct node_lock *lock);
CLEANUP_DEFINE(struct node_lock, node_lock_free);

// Whether rules of ours were in force since the node's start, as a holder before said: then an empty kernel is drift.
// Kept in the file, which a reboot removes.
bool node_lock_programmed(const struct node_lock *lock);
void node_lock_set_programmed(struct node_lock *lock, bool programmed);
// Whether who holds the lock listens: a daemon, not a single pass.
bool node_lock_has_daemon(void);

// Calls fn from the loop when somebody asks.
typedef void node_lock_fn(void *arg);
NODISCARD int node_lock_listen(struct node_lock *lock, struct loop *loop, node_lock_fn *fn, void *arg, struct err *err);
// Ask the holder, whoever it is.
NODISCARD int node_lock_ask(struct err *err);
