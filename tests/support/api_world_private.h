// SPDX-License-Identifier: Apache-2.0
//
// The parts of the model API server among themselves.
#pragma once

#include "support/api_world.h"

// One version of one object. Immutable, shared by the present and the history.
struct world_version {
    unsigned refs;
    char *key;  // "ns/name", or "name"
    uint64_t version;
    uint64_t born;  // the version in which the object of this uid was added
    char *meta;     // JSON of the metadata behind the resourceVersion: `,"name":…`
    char *rest;     // JSON behind the metadata: `,"spec":…`
    char *text;     // the description that made it
    char uid[40];
    char *node;
    char *phase;
    bool host_network;
};

struct world_kind_row {
    const char *plural;
    const char *group;  // "" for core
    const char *api_versions[2];
    const char *name;  // "Pod"
    enum object_kind kind;
    bool namespaced;
};
extern const struct world_kind_row world_kind_rows[WORLD_KINDS];

// A request whose answer has not ended.
struct world_call {
    struct world *world;
    struct api_exchange *exchange;
    struct world_call *prev, *next;
    struct loop_timer *timer;
    size_t request;  // index in the log
    unsigned type;
    int kind;
    bool lists;  // counted in lists_in_flight
    bool dead;   // the client cannot be heard any more
    struct world_fault effect;
    // The body.
    bool answered;
    bool waited;  // for the cache
    bool begun;
    bool cut;       // nothing more is written
    unsigned pass;  // of the last world_each_call
    bool end;       // when everything is written
    size_t bytes;
    size_t events;
    struct buf waiting;  // for merge and drip
    uint64_t write_ms;
    // A watch.
    bool watching;
    const char *api_version;  // of its group
    uint64_t start;           // resource version that it was asked from
    uint64_t sent;            // up to here
    uint64_t shown;           // the last event that was written, which was of this kind and within the selector
    uint64_t end_ms;
    uint64_t bookmark_ms;
    bool bookmarks;
    bool gzip;
    char selector[256];
    char *name;  // of WORLD_GET
};

// ---- api_world.c
void *world_must(void *memory);
uint64_t world_cache(const struct world *world);  // what the cache has seen
void world_violation(struct world *world, const struct world_call *call, const char *what);
// Watches get what is new.
void world_pump(struct world *world);

// ---- api_world_history.c
// Calls fn for the objects of a kind as they were at a version, in the order of keys. False: the history is gone.
bool world_at(const struct world *world, int kind, uint64_t version,
              void (*fn)(struct world_version *object, void *arg), void *arg);
// The next version: that object there (taken; NULL: nothing there any more).
void world_change(struct world *world, int kind, const char *key, struct world_version *new);
const struct world_version *world_find(const struct world *world, int kind, const char *key);

// ---- api_world_open.c
// Calls fn for every call there is; whatever fn does may end any of them.
void world_each_call(struct world *world, void (*fn)(struct world_call *call, void *arg), void *arg);
// What arrives at the socket is dropped before TCP sees it. False: the kernel refuses.
bool world_socket_black_hole(int fd, bool on);

// ---- api_world_object.c
void world_version_unref(struct world_version *version);
struct world_version *world_version_ref(struct world_version *version);
// Its JSON with that version number; api_version NULL: as an item of a list.
void world_version_json(const struct world_version *object, uint64_t version, int kind, const char *api_version,
                        struct buf *out);
// As Go writes JSON strings: "<", ">" and "&" are escaped.
void world_json_string(struct buf *out, const char *text);

// ---- api_world_select.c
// NULL, or the label that is not supported (static).
const char *world_selector_check(const struct world *world, int kind, const char *selector);
bool world_selector_matches(int kind, const char *selector, const struct world_version *object);

// ---- api_world_serve.c
void world_serve(struct api_exchange *exchange, void *world);
// It lists no more: its last page, or the end of its initial events, is written.
void world_call_listed(struct world_call *call);

// ---- api_world_answer.c
// What the request deserves, by its faults and by who asks; at once, or as far as is known now.
void world_answer(struct world_call *call);
// A whole answer: a Status as the server words it. more: further members of the object, with a comma in front, or "".
void world_reply_status(struct world_call *call, unsigned code, const char *reason, const char *message,
                        const char *headers, const char *more);
void world_status_json(unsigned code, const char *reason, const char *message, const char *more, struct buf *out);
void world_reply(struct world_call *call, unsigned status, const char *type, const char *headers, const char *body);
// The headers of every answer, and these.
void world_headers(const struct world_call *call, const char *headers, struct buf *out);

// ---- api_world_list.c, api_world_watch.c
void world_list(struct world_call *call);
unsigned world_token_page(const char *text);
void world_too_large(uint64_t asked, uint64_t have, struct buf *ret_message);
void world_watch(struct world_call *call);
void world_watch_pump(struct world_call *call);
void world_watch_due(struct world_call *call);
void world_gzip(const char *data, size_t len, struct buf *out);

// ---- api_world_fault.c
// Counts the request against every fault and puts together what hits it.
void world_fault_collect(struct world *world, const struct world_request *request, struct world_fault *ret);
// The head of an answer with status 200. Here and below, false: nothing more can be written, and the call may be gone.
bool world_call_begin(struct world_call *call, const char *headers);
// Body bytes; n_events of them whole events.
bool world_call_write(struct world_call *call, const char *data, size_t len, size_t n_events);
// The clean end, when everything is written.
void world_call_end(struct world_call *call);
void world_call_cut(struct world_call *call, enum world_cut cut);
// The timer: what is due now, and when it is to ring next.
void world_call_due(struct world_call *call);
void world_call_arm(struct world_call *call);
