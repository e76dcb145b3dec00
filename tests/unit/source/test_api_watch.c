// SPDX-License-Identifier: Apache-2.0
//
// Watches: events, framing, the end of a stream, history that is gone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/api_fixture.h"

static void test_events(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    unsigned changed = f->changed;
    api_event(f, PODS, "ADDED", POD("b", "u-b", "11", "10.0.0.2", "\"app\":\"b\""));
    WAIT_FOR(f, api_has_label(f, "b", "app", "b") && f->changed == changed + 1);
    api_event(f, PODS, "MODIFIED", POD("b", "u-b", "12", "10.0.0.2", "\"app\":\"\\u003cb\\u003e\""));
    WAIT_FOR(f, api_has_label(f, "b", "app", "<b>"));
    // Unknown and repeated things do no harm.
    api_event(f, PODS, "ADDED", POD("b", "u-b", "12", "10.0.0.2", "\"app\":\"\\u003cb\\u003e\""));
    api_event(f, PODS, "DELETED", POD("zzz", "u-z", "13", "10.0.0.7", ""));
    // The delete of an older pod of the same name.
    api_event(f, PODS, "DELETED", POD("b", "u-older", "14", "10.0.0.2", ""));
    api_run_ms(f, 30);
    assert_non_null(state_pod(f->state, "x", "b"));
    assert_int_equal(f->changed, changed + 2);
    api_event(f, PODS, "DELETED", POD("b", "u-b", "15", "10.0.0.2", ""));
    WAIT_FOR(f, !state_pod(f->state, "x", "b"));
    api_event(f, POLICIES, "DELETED", POLICY);
    WAIT_FOR(f, state_count(f->state, OBJECT_POLICY) == 0);
    assert_string_equal(api_text_of(&f->reports), "");
    assert_int_equal(f->lists[PODS], 1);
}

static void test_what_tenants_write_elsewhere_does_no_harm(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(
        f, PODS, "ADDED",
        "{\"metadata\":{\"namespace\":\"x\",\"name\":\"b\",\"uid\":\"u-b\",\"resourceVersion\":\"11\",\"labels\":{"
        "\"app\":\"b\"},\"annotations\":{\"nul\":\"\\u0000\"}},\"spec\":{\"containers\":[{\"args\":[\"\\u0000\"]}]},"
        "\"status\":{\"phase\":\"Running\"}}");
    WAIT_FOR(f, api_has_label(f, "b", "app", "b"));
    assert_int_equal(f->lists[PODS], 1);
    assert_string_equal(api_text_of(&f->reports), "");
}

// With a host address of the tenant's choice, which no API server looks at.
#define POD_HOST_IP(name, rv, host_ip)                                                                                 \
    "{" META("x", name, "u-" name, rv,                                                                                 \
             "\"app\":\"" name "\"") ",\"spec\":{\"nodeName\":\"n1\",\"containers\":[{"                                \
                                     "\"ports\":[{\"name\":\"http\",\"hostIP\":\"" host_ip                             \
                                     "\",\"containerPort\":80,\"protocol\":\"TCP\"}]}]},"                              \
                                     "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.0.0.9\"}]}}"

static void test_nul_in_a_host_address_does_no_harm(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = POD_HOST_IP("l", "5", "\\u0000");
    api_start_and_sync(f);
    api_event(f, PODS, "ADDED", POD_HOST_IP("b", "11", "\\u0000"));
    api_event(f, PODS, "ADDED", POD_HOST_IP("c", "12", "\\ud800"));
    WAIT_FOR(f, api_has_label(f, "c", "app", "c"));
    static const char *const names[] = {"l", "b", "c"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct pod *pod = state_pod(f->state, "x", names[i]);
        assert_non_null(pod);
        assert_int_equal(pod->n_addresses, 1);
        assert_int_equal(pod->n_ports, 1);
        assert_string_equal(pod->ports[0].name, "http");
        assert_int_equal(pod->ports[0].number, 80);
    }
    assert_int_equal(f->lists[PODS], 1);
    assert_string_equal(api_text_of(&f->reports), "");
}

// An object that the reader refuses costs that object, never the watch.
static void test_refused_events_do_not_end_the_watch(void **state)
{
    struct api_fixture *f = *state;
    f->items[PODS] = POD("a", "u-a", "5", "10.0.0.1", "\"app\":\"a\"") "," POD("d", "u-d", "5", "10.0.0.4", "");
    api_start_and_sync(f);
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "20", "10.0.0.2", "\"app\":\"\\u0000\""));
    api_event(f, PODS, "ADDED", POD("n", "u-n", "21", "10.0.0.3", "\"app\":\"\\ud800\""));
    api_event(f, PODS, "ADDED", "{\"metadata\":{\"name\":\"\\u0000\",\"resourceVersion\":\"22\"}}");
    // What has gone has gone, whatever else is said of it; and what never had a usable name was never there.
    api_event(f, PODS, "DELETED", POD("d", "u-d", "23", "10.0.0.4", "\"app\":\"\\u0000\""));
    api_event(f, PODS, "DELETED", "{\"metadata\":{\"name\":\"\\u0000\",\"resourceVersion\":\"24\"}}");
    api_run_ms(f, 50);
    WAIT_FOR(f, !state_pod(f->state, "x", "d") && api_occurrences(&f->counts, "parse_errors pods\n") == 5);
    assert_true(api_has_label(f, "a", "app", "a"));
    assert_null(state_pod(f->state, "x", "n"));
    assert_int_equal(api_occurrences(&f->reports, "2 object-unreadable kind=pods"), 5);
    assert_int_equal(api_occurrences(&f->reports, "object=\"Pod x/a\""), 1);
    assert_int_equal(api_occurrences(&f->reports, "object=\"Pod x/n\""), 1);
    assert_int_equal(api_occurrences(&f->reports, "watch-failed"), 0);
    // The next watch starts behind them.
    api_exchange_end(api_watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=24&"));
    api_event(f, PODS, "ADDED", POD("b", "u-b", "30", "10.0.0.5", "\"app\":\"b\""));
    WAIT_FOR(f, api_has_label(f, "b", "app", "b"));
    assert_int_equal(f->lists[PODS], 1);
}

static void test_refused_policy_keeps_the_older(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(
        f, POLICIES, "MODIFIED",
        "{" META("x", "deny", "u-deny", "50", "") ",\"spec\":{\"podSelector\":{\"matchLabels\":{\"a\":\"\\u0000\"}}}}");
    WAIT_FOR(f, api_occurrences(&f->counts, "parse_errors networkpolicies\n") == 1);
    assert_string_equal(state_policy(f->state, "x", "deny")->meta.resource_version, "3");
    assert_int_equal(
        api_occurrences(&f->reports, "2 object-unreadable kind=networkpolicies object=\"NetworkPolicy x/deny\""), 1);
    assert_int_equal(f->watches[POLICIES], 1);
    assert_int_equal(f->lists[POLICIES], 1);
}

static void test_refused_error_is_an_error_still(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, PODS, "ERROR", "{\"code\":410,\"reason\":\"Expired\",\"message\":\"\\u0000\"}");
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    assert_int_equal(f->lists[PODS], 2);
    assert_int_equal(api_occurrences(&f->reports, "0 watch-failed kind=pods"), 1);
    assert_int_equal(api_occurrences(&f->counts, "parse_errors"), 0);
}

static void test_same_name_other_uid(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, PODS, "ADDED", POD("a", "u-next", "11", "10.0.0.8", ""));
    WAIT_FOR(f, strcmp(state_pod(f->state, "x", "a")->meta.uid, "u-next") == 0);
    assert_int_equal(state_count(f->state, OBJECT_POD), 1);
}

static void test_one_change_for_a_burst(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_run_ms(f, 20);
    unsigned changed = f->changed;
    struct buf BUF_CLEANUP burst = {0};
    for (int i = 0; i < 50; i++) {
        buf_printf(&burst,
                   "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"x\",\"name\":\"p%d\",\"uid\":\"u%d\","
                   "\"resourceVersion\":\"%d\"},\"spec\":{},\"status\":{\"phase\":\"Running\"}}}\n",
                   i, i, 100 + i);
    }
    api_exchange_chunk(api_watcher(f, PODS), burst.data, burst.len);
    WAIT_FOR(f, state_count(f->state, OBJECT_POD) == 51);
    api_run_ms(f, 10);
    assert_in_range(f->changed - changed, 1, 3);
}

static void test_bytes_one_by_one(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    const char *text = "\r\n{\"type\":\"ADDED\",\"object\":" POD(
        "b", "u-b", "11", "10.0.0.2",
        "\"l\":\"h\\u00e9\"") "}\r\n\n"
                              "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"99\"}}}\n";
    for (const char *p = text; *p; p++) {
        api_exchange_chunk(api_watcher(f, PODS), p, 1);
    }
    WAIT_FOR(f, api_has_label(f, "b", "l", "h\xc3\xa9") && api_occurrences(&f->counts, "watch_events pods/") == 2);
    // The bookmark is where the next watch starts.
    api_run_ms(f, 50);
    api_exchange_end(api_watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 2);
    WAIT_FOR(f, api_watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=99&"));
    assert_int_equal(f->lists[PODS], 1);
    assert_string_equal(api_text_of(&f->reports), "");
}

static void test_clean_end_watches_again_at_once(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "44", "10.0.0.1", ""));
    api_run_ms(f, 50);
    api_exchange_end(api_watcher(f, PODS));
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    // A wait would have been said.
    assert_string_equal(api_text_of(&f->reports), "");
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=44&"));
}

static void test_cut_in_a_line(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "44", "10.0.0.1", "\"app\":\"one\""));
    const char *half = "{\"type\":\"MODIFIED\",\"object\":" POD("a", "u-a", "45", "10.0.0.1", "\"app\":\"two\"") "}";
    api_exchange_chunk(api_watcher(f, PODS), half, strlen(half));
    WAIT_FOR(f, api_has_label(f, "a", "app", "one"));
    api_exchange_cut(api_watcher(f, PODS), false);
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    // The unfinished line was no event: the watch goes on from before it, without a list.
    assert_true(api_has_label(f, "a", "app", "one"));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=44&"));
    assert_int_equal(f->lists[PODS], 1);
    assert_int_equal(api_occurrences(&f->reports, "1 watch-failed kind=pods"), 1);
    api_event(f, PODS, "MODIFIED", POD("a", "u-a", "45", "10.0.0.1", "\"app\":\"two\""));
    WAIT_FOR(f, api_has_label(f, "a", "app", "two"));
    assert_int_equal(api_occurrences(&f->reports, "0 watch-recovered kind=pods"), 1);
}

static void test_history_gone_in_the_stream(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    f->items[PODS] = POD("n", "u-n", "70", "10.0.0.4", "");
    f->version = "77";
    api_event(
        f, PODS, "ERROR",
        "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version: 10 (70)\"}");
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    assert_int_equal(f->lists[PODS], 2);
    assert_null(state_pod(f->state, "x", "a"));
    assert_non_null(state_pod(f->state, "x", "n"));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=77&"));
    assert_int_equal(f->lists[NAMESPACES], 1);
    // The protocol's own way: at once, and nothing to warn of.
    assert_int_equal(api_occurrences(&f->reports, "0 watch-failed kind=pods"), 1);
    assert_non_null(strstr(api_text_of(&f->reports), "retry_ms=0\n"));
}

static bool gone_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
{
    if (kind != NODES || !watch || f->watches[NODES] > 3) {
        return false;
    }
    api_exchange_reply(exchange, 410, "application/json", "", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\"}");
    return true;
}

static void test_history_gone_as_status(void **state)
{
    struct api_fixture *f = *state;
    f->hook = gone_hook;
    api_start_and_sync(f);
    WAIT_FOR(f, f->watches[NODES] == 4);
    // Listed again each time; not in a hot loop.
    assert_int_equal(f->lists[NODES], 4);
    assert_true(api_occurrences(&f->reports, "0 watch-failed kind=nodes") == 1);
    // Said when it changes, not at every try.
    assert_true(api_occurrences(&f->reports, "1 watch-failed kind=nodes") == 1);
    assert_int_equal(api_occurrences(&f->counts, "watch_restarts nodes/expired\n"), 3);
}

static void test_server_errors_in_the_stream(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    for (unsigned i = 1; i <= 3; i++) {
        api_event(f, PODS, "ERROR",
                  "{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\",\"message\":\"x\"}");
        WAIT_FOR(f, f->watches[PODS] == i + 1 && api_watcher(f, PODS));
        assert_int_equal(f->lists[PODS], i < 3 ? 1 : 2);
    }
}

static void test_garbage_in_the_stream_lists_again(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } garbage[] = {
        {"{\"type\":\"ADDED\"}\n", 17},
        {"{\"type\":\"NEWS\",\"object\":{}}\n", 28},
        {"{\"type\":\"DELETED\",\"object\":{}}\n", 31},
        {"{\"a\":1}{\"b\":2}\n", 15},
        {"{\"a\":\0}\n", 8},
    };
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    for (unsigned i = 0; i < ARRAY_SIZE(garbage); i++) {
        api_exchange_chunk(api_watcher(f, PODS), garbage[i].text, garbage[i].len);
        WAIT_FOR(f, f->watches[PODS] == i + 2 && api_watcher(f, PODS));
        assert_int_equal(f->lists[PODS], i + 2);
        assert_int_equal(state_count(f->state, OBJECT_POD), 1);
    }
}

// What does not even begin as an event is no API server's: the same as a broken connection, and no reason for a list.
static void test_no_server_behind_the_stream(void **state)
{
    struct api_fixture *f = *state;
    api_start_and_sync(f);
    api_exchange_chunk(api_watcher(f, PODS), "\r\n <html>\n", 10);
    WAIT_FOR(f, f->watches[PODS] == 2 && api_watcher(f, PODS));
    assert_non_null(strstr(api_exchange_query(api_watcher(f, PODS)), "resourceVersion=10&"));
    assert_int_equal(f->lists[PODS], 1);
    assert_non_null(strstr(api_text_of(&f->reports), "this is no API server"));
}

static bool hollow_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
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
    struct api_fixture *f = *state;
    f->hook = hollow_hook;
    api_start(f);
    WAIT_FOR(f, f->synced);
    api_run_ms(f, 600);
    // 20, 40, 80, 100 ms … and as much again at random: about 5 to 10 in this time, not hundreds.
    assert_in_range(f->watches[NODES], 3, 12);
    assert_int_equal(f->lists[NODES], 1);
}

static bool compressed_hook(struct api_fixture *f, struct api_exchange *exchange, int kind, bool watch)
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
    struct api_fixture *f = *state;
    f->hook = compressed_hook;
    api_start(f);
    WAIT_FOR(f, f->watches[NODES] == 2);
    assert_int_equal(f->lists[NODES], 1);
    assert_non_null(strstr(api_text_of(&f->reports), "compressed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        API_TEST(test_events),
        API_TEST(test_what_tenants_write_elsewhere_does_no_harm),
        API_TEST(test_nul_in_a_host_address_does_no_harm),
        API_TEST(test_refused_events_do_not_end_the_watch),
        API_TEST(test_refused_policy_keeps_the_older),
        API_TEST(test_refused_error_is_an_error_still),
        API_TEST(test_same_name_other_uid),
        API_TEST(test_one_change_for_a_burst),
        API_TEST(test_bytes_one_by_one),
        API_TEST(test_clean_end_watches_again_at_once),
        API_TEST(test_cut_in_a_line),
        API_TEST(test_history_gone_in_the_stream),
        API_TEST(test_history_gone_as_status),
        API_TEST(test_server_errors_in_the_stream),
        API_TEST(test_garbage_in_the_stream_lists_again),
        API_TEST(test_no_server_behind_the_stream),
        API_TEST(test_hollow_watches_back_off),
        API_TEST(test_compressed_watch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
