// SPDX-License-Identifier: Apache-2.0
//
// A model of a Kubernetes API server in the loop of a test: objects, their history and everything that a client may ask
// of them (lists at any resource version, pages, watches, WatchList, bookmarks, field selectors, discovery), on top of
// the exchanges of api_server.h. What the real server does is taken from api-client.md 1, 2 and 5.
//
//   - Objects are put and deleted by compact descriptions; every change gets the next number of one RV counter.
//   - Settings (struct world, first part) say what kind of server this is; they may be changed at any time.
//   - Faults (struct world_fault) say what goes wrong with which request. Several may hit the same request: what they
//     say is put together, the first one added wins where two disagree.
//   - Every request is logged (world_count, world_rate); what no right client ever sends is a violation.
//   - world_difference tells how far a state is from what the client should see.
//
// Nothing here fails: a test that is out of memory aborts.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "base/mem.h"
#include "model/state.h"
#include "support/api_server.h"

enum { WORLD_NAMESPACES, WORLD_POLICIES, WORLD_NODES, WORLD_PODS, WORLD_CUSTOM, WORLD_KINDS };
#define WORLD_BIT(kind) (1u << (kind))
// A custom resource that is decoded as a NetworkPolicy: "books" in the group library.example.org, not served at first.
#define WORLD_CUSTOM_GROUP "library.example.org"

// What a request asks for; also a mask.
enum {
    WORLD_LIST = 1,        // every page counts
    WORLD_WATCH = 2,       // from a resource version
    WORLD_INITIAL = 4,     // WatchList
    WORLD_PROBE = 8,       // a list with limit=1
    WORLD_DISCOVERY = 16,  // /apis/<group>[/<version>], /api/v1
    WORLD_VERSION = 32,    // /version
    WORLD_GET = 64,        // one object by name
    WORLD_OTHER = 128,
    WORLD_READS = WORLD_LIST | WORLD_INITIAL,  // everything of a kind
};

enum world_watch_list {
    WORLD_WATCH_LIST_ON,
    WORLD_WATCH_LIST_OFF,          // 422: the gate is off
    WORLD_WATCH_LIST_UNKNOWN,      // an old server: its parameters are not looked at
    WORLD_WATCH_LIST_NO_PROGRESS,  // 200, then ERROR 500: etcd cannot notify of progress
};

// How an answer stops.
enum world_cut {
    WORLD_CUT_NONE,
    WORLD_CUT_END,         // a clean end, wherever it is
    WORLD_CUT_FIN,         // the connection ends without the answer's end, and over TLS without close_notify
    WORLD_CUT_CLOSE,       // the same, with close_notify
    WORLD_CUT_RST,         // the connection is reset
    WORLD_CUT_STREAM,      // HTTP/2: only this stream is (RST_STREAM, INTERNAL_ERROR)
    WORLD_CUT_GOAWAY,      // HTTP/2: the server never looked at the request (GOAWAY); older streams live
    WORLD_CUT_HANG,        // nothing more comes; the connection lives
    WORLD_CUT_BLACK_HOLE,  // packets of the client vanish: no answer, no acknowledgement, no reset
};

// One thing that goes wrong. Texts must outlive the world.
struct world_fault {
    const char *name;
    // ---- which requests
    unsigned on;     // mask of WORLD_LIST …; 0: every type
    unsigned kinds;  // mask of WORLD_BIT(); 0: every kind, and requests that concern none
    unsigned page;   // of a list, from 1; 0: every page
    unsigned skip;   // so many pass unharmed first
    unsigned times;  // so many are hit; 0: all, until world_heal
    // ---- what happens to them
    unsigned delay_ms;  // before the answer begins
    bool silent;        // no answer ever
    // An answer in place of the server's own; 0: the server's own.
    unsigned status;
    const char *type;     // NULL: application/json
    const char *headers;  // lines with "\r\n"; NULL: none
    const char *body;     // NULL: a Status as the server words it
    uint64_t at_version;  // lists show the past: as things were at that version, which they name
    // Where the answer stops, and how: behind so many bytes of the body, or (0 bytes) so many events, or (0 events) its
    // head. A merge keeps what is written within that time in one chunk; a split writes chunks of so many bytes (and
    // with drip_ms one of them every so often). line_end is behind each event in place of "\n"; inject is written as it
    // is before each event (on lists: nothing).
    enum world_cut cut;
    size_t after_bytes;
    size_t after_events;
    unsigned merge_ms;
    unsigned split;
    unsigned drip_ms;
    const char *line_end;
    const char *inject;
    // ---- kept by the world
    bool healed;
    unsigned seen;
    unsigned hits;
};

struct world_request {
    uint64_t at_ms;
    unsigned type;  // one of WORLD_LIST …
    int kind;       // -1: none
    unsigned page;  // of a list, from 1
    bool has_version;
    char version[40];  // resourceVersion, "" when not sent
    char match[16];    // resourceVersionMatch
    char selector[256];
    char *query;  // as sent
    char token[64];
    size_t connection;
    bool gzip;        // asked for
    unsigned status;  // of the answer; 0: none so far
    bool over;
    uint64_t over_ms;
    size_t events;  // sent
};

struct world_version;
struct world_call;
struct world_event {
    uint64_t version;
    int kind;
    struct world_version *old;  // NULL: added
    struct world_version *new;  // NULL: deleted
};

struct world_objects {
    VEC(struct world_version *) list;  // sorted by key
};

struct world {
    // ---- settings
    enum world_watch_list watch_list;
    const char *minor;          // of /version: "34", "27+"
    bool host_network_label;    // spec.hostNetwork is a field label for pods
    const char *unknown_label;  // a field label that this server does not know; NULL: none
    unsigned bookmark_ms;       // between the bookmarks of a watch; 0: none, not at its end either
    size_t ring;                // events of a kind that watches can go back; 0: all
    size_t slow_bytes;          // a watch whose client has not taken so many bytes is ended; 0: never
    unsigned token_ms;          // life of a continue token; 0: until compaction
    bool new_token;             // a 410 for a continue token offers another one (with version -1)
    bool limit_ignored;         // lists are never paged
    bool items_null;            // "items":null instead of an empty list
    bool empty_page;            // paged lists begin with an empty page
    bool remaining;             // pages tell remainingItemCount (never with a selector)
    bool gzip;                  // lists above 128 KiB are compressed when asked for
    bool gzip_initial;          // WatchList answers are compressed, a member for each write, asked for or not
    const char *warning;        // text of a Warning header on every answer; NULL: none
    const char *token;          // other bearer tokens get 401; NULL: anybody may come
    unsigned forbidden;         // mask of kinds that get 403
    unsigned served;            // mask of kinds that exist
    unsigned seats;             // more lists than that at once get a 429 as APF words it; 0: no limit
    bool quiet_violations;      // requests that no right client sends are not collected
    // ---- the present, to be read
    uint64_t version;                 // of the latest change
    uint64_t compacted;               // exact lists and continue tokens of before are gone (410)
    uint64_t floor[WORLD_KINDS];      // watches of before are gone (410)
    uint64_t cache;                   // not 0: the cache is stuck there (world_freeze)
    char selector[WORLD_KINDS][256];  // that the client asked with last
    unsigned lists_in_flight;         // now, an unfinished WatchList is one
    unsigned lists_in_flight_max;
    struct buf violations;  // one line each
    VEC(struct world_request) requests;
    struct api_server *server;
    struct loop *loop;
    // ---- private
    struct world_objects objects[WORLD_KINDS];
    VEC(struct world_event) history;
    VEC(struct world_fault *) faults;
    struct world_call *calls;
    uint64_t oldest;  // the history goes back to there
    uint64_t uids;
    bool restored;
    unsigned pass;
    bool dying;
};

// A server like 1.34 on a port of this address ("127.0.0.1", "::1"), with no objects, versions from 1000. For TLS and
// HTTP/2 see api_server.h: world->server.
struct world *world_new(struct loop *loop, const char *address);
void world_free(struct world *world);
// Settings of a server of that minor version, 24 to 35: WatchList, field labels, /version.
void world_set_minor(struct world *world, unsigned minor);

// The plural of a kind: "pods".
const char *world_plural(int kind);

// ---- objects (api_world_object.c). Descriptions are words: "ns/name" or "name" first, then
//   key=value        a label
//   ip:ADDRESS       of a pod (several) or node; cidr:PREFIX of a node
//   node:NAME        spec.nodeName, n1 when absent; "unscheduled" for none
//   phase:NAME       Running when absent
//   hostnet          spec.hostNetwork
//   port:NAME=NUMBER of a container
//   deleting         a deletionTimestamp
//   select:K=V       podSelector of a policy; from:K=V a peer
//   pad:BYTES        an annotation of that size
//   extra            fields that nobody knows, in many places
// Adds it, or changes what has that name, as one event; returns its version. The words take printf's arguments.
uint64_t world_put(struct world *world, int kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// An event that changes nothing that we look at (a heartbeat of status).
uint64_t world_touch(struct world *world, int kind, const char *key);
uint64_t world_delete(struct world *world, int kind, const char *key);
bool world_has(const struct world *world, int kind, const char *key);
size_t world_size(const struct world *world, int kind);
// The key of the object at a place of the order of keys; borrowed.
const char *world_key(const struct world *world, int kind, size_t index);
// The whole object as JSON, as a watch shows it. NULL when there is none; the caller frees.
char *world_json(const struct world *world, int kind, const char *key);

// ---- the server's life
// Watches cannot go back behind now.
void world_forget(struct world *world, unsigned kinds);
// Exact lists and continue tokens of before now are gone.
void world_compact(struct world *world);
// The API server is killed and is there again: every connection ends, no history for watches.
void world_restart(struct world *world);
// An etcd backup is restored: everything is as at that version, the counter too, every connection ends.
void world_restore(struct world *world, uint64_t version);
// The cache stands still: watches, version "0" and "N" see nothing new. Thaw delivers.
void world_freeze(struct world *world);
void world_thaw(struct world *world);
// A kind appears or disappears (its watches end, its objects are gone without events).
void world_install(struct world *world, int kind);
void world_remove(struct world *world, int kind);
// Connections are refused, or accepted again. Going down ends every connection.
void world_listen(struct world *world, bool listening);
// New connections vanish (no SYN is answered), or not any more.
void world_black_hole_syn(struct world *world, bool on);

// ---- open watches (both types). kinds 0: all
size_t world_watchers(const struct world *world, unsigned kinds);
// Stops them as they are; returns how many there were.
size_t world_cut(struct world *world, unsigned kinds, enum world_cut cut);
// Writes these bytes to them, as they are.
void world_write(struct world *world, unsigned kinds, const char *text, size_t len);
// One event to them: type and the text of an object.
void world_event(struct world *world, unsigned kinds, const char *type, const char *object);
// Whether each of these kinds has an open watch that has seen everything.
bool world_current(const struct world *world, unsigned kinds);
// The version of the last event that an open watch of the kind was sent, 0 when none was: it may be on its way still.
uint64_t world_shown(const struct world *world, int kind);

// ---- faults (api_world_fault.c). The fault is copied; the copy is returned and lives as long as the world.
struct world_fault *world_fault(struct world *world, struct world_fault fault);
// It hits no more; open answers that it shapes go on as it has shaped them. NULL: all of them.
void world_heal(struct world *world, struct world_fault *fault);

// ---- the request log (api_world_log.c). From that index on; types and kinds are masks, 0: all.
size_t world_mark(const struct world *world);
size_t world_count(const struct world *world, unsigned types, unsigned kinds, size_t since);
// The last one; NULL when there is none.
const struct world_request *world_last(const struct world *world, unsigned types, unsigned kinds, size_t since);
// The n-th (from 0); NULL when there are fewer.
const struct world_request *world_nth(const struct world *world, unsigned types, unsigned kinds, size_t since,
                                      size_t n);
// The most requests within any window of that length. Pages of a list behind the first do not count.
size_t world_rate(const struct world *world, unsigned types, unsigned kinds, size_t since, uint64_t window_ms);
// All of them, one line each.
void world_log(const struct world *world, size_t since, struct buf *out);

// ---- comparison (api_world_compare.c)
// What the state should hold by now, by the selectors that the client asks with, and does not, or holds and should not,
// or holds otherwise; one line each into out (NULL: only counted). kinds 0: those of the core.
size_t world_difference(const struct world *world, struct state *state, unsigned kinds, struct buf *out);
