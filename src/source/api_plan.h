// SPDX-License-Identifier: Apache-2.0
//
// What comes next after a list or a watch has ended, whatever its end: the table of api-client.md 2.11, as a pure
// function. No I/O and no clock: thousands of simulated clients can run it in virtual time.
#pragma once

#include "http/http.h"
#include "source/api_kinds.h"
#include "source/api_status.h"
#include "source/source.h"

// All times that the source takes; tests shorten them.
struct api_timing {
    unsigned backoff_first_ms;  // doubled by every failure; a random part of up to once as much is added
    unsigned backoff_max_ms;
    unsigned backoff_reset_ms;   // without a failure, after which the back-off starts anew
    unsigned denied_ms;          // between tries while access is denied (403); up to once as much is added
    unsigned absent_ms;          // between looks for an optional kind that the server does not serve; ± half
    unsigned retry_after_max_s;  // a longer Retry-After is cut
    unsigned spread_ms;          // random part of every reconnect and of Retry-After
    unsigned start_per_node_ms;  // the first list waits a random part of this times the number of nodes …
    unsigned start_max_ms;       // … and of this at most; the same after a mass disconnect with relist
    unsigned young_node_s;       // a node that is younger, and has no rules yet, does not wait
    unsigned short_watch_ms;     // a watch that ends sooner, without an event, counts as a failure
    unsigned watch_min_s;        // timeoutSeconds of a watch, random between the two
    unsigned watch_max_s;
    unsigned watch_grace_ms;    // and then a watch is ended here
    unsigned head_ms;           // until the head of an answer: a server may queue a request for 15 s
    unsigned list_ms;           // one page
    unsigned initial_quiet_ms;  // a WatchList without an event and without its end is given up
    unsigned silence_ms;        // a watch that had bookmarks and then nothing gets a replacement beside it
    unsigned probe_ms;          // between looks whether the server's versions went backwards; ± half
    struct http_times http;
};
extern const struct api_timing api_timing_default;

// Spreads load, decides nothing. Any start but 0.
struct api_random {
    uint64_t state;
};
uint64_t api_random_between(struct api_random *random, uint64_t low, uint64_t high);  // [low, high]

enum api_act {
    API_ACT_LIST,     // a page of a list
    API_ACT_INITIAL,  // a watch that begins with everything there is (WatchList), before the end of that
    API_ACT_WATCH,    // from a version on
    API_ACT_LOOK,     // discovery: does the server have the kind?
};

// What was wrong with the content of an answer.
enum api_fault {
    API_FAULT_NONE,
    API_FAULT_NO_SERVER,   // no JSON, or no watch events: a captive portal, a login page
    API_FAULT_COMPRESSED,  // a watch that is: only its beginning could be read
    API_FAULT_QUIET,       // a WatchList that neither ends nor goes on
    API_FAULT_STATUS,      // an ERROR event; outcome.status says which
    API_FAULT_CONTENT,     // something could not be read, or not be kept: events are lost
    API_FAULT_STALE,       // a list that is older than what is held
    API_FAULT_OUR_SIDE,    // the request could not be started (credentials, memory)
};

// What a server does not have; remembered until it has another version.
enum {
    API_LACKS_WATCH_LIST = 1,
    API_LACKS_MATCH = 2,  // resourceVersionMatch on lists
    API_LACKS_LIMIT = 4,  // pages
};

// How a request ended.
struct api_outcome {
    enum api_act act;
    enum http_outcome end;
    unsigned http;  // status; 0: none was seen
    bool raced;
    bool has_retry_after;
    unsigned retry_after_s;
    enum api_fault fault;
    struct api_status status;  // of an ERROR event or of an error's body; zero: there was none
    // What was asked.
    bool with_version;  // resourceVersion was sent (LIST, INITIAL)
    bool with_match;
    bool with_limit;
    bool later_page;
    unsigned terms;    // mask of the row's terms that were sent
    unsigned asked_s;  // timeoutSeconds
    // What came.
    uint64_t lived_ms;
    size_t events;  // bookmarks too
    // There are other credentials now than those that were sent.
    bool credentials_changed;
};

// What a kind remembers of its failures; starts as zero.
struct api_retry {
    unsigned failures;    // make the back-off
    uint64_t until_ms;    // when the last back-off was over
    unsigned hasty;       // what was done at once already and is not again
    unsigned errors;      // ERROR 500 in a row
    unsigned cuts;        // WatchLists that ended before their end
    unsigned forbidden;   // 403s since anything else was answered
    unsigned page_tries;  // of the present page of a list
};

enum api_next {
    API_NEXT_WATCH,  // from the version that is held
    API_NEXT_SYNC,   // everything anew
    API_NEXT_LOOK,   // does the server have the kind?
    API_NEXT_PAGE,   // the same page of the list once more; what was read of it stays
};

struct api_plan {
    enum api_next next;
    uint64_t wait_ms;
    bool unset_version;  // SYNC: not by the version that is held, but what is true now
    bool paged;          // SYNC: by pages, this time
    bool fresh;          // on a new connection
    unsigned lacks;      // API_LACKS_… that has shown
    unsigned terms;      // mask of the row's terms that the server does not know
    bool failed;         // something went wrong; false: the protocol's own way
    const char *reason;  // one word, for counters: "ended", "broken", "expired" …
};

struct api_plan api_plan_next(const struct api_kind_row *row, const struct api_outcome *outcome,
                              const struct api_timing *timing, uint64_t now_ms, struct api_retry *retry,
                              struct api_random *random);
// Everything of the kind was read; events come.
void api_plan_synced(struct api_retry *retry);
void api_plan_page(struct api_retry *retry);  // a page of a list has come
void api_plan_event(struct api_retry *retry);
// The next wait of a growing back-off.
uint64_t api_plan_backoff(const struct api_timing *timing, uint64_t now_ms, struct api_retry *retry,
                          struct api_random *random);
// How long the first list, or relists after a mass disconnect, wait in a cluster of so many nodes (SIZE_MAX: unknown).
uint64_t api_plan_spread(const struct api_timing *timing, size_t nodes, struct api_random *random);
// ms ± half.
uint64_t api_plan_about(uint64_t ms, struct api_random *random);

// Resource versions are compared only when both are decimal numbers (api-client.md 1.8): < 0, 0, > 0; 0 when not
// comparable. NULL is not.
int api_version_compare(const char *a, const char *b);
