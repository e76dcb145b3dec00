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

enum agent_http { AGENT_HTTP_AUTO, AGENT_HTTP_1_1, AGENT_HTTP_2 };

struct agent_config {
    const char *node;
    const char *const *state_paths;  // none: the API server
    size_t n_state_paths;
    const char *kubeconfig;  // NULL: the service account of this pod
    const char *context;     // of the kubeconfig; NULL: its current-context
    const char *api_server;  // "host:port" of the service account's server; NULL: as the cluster says
    enum agent_http http_version;
    bool spread_start;       // many nodes may start at this moment: the API server is asked in turn
    const char *facts_file;  // --facts, only with --dry-run; NULL: read from the host
    const struct backend_ops *backend;
    const char *backend_why;  // that one, for status
    struct policy_options options;
    uint64_t sync_period_ms;
    uint64_t min_apply_interval_ms;
    const char *metrics_address;  // NULL: no server
    const char *socket;           // of control.h; NULL: none
    int drift_exit_code;          // of --once
    bool json;                    // its summary
};

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_DIFFERS = 2, EXIT_USAGE = 3, EXIT_INPUT = 4 };

// Runs until SIGTERM or SIGINT; the rules stay in force. Returns an exit code; when that is not EXIT_OK, err says why.
int agent_run(const struct agent_config *config, struct err *err);

// A source's report as a log line (source_owner.report).
void agent_log_report(enum source_level level, const char *event, const char *fields, void *arg);
// A peer that went away is an error of its write, not the end of the process.
void agent_ignore_sigpipe(void);
