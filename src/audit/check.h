// SPDX-License-Identifier: Apache-2.0
//
// `netpolctl check`: one JSON query a line in, one JSON verdict a line out (DESIGN 7).
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/state.h"
#include "policy/options.h"

// Answers one line (without its newline) into out, newline included: the query's own members, then the verdict; or
// {"error":…,"line":N}. Returns 0 when answered, 1 when the query was malformed, -1 when memory is out.
NODISCARD int check_line(struct state *state, const struct policy_options *options, const char *default_ns,
                         const char *line, size_t len, size_t number, struct buf *out, struct err *err);
