// SPDX-License-Identifier: Apache-2.0
//
// What is different when all requests share a connection, or the bytes travel in TLS records: rows 7 and 11, parts of
// 5, 6, 12 and 28; and IPv6, 42.
#include "faults/faults.h"

enum { PODS = WORLD_BIT(WORLD_PODS) };

static void ending(struct faults *f, bool http2, enum world_cut cut, size_t after_bytes, size_t after_events)
{
    faults_tls(f, http2);
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    const struct world_fault *fault = world_fault(f->world, (struct world_fault){.name = "the end of a stream",
                                                                                 .on = WORLD_WATCH,
                                                                                 .kinds = PODS,
                                                                                 .times = 1,
                                                                                 .cut = cut,
                                                                                 .after_bytes = after_bytes,
                                                                                 .after_events = after_events});
    size_t mark = faults_sync(f);
    assert_true(api_exchange_is_tls(api_server_next(f->world->server, NULL)));
    assert_int_equal(api_exchange_is_http2(api_server_next(f->world->server, NULL)), http2);
    (void)world_put(f->world, WORLD_PODS, "x/e1 ip:10.0.1.1");
    (void)world_put(f->world, WORLD_PODS, "x/e2 ip:10.0.1.2");
    (void)world_put(f->world, WORLD_PODS, "x/a app=other ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_put(f->world, WORLD_PODS, "x/e3 ip:10.0.1.3");
    faults_settle(f);
    assert_int_equal(fault->hits, 1);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 1);
}

static void row_close_notify(struct faults *f)
{
    ending(f, false, WORLD_CUT_CLOSE, 0, 2);
}

static void row_tls_fin_mid_line(struct faults *f)
{
    ending(f, false, WORLD_CUT_FIN, 1000, 0);
}

static void row_h2_rst_stream(struct faults *f)
{
    ending(f, true, WORLD_CUT_STREAM, 1000, 0);
}

static void row_h2_rst(struct faults *f)
{
    ending(f, true, WORLD_CUT_RST, 1000, 0);
}

static void row_h2_teardown(struct faults *f)
{
    ending(f, true, WORLD_CUT_CLOSE, 1000, 0);
}

static void row_h2_clean_end(struct faults *f)
{
    ending(f, true, WORLD_CUT_END, 1000, 0);
}

static void whole_life(struct faults *f, bool http2)
{
    faults_tls(f, http2);
    size_t mark = faults_sync(f);
    for (int i = 0; i < 50; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/q%02d ip:10.0.3.%d app=\xf0\x9f\x90\x99%d", i % 20, i % 20, i);
    }
    (void)world_delete(f->world, WORLD_PODS, "x/q07");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_byte_per_record(struct faults *f)
{
    api_server_record_size(f->world->server, 1);
    whole_life(f, false);
}

static void row_h2_byte_per_record(struct faults *f)
{
    api_server_record_size(f->world->server, 1);
    whole_life(f, true);
}

static void row_h2_byte_per_frame(struct faults *f)
{
    (void)world_fault(f->world, (struct world_fault){.name = "a byte a frame", .split = 1});
    whole_life(f, true);
}

static void row_h2_list_reset(struct faults *f)
{
    faults_tls(f, true);
    world_set_minor(f->world, 33);
    for (int i = 0; i < 700; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%04d ip:10.1.%d.%d", i, i / 250, i % 250);
    }
    (void)world_fault(f->world, (struct world_fault){.name = "60 s are over",
                                                     .on = WORLD_LIST,
                                                     .kinds = PODS,
                                                     .times = 2,
                                                     .cut = WORLD_CUT_STREAM,
                                                     .after_bytes = 100000});
    (void)faults_sync(f);
    FAULTS_COUNT(f, WORLD_LIST, PODS, 0, 4);
}

// ---- 7, 11: one connection for all

static void row_h2_siblings(struct faults *f)
{
    f->timing.http.keepalive_s = 1;
    f->timing.http.probe_s = 1;
    f->timing.http.unacked_ms = 2500;
    faults_tls(f, true);
    size_t mark = faults_sync(f);
    size_t connection = world_last(f->world, 0, PODS, 0)->connection;
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        assert_int_equal(world_last(f->world, 0, WORLD_BIT(kind), 0)->connection, connection);
    }
    clock_speed(0);
    assert_int_equal(world_cut(f->world, PODS, WORLD_CUT_BLACK_HOLE), 1);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    (void)world_put(f->world, WORLD_NAMESPACES, "z");
    (void)world_put(f->world, WORLD_POLICIES, "x/more");
    (void)world_put(f->world, WORLD_NODES, "n2 ip:192.0.2.2");
    f->patience_ms = 20000;
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    for (int kind = 0; kind < WORLD_CUSTOM; kind++) {
        FAULTS_COUNT(f, WORLD_WATCH, WORLD_BIT(kind), mark, 1);
        assert_int_not_equal(world_last(f->world, 0, WORLD_BIT(kind), 0)->connection, connection);
    }
}

static void row_goaway_live(struct faults *f)
{
    faults_tls(f, true);
    size_t mark = faults_sync(f);
    size_t connection = world_last(f->world, 0, PODS, 0)->connection;
    api_server_goaway(f->world->server);
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    faults_run(f, 30000);
    // What runs goes on.
    FAULTS_COUNT(f, 0, 0, mark, 0);
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    (void)world_put(f->world, WORLD_PODS, "x/newer ip:10.0.0.10");
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 1);
    FAULTS_COUNT(f, 0, 0, mark, 1);
    assert_int_not_equal(world_last(f->world, WORLD_WATCH, PODS, mark)->connection, connection);
}

static void row_goaway_race(struct faults *f)
{
    faults_tls(f, true);
    size_t mark = faults_sync(f);
    (void)world_fault(f->world, (struct world_fault){.name = "racing a GOAWAY",
                                                     .on = WORLD_WATCH,
                                                     .kinds = PODS,
                                                     .times = 1,
                                                     .silent = true,
                                                     .cut = WORLD_CUT_GOAWAY});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 2);
    const struct world_request *first = world_nth(f->world, WORLD_WATCH, PODS, mark, 0);
    const struct world_request *second = world_nth(f->world, WORLD_WATCH, PODS, mark, 1);
    assert_true(second->at_ms - first->at_ms <= 1100);
    assert_int_not_equal(first->connection, second->connection);
    assert_string_equal(first->version, second->version);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// --goaway-chance for hours: whatever request it hits, nothing is read anew for it.
static void row_goaway_again(struct faults *f)
{
    faults_tls(f, true);
    size_t mark = faults_sync(f);
    for (int i = 0; i < 60; i++) {
        api_server_goaway(f->world->server);
        (void)world_put(f->world, WORLD_PODS, "x/p%d ip:10.0.0.%d", i % 7, 20 + i % 7);
        faults_run(f, 120000);
    }
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

// ---- 42

static void row_ipv6(struct faults *f)
{
    faults_move(f, "::1");
    size_t mark = faults_sync(f);
    (void)world_cut(f->world, 0, WORLD_CUT_RST);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
}

static void row_ipv6_tls(struct faults *f)
{
    faults_move(f, "::1");
    whole_life(f, true);
}

static const struct fault_row rows[] = {
    ROW_AS_IS("05-close-notify-event-boundary", row_close_notify),
    ROW_AS_IS("05-tls-fin-mid-line", row_tls_fin_mid_line),
    ROW_AS_IS("05-h2-rst-stream-mid-line", row_h2_rst_stream),
    ROW_AS_IS("05-h2-rst-mid-line", row_h2_rst),
    ROW_AS_IS("06-h2-teardown-mid-line", row_h2_teardown),
    ROW_AS_IS("06-h2-clean-end-mid-line", row_h2_clean_end),
    ROW_AS_IS("07-h2-black-hole-siblings", row_h2_siblings),
    ROW_AS_IS("11-goaway-live-streams", row_goaway_live),
    ROW_AS_IS("11-goaway-race", row_goaway_race),
    ROW_AS_IS("11-goaway-again-and-again", row_goaway_again),
    ROW_AS_IS("12-byte-per-tls-record", row_byte_per_record),
    ROW_AS_IS("12-h2-byte-per-tls-record", row_h2_byte_per_record),
    ROW_AS_IS("12-h2-byte-per-frame", row_h2_byte_per_frame),
    ROW_AS_IS("28-h2-list-reset", row_h2_list_reset),
    ROW("42-ipv6", row_ipv6),
    ROW_AS_IS("42-ipv6-tls", row_ipv6_tls),
};
FAULTS_MAIN(rows)
