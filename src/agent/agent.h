// SPDX-License-Identifier: Apache-2.0
//
// The daemon: a source of objects, the facts of the host, the sync state machine and the health and metrics server on
// one event loop.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "dataplane/backend.h"
#include "model/state.h"
#include "policy/options.h"
#include "source/source.h"

struct agent_config {
    const char *node;
    const char *const *state_paths;  // none: the API server
    size_t n_state_paths;
    const char *kubeconfig;  // NULL: the service account of this pod
    const char *facts_file;  // --facts, only with --dry-run; NULL: read from the host
    const struct backend_ops *backend;
    struct policy_options options;
    uint64_t sync_period_ms;
    uint64_t min_apply_interval_ms;
    const char *metrics_address;  // NULL: no server
    int drift_exit_code;          // of --once
};

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_DIFFERS = 2, EXIT_USAGE = 3, EXIT_INPUT = 4 };

// Runs until SIGTERM or SIGINT; the rules stay in force. Returns an exit code; when that is not EXIT_OK, err says why.
int agent_run(const struct agent_config *config, struct err *err);

// Opens the source that config names; it writes into state.
NODISCARD int agent_open_source(const struct agent_config *config, struct loop *loop, struct state *state,
                                const struct source_owner *owner, struct source **ret, struct err *err);
// A source's report as a log line (source_owner.report).
void agent_log_report(enum source_level level, const char *event, const char *fields, void *arg);
// A peer that went away is an error of its write, not the end of the process.
void agent_ignore_sigpipe(void);
