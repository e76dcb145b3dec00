// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "flow/flow.h"
#include "support/conntrack_fill.h"

// The kernel's own table, in a network namespace of the test, with entries made by hand.

enum { BIT = 1 << 27, OTHER_BIT = 1 << 4, MANY = 3000 };

static struct flow dnat(void)
{
    struct flow flow = conntrack_flow("10.0.0.3", "10.96.0.1", 6, 4003, 80);
    assert_true(address_parse("10.0.0.2", &flow.reply.source));
    flow.reply.source_port = 8080;
    return flow;
}

static struct flow echo(const char *source, const char *destination, uint8_t protocol, uint8_t type, uint8_t answer)
{
    struct flow flow = conntrack_flow(source, destination, protocol, 0, 0);
    flow.original.icmp_type = type;
    flow.reply.icmp_type = answer;
    flow.original.icmp_id = flow.reply.icmp_id = 77;
    return flow;
}

static struct flow zoned(void)
{
    struct flow flow = conntrack_flow("10.0.0.1", "10.0.0.2", 6, 4001, 80);
    flow.zone = 9;
    return flow;
}

// ---- listing -------------------------------------------------------------------------------------------------------

struct listing {
    struct loop *loop;
    struct flows *flows;
    VEC(struct flow) got;
    struct err err;
    bool failed;
    size_t cancel_at;
    int break_fd;  // 0: none; the way of a list from the kernel is cut with its first flow
};

static void on_flow(const struct flow *flow, void *arg)
{
    struct listing *listing = arg;
    assert_int_equal(vec_push(&listing->got, *flow), 0);
    if (listing->got.n == listing->cancel_at) {
        flows_cancel(listing->flows);
        loop_quit(listing->loop, 1);
    }
    if (listing->break_fd) {
        assert_int_equal(shutdown(listing->break_fd, SHUT_WR), 0);
        listing->break_fd = 0;
    }
}

static void on_done(const struct err *err, void *arg)
{
    struct listing *listing = arg;
    if (err) {
        listing->failed = true;
        listing->err = *err;
    }
    loop_quit(listing->loop, 0);
}

static struct listing open_listing(void)
{
    struct listing listing = {0};
    struct err err = {0};
    assert_int_equal(loop_new(&listing.loop, &err), 0);
    if (flows_open(listing.loop, &listing.flows, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return listing;
}

static void close_listing(struct listing *listing)
{
    flows_close(listing->flows);
    loop_free(listing->loop);
    vec_free(&listing->got);
}

static int list(struct listing *listing, const struct flow_filter *filter)
{
    struct err err = {0};
    listing->got.n = 0;
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = listing};
    if (flows_list(listing->flows, filter, &reader, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    // One at a time.
    assert_int_equal(flows_list(listing->flows, filter, &reader, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    int rc = loop_run(listing->loop, &err);
    if (listing->failed) {
        fail_msg("%s", listing->err.msg);
    }
    return rc;
}

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

static const struct flow *find(const struct listing *listing, const struct flow *want)
{
    for (size_t i = 0; i < listing->got.n; i++) {
        const struct flow *got = &listing->got.v[i];
        if (memcmp(&got->original, &want->original, sizeof(got->original)) == 0 &&
            memcmp(&got->reply, &want->reply, sizeof(got->reply)) == 0 && got->zone == want->zone) {
            return got;
        }
    }
    return NULL;
}

static void fill(void)
{
    struct flow flows[] = {
        conntrack_flow("10.0.0.1", "10.0.0.2", 6, 4001, 80),
        conntrack_flow("10.0.0.2", "10.0.0.1", 17, 53, 5353),
        conntrack_flow("10.0.0.1", "10.0.0.9", 132, 4002, 80),
        conntrack_flow("fd00::1", "fd00::2", 6, 4001, 80),
        echo("10.0.0.1", "10.0.0.2", 1, 8, 0),
        echo("fd00::1", "fd00::2", 58, 128, 129),
        dnat(),
        zoned(),
        conntrack_flow("10.0.0.7", "10.0.0.8", 6, 4001, 80),
    };
    flows[8].mark = OTHER_BIT;
    struct err err = {0};
    if (conntrack_fill(flows, ARRAY_SIZE(flows), &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void test_list(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    struct flow_filter filter = {.family = FAMILY_V4};
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, 7);
    const struct flow plain = conntrack_flow("10.0.0.1", "10.0.0.2", 6, 4001, 80);
    const struct flow translated = dnat();
    const struct flow in_zone = zoned();
    const struct flow ping = echo("10.0.0.1", "10.0.0.2", 1, 8, 0);
    assert_non_null(find(&listing, &plain));
    assert_non_null(find(&listing, &translated));
    assert_non_null(find(&listing, &in_zone));
    assert_non_null(find(&listing, &ping));
    const struct flow *got = find(&listing, &plain);
    assert_true(got->id != 0 && got->status != 0 && got->mark == 0);

    filter.family = FAMILY_V6;
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, 3);  // and the first of all
    const struct flow ping6 = echo("fd00::1", "fd00::2", 58, 128, 129);
    assert_non_null(find(&listing, &ping6));
    close_listing(&listing);
}

static void test_filters(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    static const struct {
        const char *source, *destination, *reply_source, *reply_destination;
        size_t want;
    } rows[] = {
        {"10.0.0.1", NULL, NULL, NULL, 4},       {NULL, "10.0.0.1", NULL, NULL, 1},
        {NULL, NULL, "10.0.0.2", NULL, 4},       {NULL, NULL, NULL, "10.0.0.3", 1},
        {NULL, "10.96.0.1", NULL, NULL, 1},      {"10.0.0.1", NULL, "10.0.0.9", NULL, 1},
        {"10.0.0.3", "10.0.0.2", NULL, NULL, 0}, {"10.0.0.77", NULL, NULL, NULL, 0},
        {"fd00::1", NULL, NULL, NULL, 2},        {NULL, NULL, "fd00::2", NULL, 2},
        {"fd00::2", NULL, NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct flow_filter filter = {0};
        const struct {
            const char *text;
            bool *has;
            struct address *to;
        } ends[] = {
            {rows[i].source, &filter.has_original_source, &filter.original_source},
            {rows[i].destination, &filter.has_original_destination, &filter.original_destination},
            {rows[i].reply_source, &filter.has_reply_source, &filter.reply_source},
            {rows[i].reply_destination, &filter.has_reply_destination, &filter.reply_destination},
        };
        for (size_t j = 0; j < ARRAY_SIZE(ends); j++) {
            if (ends[j].text) {
                *ends[j].has = true;
                *ends[j].to = address(ends[j].text);
                filter.family = ends[j].to->family;
            }
        }
        assert_int_equal(list(&listing, &filter), 0);
        if (listing.got.n != rows[i].want) {
            fail_msg("row %zu: %zu flows, wanted %zu", i, listing.got.n, rows[i].want);
        }
    }
    const struct flow_filter marked = {.family = FAMILY_V4, .mark = OTHER_BIT, .mark_mask = OTHER_BIT};
    assert_int_equal(list(&listing, &marked), 0);
    assert_int_equal(listing.got.n, 1);
    close_listing(&listing);
}

static void test_cancel(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    const struct flow_filter filter = {.family = FAMILY_V4};
    listing.cancel_at = 2;
    assert_int_equal(list(&listing, &filter), 1);
    assert_int_equal(listing.got.n, 2);
    // And another one at once, whole; and one that nobody waits for.
    listing.cancel_at = 0;
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, 7);
    struct err err = {0};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = &listing};
    assert_int_equal(flows_list(listing.flows, &filter, &reader, &err), 0);
    flows_cancel(listing.flows);
    assert_int_equal(flows_list(listing.flows, &filter, &reader, &err), 0);
    close_listing(&listing);
}

// ---- marks ---------------------------------------------------------------------------------------------------------

static uint32_t mark_of(struct listing *listing, const struct flow *flow)
{
    const struct flow_filter filter = {.family = flow->original.source.family};
    assert_int_equal(list(listing, &filter), 0);
    const struct flow *got = find(listing, flow);
    assert_non_null(got);
    return got->mark;
}

static size_t mark(struct listing *listing, const struct flow *flow, uint32_t mask, bool on)
{
    struct err err = {0};
    size_t found = 99;
    if (flows_mark(listing->flows, flow, 1, mask, on, &found, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return found;
}

static void test_mark(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    const struct flow flows[] = {
        conntrack_flow("10.0.0.1", "10.0.0.9", 132, 4002, 80),
        conntrack_flow("10.0.0.2", "10.0.0.1", 17, 53, 5353),
        conntrack_flow("fd00::1", "fd00::2", 6, 4001, 80),
        echo("10.0.0.1", "10.0.0.2", 1, 8, 0),
        echo("fd00::1", "fd00::2", 58, 128, 129),
        dnat(),
    };
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        assert_int_equal(mark_of(&listing, &flows[i]), 0);
        assert_int_equal(mark(&listing, &flows[i], BIT, true), 1);
        assert_int_equal(mark_of(&listing, &flows[i]), BIT);
        assert_int_equal(mark(&listing, &flows[i], BIT, false), 1);
        assert_int_equal(mark_of(&listing, &flows[i]), 0);
    }
    // Other bits are others'.
    const struct flow marked = conntrack_flow("10.0.0.7", "10.0.0.8", 6, 4001, 80);
    assert_int_equal(mark(&listing, &marked, BIT, true), 1);
    assert_int_equal(mark_of(&listing, &marked), BIT | OTHER_BIT);
    assert_int_equal(mark(&listing, &marked, BIT, false), 1);
    assert_int_equal(mark_of(&listing, &marked), OTHER_BIT);
    // The same tuple in a zone is another flow.
    const struct flow in_zone = zoned();
    const struct flow outside = conntrack_flow("10.0.0.1", "10.0.0.2", 6, 4001, 80);
    assert_int_equal(mark(&listing, &in_zone, BIT, true), 1);
    assert_int_equal(mark_of(&listing, &in_zone), BIT);
    assert_int_equal(mark_of(&listing, &outside), 0);
    // Gone.
    const struct flow none = conntrack_flow("10.0.0.1", "10.0.0.2", 6, 4009, 80);
    assert_int_equal(mark(&listing, &none, BIT, true), 0);
    close_listing(&listing);
}

// What has the name of the entry that was meant, and other ends, keeps its mark as it was.
static void test_mark_of_another(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    struct flow other_backend = dnat();
    other_backend.reply.source = address("10.0.0.99");
    assert_int_equal(mark(&listing, &other_backend, BIT, true), 0);
    const struct flow real = dnat();
    assert_int_equal(mark_of(&listing, &real), 0);
    // The other direction's first packet.
    const struct flow turned = conntrack_flow("10.0.0.9", "10.0.0.1", 132, 80, 4002);
    const struct flow straight = conntrack_flow("10.0.0.1", "10.0.0.9", 132, 4002, 80);
    assert_int_equal(mark(&listing, &turned, BIT, true), 0);
    assert_int_equal(mark_of(&listing, &straight), 0);
    close_listing(&listing);
}

static void test_many(void **unused)
{
    (void)unused;
    struct flow *flows = calloc(MANY, sizeof(*flows));
    assert_non_null(flows);
    for (size_t i = 0; i < MANY; i++) {
        flows[i] = conntrack_flow("10.1.0.1", "10.1.0.2", 6, (uint16_t)(1024 + i), 443);
    }
    struct err err = {0};
    if (conntrack_fill(flows, MANY, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    struct listing listing = open_listing();
    const struct flow_filter filter = {
        .family = FAMILY_V4, .has_original_source = true, .original_source = address("10.1.0.1")};
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, MANY);
    size_t found = 0;
    assert_int_equal(flows_mark(listing.flows, flows, MANY, BIT, true, &found, &err), 0);
    assert_int_equal(found, MANY);
    const struct flow_filter marked = {.family = FAMILY_V4, .mark = BIT, .mark_mask = BIT};
    assert_int_equal(list(&listing, &marked), 0);
    assert_true(listing.got.n >= MANY);
    assert_int_equal(flows_mark(listing.flows, flows, MANY, BIT, false, NULL, &err), 0);
    close_listing(&listing);
    free(flows);
}

// A list that fails half way says so: no flow is told twice, and it is no reason to believe that the kernel cannot
// filter, which would make every list after it one of everything.
static void test_broken_half_way(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    const struct flow_filter filter = {
        .family = FAMILY_V4, .has_original_source = true, .original_source = address("10.1.0.1")};
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, MANY);
    listing.got.n = 0;
    // The next descriptors: the kernel's socket, the reader's end and the writer's.
    int next = dup(STDOUT_FILENO);
    assert_true(next >= 0);
    assert_int_equal(close(next), 0);
    listing.break_fd = next + 2;
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = &listing};
    struct err err = {0};
    assert_int_equal(flows_list(listing.flows, &filter, &reader, &err), 0);
    assert_int_equal(loop_run(listing.loop, &err), 0);
    assert_true(listing.got.n > 0 && listing.got.n < MANY);
    assert_true(listing.failed);
    assert_int_equal(listing.err.kind, ERR_SYSTEM);
    listing.failed = false;
    assert_int_equal(list(&listing, &filter), 0);
    assert_int_equal(listing.got.n, MANY);
    close_listing(&listing);
}

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) {
        n++;
    }
    (void)closedir(dir);
    return n;
}

// A list that was begun ahead is taken by who asks for the same, and by nobody else. Whether it was is seen by the
// descriptors that a list needs.
static void test_ahead(void **unused)
{
    (void)unused;
    struct listing listing = open_listing();
    const struct flow_filter filter = {
        .family = FAMILY_V4, .has_original_source = true, .original_source = address("10.1.0.1")};
    struct flow_filter other = filter;
    other.has_original_source = false;
    other.has_reply_source = true;
    other.reply_source = address("10.1.0.2");
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = &listing};
    struct err err = {0};
    unsigned idle = open_files();
    flows_list_ahead(listing.flows, &filter);
    unsigned begun = open_files();
    assert_true(begun > idle);
    assert_int_equal(flows_list(listing.flows, &filter, &reader, &err), 0);
    assert_int_equal(open_files(), begun);
    assert_int_equal(loop_run(listing.loop, &err), 0);
    assert_int_equal(listing.got.n, MANY);
    assert_false(listing.failed);
    // One for something else: both are as wanted.
    flows_list_ahead(listing.flows, &filter);
    assert_int_equal(list(&listing, &other), 0);
    assert_int_equal(listing.got.n, MANY);
    assert_int_equal(open_files(), idle);
    const struct flow_filter none = {
        .family = FAMILY_V4, .has_reply_source = true, .reply_source = address("10.1.0.77")};
    flows_list_ahead(listing.flows, &filter);
    assert_int_equal(list(&listing, &none), 0);
    assert_int_equal(listing.got.n, 0);
    // Nobody asks for it.
    flows_list_ahead(listing.flows, &filter);
    flows_cancel(listing.flows);
    assert_int_equal(open_files(), idle);
    flows_list_ahead(listing.flows, &filter);
    close_listing(&listing);
}

// Without rights, an error that says so. Comes last: they do not come back.
static void test_denied(void **unused)
{
    (void)unused;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {0};
    assert_int_equal(syscall(SYS_capset, &header, none), 0);
    struct listing listing = open_listing();
    const struct flow_filter filter = {.family = FAMILY_V4};
    const struct flow_reader reader = {.flow = on_flow, .done = on_done, .arg = &listing};
    struct err err = {0};
    assert_int_equal(flows_list(listing.flows, &filter, &reader, &err), 0);
    assert_int_equal(loop_run(listing.loop, &err), 0);
    assert_true(listing.failed);
    assert_int_equal(listing.err.kind, ERR_DENIED);
    close_listing(&listing);
}

int main(void)
{
    if (!conntrack_fill_enter()) {
        printf("SKIPPED: a network namespace cannot be made here: %s\n", strerror(errno));
        return 77;
    }
    struct err err = {0};
    const struct flow probe = conntrack_flow("fd00:ff::1", "fd00:ff::2", 17, 1, 1);
    if (conntrack_fill(&probe, 1, &err) < 0) {
        printf("SKIPPED: no conntrack entries can be made here: %s\n", err.msg);
        return 77;
    }
    fill();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_mark),
        cmocka_unit_test(test_mark_of_another),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_broken_half_way),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
