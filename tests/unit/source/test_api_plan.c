// SPDX-License-Identifier: Apache-2.0
//
// The table of api-client.md 2.11, row by row, and what makes the waits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "source/api_plan.h"

enum { NOW = 100000000 };

static const struct api_kind_row pods = {
    .kind = OBJECT_POD,
    .label = "pods",
    .group = "",
    .versions = {"v1"},
    .terms = {{"status.phase!=Succeeded", false},
              {"status.phase!=Failed", false},
              {"spec.nodeName!=", true},
              {"spec.hostNetwork=false", true}},
};
static const struct api_kind_row optional = {
    .kind = OBJECT_POLICY, .label = "books", .group = "g", .versions = {"v1"}, .optional = true};

// In the words of the default times: the first back-off with its spread, the time while access is denied, at once.
#define FIRST 800, 2599
#define DENIED 30000, 60000
#define AT_ONCE 0, 0

struct row {
    const char *name;
    struct api_outcome outcome;
    enum api_next next;
    uint64_t least_ms, most_ms;
    const char *reason;
    struct api_plan want;  // flags only
};

#define LIST .act = API_ACT_LIST
#define INITIAL .act = API_ACT_INITIAL
#define WATCH_FOR(ms) .act = API_ACT_WATCH, .lived_ms = (ms), .asked_s = 300, .events = 1
#define WATCH WATCH_FOR(5000)
#define BROKEN .end = HTTP_BROKEN
#define EVENT(...) .http = 200, .fault = API_FAULT_STATUS, .status = {__VA_ARGS__}
#define FAILED .failed = true
#define FRESH .failed = true, .fresh = true
#define UNSET .failed = true, .unset_version = true

static const struct row rows[] = {
    // Connections.
    {"watch refused", {WATCH, BROKEN}, API_NEXT_WATCH, FIRST, "broken", {FRESH}},
    {"watch broken", {WATCH, BROKEN, .http = 200}, API_NEXT_WATCH, FIRST, "broken", {FRESH}},
    {"no head in time", {WATCH, .end = HTTP_TIMEOUT}, API_NEXT_WATCH, FIRST, "broken", {FRESH}},
    {"list refused", {LIST, BROKEN, .with_version = true}, API_NEXT_SYNC, FIRST, "broken", {FRESH}},
    {"list cut", {LIST, BROKEN, .http = 200}, API_NEXT_SYNC, FIRST, "broken", {FRESH, .unset_version = true}},
    {"list too slow",
     {LIST, .end = HTTP_TIMEOUT, .http = 200, .with_version = true},
     API_NEXT_SYNC,
     FIRST,
     "broken",
     {FRESH}},
    {"raced", {WATCH, BROKEN, .raced = true}, API_NEXT_WATCH, AT_ONCE, "raced", {FRESH}},
    {"not started",
     {LIST, BROKEN, .fault = API_FAULT_OUR_SIDE, .with_version = true},
     API_NEXT_SYNC,
     FIRST,
     "not-started",
     {FAILED}},
    {"look broken", {.act = API_ACT_LOOK, BROKEN}, API_NEXT_LOOK, FIRST, "broken", {FRESH}},
    // The ends of watches.
    {"time over", {WATCH_FOR(300000), .http = 200}, API_NEXT_WATCH, AT_ONCE, "ended", {.next = 0}},
    {"time over, silent",
     {.act = API_ACT_WATCH, .http = 200, .asked_s = 300, .lived_ms = 299500},
     API_NEXT_WATCH,
     AT_ONCE,
     "ended",
     {.next = 0}},
    {"before its time", {WATCH, .http = 200}, API_NEXT_WATCH, 0, 1000, "early", {.next = 0}},
    {"our deadline",
     {WATCH_FOR(330000), .end = HTTP_TIMEOUT, .http = 200},
     API_NEXT_WATCH,
     AT_ONCE,
     "deadline",
     {.fresh = true}},
    {"at once",
     {.act = API_ACT_WATCH, .http = 200, .asked_s = 300, .lived_ms = 999},
     API_NEXT_WATCH,
     FIRST,
     "short",
     {FAILED}},
    {"initial events cut", {INITIAL, .http = 200, .with_version = true}, API_NEXT_SYNC, FIRST, "broken", {FRESH}},
    // 410.
    {"watch gone", {WATCH, .http = 410}, API_NEXT_SYNC, AT_ONCE, "expired", {FAILED}},
    {"watch gone, as event", {WATCH, EVENT(.code = 410, .expired = true)}, API_NEXT_SYNC, AT_ONCE, "expired", {FAILED}},
    {"relist gone", {LIST, .http = 410, .with_version = true}, API_NEXT_SYNC, AT_ONCE, "expired", {UNSET}},
    {"initial gone",
     {INITIAL, EVENT(.expired = true), .with_version = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "expired",
     {UNSET}},
    {"page gone", {LIST, .http = 410, .later_page = true}, API_NEXT_SYNC, AT_ONCE, "expired", {UNSET}},
    {"what is true now gone", {LIST, .http = 410}, API_NEXT_SYNC, FIRST, "expired", {UNSET}},
    // Ahead of the server.
    {"relist ahead",
     {LIST, .http = 504, .with_version = true, .has_retry_after = true, .retry_after_s = 1,
      .status = {.too_large = true}},
     API_NEXT_SYNC,
     AT_ONCE,
     "ahead",
     {UNSET}},
    {"initial ahead",
     {INITIAL, EVENT(.code = 504, .too_large = true), .with_version = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "ahead",
     {UNSET}},
    {"ahead of nothing", {LIST, .http = 504, .status = {.too_large = true}}, API_NEXT_SYNC, FIRST, "ahead", {UNSET}},
    {"gateway timeout", {LIST, .http = 504, .with_version = true}, API_NEXT_SYNC, FIRST, "server-error", {FRESH}},
    // Other ERROR events.
    {"internal error", {WATCH, EVENT(.code = 500)}, API_NEXT_WATCH, FIRST, "server-error", {FAILED}},
    {"other error", {WATCH, EVENT(.code = 403)}, API_NEXT_SYNC, FIRST, "server-error", {FAILED}},
    {"no progress",
     {INITIAL, EVENT(.code = 500)},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {UNSET, .lacks = API_LACKS_WATCH_LIST}},
    // Who we are.
    {"unauthorized", {WATCH, .http = 401}, API_NEXT_WATCH, FIRST, "unauthorized", {FAILED}},
    {"unauthorized, new token",
     {LIST, .http = 401, .with_version = true, .credentials_changed = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "unauthorized",
     {FAILED}},
    {"forbidden", {WATCH, .http = 403}, API_NEXT_WATCH, FIRST, "forbidden", {FAILED}},
    {"forbidden list", {INITIAL, .http = 403, .with_version = true}, API_NEXT_SYNC, FIRST, "forbidden", {FAILED}},
    {"not found", {WATCH, .http = 404}, API_NEXT_WATCH, FIRST, "not-found", {FAILED}},
    // What is not known there.
    {"WatchList off",
     {INITIAL, .http = 422},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {UNSET, .lacks = API_LACKS_WATCH_LIST}},
    {"WatchList off, with a version",
     {INITIAL, .http = 422, .with_version = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {FAILED, .lacks = API_LACKS_WATCH_LIST}},
    {"WatchList not acceptable",
     {INITIAL, .http = 406, .with_version = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {FAILED, .lacks = API_LACKS_WATCH_LIST}},
    {"match",
     {LIST, .http = 422, .with_version = true, .with_match = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {FAILED, .lacks = API_LACKS_MATCH}},
    {"version", {LIST, .http = 400, .with_version = true}, API_NEXT_SYNC, AT_ONCE, "refused", {UNSET}},
    {"limit",
     {LIST, .http = 422, .with_limit = true, .status = {.message = "limit: Invalid value"}},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {UNSET, .lacks = API_LACKS_LIMIT}},
    {"who knows what", {LIST, .http = 422}, API_NEXT_SYNC, DENIED, "refused", {UNSET}},
    {"not acceptable",
     {LIST, .http = 406, .with_version = true, .with_match = true},
     API_NEXT_SYNC,
     DENIED,
     "refused",
     {FAILED}},
    {"version of a watch", {WATCH, .http = 400}, API_NEXT_SYNC, FIRST, "refused", {UNSET}},
    // A busy server.
    {"throttled",
     {WATCH, .http = 429, .has_retry_after = true, .retry_after_s = 7},
     API_NEXT_WATCH,
     7000,
     8000,
     "throttled",
     {FAILED}},
    {"throttled, no time", {LIST, .http = 429, .with_version = true}, API_NEXT_SYNC, FIRST, "throttled", {FAILED}},
    {"throttled, time 0",
     {LIST, .http = 429, .with_version = true, .has_retry_after = true},
     API_NEXT_SYNC,
     FIRST,
     "throttled",
     {FAILED}},
    {"throttled, for ages",
     {LIST, .http = 429, .has_retry_after = true, .retry_after_s = UINT32_MAX},
     API_NEXT_SYNC,
     60000,
     61000,
     "throttled",
     {UNSET}},
    {"throttled, said in the body",
     {WATCH, .http = 429, .status = {.has_retry_after = true, .retry_after_s = 9}},
     API_NEXT_WATCH,
     9000,
     10000,
     "throttled",
     {FAILED}},
    {"shutting down",
     {WATCH, .http = 503, .has_retry_after = true, .retry_after_s = 5},
     API_NEXT_WATCH,
     5000,
     6000,
     "server-error",
     {FAILED}},
    {"bad gateway", {WATCH, .http = 502}, API_NEXT_WATCH, FIRST, "server-error", {FRESH}},
    {"internal server error", {LIST, .http = 500, .with_version = true}, API_NEXT_SYNC, FIRST, "server-error", {FRESH}},
    // No server of Kubernetes.
    {"login page", {WATCH, .http = 200, .fault = API_FAULT_NO_SERVER}, API_NEXT_WATCH, FIRST, "no-server", {FRESH}},
    {"login page for a list",
     {LIST, .http = 200, .fault = API_FAULT_NO_SERVER, .with_version = true},
     API_NEXT_SYNC,
     FIRST,
     "no-server",
     {FRESH}},
    {"redirect", {WATCH, .http = 302}, API_NEXT_WATCH, FIRST, "no-server", {FRESH}},
    {"no content", {LIST, .http = 204, .with_version = true}, API_NEXT_SYNC, FIRST, "no-server", {FRESH}},
    // What could not be read.
    {"garbage", {WATCH, .http = 200, .fault = API_FAULT_CONTENT}, API_NEXT_SYNC, FIRST, "content", {FRESH}},
    {"garbage in a list",
     {LIST, .http = 200, .fault = API_FAULT_CONTENT, .with_version = true},
     API_NEXT_SYNC,
     FIRST,
     "content",
     {FRESH}},
    {"compressed", {WATCH, .http = 200, .fault = API_FAULT_COMPRESSED}, API_NEXT_WATCH, FIRST, "compressed", {FRESH}},
    {"compressed initial",
     {INITIAL, .http = 200, .fault = API_FAULT_COMPRESSED},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {UNSET, .lacks = API_LACKS_WATCH_LIST}},
    {"endless initial",
     {INITIAL, .http = 200, .fault = API_FAULT_QUIET},
     API_NEXT_SYNC,
     AT_ONCE,
     "refused",
     {UNSET, .lacks = API_LACKS_WATCH_LIST}},
    {"older than we know",
     {LIST, .http = 200, .fault = API_FAULT_STALE, .with_version = true},
     API_NEXT_SYNC,
     AT_ONCE,
     "stale",
     {UNSET}},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (uint64_t seed = 1; seed <= 50; seed++) {
            const struct row *row = &rows[i];
            struct api_random random = {seed * 7919};
            struct api_retry retry = {0};
            struct api_plan plan = api_plan_next(&pods, &row->outcome, &api_timing_default, NOW, &retry, &random);
            if (plan.next != row->next || plan.wait_ms < row->least_ms || plan.wait_ms > row->most_ms ||
                strcmp(plan.reason, row->reason) != 0 || plan.unset_version != row->want.unset_version ||
                plan.fresh != row->want.fresh || plan.lacks != row->want.lacks || plan.terms != 0 || plan.paged ||
                plan.failed != row->want.failed) {
                fail_msg("%s: next %d, wait %llu, \"%s\", unset %d, fresh %d, lacks %u, failed %d", row->name,
                         (int)plan.next, (unsigned long long)plan.wait_ms, plan.reason, plan.unset_version, plan.fresh,
                         plan.lacks, plan.failed);
            }
        }
    }
}

static struct api_plan next(const struct api_kind_row *row, struct api_outcome outcome, uint64_t now_ms,
                            struct api_retry *retry)
{
    static struct api_random random = {42};
    return api_plan_next(row, &outcome, &api_timing_default, now_ms, retry, &random);
}

static void test_backoff_grows_and_starts_anew(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    uint64_t now = NOW;
    uint64_t base = 800;
    for (int i = 0; i < 12; i++) {
        struct api_plan plan = next(&pods, (struct api_outcome){WATCH, BROKEN}, now, &retry);
        assert_in_range(plan.wait_ms, base, 2 * base - 1 + 1000);
        now += plan.wait_ms + 5000;
        base = base * 2 < 30000 ? base * 2 : 30000;
    }
    // Two minutes without a failure.
    now += 120000;
    assert_in_range(next(&pods, (struct api_outcome){WATCH, BROKEN}, now, &retry).wait_ms, 800, 2599);
    assert_in_range(next(&pods, (struct api_outcome){WATCH, BROKEN}, now, &retry).wait_ms, 1600, 4199);
    // A stream that lived for the longest wait: a load balancer may cut it once a minute for ever.
    assert_in_range(
        next(&pods, (struct api_outcome){WATCH_FOR(60000), BROKEN, .http = 200}, now + 62000, &retry).wait_ms, 800,
        2599);
}

// A server that has just started refuses everybody until it has read its roles; one that goes on means it.
static void test_forbidden_is_slow_when_it_stays(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    uint64_t now = NOW;
    for (uint64_t base = 800; base <= 6400; base *= 2) {
        uint64_t wait = next(&pods, (struct api_outcome){WATCH, .http = 403}, now, &retry).wait_ms;
        assert_in_range(wait, base, 2 * base);
        now += wait;
    }
    for (int i = 0; i < 5; i++) {
        uint64_t wait = next(&pods, (struct api_outcome){WATCH, .http = 403}, now, &retry).wait_ms;
        assert_in_range(wait, 30000, 60000);
        now += wait;
    }
    (void)next(&pods, (struct api_outcome){WATCH, BROKEN, .http = 200}, now, &retry);
    assert_in_range(next(&pods, (struct api_outcome){WATCH, .http = 403}, now, &retry).wait_ms, 800, 1600);
}

// A busy server is asked for the page that it refused, not for all those before; but not for ever.
static void test_busy_between_pages(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    const struct api_outcome busy = {LIST, .http = 429, .later_page = true, .has_retry_after = true,
                                     .retry_after_s = 2};
    for (int page = 0; page < 20; page++) {
        for (int i = 0; i < 5; i++) {
            struct api_plan plan = next(&pods, busy, NOW, &retry);
            assert_int_equal(plan.next, API_NEXT_PAGE);
            assert_in_range(plan.wait_ms, 2000, 30000);
        }
        api_plan_page(&retry);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(next(&pods, busy, NOW, &retry).next, API_NEXT_PAGE);
    }
    assert_int_equal(next(&pods, busy, NOW, &retry).next, API_NEXT_SYNC);
    const struct api_outcome first = {LIST, .http = 429};
    api_plan_page(&retry);
    assert_int_equal(next(&pods, first, NOW, &retry).next, API_NEXT_SYNC);
}

static void test_short_watches_grow(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    uint64_t now = NOW;
    uint64_t begin = now;
    unsigned n = 0;
    while (now - begin < 600000) {
        const struct api_outcome outcome = {.act = API_ACT_WATCH, .http = 200, .asked_s = 300, .lived_ms = 10};
        now += 10 + next(&pods, outcome, now, &retry).wait_ms;
        n++;
    }
    assert_in_range(n, 12, 25);
}

// What is done at once is done once: a server that always says so gets the back-off.
static void test_haste_is_once(void **state)
{
    (void)state;
    static const struct api_outcome outcomes[] = {
        {WATCH, .http = 410},
        {LIST, .http = 410, .later_page = true},
        {LIST, .http = 401, .credentials_changed = true},
        {WATCH, BROKEN, .raced = true},
        {LIST, .http = 200, .fault = API_FAULT_STALE, .with_version = true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        struct api_retry retry = {0};
        assert_int_equal(next(&pods, outcomes[i], NOW, &retry).wait_ms, 0);
        api_plan_synced(&retry);
        for (unsigned k = 1; k < 5; k++) {
            assert_in_range(next(&pods, outcomes[i], NOW + k * 60000, &retry).wait_ms, 800, 61000);
            api_plan_synced(&retry);
        }
        assert_int_equal(next(&pods, outcomes[i], NOW + 1000000, &retry).wait_ms, 0);
    }
}

static void test_internal_errors_in_a_row(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    const struct api_outcome outcome = {WATCH, EVENT(.code = 500)};
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_WATCH);
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_WATCH);
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_SYNC);
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_WATCH);
    // An event between them: they are not in a row.
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_WATCH);
    api_plan_event(&retry);
    assert_int_equal(next(&pods, outcome, NOW, &retry).next, API_NEXT_WATCH);
}

static void test_initial_events_that_are_always_cut(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    const struct api_outcome cut = {INITIAL, BROKEN, .http = 200};
    const struct api_outcome refused = {INITIAL, BROKEN};
    assert_false(next(&pods, cut, NOW, &retry).paged);
    assert_false(next(&pods, refused, NOW, &retry).paged);
    assert_false(next(&pods, cut, NOW, &retry).paged);
    // By pages this time; it is no lack of the server's.
    struct api_plan plan = next(&pods, cut, NOW, &retry);
    assert_true(plan.paged);
    assert_int_equal(plan.lacks, 0);
    api_plan_synced(&retry);
    assert_false(next(&pods, cut, NOW, &retry).paged);
}

static void test_optional_kinds(void **state)
{
    (void)state;
    struct api_retry retry = {0};
    struct api_plan plan = next(&optional, (struct api_outcome){WATCH, .http = 404}, NOW, &retry);
    assert_int_equal(plan.next, API_NEXT_LOOK);
    assert_int_equal(plan.wait_ms, 0);
    // It is there, discovery says, and then it is not: not a loop.
    plan = next(&optional, (struct api_outcome){LIST, .http = 404}, NOW + 10, &retry);
    assert_int_equal(plan.next, API_NEXT_LOOK);
    assert_in_range(plan.wait_ms, 800, 2599);
}

static void test_unknown_terms(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        unsigned sent;
        unsigned want;
    } cases[] = {
        {"field label not supported: spec.hostNetwork", 15, 8},
        {"Unable to find \"/v1, Resource=pods\" that match label selector \"\", field selector "
         "\"status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!=,spec.hostNetwork=false\": field label not "
         "supported: spec.hostNetwork",
         15, 8},
        {"field label not supported: status.phase", 15, 3},
        {"field label not supported: status.phase", 14, 2},
        {"\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", 15, 4},
        {"field label not supported: spec.host", 15, 0},
        {"field label not supported: spec.hostNetworks", 15, 0},
        {"field label not supported: ", 15, 0},
        {"is not a known field selector", 15, 0},
        {"spec.hostNetwork", 15, 0},
        {"field label not supported: spec.hostNetwork", 7, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int watch = 0; watch < 2; watch++) {
            struct api_retry retry = {0};
            struct api_outcome outcome = {
                .act = watch ? API_ACT_WATCH : API_ACT_LIST, .http = 400, .terms = cases[i].sent};
            (void)snprintf(outcome.status.message, sizeof(outcome.status.message), "%s", cases[i].message);
            struct api_plan plan = next(&pods, outcome, NOW, &retry);
            assert_int_equal(plan.terms, cases[i].want);
            // Another selector needs everything anew.
            assert_int_equal(plan.next, API_NEXT_SYNC);
            assert_true((plan.wait_ms == 0) == (cases[i].want != 0));
        }
    }
}

static void test_spread(void **state)
{
    (void)state;
    struct api_random random = {99};
    uint64_t most = 0;
    uint64_t sum = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t ms = api_plan_spread(&api_timing_default, 1000, &random);
        most = ms > most ? ms : most;
        sum += ms;
        assert_in_range(api_plan_spread(&api_timing_default, 100000, &random), 0, 60000);
        assert_in_range(api_plan_spread(&api_timing_default, SIZE_MAX, &random), 0, 60000);
        assert_in_range(api_plan_about(1000, &random), 500, 1500);
        assert_int_equal(api_plan_spread(&api_timing_default, 0, &random), 0);
    }
    assert_in_range(most, 9500, 10000);
    assert_in_range(sum / 2000, 4500, 5500);
}

static void test_versions(void **state)
{
    (void)state;
    assert_true(api_version_compare("9", "10") < 0);
    assert_true(api_version_compare("10", "9") > 0);
    assert_true(api_version_compare("123", "124") < 0);
    assert_true(
        api_version_compare("340282366920938463463374607431768211455", "340282366920938463463374607431768211454") > 0);
    static const char *const strange[] = {"", "01", "1a", "a", "-1", " 1", "1.0"};
    for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
        assert_int_equal(api_version_compare(strange[i], "5"), 0);
        assert_int_equal(api_version_compare("5", strange[i]), 0);
    }
    assert_int_equal(api_version_compare(NULL, "5"), 0);
    assert_int_equal(api_version_compare("5", NULL), 0);
    assert_int_equal(api_version_compare("5", "5"), 0);
    assert_true(api_version_compare("0", "1") < 0);
}

static void test_status(void **state)
{
    (void)state;
    struct api_status status;
    const char *text =
        "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\",\"message\":\"m\",\"details\":{"
        "\"retryAfterSeconds\":3,\"causes\":[{\"reason\":\"x\"},{\"reason\":\"ResourceVersionTooLarge\"}]}}";
    api_status_read(text, strlen(text), &status);
    assert_int_equal(status.code, 504);
    assert_string_equal(status.reason, "Timeout");
    assert_true(status.too_large && status.has_retry_after && !status.expired);
    assert_int_equal(status.retry_after_s, 3);
    text = "{\"message\":\"Too large resource version: 5, current: 3\",\"details\":{\"retryAfterSeconds\":-3}}";
    api_status_read(text, strlen(text), &status);
    assert_true(status.too_large && !status.has_retry_after);
    text = "{\"code\":410}";
    api_status_read(text, strlen(text), &status);
    assert_true(status.expired && !status.too_large);
    text = "{\"reason\":\"Expired\",\"code\":1000,\"details\":7}";
    api_status_read(text, strlen(text), &status);
    assert_true(status.expired && status.code == 0);
    text = "Too many requests, please try again later.\nmore";
    api_status_read(text, strlen(text), &status);
    assert_string_equal(status.message, "Too many requests, please try again later.");
    api_status_read("[1]", 3, &status);
    assert_string_equal(status.message, "");
    api_status_read("", 0, &status);
    assert_string_equal(status.message, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_backoff_grows_and_starts_anew),
        cmocka_unit_test(test_forbidden_is_slow_when_it_stays),
        cmocka_unit_test(test_busy_between_pages),
        cmocka_unit_test(test_short_watches_grow),
        cmocka_unit_test(test_haste_is_once),
        cmocka_unit_test(test_internal_errors_in_a_row),
        cmocka_unit_test(test_initial_events_that_are_always_cut),
        cmocka_unit_test(test_optional_kinds),
        cmocka_unit_test(test_unknown_terms),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
