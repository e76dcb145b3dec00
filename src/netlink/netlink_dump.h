// SPDX-License-Identifier: Apache-2.0
//
// A long dump that does not stop the loop: the kernel walks a table within the system call that reads (a conntrack
// table of 250,000 entries: 60 ms), so a thread of its own makes the calls, and what it read comes through a socket.
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "netlink/netlink.h"

struct netlink_dump;

// Sends the one message of the batch (flags NLM_F_DUMP) over a socket of its own: no answer of an earlier dump can be
// in it, and no other size of buffer was used on it.
NODISCARD int netlink_dump_start(enum netlink_bus bus, const struct netlink_batch *batch, struct netlink_dump **ret,
                                 struct err *err);
// Ends it in whatever state; may wait for the system call under way.
void netlink_dump_free(struct netlink_dump *dump);
CLEANUP_DEFINE(struct netlink_dump, netlink_dump_free);
// Readable when netlink_dump_read has something to do. Belongs to the dump.
int netlink_dump_fd(const struct netlink_dump *dump);
// Reads a part of what has come, without waiting; reply sees each message and stops everything with -1 and err.
// Returns 1: go on when the fd is readable; 0: that was the last; -1 with err: ERR_DENIED, ERR_RETRY (changed while it
// was read, or answers were lost), or ERR_SYSTEM with the kernel's errno as num.
NODISCARD int netlink_dump_read(struct netlink_dump *dump,
                                int (*reply)(const struct netlink_reply *reply, void *arg, struct err *err), void *arg,
                                struct err *err);
