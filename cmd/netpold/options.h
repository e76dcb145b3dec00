// SPDX-License-Identifier: Apache-2.0
//
// The command line of netpold (DESIGN 7).
#pragma once

#include "agent/agent.h"
#include "base/cli.h"
#include "base/log.h"

enum mode { MODE_DAEMON, MODE_ONCE, MODE_PLAN, MODE_CLEANUP, MODE_PRINT_FACTS, MODE_HELP, MODE_VERSION };

struct options {
    enum mode mode;
    const char *backend;           // "auto", "legacy", "nft"
    struct backend_choice choice;  // made of it at the start
    struct agent_config agent;
    struct log_config log;
};

// agent borrows argv and the environment, and owns its list of state paths (options_done). -1: ERR_USAGE.
NODISCARD int options_parse(int argc, char *const *argv, struct options *ret, struct err *err);
void options_done(struct options *options);
// The text of --help.
void options_help(struct buf *out);
