// SPDX-License-Identifier: Apache-2.0
//
// Lists: pages, sweeping, and what is no list.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/api_fixture.h"

static void test_first_sync(void **state)
{
    struct api_fixture *f = *state;
    api_start(f);
    assert_int_equal(f->changed + f->synced_calls + (unsigned)f->reports.len, 0);
    WAIT_FOR(f, f->synced);
    assert_int_equal(f->synced_calls, 1);
    assert_true(f->changed >= 1);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_int_equal(state_count(f->state, OBJECT_NAMESPACE), 1);
    assert_int_equal(state_count(f->state, OBJECT_POLICY), 1);
    assert_int_equal(state_count(f->state, OBJECT_NODE), 1);
    WAIT_FOR(f, api_watcher(f, PODS));
    // One list after the other, pods last; the watch starts at the version of the list.
    const char *log = api_text_of(&f->log);
    assert_true(strstr(log, "/namespaces?limit") < strstr(log, "/networkpolicies?limit"));
    assert_true(strstr(log, "/networkpolicies?limit") < strstr(log, "/nodes?limit"));
    assert_true(strstr(log, "/nodes?limit") < strstr(log, "/pods?limit"));
    assert_non_null(strstr(log,
                           "/pods?limit=500&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed%2C"
                           "spec.nodeName%21%3D%2Cspec.hostNetwork%3Dfalse\n"));
    assert_non_null(strstr(log, "/namespaces?watch=1&allowWatchBookmarks=true&resourceVersion=10&timeoutSeconds="));
    assert_null(strstr(log, "limit=500&resourceVersion"));
    assert_string_equal(api_text_of(&f->reports), "");
    assert_int_equal(api_occurrences(&f->counts, "lists pods/start/200\n"), 1);
}

static bool paged_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    (void)f;
    char page[64] = "";
    (void)api_exchange_param(exchange, "continue", page, sizeof(page));
    if (kind != PODS || watch) {
        return false;
    }
    if (!page[0]) {
        api_reply_list(exchange, POD("a", "u-a", "5", "10.0.0.1", ""), "20", "p+/=&2");
    } else if (strcmp(page, "p+/=&2") == 0) {
        api_reply_list(exchange, "", "21", "3");
    } else {
        api_reply_list(exchange, POD("b", "u-b", "6", "10.0.0.2", "") "," POD("c", "u-c", "7", "10.0.0.3", ""), "22",
                       NULL);
    }
    return true;
}

static void test_pages(void **state)
{
    struct api_fixture *f = *state;
    f->hook = paged_hook;
    api_start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    assert_int_equal(f->lists[PODS], 3);
    // The version of the first page; the selector on each page.
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=20&"));
    assert_int_equal(api_occurrences(&f->log, "/pods?limit=500&fieldSelector="), 3);
}

static bool busy_page_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind == PODS && !watch && (f->lists[PODS] == 2 || f->lists[PODS] == 4)) {
        api_exchange_reply(exchange, 429, "text/plain", "", "Too many requests.");
        return true;
    }
    return paged_hook(f, exchange, kind, watch);
}

static void test_busy_between_pages(void **state)
{
    struct api_fixture *f = *state;
    f->hook = busy_page_hook;
    api_start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    // Each of the two later pages was asked for twice, the first once.
    assert_int_equal(f->lists[PODS], 5);
    assert_int_equal(api_occurrences(&f->log, "continue="), 4);
    assert_int_equal(api_occurrences(&f->counts, "lists pods/start/200\n"), 1);
    assert_int_equal(api_occurrences(&f->counts, "lists pods/start/429\n"), 0);
}

static bool expired_page_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    char page[64] = "";
    bool more = api_exchange_param(exchange, "continue", page, sizeof(page));
    if (kind != PODS || watch || f->lists[PODS] > 2) {
        return false;
    }
    if (!more) {
        api_reply_list(exchange, POD("old", "u-old", "5", "10.0.0.9", ""), "20", "p2");
    } else {
        api_exchange_reply(exchange, 410, "application/json", "",
                           "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\","
                           "\"metadata\":{\"continue\":\"other\"}}");
    }
    return true;
}

static void test_page_expires(void **state)
{
    struct api_fixture *f = *state;
    f->hook = expired_page_hook;
    api_start_and_sync(f);
    // From the start again, and what only the first try had seen is swept after the last page.
    assert_int_equal(f->lists[PODS], 3);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    assert_non_null(state_pod(f->state, "x", "a"));
    assert_null(strstr(api_text_of(&f->log), "continue=other"));
}

static bool bad_list_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
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
    struct api_fixture *f = *state;
    f->hook = bad_list_hook;
    api_start_and_sync(f);
    assert_int_equal(f->lists[NODES], 10);
    assert_int_equal(state_count(f->state, OBJECT_NODE), 0);
    // Nine failures; the fourth and the fifth are one to the reader.
    assert_int_equal(api_occurrences(&f->reports, "list-failed kind=nodes"), 8);
    assert_int_equal(api_occurrences(&f->counts, "list_failures nodes\n"), 9);
    assert_int_equal(api_occurrences(&f->reports, "watch-recovered kind=nodes"), 1);
    assert_non_null(strstr(api_text_of(&f->reports), "this is no API server"));
    // Others went on meanwhile.
    assert_int_equal(f->lists[PODS], 1);
}

static void test_failing_list_says_why_before_sync(void **state)
{
    struct api_fixture *f = *state;
    f->hook = bad_list_hook;
    api_start(f);
    WAIT_FOR(f, f->why[0]);
    assert_false(f->synced);
    assert_non_null(strstr(f->why, "cannot list nodes: "));
}

static void test_relist_sweeps_what_vanished(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"") "," POD("b", "u-b", "5", "10.0.0.2", "");
    api_start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 2);
    // While nobody watched: b went, a was made anew under its name, c came.
    f->items[PODS] = POD("a", "u-a2", "15", "10.0.0.3", "\"app\":\"new\"") "," POD("c", "u-c", "16", "10.0.0.1", "");
    f->version = "30";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && api_watcher(f, PODS));
    assert_null(state_pod(f->state, "x", "b"));
    assert_string_equal(state_pod(f->state, "x", "a")->meta.uid, "u-a2");
    assert_non_null(state_pod(f->state, "x", "c"));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=30&"));
    assert_int_equal(f->synced_calls, 1);
}

static bool cut_relist_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
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
    struct api_fixture *f = *state;
    f->hook = cut_relist_hook;
    api_start_and_sync(f);
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, api_occurrences(&f->reports, "list-failed kind=pods") == 1);
    assert_non_null(state_pod(f->state, "x", "a"));
    // The whole list, afterwards, does.
    f->items[PODS] = "";
    WAIT_FOR(f, f->lists[PODS] == 3 && api_watcher(f, PODS));
    assert_int_equal(state_count(f->state, OBJECT_POD), 0);
}

static void test_lost_objects_keep_the_older(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, POLICIES, "MODIFIED", "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":7}}");
    WAIT_FOR(f, api_occurrences(&f->counts, "parse_errors networkpolicies") == 1);
    const struct policy *policy = state_policy(f->state, "x", "deny");
    assert_non_null(policy);
    assert_string_equal(policy->meta.resource_version, "3");
    assert_non_null(strstr(api_text_of(&f->reports), "2 object-unreadable kind=networkpolicies"));
    // The same in a list: known by its name, it is not swept.
    f->items[POLICIES] = "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":7}}";
    f->items[NODES] = "";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && api_watcher(f, PODS));
    assert_non_null(state_policy(f->state, "x", "deny"));
    assert_non_null(state_pod(f->state, "x", "a"));
    assert_int_equal(state_count(f->state, OBJECT_NODE), 0);
}

// One object that is not even JSON spares itself from the sweep, and nothing else: others must not stay for its sake.
static void test_sweep_beside_refused_items(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"") "," POD("b", "u-b", "5", "10.0.0.2", "") "," POD(
        "c", "u-c", "5", "10.0.0.3", "");
    api_start_and_sync(f);
    assert_int_equal(state_count(f->state, OBJECT_POD), 3);
    // a is there, unreadable; b has gone; the last three cannot even be named.
    f->items[PODS] = POD("a", "u-a", "50", "10.0.0.9", "\"app\":\"\\u0000\"") "," POD(
        "c", "u-c", "51", "10.0.0.3", "\"app\":\"c\"") ",{\"metadata\":{\"name\":\"\\u0000\"}},tru,{\"metadata\":{}}";
    f->items[POLICIES] =
        "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":{\"matchLabels\":{\"a\":\"\\u0000\"}}}}";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 2 && api_watcher(f, PODS));
    assert_null(state_pod(f->state, "x", "b"));
    assert_true(api_has_label(f, "a", "app", "a"));
    assert_true(api_has_label(f, "c", "app", "c"));
    assert_int_equal(state_count(f->state, OBJECT_POD), 2);
    assert_non_null(state_policy(f->state, "x", "deny"));
    assert_int_equal(api_occurrences(&f->counts, "parse_errors pods\n"), 4);
    assert_int_equal(api_occurrences(&f->counts, "parse_errors networkpolicies\n"), 1);
    assert_int_equal(api_occurrences(&f->reports, "2 object-unreadable kind=pods"), 4);
    assert_int_equal(api_occurrences(&f->reports, "2 object-unreadable kind=pods object=\"Pod x/a\""), 1);
    // And when it has really gone, it goes.
    f->items[PODS] = "";
    f->source->ops->refresh(f->source);
    WAIT_FOR(f, f->lists[PODS] == 3 && api_watcher(f, PODS));
    assert_int_equal(state_count(f->state, OBJECT_POD), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_first_sync),
        API_TEST(test_pages),
        API_TEST(test_busy_between_pages),
        API_TEST(test_page_expires),
        API_TEST(test_bad_lists_are_no_lists),
        API_TEST(test_failing_list_says_why_before_sync),
        API_TEST(test_relist_sweeps_what_vanished),
        API_TEST(test_cut_relist_sweeps_nothing),
        API_TEST(test_lost_objects_keep_the_older),
        API_TEST(test_sweep_beside_refused_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
