// SPDX-License-Identifier: Apache-2.0
//
// `explain --rules`: the walk of one connection's first packet through the compiled chains of the nodes of both ends.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "policy/evaluate.h"

// Appends text: for each node concerned, its verdict and one line a matched rule. Ends without an address cannot be
// walked: a line says so.
NODISCARD int walk_rules(struct state *state, const struct policy_options *options, const struct query *query,
                         struct buf *out, struct err *err);
