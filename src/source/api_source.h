// SPDX-License-Identifier: Apache-2.0
//
// The API server as a source, list + watch of four kinds (api-client.md 1, 2). Private to this module and its tests.
//
// Each kind walks round by itself: wanting a list → listing (page by page) → watching → watching again … and back to a
// list when the server's history is gone; a failure puts it to waiting, with what comes next. One list runs at a time,
// in the order of the kinds, pods last. Callbacks of a transfer only write to the state; the owner is told from a timer
// of its own, so that whatever the owner does, no transfer is on the stack.
#pragma once

#include "base/doc.h"
#include "base/map.h"
#include "http/http.h"
#include "source/api_url.h"
#include "source/credentials.h"
#include "source/lines.h"
#include "source/source.h"
#include "source/splitter.h"

// All times that the source takes; tests shorten them.
struct api_timing {
    unsigned backoff_first_ms;  // doubled by every failure; a random part of up to once as much is added
    unsigned backoff_max_ms;
    unsigned denied_ms;          // between tries while access is denied (403); up to once as much is added
    unsigned retry_after_max_s;  // a longer Retry-After is cut
    unsigned spread_ms;          // random part added to Retry-After
    unsigned short_watch_ms;     // a watch that ends sooner, without an event, counts as a failure
    unsigned watch_min_s;        // timeoutSeconds of a watch, random between the two
    unsigned watch_max_s;
    unsigned watch_grace_ms;  // and then a watch is ended here
    unsigned list_ms;         // one page
};
extern const struct api_timing api_timing_default;

enum { API_PAGE = 500, API_KINDS = OBJECT_KIND_COUNT };

enum api_phase {
    API_WANTS_LIST,
    API_LISTING,
    API_WATCHING,
    API_WAITING,  // for the timer; then list or watch, by resume
};

struct api_source;

struct api_kind {
    struct api_source *source;
    enum object_kind kind;
    const char *label;     // "pods"
    const char *path;      // "/api/v1/pods"
    const char *selector;  // field selector; NULL: none, or the server does not know it
    enum api_phase phase;
    bool resume;             // there is a resource version to watch from
    bool relist;             // asked for by refresh: list when it is this kind's turn
    bool synced;             // listed completely at least once
    bool fresh;              // the next request opens a new connection
    bool failing;            // a failure was reported, and no success since
    unsigned failures;       // since the last success; makes the back-off
    unsigned server_errors;  // ERROR events with code 500 in a row
    unsigned generation;     // of the credentials of the last request
    char *version;           // resource version to watch from
    struct http_request *request;
    struct loop_timer *timer;
    struct arena arena;     // of the object being read
    struct buf pruned;      // its text, without what nobody looks at
    struct err stream_err;  // why a callback stopped the transfer
    // List.
    struct splitter splitter;
    char *next_page;    // continue token; NULL on the first page
    struct map *stale;  // "ns\0name" of what was there before and has not been listed yet; NULL: nothing was there
    // Watch.
    struct lines lines;
    uint64_t started_ms;
    size_t events;
};

struct api_source {
    struct source base;
    struct source_owner owner;
    struct loop *loop;
    struct state *state;  // the owner's
    struct api_config *config;
    struct api_url url;
    struct api_timing timing;
    struct credentials credentials;
    unsigned generation;       // counts changes of the credentials
    bool credentials_failing;  // reported, and not read since
    struct http *http;
    struct api_kind kinds[API_KINDS];
    struct api_kind *listing;  // the one that lists now
    uint64_t random;
    // What the owner has yet to be told.
    struct loop_timer *tell;
    bool changed;
    bool synced;  // all kinds are
    bool synced_told;
    bool problem_new;
    char problem[512];  // why it is not synced
};

// api_source_new with other times. Takes config in every case.
NODISCARD int api_source_new_timed(struct loop *loop, struct api_config *config, const struct api_timing *timing,
                                   struct state *state, const struct source_owner *owner, struct source **ret,
                                   struct err *err);

// ---- api_source.c
// Starts the next list that is wanted, when none runs.
void api_source_pump(struct api_source *source);
void api_source_changed(struct api_source *source);
// Tells the owner when all kinds have synced now.
void api_source_check_synced(struct api_source *source);
// Remembers why the source is not synced (before the first time that it is).
void api_source_problem(struct api_source *source, const char *why);
void api_kind_count(const struct api_kind *kind, const char *counter, unsigned delta);
// Begins to list as soon as it is the kind's turn.
void api_kind_want_list(struct api_kind *kind);

// ---- api_request.c
enum api_request_type { API_LIST, API_WATCH };
// Starts a request for the kind's path; query without "?".
NODISCARD int api_request_start(struct api_kind *kind, enum api_request_type type, const char *query,
                                unsigned timeout_ms, const struct http_handler *handler, struct err *err);
// Reads the credentials again; true when they are others than those of the kind's last request.
bool api_request_credentials_changed(struct api_kind *kind);
// Sets kind->stream_err and returns -1 when an answer is not JSON (a captive portal, a login page).
NODISCARD int api_request_check_head(struct api_kind *kind, const struct http_head *head);

// ---- api_list.c, api_watch.c
void api_list_start(struct api_kind *kind);
void api_list_reset(struct api_kind *kind);
void api_watch_start(struct api_kind *kind);

// ---- api_retry.c
// A transfer failed, by its result (NULL: it could not start) and kind->stream_err: says so and decides what comes
// next.
void api_retry(struct api_kind *kind, enum api_request_type type, const struct http_result *result);
// Things go well again: says so when a failure had been said.
void api_retry_recovered(struct api_kind *kind);
// Waits, then lists or (resume) watches.
void api_retry_in(struct api_kind *kind, bool resume, uint64_t ms);
// [low, high].
uint64_t api_random(struct api_source *source, uint64_t low, uint64_t high);

// ---- api_store.c
// Puts one object into the state. An object that cannot be used is reported and leaves what was there; -1 only for
// memory.
NODISCARD int api_store_put(struct api_kind *kind, const struct doc *object, struct err *err);
// An object that the JSON door refuses: reported, by its name when object (NULL: nothing) has that much, and counted.
void api_store_unreadable(struct api_kind *kind, const struct doc *object, const struct err *why);
// Removes what a DELETED event names. ERR_INPUT when it names nothing.
NODISCARD int api_store_remove(struct api_kind *kind, const struct doc *object, struct err *err);
// Mark and sweep: remember what is there; take an object off that list; remove what is left on it.
NODISCARD int api_store_mark(struct api_kind *kind, struct err *err);
void api_store_seen(struct api_kind *kind, const struct doc *object);
void api_store_sweep(struct api_kind *kind);
// metadata.resourceVersion; NULL when there is none.
const char *api_store_version(const struct doc *object);
