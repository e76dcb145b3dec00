// SPDX-License-Identifier: Apache-2.0
//
// Connections that do not come about, answers that do not begin, connections that die without a word: rows 1, 2, 4,
// 7, 8.
#include "faults/faults.h"

#include <stdio.h>

enum { PODS = WORLD_BIT(WORLD_PODS) };

static uint64_t version_of(const struct world_request *request)
{
    uint64_t version = 0;
    assert_non_null(request);
    assert_true(num_parse_u64(request->version, strlen(request->version), UINT64_MAX, &version));
    return version;
}

// The server is away while the world changes, then there again: every kind goes on where it was.
static void outage(struct faults *f, void (*away)(struct world *world, bool away))
{
    (void)faults_sync(f);
    uint64_t last = world_put(f->world, WORLD_PODS, "x/last ip:10.0.0.8");
    faults_settle(f);
    size_t mark = world_mark(f->world);
    unsigned changed = f->changed;
    unsigned failed = faults_times(&f->counts, "requests <error>");
    away(f->world, true);
    faults_run(f, 90000);
    assert_int_equal(f->changed, changed);
    // Four kinds, each with a growing back-off.
    assert_in_range(faults_times(&f->counts, "requests <error>") - failed, 4 * 3, 4 * 9);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    away(f->world, false);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 1);
    assert_int_equal(version_of(world_nth(f->world, WORLD_WATCH, PODS, mark, 0)), last);
}

static void refuse(struct world *world, bool away)
{
    world_listen(world, !away);
}

static void row_refused(struct faults *f)
{
    outage(f, refuse);
}

static void vanish(struct world *world, bool away)
{
    world_black_hole_syn(world, away);
    if (away) {
        (void)world_cut(world, 0, WORLD_CUT_RST);
    }
}

static void row_syn_black_hole(struct faults *f)
{
    outage(f, vanish);
}

static void row_refused_at_start(struct faults *f)
{
    world_listen(f->world, false);
    faults_start(f);
    faults_run(f, 300000);
    assert_false(f->synced);
    assert_int_equal(f->changed, 0);
    assert_true(faults_times(&f->reports, "ERROR") + faults_times(&f->reports, "WARN") > 0);
    assert_in_range(faults_times(&f->counts, "requests <error>"), 8, 4 * 16);
    world_listen(f->world, true);
    UNTIL(f, f->synced);
    faults_settle(f);
    assert_int_equal(f->synced_calls, 1);
}

// A TLS client against something that takes connections and says nothing.
static void row_no_tls_bytes(struct faults *f)
{
    struct buf url = {0};
    f->config = calloc(1, sizeof(*f->config));
    assert_non_null(f->config);
    buf_printf(&url, "https://127.0.0.1:%u", api_server_port(f->world->server));
    f->config->server = buf_take(&url);
    f->config->insecure = true;
    f->unsettled = true;
    faults_start(f);
    faults_check_connect_timeout(f);
}

static void late_headers(struct faults *f, unsigned on)
{
    const struct world_fault *fault = world_fault(
        f->world,
        (struct world_fault){.name = "15 s in a queue", .on = on, .kinds = PODS, .times = 1, .delay_ms = 15000});
    (void)faults_sync(f);
    // Waited for, not tried again.
    assert_int_equal(fault->hits, 1);
    FAULTS_COUNT(f, on, PODS, 0, 1);
}

static void row_list_late(struct faults *f)
{
    late_headers(f, WORLD_READS);
}

static void row_watch_late(struct faults *f)
{
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    late_headers(f, WORLD_WATCH);
}

static void no_headers(struct faults *f, unsigned on)
{
    (void)world_fault(f->world,
                      (struct world_fault){.name = "no headers", .on = on, .kinds = PODS, .times = 1, .silent = true});
    (void)faults_sync(f);
    const struct world_request *first = world_nth(f->world, on, PODS, 0, 0);
    const struct world_request *second = world_nth(f->world, on, PODS, 0, 1);
    assert_non_null(second);
    assert_true(second->at_ms - first->at_ms >= 20000);
    assert_true(second->at_ms - first->at_ms <= 120000);
    assert_int_not_equal(first->connection, second->connection);
    FAULTS_COUNT(f, on, PODS, 0, 2);
}

static void row_list_never(struct faults *f)
{
    no_headers(f, WORLD_READS);
}

static void row_watch_never(struct faults *f)
{
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    no_headers(f, WORLD_WATCH);
}

// Probes are the kernel's, in real time: seconds in place of the real 30 and 45.
static void row_black_hole(struct faults *f)
{
    assert_true(http_times_default.keepalive_s + 3 * http_times_default.probe_s <= 45);
    assert_in_range(http_times_default.unacked_ms, 1, 45000);
    f->timing.http.keepalive_s = 1;
    f->timing.http.probe_s = 1;
    f->timing.http.unacked_ms = 2500;
    size_t mark = faults_sync(f);
    const struct world_request *before = world_last(f->world, 0, PODS, 0);
    size_t connection = before->connection;
    clock_speed(0);
    assert_int_equal(world_cut(f->world, 0, WORLD_CUT_BLACK_HOLE), 4);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    (void)world_put(f->world, WORLD_NAMESPACES, "z");
    uint64_t start = num_now_ms();
    f->patience_ms = 15000;
    faults_settle(f);
    assert_true(num_now_ms() - start >= 1000);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 1);
    assert_int_not_equal(world_last(f->world, WORLD_WATCH, PODS, mark)->connection, connection);
}

// The server's TCP answers and its process does not: the watch's own deadline, when nothing else tells.
static void row_hung_deadline(struct faults *f)
{
    f->world->bookmark_ms = 0;
    size_t mark = faults_sync(f);
    const struct world_request *watch = world_last(f->world, 0, PODS, 0);
    uint64_t start = watch->at_ms;
    char seconds[16] = "";
    const char *at = strstr(watch->query, "timeoutSeconds=");
    assert_non_null(at);
    (void)snprintf(seconds, sizeof(seconds), "%.*s", (int)strspn(at + 15, "0123456789"), at + 15);
    uint64_t timeout_ms = 0;
    assert_true(num_parse_u64(seconds, strlen(seconds), UINT64_MAX, &timeout_ms));
    timeout_ms *= 1000;
    assert_int_equal(world_cut(f->world, PODS, WORLD_CUT_HANG), 1);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    f->patience_ms = 700000;
    UNTIL(f, world_count(f->world, WORLD_WATCH, PODS, mark) == 1);
    uint64_t took = world_last(f->world, WORLD_WATCH, PODS, mark)->at_ms - start;
    assert_true(took >= timeout_ms);
    assert_true(took <= timeout_ms + 35000);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// A stream that had its bookmarks and then nothing for three minutes gets a replacement beside it.
static void row_hung_replacement(struct faults *f)
{
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_NODES, "n2 ip:192.0.2.2");
    faults_run(f, 150000);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 0);
    size_t connection = world_last(f->world, 0, PODS, 0)->connection;
    assert_int_equal(world_cut(f->world, PODS, WORLD_CUT_HANG), 1);
    uint64_t start = num_now_ms();
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    f->patience_ms = 300000;
    UNTIL(f, world_count(f->world, WORLD_WATCH, PODS, mark) >= 1);
    uint64_t took = world_nth(f->world, WORLD_WATCH, PODS, mark, 0)->at_ms - start;
    assert_true(took >= 110000);
    assert_true(took <= 200000);
    assert_int_not_equal(world_nth(f->world, WORLD_WATCH, PODS, mark, 0)->connection, connection);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static const struct fault_row rows[] = {
    ROW("01-refused", row_refused),
    ROW("01-refused-at-start", row_refused_at_start),
    ROW("01-syn-black-hole", row_syn_black_hole),
    ROW_AS_IS("02-no-tls-bytes", row_no_tls_bytes),
    ROW("04-list-headers-after-15s", row_list_late),
    ROW("04-watch-headers-after-15s", row_watch_late),
    ROW("04-list-headers-never", row_list_never),
    ROW("04-watch-headers-never", row_watch_never),
    ROW_AS_IS("07-black-hole", row_black_hole),
    ROW("08-hung-until-deadline", row_hung_deadline),
    ROW("08-hung-replaced", row_hung_replacement),
};
FAULTS_MAIN(rows)
