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
    // Counters of metrics by stable name and label values, with a '/' between them; delta > 0. Of the API server
    // (RESOURCE: "pods" …; CODE: the HTTP status, "<error>" when there was none):
    //   requests        CODE                    every request that ended
    //   lists           RESOURCE/REASON/CODE    everything of a resource was asked for, by pages (each answer that
    //   ended
    //                                           the list) or as a watch's initial events. REASON: "start", "refresh",
    //                                           "found", "went-back", or the reason of the watch that ended
    //   list_ms         RESOURCE                milliseconds until it was read, one call a time
    //   list_failures   RESOURCE                … and was not
    //   watch_restarts  RESOURCE/REASON         a watch ended: "ended" (its time was over), "early", "deadline" (ended
    //                                           by us), "short", "silent" (a second one was opened beside it),
    //                                           "broken", "raced", "expired", "ahead", "server-error", "throttled",
    //                                           "content", "no-server", "compressed", "unauthorized", "forbidden",
    //                                           "not-found", "refused", "not-started"
    //   watch_failures  RESOURCE                … by a failure
    //   watch_events    RESOURCE/TYPE           ADDED, MODIFIED, DELETED, BOOKMARK; the time of the last call is that
    //   of
    //                                           the last event
    //   parse_errors    RESOURCE                objects or parts of them that could not be read
    //   probes          RESOURCE                looks whether the server's versions went backwards
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
struct doc;         // base/doc.h

enum api_view {
    API_VIEW_RULES,  // what rules can depend on: pods on the host network and unscheduled pods are left to the server
    API_VIEW_ALL,    // for audits and snapshots: every pod that is not finished
};

struct api_options {
    enum api_view view;
    unsigned http_version;  // enum http_version of http/http.h
    // One look and no more: no watch after the lists, the source is done when all kinds have synced. The first failure
    // of a mandatory kind is told at once by owner->synced(false, …).
    bool once;
    // Wait a random part of the start window, so that a fleet that starts at once does not list at once.
    bool spread_start;
    const char *node;  // with spread_start: our node; young and without rules, it does not wait. NULL: waits
    bool has_rules;    // the kernel holds rules of ours already
    // Every object as the server gave it, reduced to what is ever read (no annotations, no managed fields, no
    // environment), for snapshots. An object may be given several times, the last counts; what is not in the state in
    // the end has gone meanwhile. NULL: nobody asks. From the loop.
    void (*object)(enum object_kind kind, const struct doc *object, void *arg);
    void *object_arg;
};

// Kubernetes API server: list + watch of pods, namespaces, networkpolicies, nodes. Takes config in every case.
NODISCARD int api_source_new(struct loop *loop, struct api_config *config, const struct api_options *options,
                             struct state *state, const struct source_owner *owner, struct source **ret,
                             struct err *err);
