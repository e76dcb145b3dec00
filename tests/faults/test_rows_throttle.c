// SPDX-License-Identifier: Apache-2.0
//
// Servers that are too busy, going down, or broken: rows 23, 24, 25, 26.
#include "faults/faults.h"

#include <stdio.h>
#include <time.h>

enum { PODS = WORLD_BIT(WORLD_PODS) };

#define APF                                                                                                            \
    "X-Kubernetes-PF-FlowSchema-UID: 1b4c0e5a-0000-4000-8000-000000000000\r\n"                                         \
    "X-Kubernetes-PF-PriorityLevel-UID: 2b4c0e5a-0000-4000-8000-000000000000\r\n"
#define TOO_MANY "Too many requests, please try again later.\n"

// The answer comes twice, to the watch of pods or to its first list; the waits before the two tries behind lie within.
static void refused(struct faults *f, struct world_fault answer, bool watch, uint64_t low_ms, uint64_t high_ms)
{
    answer.kinds = PODS;
    answer.times = 2;
    answer.on = watch ? WORLD_WATCH : WORLD_READS;
    size_t mark = 0;
    char version[40] = "";
    if (watch) {
        mark = faults_sync(f);
        (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)f->world->version);
    }
    const struct world_fault *fault = world_fault(f->world, answer);
    if (watch) {
        (void)world_cut(f->world, PODS, WORLD_CUT_END);
        (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    } else {
        faults_start(f);
    }
    f->patience_ms = 600000;
    UNTIL(f, f->synced && fault->hits == 2);
    faults_settle(f);
    for (size_t i = 0; i < 2; i++) {
        uint64_t gap = world_nth(f->world, answer.on, PODS, mark, i + 1)->at_ms -
                       world_nth(f->world, answer.on, PODS, mark, i)->at_ms;
        if (gap < low_ms || gap > high_ms) {
            fail_msg("waited %llu ms, not %llu to %llu", (unsigned long long)gap, (unsigned long long)low_ms,
                     (unsigned long long)high_ms);
        }
    }
    if (watch) {
        FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
        FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 3);
        for (size_t i = 0; i < 3; i++) {
            assert_string_equal(world_nth(f->world, WORLD_WATCH, PODS, mark, i)->version, version);
        }
    }
}

#define BOTH(name, low_ms, high_ms, ...)                                                                               \
    static void row_watch_##name(struct faults *f)                                                                     \
    {                                                                                                                  \
        refused(f, (struct world_fault){__VA_ARGS__}, true, low_ms, high_ms);                                          \
    }                                                                                                                  \
    static void row_list_##name(struct faults *f)                                                                      \
    {                                                                                                                  \
        refused(f, (struct world_fault){__VA_ARGS__}, false, low_ms, high_ms);                                         \
    }                                                                                                                  \
    struct row_##name##_needs_semicolon

// 23: the queue of API Priority and Fairness. A second of jitter, and the loop's own moments.
BOTH(text, 7000, 10000, .name = "APF", .status = 429, .type = "text/plain; charset=utf-8",
     .headers = "Retry-After: 7\r\n" APF, .body = TOO_MANY);
BOTH(text_long, 32000, 36000, .name = "APF", .status = 429, .type = "text/plain; charset=utf-8",
     .headers = "Retry-After: 32\r\n" APF, .body = TOO_MANY);
// 24: the cache is not ready; and what proxies make of it.
BOTH(json, 13000, 17000, .name = "storage is (re)initializing", .status = 429, .headers = "Retry-After: 13\r\n");
BOTH(none, 800, 6000, .name = "no Retry-After", .status = 429, .type = "text/html", .body = "<h1>429</h1>");
BOTH(negative, 800, 6000, .name = "negative", .status = 429, .headers = "Retry-After: -5\r\n");
BOTH(garbage, 800, 6000, .name = "garbage", .status = 429, .headers = "Retry-After: soon\r\n");
BOTH(huge, 60000, 64000, .name = "huge", .status = 429, .headers = "Retry-After: 86400\r\n");
// 25: going down.
BOTH(shutdown_503, 1000, 6000, .name = "apiserver is shutting down", .status = 503, .headers = "Retry-After: 1\r\n");
BOTH(shutdown_429, 5000, 9000, .name = "going down", .status = 429, .type = "text/plain; charset=utf-8",
     .headers = "Retry-After: 5\r\nConnection: close\r\n",
     .body = "The apiserver is shutting down, please try again "
             "later.\n");
// 26: broken.
BOTH(panic, 800, 6000, .name = "a panic", .status = 500, .type = "text/plain; charset=utf-8",
     .body = "This request caused apiserver to panic. Look in the logs for details.\n");
BOTH(etcd, 800, 6000, .name = "etcdserver: leader changed", .status = 500);
BOTH(html_502, 800, 6000, .name = "a balancer", .status = 502, .type = "text/html",
     .body = "<html><body><h1>502 Bad Gateway</h1></body></html>");
BOTH(html_503, 800, 6000, .name = "a balancer", .status = 503, .type = "text/html",
     .body = "<html><body><h1>503 Service Unavailable</h1></body></html>");

// Written when the request arrives: 20 s from now.
static void dated(struct faults *f, bool watch)
{
    static char headers[96];
    time_t then = time(NULL) + 25;
    struct tm tm;
    (void)gmtime_r(&then, &tm);
    (void)strftime(headers, sizeof(headers), "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    // The wall clock of a test hardly moves.
    refused(f, (struct world_fault){.name = "a date", .status = 429, .headers = headers}, watch, 15000, 32000);
}

static void row_watch_date(struct faults *f)
{
    dated(f, true);
}

static void row_list_date(struct faults *f)
{
    dated(f, false);
}

// ERROR 500 inside of a watch: the same version up to three times, then everything anew.
static void row_error_500(struct faults *f)
{
    size_t mark = faults_sync(f);
    struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "etcd",
                             .on = WORLD_WATCH,
                             .kinds = PODS,
                             .status = 200,
                             .body = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\","
                                     "\"status\":\"Failure\",\"code\":500,\"reason\":\"InternalError\",\"message\":"
                                     "\"etcdserver: no leader\"}}\n"});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    UNTIL(f, world_count(f->world, WORLD_READS, PODS, mark) == 1);
    assert_in_range(fault->hits, 3, 4);
    for (size_t i = 1; i < 3; i++) {
        assert_string_equal(world_nth(f->world, WORLD_WATCH, PODS, mark, i)->version,
                            world_nth(f->world, WORLD_WATCH, PODS, mark, 0)->version);
    }
    world_heal(f->world, fault);
    faults_settle(f);
}

// All watches end at once: they come back one by one, from where they were.
static void row_watches_end(struct faults *f)
{
    size_t mark = faults_sync(f);
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_WATCH, 0, mark, 4);
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (size_t i = 0; i < 4; i++) {
        uint64_t at = world_nth(f->world, WORLD_WATCH, 0, mark, i)->at_ms;
        first = at < first ? at : first;
        last = at > last ? at : last;
    }
    assert_true(last - first >= 5);
    assert_true(last - first <= 3000);
}

// --shutdown-watch-termination-grace-period: watches end one after the other while requests are refused, until the
// process is gone, and another one comes.
static void row_endings_spread(struct faults *f)
{
    size_t mark = faults_sync(f);
    struct world_fault *fault = world_fault(
        f->world, (struct world_fault){.name = "going down",
                                       .status = 429,
                                       .type = "text/plain",
                                       .headers = "Retry-After: 5\r\nConnection: close\r\n",
                                       .body = "The apiserver is shutting down, please try again later.\n"});
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        (void)world_cut(f->world, WORLD_BIT(kind), WORLD_CUT_END);
        (void)world_put(f->world, WORLD_PODS, "x/during%d ip:10.0.0.%d", kind, kind + 10);
        faults_run(f, 6000);
    }
    world_listen(f->world, false);
    faults_run(f, 20000);
    world_heal(f->world, fault);
    world_listen(f->world, true);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static const struct fault_row rows[] = {
    ROW("23-429-text-watch", row_watch_text),
    ROW("23-429-text-list", row_list_text),
    ROW("23-429-text-32s-watch", row_watch_text_long),
    ROW("23-429-text-32s-list", row_list_text_long),
    ROW("24-429-json-watch", row_watch_json),
    ROW("24-429-json-list", row_list_json),
    ROW("24-without-retry-after-watch", row_watch_none),
    ROW("24-without-retry-after-list", row_list_none),
    ROW("24-negative-retry-after-watch", row_watch_negative),
    ROW("24-negative-retry-after-list", row_list_negative),
    ROW("24-garbage-retry-after-watch", row_watch_garbage),
    ROW("24-garbage-retry-after-list", row_list_garbage),
    ROW("24-date-retry-after-watch", row_watch_date),
    ROW("24-date-retry-after-list", row_list_date),
    ROW("24-huge-retry-after-watch", row_watch_huge),
    ROW("24-huge-retry-after-list", row_list_huge),
    ROW("25-503-status-watch", row_watch_shutdown_503),
    ROW("25-503-status-list", row_list_shutdown_503),
    ROW("25-429-text-watch", row_watch_shutdown_429),
    ROW("25-429-text-list", row_list_shutdown_429),
    ROW("25-watches-end", row_watches_end),
    ROW("25-endings-spread", row_endings_spread),
    ROW("26-500-text-watch", row_watch_panic),
    ROW("26-500-text-list", row_list_panic),
    ROW("26-500-status-watch", row_watch_etcd),
    ROW("26-500-status-list", row_list_etcd),
    ROW("26-500-inside-200", row_error_500),
    ROW("26-502-html-watch", row_watch_html_502),
    ROW("26-502-html-list", row_list_html_502),
    ROW("26-503-html-watch", row_watch_html_503),
    ROW("26-503-html-list", row_list_html_503),
};
FAULTS_MAIN(rows)
