// SPDX-License-Identifier: Apache-2.0
//
// How the bytes of an answer arrive, and where they stop: rows 5, 6, 12, 13, 14, 41.
#include "faults/faults.h"

#include <stdio.h>

#include "base/limits.h"

enum { PODS = WORLD_BIT(WORLD_PODS) };

// The watch of pods ends like this in the middle of six events: nothing is lost, nothing is read anew.
static void ending(struct faults *f, enum world_cut cut, size_t after_bytes, size_t after_events)
{
    f->world->watch_list = WORLD_WATCH_LIST_OFF;
    const struct world_fault *fault = world_fault(f->world, (struct world_fault){.name = "the end of a stream",
                                                                                 .on = WORLD_WATCH,
                                                                                 .kinds = PODS,
                                                                                 .times = 1,
                                                                                 .cut = cut,
                                                                                 .after_bytes = after_bytes,
                                                                                 .after_events = after_events});
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/e1 ip:10.0.1.1");
    (void)world_put(f->world, WORLD_PODS, "x/e2 ip:10.0.1.2");
    (void)world_put(f->world, WORLD_PODS, "x/a app=other ip:10.0.0.1");
    (void)world_delete(f->world, WORLD_PODS, "x/b");
    (void)world_put(f->world, WORLD_PODS, "x/e3 ip:10.0.1.3");
    (void)world_delete(f->world, WORLD_PODS, "x/e1");
    faults_settle(f);
    assert_int_equal(fault->hits, 1);
    FAULTS_COUNT(f, WORLD_READS, 0, mark, 0);
    FAULTS_COUNT(f, WORLD_WATCH, PODS, mark, 1);
}

static void row_fin(struct faults *f)
{
    ending(f, WORLD_CUT_FIN, 0, 2);
}

static void row_fin_mid_line(struct faults *f)
{
    ending(f, WORLD_CUT_FIN, 1000, 0);
}

static void row_rst_mid_line(struct faults *f)
{
    ending(f, WORLD_CUT_RST, 1000, 0);
}

static void row_rst_first_byte(struct faults *f)
{
    ending(f, WORLD_CUT_RST, 1, 0);
}

static void row_rst_boundary(struct faults *f)
{
    ending(f, WORLD_CUT_RST, 0, 2);
}

static void row_end_mid_line(struct faults *f)
{
    ending(f, WORLD_CUT_END, 1000, 0);
}

// A whole life in which every byte of every answer arrives in this shape.
static void shaped(struct faults *f, struct world_fault shape, enum world_watch_list watch_list)
{
    f->world->watch_list = watch_list;
    for (int i = 0; i < 20; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/p%02d ip:10.0.2.%d app=na\xc3\xafve=\xe6\x97\xa5\xe6\x9c\xac<&> extra",
                        i, i);
    }
    (void)world_fault(f->world, shape);
    size_t mark = faults_sync(f);
    for (int i = 0; i < 200; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/q%02d ip:10.0.3.%d app=\xf0\x9f\x90\x99%d", i % 50, i % 50, i);
        if (i % 7 == 0) {
            (void)world_delete(f->world, WORLD_PODS, "x/q00");
            (void)world_put(f->world, WORLD_PODS, "x/q00 ip:10.0.4.1");
        }
    }
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_byte_per_chunk(struct faults *f)
{
    shaped(f, (struct world_fault){.name = "a byte a chunk", .split = 1}, WORLD_WATCH_LIST_OFF);
}

static void row_byte_per_chunk_initial(struct faults *f)
{
    shaped(f, (struct world_fault){.name = "a byte a chunk", .split = 1}, WORLD_WATCH_LIST_ON);
}

static void row_events_per_chunk(struct faults *f)
{
    shaped(f, (struct world_fault){.name = "many events a chunk", .on = WORLD_WATCH | WORLD_INITIAL, .merge_ms = 300},
           WORLD_WATCH_LIST_ON);
}

// Characters of two, three and four bytes are cut everywhere.
static void row_split_utf8(struct faults *f)
{
    (void)world_fault(f->world, (struct world_fault){.name = "pairs of bytes", .on = WORLD_READS, .split = 2});
    shaped(f, (struct world_fault){.name = "three bytes a chunk", .split = 3}, WORLD_WATCH_LIST_OFF);
}

static void row_crlf(struct faults *f)
{
    shaped(f, (struct world_fault){.name = "CRLF", .on = WORLD_WATCH | WORLD_INITIAL, .line_end = "\r\n"},
           WORLD_WATCH_LIST_ON);
}

static void row_blank_lines(struct faults *f)
{
    shaped(f, (struct world_fault){.name = "blank lines", .on = WORLD_WATCH | WORLD_INITIAL, .inject = "\n\r\n\n"},
           WORLD_WATCH_LIST_ON);
}

// What no server sends ends the stream, is said, and does not become an object; afterwards all is well.
static void broken_line(struct faults *f, const char *text, size_t len)
{
    size_t mark = faults_sync(f);
    size_t reports = f->reports.len;
    world_write(f->world, PODS, text, len);
    // (Over HTTP/2 libcurl may tell the server much later that a stream is not wanted any more.)
    UNTIL(f, world_count(f->world, WORLD_READS | WORLD_WATCH, PODS, mark) >= 1);
    assert_null(state_pod(f->state, "x", "odd"));
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    assert_true(f->reports.len > reports);
    assert_true(world_count(f->world, WORLD_READS | WORLD_WATCH, PODS, mark) <= 2);
    FAULTS_COUNT(f, 0, FAULTS_KINDS & ~(unsigned)PODS, mark, 0);
}

#define ODD_POD(more)                                                                                                  \
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"x\",\"name\":\"odd\",\"uid\":\"u-odd\"," more       \
    "\"resourceVersion\":\"99999\"},\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}}\n"

static void row_nul(struct faults *f)
{
    static const char line[] = ODD_POD("\"x\":\"\0\",");
    broken_line(f, line, sizeof(line) - 1);
}

static void row_nul_between(struct faults *f)
{
    static const char line[] = "\0\n" ODD_POD("");
    broken_line(f, line, sizeof(line) - 1);
}

static void row_invalid_json(struct faults *f)
{
    static const char line[] = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"odd\"\n";
    size_t mark = world_mark(f->world);
    broken_line(f, line, sizeof(line) - 1);
    assert_true(world_count(f->world, WORLD_READS, PODS, mark) <= 2);
}

// An object that is no JSON inside of a frame that is: said, and nothing made of it; whatever the source does about the
// stream, the rest goes on.
static void row_unreadable_object(struct faults *f)
{
    size_t mark = faults_sync(f);
    world_event(f->world, PODS, "ADDED",
                "{\"metadata\":{\"namespace\":\"x\",\"name\":\"odd\",\"uid\":oops},\"spec\":{\"nodeName\":\"n1\"},"
                "\"status\":{\"phase\":\"Running\"}}");
    (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.9");
    faults_settle(f);
    assert_null(state_pod(f->state, "x", "odd"));
    assert_true(faults_times(&f->reports, "JSON") > 0);
    assert_true(world_count(f->world, WORLD_READS | WORLD_WATCH, PODS, mark) <= 2);
}

static void row_invalid_json_forever(struct faults *f)
{
    size_t mark = faults_sync(f);
    struct world_fault *fault =
        world_fault(f->world, (struct world_fault){.name = "no JSON",
                                                   .on = WORLD_WATCH | WORLD_INITIAL,
                                                   .kinds = PODS,
                                                   .inject = "{\"type\":\"ADDED\",\"object\":\n"});
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    for (int i = 0; i < 60; i++) {
        (void)world_put(f->world, WORLD_PODS, "x/new ip:10.0.0.%d", 10 + i);
        (void)world_touch(f->world, WORLD_PODS, "x/a");
        faults_run(f, 10000);
    }
    assert_true(fault->hits >= 3);
    // Ten minutes: backed off.
    assert_true(world_count(f->world, WORLD_READS | WORLD_WATCH, PODS, mark) <= 80);
    world_heal(f->world, NULL);
    (void)world_cut(f->world, PODS, WORLD_CUT_END);
    faults_settle(f);
}

static void row_large_object(struct faults *f)
{
    (void)world_put(f->world, WORLD_PODS, "x/big1 app=big ip:10.0.5.1 pad:1572864");
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/big2 app=big ip:10.0.5.2 pad:1572864");
    (void)world_put(f->world, WORLD_PODS, "x/big1 app=small ip:10.0.5.1 pad:1572864");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_line_too_long(struct faults *f)
{
    struct buf BUF_CLEANUP line = {0};
    buf_puts(&line, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"x\",\"name\":\"odd\",\"uid\":\"u\","
                    "\"resourceVersion\":\"99999\",\"annotations\":{\"pad\":\"");
    for (size_t i = 0; i < LIMIT_HTTP_LINE / 16; i++) {
        buf_puts(&line, "0123456789abcdef");
    }
    buf_puts(&line, "\"}},\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\"}}}\n");
    assert_false(line.failed);
    broken_line(f, line.data, line.len);
}

static void row_warning(struct faults *f)
{
    f->world->warning = "networking.k8s.io/v1 NetworkPolicy is old in v1.99";
    (void)faults_sync(f);
    (void)world_cut(f->world, 0, WORLD_CUT_END);
    faults_settle(f);
    assert_int_equal(faults_times(&f->reports, "is old in v1.99"), 1);
}

static void row_unknown_type(struct faults *f)
{
    static const char line[] =
        "{\"type\":\"SURPRISE\",\"object\":{\"metadata\":{\"namespace\":\"x\",\"name\":\"odd\"}}}\n";
    size_t mark = faults_sync(f);
    world_write(f->world, PODS, line, sizeof(line) - 1);
    UNTIL(f, world_count(f->world, WORLD_READS, PODS, mark) == 1);
    faults_settle(f);
    FAULTS_COUNT(f, WORLD_READS, PODS, mark, 1);
}

static void row_unknown_fields(struct faults *f)
{
    (void)world_put(f->world, WORLD_NODES, "n2 ip:192.0.2.2 extra");
    (void)world_put(f->world, WORLD_PODS, "x/odd app=odd ip:10.0.6.1 extra");
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/odd2 app=odd ip:10.0.6.2 extra");
    world_event(f->world, PODS, "BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"1012\",\"unheardOf\":{}},\"x\":1}");
    faults_settle(f);
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static void row_escapes(struct faults *f)
{
    (void)world_put(f->world, WORLD_PODS, "x/list app=a<b>&c\"d\\e ip:10.0.6.1");
    size_t mark = faults_sync(f);
    (void)world_put(f->world, WORLD_PODS, "x/watch app=a<b>&c\"d\\e ip:10.0.6.2");
    faults_settle(f);
    const struct pod *pod = state_pod(f->state, "x", "watch");
    assert_string_equal(labels_get(&pod->meta.labels, "app"), "a<b>&c\"d\\e");
    FAULTS_COUNT(f, 0, 0, mark, 0);
}

static const struct fault_row rows[] = {
    ROW("05-fin-without-final-chunk", row_fin),
    ROW("05-fin-mid-line", row_fin_mid_line),
    ROW("05-rst-mid-line", row_rst_mid_line),
    ROW("05-rst-first-byte", row_rst_first_byte),
    ROW("05-rst-event-boundary", row_rst_boundary),
    ROW("06-clean-end-mid-line", row_end_mid_line),
    ROW("12-byte-per-chunk", row_byte_per_chunk),
    ROW("12-byte-per-chunk-initial-events", row_byte_per_chunk_initial),
    ROW("12-many-events-per-chunk", row_events_per_chunk),
    ROW("12-split-utf8", row_split_utf8),
    ROW("13-crlf", row_crlf),
    ROW("13-blank-lines", row_blank_lines),
    ROW("13-nul-in-line", row_nul),
    ROW("13-nul-between-lines", row_nul_between),
    ROW("14-large-object", row_large_object),
    ROW("14-line-too-long", row_line_too_long),
    ROW("14-invalid-json", row_invalid_json),
    ROW("14-unreadable-object", row_unreadable_object),
    ROW("14-invalid-json-forever", row_invalid_json_forever),
    ROW("41-warning-headers", row_warning),
    ROW("41-unknown-event-type", row_unknown_type),
    ROW("41-unknown-fields", row_unknown_fields),
    ROW("41-escaped-labels", row_escapes),
};
FAULTS_MAIN(rows)
