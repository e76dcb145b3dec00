// SPDX-License-Identifier: Apache-2.0
//
// What the agent knows of a source of objects: it writes into the agent's state from loop callbacks and tells when.
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "model/state.h"

enum source_level { SOURCE_INFO, SOURCE_WARN, SOURCE_ERROR };

// Calls from a source to its owner. All are called from the loop, never from within source_new.
struct source_owner {
    void *arg;
    // The state was changed (several objects a call at most times).
    void (*changed)(void *arg);
    // All kinds are known completely: the state may be acted upon. Called with false and why when that is not (or no
    // longer: never after the first true) so.
    void (*synced)(bool synced, const char *why, void *arg);
    // One thing worth a log line: event is a stable key, fields as in log_event.
    void (*report)(enum source_level level, const char *event, const char *fields, void *arg);
    // Counters of metrics by stable name and label value ("watch_restarts", "pods"); delta > 0.
    void (*count)(const char *counter, const char *label, unsigned delta, void *arg);
};

struct source;
struct source_ops {
    const char *name;
    void (*free)(struct source *source);
    // Look again at once (SIGHUP).
    void (*refresh)(struct source *source);
};
struct source {
    const struct source_ops *ops;
};

// --state: files watched with inotify; bursts (rename into place, symlink swap) are one change.
NODISCARD int file_source_new(struct loop *loop, const char *const *paths, size_t n, struct state *state,
                              const struct source_owner *owner, struct source **ret, struct err *err);

struct api_config;  // source/kubeconfig.h
// Kubernetes API server: list + watch of pods, namespaces, networkpolicies, nodes. Takes config in every case.
NODISCARD int api_source_new(struct loop *loop, struct api_config *config, struct state *state,
                             const struct source_owner *owner, struct source **ret, struct err *err);
