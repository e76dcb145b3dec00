// SPDX-License-Identifier: Apache-2.0
//
// How a source starts, what it asks once and no more, and that what it reads anew shows as a whole or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "support/api_fixture.h"

#define STATUS(code, reason) "{\"kind\":\"Status\",\"code\":" code ",\"reason\":\"" reason "\"}"
#define END(version)                                                                                                   \
    "{\"metadata\":{\"resourceVersion\":\"" version "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}"

// ---- WatchList

static void send(struct api_exchange *exchange, const char *type, const char *object)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "{\"type\":\"%s\",\"object\":%s}\n", type, object);
    api_exchange_chunk(exchange, line.data, line.len);
}

static bool is_initial(const struct api_exchange *exchange)
{
    return strstr(api_exchange_query(exchange), "sendInitialEvents=true") != NULL;
}

// Everything at once, then the end; of pods only when the test says so.
static bool initial_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)watch;
    if (kind < 0 || !is_initial(exchange)) {
        return false;
    }
    assert_null(strstr(api_exchange_header(exchange, "Accept-Encoding"), "gzip"));
    api_exchange_begin(exchange, "application/json", "");
    if (kind != PODS) {
        send(exchange, "ADDED", f->items[kind]);
        send(exchange, "BOOKMARK", END("10"));
    }
    return true;
}

static void start_initial(struct api_fixture *f)
{
    f->initial = true;
    f->hook = initial_hook;
    api_start(f);
    WAIT_FOR(f, f->initials[PODS] == 1 && api_watcher(f, PODS));
}

static void test_initial_events(void **state)
{
    struct api_fixture *f = *state;
    start_initial(f);
    api_event(f, PODS, "ADDED", POD("b", "u-b", "9", "10.0.0.2", ""));
    api_event(f, PODS, "ADDED", POD("a", "u-a", "7", "10.0.0.1", ""));
    // Neither the version of what comes in any order nor that of another bookmark is one to go on from.
    api_event(f, PODS, "BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"8\"}}");
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "11", "10.0.0.1", "\"app\":\"a\""));
    api_event(f, PODS, "DELETED", POD("b", "u-b", "12", "10.0.0.2", ""));
    api_run_ms(f, 50);
    assert_false(f->synced);
    api_event(f, PODS, "BOOKMARK", END("12"));
    WAIT_FOR(f, f->synced);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_true(api_has_label(f, "a", "app", "a"));
    // The same stream goes on, and nothing was listed.
    api_event(f, PODS, "ADDED", POD("c", "u-c", "13", "10.0.0.3", "\"app\":\"c\""));
    WAIT_FOR(f, api_has_label(f, "c", "app", "c"));
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 0);
        assert_int_equal(f->watches[i], 0);
        assert_int_equal(f->initials[i], 1);
    }
    assert_non_null(strstr(api_text_of(&f->log), "/pods?watch=1&allowWatchBookmarks=true&sendInitialEvents=true&"
                                                 "resourceVersionMatch=NotOlderThan&timeoutSeconds="));
    assert_string_equal(api_text_of(&f->reports), "");
    api_run_ms(f, 100);
    api_exchange_end(api_watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 1 && api_watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=13&"));
}

// While the new world is read the old one stands, with every address where it was; then all of it changes at once.
static void test_relist_shows_as_a_whole(void **state)
{
    struct api_fixture *f = *state;
    start_initial(f);
    api_event(f, PODS, "ADDED", POD("a", "u-a", "7", "10.0.0.1", "\"app\":\"a\""));
    api_event(f, PODS, "ADDED", POD("b", "u-b", "8", "10.0.0.2", ""));
    api_event(f, PODS, "ADDED", POD("same", "u-same", "8", "10.0.0.5", ""));
    api_event(f, PODS, "BOOKMARK", END("12"));
    WAIT_FOR(f, f->synced);
    const struct pod *same = state_pod(f->state, "x", "same");
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->initials[PODS] == 2 && api_watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "&resourceVersion=12&"));
    api_run_ms(f, 50);
    unsigned changed = f->changed;
    // a was made anew under its name, b has gone, and its address is c's.
    api_event(f, PODS, "ADDED", POD("a", "u-a2", "20", "10.0.0.9", "\"app\":\"new\""));
    api_event(f, PODS, "ADDED", POD("c", "u-c", "21", "10.0.0.2", ""));
    api_event(f, PODS, "ADDED", POD("same", "u-same", "22", "10.0.0.5", ""));
    api_event(f, PODS, "ADDED", POD("d", "u-d", "22", "10.0.0.6", ""));
    api_event(f, PODS, "DELETED", POD("d", "u-d", "23", "10.0.0.6", ""));
    api_run_ms(f, 100);
    assert_int_equal(f->changed, changed);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    assert_string_equal(state_pod(f->state, "x", "a")->meta.uid, "u-a");
    assert_null(state_pod(f->state, "x", "c"));
    api_event(f, PODS, "BOOKMARK", END("25"));
    WAIT_FOR(f, state_pod(f->state, "x", "c"));
    api_run_ms(f, 20);
    assert_int_equal(f->changed, changed + 1);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    assert_string_equal(state_pod(f->state, "x", "a")->meta.uid, "u-a2");
    assert_null(state_pod(f->state, "x", "b"));
    assert_null(state_pod(f->state, "x", "d"));
    // What is the same was not touched.
    assert_ptr_equal(state_pod(f->state, "x", "same"), same);
}

static void test_relist_that_breaks_off_shows_nothing(void **state)
{
    struct api_fixture *f = *state;
    start_initial(f);
    api_event(f, PODS, "ADDED", POD("a", "u-a", "7", "10.0.0.1", "\"app\":\"a\""));
    api_event(f, PODS, "BOOKMARK", END("12"));
    WAIT_FOR(f, f->synced);
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->initials[PODS] == 2 && api_watcher(f, PODS));
    api_run_ms(f, 50);
    unsigned changed = f->changed;
    api_event(f, PODS, "ADDED", POD("b", "u-b", "20", "10.0.0.9", ""));
    api_run_ms(f, 20);
    api_exchange_cut(api_watcher(f, PODS), true);
    WAIT_FOR(f, f->initials[PODS] == 3 && api_watcher(f, PODS));
    assert_int_equal(f->changed, changed);
    assert_null(state_pod(f->state, "x", "b"));
    // Nor does what was read before it broke off count the next time.
    api_event(f, PODS, "ADDED", POD("a", "u-a", "7", "10.0.0.1", "\"app\":\"a\""));
    api_event(f, PODS, "BOOKMARK", END("30"));
    api_run_ms(f, 50);
    assert_null(state_pod(f->state, "x", "b"));
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_int_equal(f->changed, changed);
}

static void test_lacks_are_forgotten_with_the_version(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && api_watcher(f, PODS));
    // Asked for once, and remembered for all kinds.
    assert_int_equal(f->refused_initials, 1);
    f->initial = true;
    f->hook = initial_hook;
    f->git_version = "v1.34.0";
    assert_int_equal(api_server_outage(f->server, false, &f->err), 0);
    api_run_ms(f, 50);
    assert_int_equal(api_server_outage(f->server, true, &f->err), 0);
    WAIT_FOR(f, api_watcher(f, NAMESPACES) && api_watcher(f, POLICIES) && api_watcher(f, NODES) &&
                    api_watcher(f, PODS) && f->versions == 2);
    api_run_ms(f, 50);
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->initials[PODS] == 1);
    assert_int_equal(f->lists[PODS], 2);
}

// ---- the start

static bool start_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    static char node[300];
    (void)watch;
    if (kind != NODES || !strstr(api_exchange_query(exchange), "limit=1") ||
        strstr(api_exchange_query(exchange), "limit=500")) {
        return false;
    }
    if (!strstr(api_exchange_query(exchange), "fieldSelector")) {
        (void)snprintf(node, sizeof(node),
                       "{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"more\",\"remainingItemCount\":%u},"
                       "\"items\":[" NODE "]}",
                       f->more_nodes);
        api_exchange_reply(exchange, 200, "application/json", "", node);
        return true;
    }
    assert_non_null(strstr(api_exchange_query(exchange), "fieldSelector=metadata.name%3Dn1&limit=1"));
    time_t created = time(NULL) - f->node_age_s;
    struct tm tm;
    char text[32];
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&created, &tm));
    (void)snprintf(node, sizeof(node), "{\"metadata\":{\"name\":\"n1\",\"creationTimestamp\":\"%s\"}}", text);
    api_reply_list(exchange, node, "10", NULL);
    return true;
}

// Milliseconds until the first list.
static uint64_t start_takes(struct api_fixture *f, bool has_rules)
{
    f->hook = start_hook;
    f->options.spread_start = true;
    f->options.node = "n1";
    f->options.has_rules = has_rules;
    f->timing.start_per_node_ms = 10;
    f->timing.young_node_s = 300;
    uint64_t begin = num_now_ms();
    api_start(f);
    WAIT_FOR(f, f->lists[NAMESPACES] == 1);
    return num_now_ms() - begin;
}

static void test_old_node_waits(void **state)
{
    struct api_fixture *f = *state;
    f->node_age_s = 86400;
    f->more_nodes = 9999;
    f->timing.start_max_ms = 60000;
    f->hook = start_hook;
    f->options.spread_start = true;
    f->options.node = "n1";
    f->timing.start_per_node_ms = 10;
    f->timing.young_node_s = 300;
    api_start(f);
    WAIT_FOR(f, api_occurrences(&f->reports, "0 start-spread wait_ms=") == 1);
    // Of 100 s, 60 at most: that it is nothing has a chance of 1 in 600.
    uint64_t ms = strtoull(strstr(f->reports.data, "wait_ms=") + strlen("wait_ms="), NULL, 10);
    assert_in_range(ms, 0, 60000);
    assert_int_equal(f->lists[NAMESPACES], ms > 100 ? 0 : f->lists[NAMESPACES]);
    assert_int_equal(f->probes[NODES], 2);
}

static void test_small_cluster_waits_little(void **state)
{
    struct api_fixture *f = *state;
    f->node_age_s = 86400;
    f->more_nodes = 4;
    f->timing.start_max_ms = 60000;
    assert_in_range(start_takes(f, true), 0, 50 + 500);
    // With rules in the kernel its age does not matter.
    assert_int_equal(f->probes[NODES], 1);
    WAIT_FOR(f, f->synced);
}

static void test_young_node_does_not_wait(void **state)
{
    struct api_fixture *f = *state;
    f->node_age_s = 60;
    f->more_nodes = 100000;
    f->timing.start_max_ms = 600000;
    assert_in_range(start_takes(f, false), 0, 1000);
    assert_int_equal(f->probes[NODES], 1);
    assert_int_equal(api_occurrences(&f->reports, "start-spread"), 0);
}

static bool denied_start_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)watch;
    if (kind != NODES || f->lists[NODES]) {
        return false;
    }
    if (f->probes[NODES] == 1) {
        api_exchange_reply(exchange, 500, "text/plain", "", "oops");
    } else {
        api_exchange_reply(exchange, 403, "application/json", "", STATUS("403", "Forbidden"));
    }
    return true;
}

// Who may not ask how large the cluster is takes it for a large one; who gets no answer asks again.
static void test_start_without_an_answer(void **state)
{
    struct api_fixture *f = *state;
    f->hook = denied_start_hook;
    f->options.spread_start = true;
    f->timing.start_per_node_ms = 10;
    f->timing.start_max_ms = 200;
    api_start(f);
    WAIT_FOR(f, api_occurrences(&f->reports, "0 start-spread wait_ms=") == 1);
    assert_int_equal(f->probes[NODES], 2);
    assert_int_equal(api_occurrences(&f->reports, "1 list-failed kind=nodes status=500"), 1);
    assert_int_equal(api_occurrences(&f->reports, "1 access-denied kind=nodes status=403"), 1);
    WAIT_FOR(f, f->synced);
}

// ---- a disconnect that everybody has

static bool gone_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind < 0 || !watch || f->watches[kind] < 2 || f->watches[kind] > f->gone_until) {
        return false;
    }
    api_exchange_reply(exchange, 410, "application/json", "", STATUS("410", "Expired"));
    return true;
}

// The server was started anew and has no history: what everybody has to read again is not read at once.
static void test_relists_of_a_mass_disconnect_are_spread(void **state)
{
    struct api_fixture *f = *state;
    f->timing.start_per_node_ms = 3600000;
    f->timing.start_max_ms = 3600000;
    f->gone_until = 2;
    f->hook = gone_hook;
    api_start_and_sync(f);
    assert_int_equal(api_server_outage(f->server, false, &f->err), 0);
    assert_int_equal(api_server_outage(f->server, true, &f->err), 0);
    for (int i = 0; i < API_KINDS; i++) {
        WAIT_FOR(f, f->watches[i] == 2);
    }
    api_run_ms(f, 300);
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 1);
    }
    // An hour passes, or less.
    struct api_source *source = CONTAINER_OF(f->source, struct api_source, base);
    assert_in_range(source->hold_ms, num_now_ms(), num_now_ms() + 3600000);
    source->hold_ms = 0;
    api_source_pump(source);
    WAIT_FOR(f,
             api_watcher(f, NAMESPACES) && api_watcher(f, POLICIES) && api_watcher(f, NODES) && api_watcher(f, PODS));
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 2);
    }
}

// One kind alone does not wait for anybody.
static void test_relist_of_one_kind_is_not_spread(void **state)
{
    struct api_fixture *f = *state;
    f->timing.start_per_node_ms = 3600000;
    f->timing.start_max_ms = 3600000;
    f->gone_until = 2;
    f->hook = gone_hook;
    api_start_and_sync(f);
    api_exchange_cut(api_watcher(f, PODS), true);
    WAIT_FOR(f, f->watches[PODS] == 3 && api_watcher(f, PODS));
    assert_int_equal(f->lists[PODS], 2);
}

// ---- once

struct seen {
    unsigned n[OBJECT_KIND_COUNT];
    bool annotated;
};

static void on_object(enum object_kind kind, const struct doc *object, void *arg)
{
    struct seen *seen = arg;
    seen->n[kind]++;
    seen->annotated = seen->annotated || doc_get(doc_get(object, "metadata"), "annotations");
    assert_non_null(doc_get(doc_get(object, "metadata"), "name"));
}

static void test_once(void **state)
{
    struct api_fixture *f = *state;
    struct seen seen = {.annotated = false};
    f->initial = true;
    f->options = (struct api_options){.view = API_VIEW_ALL, .once = true, .object = on_object, .object_arg = &seen};
    f->items[NAMESPACES] = "{\"metadata\":{\"name\":\"x\",\"annotations\":{\"secret\":\"1\"}}}";
    api_start(f);
    WAIT_FOR(f, f->synced);
    api_run_ms(f, 100);
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 1);
        assert_int_equal(f->watches[i] + f->initials[i] + f->probes[i], 0);
    }
    for (int i = 0; i < OBJECT_KIND_COUNT; i++) {
        assert_int_equal(seen.n[i], 1);
    }
    assert_false(seen.annotated);
    // Everything that is not finished.
    assert_non_null(strstr(api_text_of(&f->log),
                           "/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed\n"));
}

static bool once_denied_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)watch;
    if (kind == POLICIES && f->lists[POLICIES] == 1) {
        api_exchange_reply(exchange, 410, "application/json", "", STATUS("410", "Expired"));
        return true;
    }
    if (kind == PODS) {
        api_exchange_reply(exchange, 403, "application/json", "", STATUS("403", "Forbidden"));
        return true;
    }
    return false;
}

static void test_once_tells_the_first_failure(void **state)
{
    struct api_fixture *f = *state;
    f->options.once = true;
    f->hook = once_denied_hook;
    api_start(f);
    WAIT_FOR(f, strstr(f->why, "cannot list pods: HTTP 403 Forbidden"));
    assert_false(f->synced);
}

// ---- kinds of a table of its own

static const struct api_kind_row books[] = {
    {.kind = OBJECT_NAMESPACE, .label = "namespaces", .group = "", .versions = {"v1"}},
    {.kind = OBJECT_POLICY, .label = "networkpolicies", .group = "networking.k8s.io", .versions = {"v1"}},
    {.kind = OBJECT_POLICY,
     .label = "books",
     .group = "library.example.org",
     .versions = {"v2", "v1"},
     .optional = true},
};

static bool books_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    const char *path = api_exchange_path(exchange);
    if (kind >= 0) {
        return false;
    }
    if (strcmp(path, "/apis/library.example.org/v1") == 0 && f->books) {
        api_exchange_reply(
            exchange, 200, "application/json", "",
            "{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"books/status\"},{\"name\":\"books\"}]}");
    } else if (strcmp(path, "/apis/library.example.org/v1/books") == 0 && f->books && watch) {
        if (is_initial(exchange)) {
            api_exchange_reply(exchange, 422, "application/json", "", STATUS("422", "Invalid"));
        } else {
            api_exchange_begin(exchange, "application/json", "");
        }
    } else if (strcmp(path, "/apis/library.example.org/v1/books") == 0 && f->books) {
        api_reply_list(exchange, f->books, "50", NULL);
    } else {
        api_exchange_reply(exchange, 404, "text/plain", "", "404 page not found");
    }
    return true;
}

#define BOOK(name) "{" META("x", name, "u-" name, "3", "") ",\"spec\":{\"podSelector\":{}}}"

// Two rows whose objects are of one kind: neither sweeps the other's away.
static void test_rows_that_share_a_kind(void **state)
{
    struct api_fixture *f = *state;
    f->kinds = books;
    f->n_kinds = ARRAY_SIZE(books);
    f->hook = books_hook;
    f->books = BOOK("one") "," BOOK("two");
    api_start(f);
    WAIT_FOR(f, f->synced && state_policy(f->state, "x", "two"));
    assert_int_equal(state_count(f->state, OBJECT_POLICY), 3);
    assert_int_equal(api_occurrences(&f->reports, "0 kind-found kind=books group=library.example.org"), 1);
    f->books = BOOK("two") "," BOOK("three");
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, state_policy(f->state, "x", "three"));
    assert_null(state_policy(f->state, "x", "one"));
    assert_non_null(state_policy(f->state, "x", "deny"));
    f->items[POLICIES] = "";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, !state_policy(f->state, "x", "deny"));
    assert_int_equal(state_count(f->state, OBJECT_POLICY), 2);
    // The kind goes: its objects with it, and no other.
    f->items[POLICIES] = POLICY;
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, state_policy(f->state, "x", "deny"));
    f->books = NULL;
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, state_count(f->state, OBJECT_POLICY) == 1);
    assert_non_null(state_policy(f->state, "x", "deny"));
    assert_int_equal(api_occurrences(&f->reports, "0 kind-absent kind=books"), 1);
    // And comes again.
    f->books = BOOK("late");
    WAIT_FOR(f, state_policy(f->state, "x", "late"));
    assert_int_equal(f->synced_calls, 1);
}

static void test_once_does_not_wait_for_an_absent_kind(void **state)
{
    struct api_fixture *f = *state;
    f->kinds = books;
    f->n_kinds = ARRAY_SIZE(books);
    f->hook = books_hook;
    f->options.once = true;
    api_start(f);
    WAIT_FOR(f, f->synced);
    assert_int_equal(api_occurrences(&f->log, "/apis/library.example.org/v2?"), 1);
}

static void test_once_waits_for_a_kind_that_is_there(void **state)
{
    struct api_fixture *f = *state;
    f->kinds = books;
    f->n_kinds = ARRAY_SIZE(books);
    f->hook = books_hook;
    f->books = BOOK("one");
    f->options.once = true;
    api_start(f);
    WAIT_FOR(f, f->synced);
    assert_non_null(state_policy(f->state, "x", "one"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_initial_events),
        API_TEST(test_relist_shows_as_a_whole),
        API_TEST(test_relist_that_breaks_off_shows_nothing),
        API_TEST(test_lacks_are_forgotten_with_the_version),
        API_TEST(test_old_node_waits),
        API_TEST(test_small_cluster_waits_little),
        API_TEST(test_young_node_does_not_wait),
        API_TEST(test_start_without_an_answer),
        API_TEST(test_relists_of_a_mass_disconnect_are_spread),
        API_TEST(test_relist_of_one_kind_is_not_spread),
        API_TEST(test_once),
        API_TEST(test_once_tells_the_first_failure),
        API_TEST(test_rows_that_share_a_kind),
        API_TEST(test_once_does_not_wait_for_an_absent_kind),
        API_TEST(test_once_waits_for_a_kind_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
