// SPDX-License-Identifier: Apache-2.0
//
// Whether what was cut stays so. The cut is a bit of the connection mark, and another program's rule may write the
// whole mark (CONNMARK --set-mark, --save-mark without a mask): then the flow goes on, and nothing would say so. So the
// entries that were marked last are looked at soon after, and now and then; one that lost its bit is taken out of the
// table instead: its next packet is new, and judged.
//
// That packet may be an answer on its way, allowed as a connection of the server's own, and the client goes on as the
// one who answers. So what turned round like that is taken out as well, for half a second: a server that only answers
// falls silent with its client. One that speaks by itself does not; nothing but the bit holds it.
#pragma once

#include "agent/metrics.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "flow/flow.h"

struct revoke_watch;

// flows is borrowed, and may be set later: without it nothing is looked at.
NODISCARD int revoke_watch_new(struct loop *loop, struct metrics *metrics, uint32_t mask, struct revoke_watch **ret,
                               struct err *err);
void revoke_watch_free(struct revoke_watch *watch);
CLEANUP_DEFINE(struct revoke_watch, revoke_watch_free);

// Entries that were marked now; of more than REVOKE_WATCH_MAX the first ones are watched.
enum { REVOKE_WATCH_MAX = 4096 };
void revoke_watch_add(struct revoke_watch *watch, struct flows *flows, const struct flow *list, size_t n);
// Entries whose bit was taken away on purpose.
void revoke_watch_drop(struct revoke_watch *watch, const struct flow *list, size_t n);
// Looks now; blocks, some us an entry.
void revoke_watch_look(struct revoke_watch *watch);
// How many lost the bit so far.
size_t revoke_watch_lost(const struct revoke_watch *watch);
