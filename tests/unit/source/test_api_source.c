// SPDX-License-Identifier: Apache-2.0
//
// The API source against a server in the same loop: real HTTP over the loopback interface, every byte scripted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"
#include "source/api_source.h"
#include "support/api_server.h"

static const struct api_timing quick = {
    .backoff_first_ms = 20,
    .backoff_max_ms = 100,
    .denied_ms = 60,
    .retry_after_max_s = 1,
    .spread_ms = 5,
    .short_watch_ms = 300,
    .watch_min_s = 300,
    .watch_max_s = 600,
    .watch_grace_ms = 30000,
    .list_ms = 5000,
};

enum { NAMESPACES, POLICIES, NODES, PODS };
static const char *const paths[] = {"/api/v1/namespaces", "/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/nodes",
                                    "/api/v1/pods"};

struct fixture {
    struct loop *loop;
    struct loop_timer *tick;
    struct api_server *server;
    struct state *state;
    struct source *source;
    struct err err;
    char token_file[64];
    // What the server holds.
    const char *items[API_KINDS];
    const char *version;
    // Looks at a request first; true: it was answered.
    bool (*hook)(struct fixture *f, struct api_exchange *exchange, int kind, bool watch);
    unsigned lists[API_KINDS];
    unsigned watches[API_KINDS];
    struct buf log;  // of requests, one line each
    // What the owner was told.
    unsigned changed;
    bool synced;
    unsigned synced_calls;
    char why[512];
    struct buf reports;
    struct buf counts;
};

// ---- server

static int kind_of(const struct api_exchange *exchange)
{
    for (int i = 0; i < API_KINDS; i++) {
        if (strcmp(api_exchange_path(exchange), paths[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static void reply_list(struct fixture *f, struct api_exchange *exchange, const char *items, const char *version,
                       const char *next)
{
    (void)f;
    struct buf BUF_CLEANUP body = {0};
    buf_printf(
        &body,
        "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\"%s%s%s},\"items\":[%s]}\n",
        version, next ? ",\"continue\":\"" : "", next ? next : "", next ? "\"" : "", items);
    api_exchange_reply(exchange, 200, "application/json", "", body.data);
}

static void serve(struct api_exchange *exchange, void *arg)
{
    struct fixture *f = arg;
    char value[64];
    bool watch = api_exchange_param(exchange, "watch", value, sizeof(value));
    int kind = kind_of(exchange);
    assert_true(kind >= 0);
    unsigned *counter = watch ? f->watches : f->lists;
    counter[kind]++;
    buf_printf(&f->log, "%s?%s\n", api_exchange_path(exchange), api_exchange_query(exchange));
    assert_string_equal(api_exchange_header(exchange, "Accept"), "application/json");
    if (f->hook && f->hook(f, exchange, kind, watch)) {
        return;
    }
    if (watch) {
        api_exchange_begin(exchange, "application/json", "");
    } else {
        reply_list(f, exchange, f->items[kind], f->version, NULL);
    }
}

// The open watch of a kind; NULL when there is none.
static struct api_exchange *watcher(struct fixture *f, int kind)
{
    for (struct api_exchange *e = api_server_next(f->server, NULL); e; e = api_server_next(f->server, e)) {
        if (kind_of(e) == kind && strstr(api_exchange_query(e), "watch=1")) {
            return e;
        }
    }
    return NULL;
}

// ---- owner

static void on_changed(void *arg)
{
    ((struct fixture *)arg)->changed++;
}

static void on_synced(bool synced, const char *why, void *arg)
{
    struct fixture *f = arg;
    assert_false(f->synced);
    f->synced = synced;
    f->synced_calls++;
    (void)snprintf(f->why, sizeof(f->why), "%s", why ? why : "");
}

static void on_report(enum source_level level, const char *event, const char *fields, void *arg)
{
    struct fixture *f = arg;
    buf_printf(&f->reports, "%d %s %s\n", (int)level, event, fields);
}

static void on_count(const char *counter, const char *label, unsigned delta, void *arg)
{
    struct fixture *f = arg;
    assert_true(delta > 0);
    buf_printf(&f->counts, "%s %s\n", counter, label);
}

static void on_tick(void *arg)
{
    loop_quit(((struct fixture *)arg)->loop, 0);
}

static void run_ms(struct fixture *f, unsigned ms)
{
    loop_arm(f->tick, ms);
    assert_int_equal(loop_run(f->loop, &f->err), 0);
}

#define WAIT_FOR(f, condition)                                                                                         \
    do {                                                                                                               \
        uint64_t end_ = num_now_ms() + 8000;                                                                           \
        while (!(condition) && num_now_ms() < end_) {                                                                  \
            run_ms(f, 2);                                                                                              \
        }                                                                                                              \
        if (!(condition)) {                                                                                            \
            fail_msg("never came: %s\nreports:\n%srequests:\n%s", #condition, text_of(&(f)->reports),                  \
                     text_of(&(f)->log));                                                                              \
        }                                                                                                              \
    } while (0)

static const char *text_of(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

static unsigned occurrences(const struct buf *buf, const char *part)
{
    unsigned n = 0;
    for (const char *at = strstr(text_of(buf), part); at; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

// ---- fixture

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

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    *state = f;
    if (!f) {
        return -1;
    }
    f->version = "10";
    f->items[NAMESPACES] = NAMESPACE;
    f->items[POLICIES] = POLICY;
    f->items[NODES] = NODE;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"");
    return loop_new(&f->loop, &f->err) < 0 || loop_add_timer(f->loop, on_tick, f, &f->tick, &f->err) < 0 ||
           state_new(&f->state, &f->err) < 0 || api_server_new(f->loop, 0, false, serve, f, &f->server, &f->err) < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->source) {
        f->source->ops->free(f->source);
    }
    api_server_free(f->server);
    state_free(f->state);
    loop_free(f->loop);
    buf_free(&f->log);
    buf_free(&f->reports);
    buf_free(&f->counts);
    if (f->token_file[0]) {
        (void)unlink(f->token_file);
    }
    free(f);
    return 0;
}

static void write_token(struct fixture *f, const char *token)
{
    if (!f->token_file[0]) {
        (void)snprintf(f->token_file, sizeof(f->token_file), "/tmp/test_api_source.XXXXXX");
        int fd = mkstemp(f->token_file);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    FILE *file = fopen(f->token_file, "w");
    assert_non_null(file);
    assert_true(fputs(token, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void start(struct fixture *f)
{
    struct api_config *config = calloc(1, sizeof(*config));
    assert_non_null(config);
    struct buf url = {0};
    buf_printf(&url, "http://127.0.0.1:%u", api_server_port(f->server));
    config->server = buf_take(&url);
    if (f->token_file[0]) {
        config->token_file = strdup(f->token_file);
        config->plain_credentials = true;
    }
    const struct source_owner owner = {
        .arg = f, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    assert_int_equal(api_source_new_timed(f->loop, config, &quick, f->state, &owner, &f->source, &f->err), 0);
}

static void start_and_sync(struct fixture *f)
{
    start(f);
    WAIT_FOR(f, f->synced && watcher(f, NAMESPACES) && watcher(f, POLICIES) && watcher(f, NODES) && watcher(f, PODS));
}

static void event(struct fixture *f, int kind, const char *type, const char *object)
{
    struct buf BUF_CLEANUP line = {0};
    buf_printf(&line, "{\"type\":\"%s\",\"object\":%s}\n", type, object);
    struct api_exchange *watch = watcher(f, kind);
    assert_non_null(watch);
    api_exchange_chunk(watch, line.data, line.len);
}

static bool has_label(struct fixture *f, const char *pod, const char *key, const char *value)
{
    const struct pod *found = state_pod(f->state, "x", pod);
    const char *got = found ? labels_get(&found->meta.labels, key) : NULL;
    return got && strcmp(got, value) == 0;
}

// ---- lists

static void test_first_sync(void **state)
{
    struct fixture *f = *state;
    start(f);
    assert_int_equal(f->changed + f->synced_calls + (unsigned)f->reports.len, 0);
    WAIT_FOR(f, f->synced);
    assert_int_equal(f->synced_calls, 1);
    assert_true(f->changed >= 1);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_int_equal(state_count(f->state, OBJECT_NAMESPACE), 1);
    assert_int_equal(state_count(f->state, OBJECT_POLICY), 1);
    assert_int_equal(state_count(f->state, OBJECT_NODE), 1);
    WAIT_FOR(f, watcher(f, PODS));
    // One list after the other, pods last; the watch starts at the version of the list.
    const char *log = text_of(&f->log);
    assert_true(strstr(log, "/namespaces?limit") < strstr(log, "/networkpolicies?limit"));
    assert_true(strstr(log, "/networkpolicies?limit") < strstr(log, "/nodes?limit"));
    assert_true(strstr(log, "/nodes?limit") < strstr(log, "/pods?limit"));
    assert_non_null(
        strstr(log, "/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed\n"));
    assert_non_null(strstr(log, "/namespaces?watch=1&allowWatchBookmarks=true&resourceVersion=10&timeoutSeconds="));
    assert_null(strstr(log, "limit=500&resourceVersion"));
    assert_string_equal(text_of(&f->reports), "");
    assert_int_equal(occurrences(&f->counts, "lists pods\n"), 1);
}

static bool paged_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    char page[64] = "";
    (void)api_exchange_param(exchange, "continue", page, sizeof(page));
    if (kind != PODS || watch) {
        return false;
    }
    if (!page[0]) {
        reply_list(f, exchange, POD("a", "u-a", "5", "10.0.0.1", ""), "20", "p+/=&2");
    } else if (strcmp(page, "p+/=&2") == 0) {
        reply_list(f, exchange, "", "21", "3");
    } else {
        reply_list(f, exchange, POD("b", "u-b", "6", "10.0.0.2", "") "," POD("c", "u-c", "7", "10.0.0.3", ""), "22",
                   NULL);
    }
    return true;
}

static void test_pages(void **state)
{
    struct fixture *f = *state;
    f->hook = paged_hook;
    start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    assert_int_equal(f->lists[PODS], 3);
    // The version of the first page; the selector on each page.
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=20&"));
    assert_int_equal(occurrences(&f->log, "/pods?limit=500&fieldSelector="), 3);
}

static bool expired_page_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    char page[64] = "";
    bool more = api_exchange_param(exchange, "continue", page, sizeof(page));
    if (kind != PODS || watch || f->lists[PODS] > 2) {
        return false;
    }
    if (!more) {
        reply_list(f, exchange, POD("old", "u-old", "5", "10.0.0.9", ""), "20", "p2");
    } else {
        api_exchange_reply(exchange, 410, "application/json", "",
                           "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\","
                           "\"metadata\":{\"continue\":\"other\"}}");
    }
    return true;
}

static void test_page_expires(void **state)
{
    struct fixture *f = *state;
    f->hook = expired_page_hook;
    start_and_sync(f);
    // From the start again, and what only the first try had seen is swept after the last page.
    assert_int_equal(f->lists[PODS], 3);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_non_null(state_pod(f->state, "x", "a"));
    assert_null(strstr(text_of(&f->log), "continue=other"));
}

static bool bad_list_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != NODES || watch) {
        return false;
    }
    const char *head = "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" NODE;
    switch (f->lists[NODES]) {
    case 1:  // a captive portal
        api_exchange_reply(exchange, 200, "text/html", "", "<html>log in</html>");
        return true;
    case 2:  // cut in the middle
        api_exchange_begin(exchange, "application/json", "");
        api_exchange_chunk(exchange, head, strlen(head));
        api_exchange_cut(exchange, false);
        return true;
    case 3:  // ends cleanly in the middle
        api_exchange_reply(exchange, 200, "application/json", "", head);
        return true;
    case 4:
        api_exchange_reply(exchange, 200, "application/json", "", "{\"kind\":\"Status\",\"status\":\"Success\"}");
        return true;
    case 5:
        api_exchange_reply(exchange, 200, "application/json", "", "{\"items\":[]}");
        return true;
    case 6:
        api_exchange_reply(exchange, 200, "application/json", "", "");
        return true;
    case 7:
        api_exchange_reply(exchange, 500, "text/plain", "", "oops");
        return true;
    case 8:
        api_exchange_reply(exchange, 302, "text/html", "Location: http://127.0.0.1:1/\r\n", "");
        return true;
    case 9:
        api_exchange_cut(exchange, true);
        return true;
    case 10:  // null is an empty list
        api_exchange_reply(exchange, 200, "application/json", "",
                           "{\"items\":null,\"metadata\":{\"resourceVersion\":\"9\"}}");
        return true;
    default:
        return false;
    }
}

static void test_bad_lists_are_no_lists(void **state)
{
    struct fixture *f = *state;
    f->hook = bad_list_hook;
    start_and_sync(f);
    assert_int_equal(f->lists[NODES], 10);
    assert_int_equal(state_count(f->state, OBJECT_NODE), 0);
    assert_int_equal(occurrences(&f->reports, "list-failed kind=nodes"), 9);
    assert_int_equal(occurrences(&f->reports, "watch-recovered kind=nodes"), 1);
    assert_non_null(strstr(text_of(&f->reports), "this is no API server"));
    // Others went on meanwhile.
    assert_int_equal(f->lists[PODS], 1);
}

static void test_failing_list_says_why_before_sync(void **state)
{
    struct fixture *f = *state;
    f->hook = bad_list_hook;
    start(f);
    WAIT_FOR(f, f->why[0]);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "cannot list nodes: "));
}

static void test_relist_sweeps_what_vanished(void **state)
{
    struct fixture *f = *state;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"") "," POD("b", "u-b", "5", "10.0.0.2", "");
    start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 2);
    // While nobody watched: b went, a was made anew under its name, c came.
    f->items[PODS] = POD("a", "u-a2", "15", "10.0.0.3", "\"app\":\"new\"") "," POD("c", "u-c", "16", "10.0.0.1", "");
    f->version = "30";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && watcher(f, PODS));
    assert_null(state_pod(f->state, "x", "b"));
    assert_string_equal(state_pod(f->state, "x", "a")->meta.uid, "u-a2");
    assert_non_null(state_pod(f->state, "x", "c"));
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=30&"));
    assert_int_equal(f->synced_calls, 1);
}

static bool cut_relist_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != PODS || watch || f->lists[PODS] != 2) {
        return false;
    }
    api_exchange_begin(exchange, "application/json", "");
    const char *part =
        "{\"metadata\":{\"resourceVersion\":\"40\"},\"items\":[" POD("c", "u-c", "1", "10.0.0.3", "") ",";
    api_exchange_chunk(exchange, part, strlen(part));
    api_exchange_cut(exchange, true);
    return true;
}

static void test_cut_relist_sweeps_nothing(void **state)
{
    struct fixture *f = *state;
    f->hook = cut_relist_hook;
    start_and_sync(f);
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, occurrences(&f->reports, "list-failed kind=pods") == 1);
    assert_non_null(state_pod(f->state, "x", "a"));
    // The whole list, afterwards, does.
    f->items[PODS] = "";
    WAIT_FOR(f, f->lists[PODS] == 3 && watcher(f, PODS));
    assert_int_equal(state_count(f->state, OBJECT_POD), 0);
}

static void test_lost_objects_keep_the_older(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, POLICIES, "MODIFIED", "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":7}}");
    WAIT_FOR(f, occurrences(&f->counts, "parse_errors networkpolicies") == 1);
    const struct policy *policy = state_policy(f->state, "x", "deny");
    assert_non_null(policy);
    assert_string_equal(policy->meta.resource_version, "3");
    assert_non_null(strstr(text_of(&f->reports), "2 object-unreadable kind=networkpolicies"));
    // The same in a list: known by its name, it is not swept; and what is not even JSON stops all sweeping.
    f->items[POLICIES] = "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":7}}";
    f->items[PODS] = "{" META("x", "b", "u-b", "50", "") ",\"status\":{\"phase\":tru}}";
    f->items[NODES] = "";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && watcher(f, PODS));
    assert_non_null(state_policy(f->state, "x", "deny"));
    assert_non_null(state_pod(f->state, "x", "a"));
    assert_int_equal(state_count(f->state, OBJECT_NODE), 0);
    assert_int_equal(occurrences(&f->counts, "parse_errors pods"), 1);
}

// ---- watches

static void test_events(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    unsigned changed = f->changed;
    event(f, PODS, "ADDED", POD("b", "u-b", "11", "10.0.0.2", "\"app\":\"b\""));
    WAIT_FOR(f, has_label(f, "b", "app", "b") && f->changed == changed + 1);
    event(f, PODS, "MODIFIED", POD("b", "u-b", "12", "10.0.0.2", "\"app\":\"\\u003cb\\u003e\""));
    WAIT_FOR(f, has_label(f, "b", "app", "<b>"));
    // Unknown and repeated things do no harm.
    event(f, PODS, "ADDED", POD("b", "u-b", "12", "10.0.0.2", "\"app\":\"\\u003cb\\u003e\""));
    event(f, PODS, "DELETED", POD("zzz", "u-z", "13", "10.0.0.7", ""));
    // The delete of an older pod of the same name.
    event(f, PODS, "DELETED", POD("b", "u-older", "14", "10.0.0.2", ""));
    run_ms(f, 30);
    assert_non_null(state_pod(f->state, "x", "b"));
    assert_int_equal(f->changed, changed + 2);
    event(f, PODS, "DELETED", POD("b", "u-b", "15", "10.0.0.2", ""));
    WAIT_FOR(f, !state_pod(f->state, "x", "b"));
    event(f, POLICIES, "DELETED", POLICY);
    WAIT_FOR(f, state_count(f->state, OBJECT_POLICY) == 0);
    assert_string_equal(text_of(&f->reports), "");
    assert_int_equal(f->lists[PODS], 1);
}

static void test_what_tenants_write_elsewhere_does_no_harm(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, PODS, "ADDED",
          "{\"metadata\":{\"namespace\":\"x\",\"name\":\"b\",\"uid\":\"u-b\",\"resourceVersion\":\"11\",\"labels\":{"
          "\"app\":\"b\"},\"annotations\":{\"nul\":\"\\u0000\"}},\"spec\":{\"containers\":[{\"args\":[\"\\u0000\"]}]},"
          "\"status\":{\"phase\":\"Running\"}}");
    WAIT_FOR(f, has_label(f, "b", "app", "b"));
    assert_int_equal(f->lists[PODS], 1);
    assert_string_equal(text_of(&f->reports), "");
}

static void test_same_name_other_uid(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, PODS, "ADDED", POD("a", "u-next", "11", "10.0.0.8", ""));
    WAIT_FOR(f, strcmp(state_pod(f->state, "x", "a")->meta.uid, "u-next") == 0);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
}

static void test_one_change_for_a_burst(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    run_ms(f, 20);
    unsigned changed = f->changed;
    struct buf BUF_CLEANUP burst = {0};
    for (int i = 0; i < 50; i++) {
        buf_printf(&burst,
                   "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"x\",\"name\":\"p%d\",\"uid\":\"u%d\","
                   "\"resourceVersion\":\"%d\"},\"spec\":{},\"status\":{\"phase\":\"Running\"}}}\n",
                   i, i, 100 + i);
    }
    api_exchange_chunk(watcher(f, PODS), burst.data, burst.len);
    WAIT_FOR(f, state_count(f->state, OBJECT_POD) == 51);
    run_ms(f, 10);
    assert_in_range(f->changed - changed, 1, 3);
}

static void test_bytes_one_by_one(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    const char *text = "\r\n{\"type\":\"ADDED\",\"object\":" POD(
        "b", "u-b", "11", "10.0.0.2",
        "\"l\":\"h\\u00e9\"") "}\r\n\n"
                              "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"99\"}}}\n";
    for (const char *p = text; *p; p++) {
        api_exchange_chunk(watcher(f, PODS), p, 1);
    }
    WAIT_FOR(f, has_label(f, "b", "l", "h\xc3\xa9") && occurrences(&f->counts, "watch_events pods/") == 2);
    // The bookmark is where the next watch starts.
    run_ms(f, 50);
    api_exchange_end(watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 2);
    WAIT_FOR(f, watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=99&"));
    assert_int_equal(f->lists[PODS], 1);
    assert_string_equal(text_of(&f->reports), "");
}

static void test_clean_end_watches_again_at_once(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, PODS, "MODIFIED", POD("a", "u-a", "44", "10.0.0.1", ""));
    run_ms(f, 50);
    api_exchange_end(watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 2 && watcher(f, PODS));
    // A wait would have been said.
    assert_string_equal(text_of(&f->reports), "");
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=44&"));
}

static void test_cut_in_a_line(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, PODS, "MODIFIED", POD("a", "u-a", "44", "10.0.0.1", "\"app\":\"one\""));
    const char *half = "{\"type\":\"MODIFIED\",\"object\":" POD("a", "u-a", "45", "10.0.0.1", "\"app\":\"two\"") "}";
    api_exchange_chunk(watcher(f, PODS), half, strlen(half));
    WAIT_FOR(f, has_label(f, "a", "app", "one"));
    api_exchange_cut(watcher(f, PODS), false);
    WAIT_FOR(f, f->watches[PODS] == 2 && watcher(f, PODS));
    // The unfinished line was no event: the watch goes on from before it, without a list.
    assert_true(has_label(f, "a", "app", "one"));
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=44&"));
    assert_int_equal(f->lists[PODS], 1);
    assert_int_equal(occurrences(&f->reports, "1 watch-failed kind=pods"), 1);
    event(f, PODS, "MODIFIED", POD("a", "u-a", "45", "10.0.0.1", "\"app\":\"two\""));
    WAIT_FOR(f, has_label(f, "a", "app", "two"));
    assert_int_equal(occurrences(&f->reports, "0 watch-recovered kind=pods"), 1);
}

static void test_history_gone_in_the_stream(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    f->items[PODS] = POD("n", "u-n", "70", "10.0.0.4", "");
    f->version = "77";
    event(
        f, PODS, "ERROR",
        "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version: 10 (70)\"}");
    WAIT_FOR(f, f->watches[PODS] == 2 && watcher(f, PODS));
    assert_int_equal(f->lists[PODS], 2);
    assert_null(state_pod(f->state, "x", "a"));
    assert_non_null(state_pod(f->state, "x", "n"));
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=77&"));
    assert_int_equal(f->lists[NAMESPACES], 1);
}

static bool gone_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != NODES || !watch || f->watches[NODES] > 3) {
        return false;
    }
    api_exchange_reply(exchange, 410, "application/json", "", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\"}");
    return true;
}

static void test_history_gone_as_status(void **state)
{
    struct fixture *f = *state;
    f->hook = gone_hook;
    start_and_sync(f);
    WAIT_FOR(f, f->watches[NODES] == 4);
    // Listed again each time; not in a hot loop.
    assert_int_equal(f->lists[NODES], 4);
    assert_true(occurrences(&f->reports, "0 watch-failed kind=nodes") == 1);
    assert_true(occurrences(&f->reports, "1 watch-failed kind=nodes") == 2);
}

static void test_server_errors_in_the_stream(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    for (unsigned i = 1; i <= 3; i++) {
        event(f, PODS, "ERROR", "{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\",\"message\":\"x\"}");
        WAIT_FOR(f, f->watches[PODS] == i + 1 && watcher(f, PODS));
        assert_int_equal(f->lists[PODS], i < 3 ? 1 : 2);
    }
}

static void test_garbage_in_the_stream_lists_again(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } garbage[] = {
        {"<html>\n", 7},
        {"{\"type\":\"ADDED\"}\n", 17},
        {"{\"type\":\"NEWS\",\"object\":{}}\n", 28},
        {"{\"type\":\"DELETED\",\"object\":{}}\n", 31},
        {"{\"a\":1}{\"b\":2}\n", 15},
        {"{\"a\":\0}\n", 8},
    };
    struct fixture *f = *state;
    start_and_sync(f);
    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        api_exchange_chunk(watcher(f, PODS), garbage[i].text, garbage[i].len);
        WAIT_FOR(f, f->watches[PODS] == i + 2 && watcher(f, PODS));
        assert_int_equal(f->lists[PODS], i + 2);
        assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    }
}

static bool hollow_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)f;
    if (kind != NODES || !watch) {
        return false;
    }
    api_exchange_begin(exchange, "application/json", "");
    api_exchange_end(exchange);
    return true;
}

static void test_hollow_watches_back_off(void **state)
{
    struct fixture *f = *state;
    f->hook = hollow_hook;
    start(f);
    WAIT_FOR(f, f->synced);
    run_ms(f, 600);
    // 20, 40, 80, 100 ms … and as much again at random: about 5 to 10 in this time, not hundreds.
    assert_in_range(f->watches[NODES], 3, 12);
    assert_int_equal(f->lists[NODES], 1);
}

static bool compressed_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (watch) {
        assert_string_equal(api_exchange_header(exchange, "Accept-Encoding"), "");
    } else {
        assert_non_null(strstr(api_exchange_header(exchange, "Accept-Encoding"), "gzip"));
    }
    if (kind != NODES || !watch || f->watches[NODES] > 1) {
        return false;
    }
    api_exchange_begin(exchange, "application/json", "Content-Encoding: gzip\r\n");
    api_exchange_chunk(exchange, "\x1f\x8b", 2);
    return true;
}

static void test_compressed_watch_is_refused(void **state)
{
    struct fixture *f = *state;
    f->hook = compressed_hook;
    start(f);
    WAIT_FOR(f, f->watches[NODES] == 2);
    assert_int_equal(f->lists[NODES], 1);
    assert_non_null(strstr(text_of(&f->reports), "compressed"));
}

// ---- retries

static bool busy_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != NODES || watch || f->lists[NODES] > 2) {
        return false;
    }
    if (f->lists[NODES] == 1) {
        api_exchange_reply(exchange, 429, "text/plain", "Retry-After: 1\r\n", "Too many requests");
    } else {
        // Longer than we are willing to wait.
        api_exchange_reply(exchange, 503, "text/plain", "Retry-After: 100000\r\n", "shutting down");
    }
    return true;
}

static void test_retry_after(void **state)
{
    struct fixture *f = *state;
    f->hook = busy_hook;
    uint64_t begin = num_now_ms();
    start(f);
    WAIT_FOR(f, f->synced);
    assert_true(num_now_ms() - begin >= 1990);
    assert_non_null(strstr(text_of(&f->reports), "HTTP 429 Too many requests"));
}

static bool token_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)kind;
    (void)watch;
    if (strcmp(api_exchange_header(exchange, "Authorization"), "Bearer good") == 0) {
        return false;
    }
    if (f->lists[NAMESPACES] == 3) {
        write_token(f, "good\n");
    }
    api_exchange_reply(exchange, 401, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"Unauthorized\"}");
    return true;
}

static void test_token_is_read_again(void **state)
{
    struct fixture *f = *state;
    write_token(f, "  bad \n");
    f->hook = token_hook;
    start(f);
    WAIT_FOR(f, f->synced);
    // Two back-offs with the bad token, then one retry at once with the good one.
    assert_int_equal(f->lists[NAMESPACES], 4);
    assert_non_null(strstr(text_of(&f->reports), "HTTP 401 Unauthorized"));
    assert_non_null(strstr(text_of(&f->reports), "retry_ms=0"));
    assert_null(strstr(text_of(&f->reports), "good"));
}

static void test_token_file_that_goes_away(void **state)
{
    struct fixture *f = *state;
    write_token(f, "good");
    f->hook = token_hook;
    start_and_sync(f);
    // The last good token goes on; said once.
    write_token(f, "two\nlines");
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && watcher(f, PODS));
    assert_int_equal(occurrences(&f->reports, "1 credentials-unreadable"), 1);
    assert_null(strstr(text_of(&f->reports), "401"));
}

static bool forbidden_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != POLICIES || watch || f->lists[POLICIES] > 3) {
        return false;
    }
    api_exchange_reply(exchange, 403, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"networkpolicies is "
                       "forbidden: User \\\"x\\\" cannot list\"}");
    return true;
}

static void test_forbidden(void **state)
{
    struct fixture *f = *state;
    f->hook = forbidden_hook;
    start(f);
    WAIT_FOR(f, f->lists[PODS] == 1 && f->why[0]);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "cannot list networkpolicies: HTTP 403 Forbidden"));
    assert_non_null(strstr(f->why, "cannot list"));
    WAIT_FOR(f, f->synced);
    assert_int_equal(f->lists[POLICIES], 4);
    assert_int_equal(f->lists[NAMESPACES], 1);
}

static bool selector_hook(struct fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)f;
    (void)watch;
    if (kind != PODS || !strstr(api_exchange_query(exchange), "fieldSelector")) {
        return false;
    }
    api_exchange_reply(exchange, 400, "application/json", "",
                       "{\"kind\":\"Status\",\"code\":400,\"reason\":\"BadRequest\",\"message\":\"field label not "
                       "supported: status.phase\"}");
    return true;
}

static void test_unknown_field_selector_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->hook = selector_hook;
    start_and_sync(f);
    assert_int_equal(f->lists[PODS], 2);
    assert_int_equal(occurrences(&f->log, "fieldSelector"), 1);
}

static void test_outage_and_return(void **state)
{
    struct fixture *f = *state;
    start_and_sync(f);
    event(f, PODS, "MODIFIED", POD("a", "u-a", "60", "10.0.0.1", "\"app\":\"before\""));
    WAIT_FOR(f, has_label(f, "a", "app", "before"));
    assert_int_equal(api_server_outage(f->server, false, &f->err), 0);
    run_ms(f, 300);
    assert_true(has_label(f, "a", "app", "before"));
    assert_int_equal(f->synced_calls, 1);
    assert_int_equal(api_server_outage(f->server, true, &f->err), 0);
    WAIT_FOR(f, watcher(f, NAMESPACES) && watcher(f, POLICIES) && watcher(f, NODES) && watcher(f, PODS));
    // No list: the watch goes on where it was.
    for (int i = 0; i < API_KINDS; i++) {
        assert_int_equal(f->lists[i], 1);
    }
    assert_non_null(strstr(api_exchange_query(watcher(f, PODS)), "resourceVersion=60&"));
    event(f, PODS, "MODIFIED", POD("a", "u-a", "61", "10.0.0.1", "\"app\":\"after\""));
    WAIT_FOR(f, has_label(f, "a", "app", "after"));
}

static void test_freed_at_any_time(void **state)
{
    struct fixture *f = *state;
    for (unsigned ms = 0; ms < 12; ms++) {
        start(f);
        run_ms(f, ms);
        f->source->ops->free(f->source);
        f->source = NULL;
        f->synced = false;
    }
    run_ms(f, 20);
}

static void free_in_changed(void *arg)
{
    struct fixture *f = arg;
    f->changed++;
    f->source->ops->free(f->source);
    f->source = NULL;
}

static void test_freed_by_its_owner_in_a_call(void **state)
{
    struct fixture *f = *state;
    start(f);
    CONTAINER_OF(f->source, struct api_source, base)->owner.changed = free_in_changed;
    WAIT_FOR(f, f->changed == 1);
    run_ms(f, 30);
    assert_int_equal(f->synced_calls, 0);
}

static void test_configuration_is_checked(void **state)
{
    static const struct {
        const char *server;
        const char *token;
        const char *want;
    } cases[] = {
        {"http://10.0.0.1:8080", NULL, "loopback"},
        {"http://127.0.0.1:8080", "t", "credentials"},
        {"ftp://x", NULL, "https://"},
    };
    struct fixture *f = *state;
    const struct source_owner owner = {
        .arg = f, .changed = on_changed, .synced = on_synced, .report = on_report, .count = on_count};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct api_config *config = calloc(1, sizeof(*config));
        assert_non_null(config);
        config->server = strdup(cases[i].server);
        config->token = cases[i].token ? strdup(cases[i].token) : NULL;
        assert_int_equal(api_source_new(f->loop, config, f->state, &owner, &f->source, &f->err), -1);
        assert_null(f->source);
        assert_non_null(strstr(f->err.msg, cases[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_first_sync),
        TEST(test_pages),
        TEST(test_page_expires),
        TEST(test_bad_lists_are_no_lists),
        TEST(test_failing_list_says_why_before_sync),
        TEST(test_relist_sweeps_what_vanished),
        TEST(test_cut_relist_sweeps_nothing),
        TEST(test_lost_objects_keep_the_older),
        TEST(test_events),
        TEST(test_what_tenants_write_elsewhere_does_no_harm),
        TEST(test_same_name_other_uid),
        TEST(test_one_change_for_a_burst),
        TEST(test_bytes_one_by_one),
        TEST(test_clean_end_watches_again_at_once),
        TEST(test_cut_in_a_line),
        TEST(test_history_gone_in_the_stream),
        TEST(test_history_gone_as_status),
        TEST(test_server_errors_in_the_stream),
        TEST(test_garbage_in_the_stream_lists_again),
        TEST(test_hollow_watches_back_off),
        TEST(test_compressed_watch_is_refused),
        TEST(test_retry_after),
        TEST(test_token_is_read_again),
        TEST(test_token_file_that_goes_away),
        TEST(test_forbidden),
        TEST(test_unknown_field_selector_is_dropped),
        TEST(test_outage_and_return),
        TEST(test_freed_at_any_time),
        TEST(test_freed_by_its_owner_in_a_call),
        TEST(test_configuration_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
