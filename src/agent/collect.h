// SPDX-License-Identifier: Apache-2.0
//
// The state of a source, read once: until it has synced, or cannot.
#pragma once

#include "agent/agent.h"
#include "agent/sync.h"

// Files: read at once; what they lose, or a missing path, is ERR_INPUT. The API server: up to COLLECT_MAX_MS (longer
// by the start window when config->spread_start), then ERR_RETRY with the last reason.
enum { COLLECT_MAX_MS = 60000, COLLECT_SPREAD_MS = 60000 };
NODISCARD int collect_state(const struct agent_config *config, struct state **ret, struct err *err);
