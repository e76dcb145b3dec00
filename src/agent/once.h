// SPDX-License-Identifier: Apache-2.0
//
// The ways of netpold that end by themselves: one pass (--once), the plan of one pass (--dry-run), removal of
// everything of ours (--cleanup), and the facts of the host (--print-facts). Each returns an exit code and writes its
// result to out; when the code is neither EXIT_OK nor one for differences, err says why.
#pragma once

#include "agent/agent.h"
#include "base/buf.h"

// Reads the source once, applies, reads the kernel back. EXIT_OK: nothing to do, or the first programming of this node;
// config->drift_exit_code: the kernel differed and was repaired. Beside a running daemon it writes nothing: it
// compares, and asks the daemon to repair. Not synced: EXIT_INPUT when a state file is unreadable, else EXIT_FAILED;
// the kernel is not touched. Rules that bridged packets go round (br_netfilter) are a failure. With config->json a
// failure writes to out as well.
int once_run(const struct agent_config *config, struct buf *out, struct err *err);
// What once_run would write, as text. EXIT_OK: nothing; EXIT_DIFFERS.
int once_plan(const struct agent_config *config, struct buf *out, struct err *err);
int once_cleanup(const struct agent_config *config, struct buf *out, struct err *err);
int once_print_facts(struct buf *out, struct err *err);
