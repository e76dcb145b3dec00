// SPDX-License-Identifier: Apache-2.0
//
// Which source a configuration means, and how it is asked.
#pragma once

#include "agent/agent.h"

// When a source is opened, and by whom.
enum open_mode {
    OPEN_WATCH,  // the daemon
    OPEN_ONCE,   // a single pass
};

// Opens the source that config names; it writes into state. Looks into the kernel first when many nodes may start at
// once: a node without rules does not wait for its turn.
NODISCARD int open_source(const struct agent_config *config, enum open_mode mode, struct loop *loop,
                          struct state *state, const struct source_owner *owner, struct source **ret, struct err *err);
