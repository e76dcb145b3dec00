// SPDX-License-Identifier: Apache-2.0
//
// The API server as a source, list + watch of the kinds of a table (api-client.md 1, 2). Private to this module and its
// tests.
//
// Each kind walks round by itself: wanting everything → reading it (WatchList, or page by page) → watching → watching
// again … and back to reading when the server's history is gone; a failure puts it to waiting, with what comes next
// (api_plan.h). One kind is read at a time, in the order of the rows, the large one last. What is read while others may
// look at the state is staged: it shows as a whole or not at all. Callbacks of a transfer only write to the state; the
// owner is told from a timer of its own, so that whatever the owner does, no transfer is on the stack.
#pragma once

#include "base/doc.h"
#include "base/map.h"
#include "decode/decode.h"
#include "http/http.h"
#include "source/api_kinds.h"
#include "source/api_plan.h"
#include "source/api_url.h"
#include "source/credentials.h"
#include "source/object_stream.h"
#include "source/source.h"

enum { API_PAGE = 500, API_WARNINGS_MAX = 64 };

// It is as old as its cluster.
#define API_CLUSTER_NAMESPACE "kube-system"

struct api_source;
struct api_kind;

// ---- api_request.c: one GET request, that may have to wait for credentials first.
enum api_call_state { API_CALL_IDLE, API_CALL_PENDING, API_CALL_FAILED, API_CALL_RUNNING };

struct api_call {
    struct api_source *source;
    enum api_call_state state;
    struct http_handler handler;
    struct http_request *request;  // RUNNING
    char *target;                  // "/api/v1/pods?limit=500"
    bool compressed;
    bool fresh;
    unsigned timeout_ms;
    unsigned min_speed;
    unsigned generation;  // of the credentials that it was sent with
    struct err err;       // FAILED: why
    struct api_call *prev, *next;
};

// Starts it; call is idle. Everything that goes wrong comes as a result (BROKEN, status 0), never from within. The
// handler may start the call again in done.
void api_call_start(struct api_source *source, struct api_call *call, const struct http_handler *handler);
// Ends it without calling done.
void api_call_cancel(struct api_call *call);
// Whether there are other credentials by now than those of a call that was refused (401).
bool api_call_refused(struct api_call *call);
void api_calls_pump(void *source);

// ---- api_ask.c: a small question.
struct api_ask;
// status 0: no answer. doc: of a list everything but its items, else all of it; NULL when it could not be read. item:
// the first one of a list. All are gone after the call.
struct api_answer {
    unsigned status;
    const struct doc *doc;
    const struct doc *item;
    size_t n_items;
    const char *why;  // there is no answer; ""
    struct api_outcome outcome;
};
typedef void api_ask_fn(const struct api_answer *answer, void *arg);

struct api_ask {
    struct api_source *source;
    struct api_call call;
    bool list;
    struct object_stream stream;
    struct buf text;
    struct arena arena;
    struct doc *item;
    struct err err;
    uint64_t started_ms;
    api_ask_fn *fn;
    void *arg;
};
// target as in api_call. kind: of the objects, with list. One question of an ask at a time; while one runs, no other is
// asked.
void api_ask_start(struct api_source *source, struct api_ask *ask, const char *target, bool list, enum object_kind kind,
                   api_ask_fn *fn, void *arg);
bool api_ask_running(const struct api_ask *ask);
void api_ask_cancel(struct api_ask *ask);

// ---- the state of one kind
enum api_phase {
    API_WANTS_SYNC,
    API_SYNCING,  // WatchList until its end, or pages
    API_WATCHING,
    API_WAITING,  // for the timer; then kind->next
    API_LOOKING,  // discovery
    API_DONE,     // read, and that was all (options.once)
};

// Whether the server has the kind, as far as was said.
enum api_presence { API_UNKNOWN, API_PRESENT, API_ABSENT };

// A watch, from its beginning (WatchList: from the objects there are).
struct api_stream {
    struct api_kind *kind;
    struct api_call call;
    struct object_stream lines;
    bool initial;     // the end of the objects there are has not come
    bool answered;    // its head has come
    bool superseded;  // another one has taken its place
    bool frames;      // an event was seen
    char *from;       // of a replacement: the version that was held when it took over; NULL: none
    unsigned asked_s;
    uint64_t started_ms;
    uint64_t last_ms;  // when it said something
    size_t events;
    unsigned bookmarks;
    uint64_t bookmark_ms;  // when the last one came
    uint64_t bookmark_gap_ms;
};

// What is read of a kind before it shows (api_stage.c).
struct api_stage {
    bool active;
    bool direct;          // nothing is held and nobody looks: objects go into the state as they come
    unsigned char *seen;  // a bit for each object of the state, in the order of its list
    size_t n;
    struct map *fresh;  // "ns\0name" → object that differs from the state's, ours
};

struct api_kind {
    struct api_source *source;
    const struct api_kind_row *row;
    const char *label;  // "pods"
    char *path;         // "/api/v1/pods"; NULL: not found yet
    bool shared;        // another row has objects of the same kind
    enum api_phase phase;
    enum api_next next;   // WAITING: what then
    bool relist;          // asked for by refresh, or the server went back: when it is this kind's turn
    const char *why;      // of the next sync: "start", "expired" …
    uint64_t refresh_ms;  // when a refresh that failed is tried again; 0: none
    bool synced;          // read completely at least once
    bool settled;         // optional: was looked for, whatever came of it
    bool fresh;           // the next request opens a new connection
    bool unset;           // the next sync asks for what is true now, whatever version is held
    bool paged;           // the next sync does not try WatchList
    bool unauthorized;    // WAITING since the credentials were refused
    bool unreached;       // WAITING since no connection came about
    bool stale_asked;     // a sync was older than what is held, and is asked for anew
    enum api_presence presence;
    unsigned absences;     // optional: looks in a row that did not find it
    size_t version_index;  // of the row's versions, while LOOKING
    unsigned dropped;      // mask of the row's terms that the server does not know
    unsigned terms;        // mask of those that are sent
    char *selector;        // of the present sync and its watch; NULL: none
    char *version;         // resource version that is held; NULL: none
    char *told;            // what was said last about failures, and no success since
    bool told_watch;       // … of its watch
    struct api_retry retry;
    struct loop_timer *timer;
    struct arena arena;  // of the object being read
    struct buf pruned;   // its text, without what could not be read
    struct err err;      // why a callback stopped the transfer
    enum api_fault fault;
    struct api_status status;  // of an ERROR event
    struct api_stage stage;
    struct map *held;  // of a shared kind: "ns\0name" → generation of the sync that saw it last
    unsigned generation;
    // Pages.
    struct api_call call;
    struct object_stream list;
    char *next_page;     // continue token; NULL on the first page
    char *list_version;  // of the first page
    bool with_version;
    bool with_match;
    bool with_limit;
    uint64_t sync_ms;  // when it began
    uint64_t page_ms;
    // Watch: the present one, and its replacement.
    struct api_stream streams[2];
    unsigned current;
    struct loop_timer *quiet;
    uint64_t broke_ms;  // when a watch ended before its time
    unsigned barren;    // watches in a row without any event
    // Discovery and probes.
    struct api_ask ask;
    struct loop_timer *probe;
    char *probe_version;  // that was held when it was asked
};

struct api_source {
    struct source base;
    struct source_owner owner;
    struct api_options options;
    char *node;
    struct loop *loop;
    struct state *state;  // the owner's
    struct api_config *config;
    struct api_url url;
    struct api_timing timing;
    struct credentials *credentials;
    struct http *http;
    struct api_kind *kinds;
    size_t n_kinds;
    struct api_kind *syncing;  // the one that is read now
    size_t turn;               // index of the kind that is read next, if it wants to be
    struct api_random random;
    unsigned lacks;          // API_LACKS_…
    struct api_call *calls;  // all that are not idle
    struct loop_timer *calls_timer;
    bool settled;  // a credential plugin has ended
    char warnings[API_WARNINGS_MAX][96];
    unsigned n_warnings;
    // The start, and mass disconnects.
    struct api_ask start;
    bool start_asks_node;  // its age, before the number of nodes
    bool start_wait;       // nothing more is asked
    bool version_asked;
    struct loop_timer *start_timer;
    bool started;
    struct api_retry start_retry;
    uint64_t hold_ms;  // kinds that have synced are not read before
    uint64_t busy_ms;  // until then the server takes no list
    struct loop_timer *pump_timer;
    // The server's version, asked for once after each outage.
    struct api_ask version_ask;
    bool outage;       // a connection broke, and no answer has come since
    bool reconnected;  // … and now one has
    bool unreached;    // the last call did not even get a connection
    char *git_version;
    char cluster_uid[128];  // of API_CLUSTER_NAMESPACE; "" when not seen yet
    // What the owner has yet to be told.
    struct loop_timer *tell;
    bool changed;
    bool synced;  // all kinds are
    bool synced_told;
    bool problem_new;
    char problem[512];  // why it is not synced
};

// api_source_new with other times and other kinds (kinds NULL: those of api_kinds.c). Takes config in every case; kinds
// must outlive the source.
NODISCARD int api_source_new_with(struct loop *loop, struct api_config *config, const struct api_options *options,
                                  const struct api_timing *timing, const struct api_kind_row *kinds, size_t n_kinds,
                                  struct state *state, const struct source_owner *owner, struct source **ret,
                                  struct err *err);

// ---- api_source.c
// Begins to read the next kind that wants it, when none is being read: not at once, but from a timer.
void api_source_pump(struct api_source *source);
void api_source_changed(struct api_source *source);
// Tells the owner when all kinds have synced now.
void api_source_check_synced(struct api_source *source);
// Remembers why the source is not synced (before the first time that it is).
void api_source_problem(struct api_source *source, const char *why);
// The server has other, lower versions than we have seen: everything is read anew.
void api_source_went_back(struct api_kind *kind, const char *held, const char *found);
// All watches broke at about the same time? Then everybody's did: relists wait a random time.
void api_source_check_mass(struct api_source *source);

// ---- api_kind.c: from one phase to the next.
void api_kind_go(struct api_kind *kind, enum api_next next);
NODISCARD int api_kind_init(struct api_source *source, struct api_kind *kind, const struct api_kind_row *row,
                            bool shared, struct err *err);
void api_kind_free(struct api_kind *kind);
// It is the kind's turn to be read.
void api_kind_sync(struct api_kind *kind);
// Everything was read up to this version (taken); a watch follows, or goes on.
void api_kind_synced(struct api_kind *kind, char *version);
// Whether a sync that gives this version is older than what is held.
bool api_kind_is_stale(const struct api_kind *kind, const char *version);
// A request of the kind's present phase has ended with that; the kind goes on as planned.
void api_kind_failed(struct api_kind *kind, const struct api_outcome *outcome, const struct http_result *result);
// Waits, then does so.
void api_kind_wait(struct api_kind *kind, enum api_next next, uint64_t ms);
// Ends whatever runs for the kind.
void api_kind_stop(struct api_kind *kind);

// ---- api_list.c, api_watch.c
void api_list_start(struct api_kind *kind);
void api_list_resume(struct api_kind *kind);  // the same page once more
void api_list_stop(struct api_kind *kind);
void api_watch_start(struct api_kind *kind, bool initial);
void api_watch_stop(struct api_kind *kind);
void api_watch_quiet(void *kind);
// Appends "&fieldSelector=…" of the kind's present sync.
void api_append_selector(struct buf *query, const struct api_kind *kind);
// The kind's path with a query that begins with "&" (or is empty); NULL when memory is out. The caller frees.
char *api_target(const struct api_kind *kind, const struct buf *query);
// Sets kind->err and kind->fault and returns -1 when an answer is not JSON (a captive portal, a login page).
NODISCARD int api_check_head(struct api_kind *kind, const struct http_head *head);

// ---- api_find.c: whether the server has an optional kind, and in which version.
void api_find_start(struct api_kind *kind);

// ---- api_start.c
// The next step towards the first list.
void api_start_due(void *source);
void api_ask_version(struct api_source *source);

// ---- api_probe.c
void api_probe_arm(struct api_kind *kind);
void api_probe_now(struct api_kind *kind);
void api_probe_due(void *kind);

// ---- api_report.c
void api_count(const struct api_kind *kind, const char *counter, unsigned delta);
// With the label "KIND/MORE".
void api_count_more(const struct api_kind *kind, const char *counter, const char *more, unsigned delta);
// A list, or the initial events of a watch, ended with that status (0: none).
void api_count_list(struct api_kind *kind, unsigned status);
void api_say(struct api_source *source, enum source_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
// What went wrong and what comes next, once per change.
void api_say_failed(struct api_kind *kind, const struct api_outcome *outcome, const struct http_result *result,
                    const struct api_plan *plan);
// Things go well again: says so when a failure had been said.
void api_say_recovered(struct api_kind *kind);
void api_say_warning(struct api_source *source, const char *text);

// ---- api_store.c: from text to the state.
// Reads one text as JSON into the kind's arena.
NODISCARD int api_store_parse(struct api_kind *kind, const char *text, size_t len, struct doc **ret, struct err *err);
// Puts one object into the state, or to what is staged. An object that cannot be used is reported and leaves what was
// there; -1 only for memory.
NODISCARD int api_store_put(struct api_kind *kind, const struct doc *object, struct err *err);
// An object that the JSON door refuses: reported, by its name when object (NULL: nothing) has that much, and counted.
// What is held under its name stays.
NODISCARD int api_store_unreadable(struct api_kind *kind, const struct doc *object, const struct err *why,
                                   struct err *err);
// Removes what a DELETED event names. ERR_INPUT when it names nothing.
NODISCARD int api_store_remove(struct api_kind *kind, const struct doc *object, struct err *err);
// Removes all objects of the kind.
NODISCARD int api_store_clear(struct api_kind *kind, struct err *err);
// metadata.resourceVersion; NULL when there is none.
const char *api_store_version(const struct doc *object);

// ---- api_stage.c
NODISCARD int api_stage_begin(struct api_kind *kind, struct err *err);
// The object is there, as given (an enum state_change: what it will be), or (seen) as it is held.
NODISCARD int api_stage_put(struct api_kind *kind, const struct decoded *decoded, struct err *err);
NODISCARD int api_stage_seen(struct api_kind *kind, const char *ns, const char *name, struct err *err);
// It is there no more.
NODISCARD int api_stage_remove(struct api_kind *kind, const char *ns, const char *name, struct err *err);
// Everything was seen: what is staged goes into the state, and what was not seen goes.
NODISCARD int api_stage_commit(struct api_kind *kind, struct err *err);
void api_stage_drop(struct api_kind *kind);
// The object of the state; NULL when there is none.
const void *api_state_get(const struct state *state, enum object_kind kind, const char *ns, const char *name);
// All of them in order; as state_pods.
const struct object_meta *const *api_state_list(struct state *state, enum object_kind kind, size_t *ret_n);
bool api_object_equal(enum object_kind kind, const void *a, const struct decoded *b);
// Upsert and removal in the state, kept account of for shared kinds. An enum state_change, or -1.
NODISCARD int api_state_put(struct api_kind *kind, const struct decoded *decoded, struct err *err);
int api_state_remove(struct api_kind *kind, const char *ns, const char *name, const char *uid);
