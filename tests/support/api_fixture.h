// SPDX-License-Identifier: Apache-2.0
//
// The API source against a server in the same loop: real HTTP over the loopback interface, every byte scripted. Include
// it behind cmocka.h.
#pragma once

#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "source/api_source.h"
#include "support/api_certs.h"
#include "support/api_server.h"

enum { NAMESPACES, POLICIES, NODES, PODS, API_KINDS };

struct api_fixture {
    struct loop *loop;
    struct loop_timer *tick;
    struct api_server *server;
    struct state *state;
    struct source *source;
    struct err err;
    char token_file[64];
    const char *plugin;                     // that gives the token in place of the file; NULL: none
    const struct api_authority *authority;  // of the server, which speaks TLS; NULL: it does not
    // For api_start: short times, and what a test changes of them.
    struct api_timing timing;
    struct api_options options;
    const struct api_kind_row *kinds;  // NULL: the real ones
    size_t n_kinds;
    // What the server holds.
    const char *git_version;
    unsigned more_nodes;  // beside the first
    long node_age_s;
    unsigned gone_until;  // the last watch of a kind whose history is gone
    const char *books;    // of a custom kind; NULL: there is no such kind
    const char *items[API_KINDS];
    const char *version;
    // Serves WatchList; else it answers 422, as a server without it does.
    bool initial;
    // Looks at a request first; true: it was answered. kind -1: none of the four.
    bool (*hook)(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch);
    unsigned lists[API_KINDS];
    unsigned watches[API_KINDS];
    unsigned initials[API_KINDS];
    unsigned probes[API_KINDS];
    unsigned refused_initials;
    unsigned versions;  // times that /version was asked for
    struct buf log;     // of requests for kinds, one line each
    // What the owner was told.
    unsigned changed;
    bool synced;
    unsigned synced_calls;
    char why[512];
    struct buf reports;
    struct buf counts;
};

// For cmocka_unit_test_setup_teardown: a server that holds one object of each kind; the source is not started.
int api_fixture_setup(void **state);
int api_fixture_teardown(void **state);
#define API_TEST(name) cmocka_unit_test_setup_teardown(name, api_fixture_setup, api_fixture_teardown)

void api_start(struct api_fixture *f);
// Started, and all four watches are open.
void api_start_and_sync(struct api_fixture *f);
struct source_owner api_owner_of(struct api_fixture *f);
void api_run_ms(struct api_fixture *f, unsigned ms);

void api_reply_list(struct api_exchange *exchange, const char *items, const char *version, const char *next);
// The open watch of a kind; NULL when there is none.
struct api_exchange *api_watcher(struct api_fixture *f, int kind);
// Sends one event to it.
void api_event(struct api_fixture *f, int kind, const char *type, const char *object);
// The file that the source takes its token from; before start.
void api_write_token(struct api_fixture *f, const char *token);

const char *api_text_of(const struct buf *buf);
unsigned api_occurrences(const struct buf *buf, const char *part);
bool api_has_label(struct api_fixture *f, const char *pod, const char *key, const char *value);

#define WAIT_FOR(f, condition)                                                                                         \
    do {                                                                                                               \
        uint64_t end_ = num_now_ms() + 8000;                                                                           \
        while (!(condition) && num_now_ms() < end_) {                                                                  \
            api_run_ms(f, 2);                                                                                          \
        }                                                                                                              \
        if (!(condition)) {                                                                                            \
            fail_msg("never came: %s\nreports:\n%srequests:\n%s", #condition, api_text_of(&(f)->reports),              \
                     api_text_of(&(f)->log));                                                                          \
        }                                                                                                              \
    } while (0)

#define META(ns, name, uid, rv, more)                                                                                  \
    "\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name "\",\"uid\":\"" uid "\",\"resourceVersion\":\"" rv       \
    "\",\"labels\":{" more "}}"
#define POD(name, uid, rv, ip, labels)                                                                                 \
    "{" META("x", name, uid, rv, labels) ",\"spec\":{\"nodeName\":\"n1\",\"containers\":[]},\"status\":{\"phase\":"    \
                                         "\"Running\",\"podIPs\":[{\"ip\":\"" ip "\"}]}}"
#define NAMESPACE "{\"metadata\":{\"name\":\"x\",\"uid\":\"u-x\",\"resourceVersion\":\"1\"}}"
#define NODE                                                                                                           \
    "{\"metadata\":{\"name\":\"n1\",\"uid\":\"u-n1\",\"resourceVersion\":\"2\"},\"spec\":{\"podCIDRs\":[\"10.0.0.0/"   \
    "24\"]},\"status\":{}}"
#define POLICY "{" META("x", "deny", "u-deny", "3", "") ",\"spec\":{\"podSelector\":{},\"policyTypes\":[\"Ingress\"]}}"
