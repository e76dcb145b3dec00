// SPDX-License-Identifier: Apache-2.0
//
// Lists and lines cut out of a stream: whatever the bytes and wherever they are split, the items are the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "source/lines.h"
#include "source/splitter.h"
#include "support/rng.h"

struct got {
    struct buf items;  // one a line
    size_t n;
    size_t fail_at;  // the item at which the callback fails; 0 never
};

static int on_item(const char *text, size_t len, void *arg, struct err *err)
{
    struct got *got = arg;
    if (++got->n == got->fail_at) {
        return err_set(err, ERR_OOM, 0, "asked to fail");
    }
    buf_add(&got->items, text, len);
    buf_putc(&got->items, '\n');
    return 0;
}

static const char *text_of(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

static const struct {
    const char *in;
    const char *items;
    const char *rest;
} lists[] = {
    {"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"a\":1},{\"b\":[2,{}]}]}",
     "{\"a\":1}\n{\"b\":[2,{}]}\n", "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}"},
    {"{\"items\":[],\"metadata\":{}}", "", "{\"items\":[],\"metadata\":{}}"},
    {"{\"items\":null}", "", "{\"items\":null}"},
    {"{}", "", "{}"},
    {" \r\n{ \"items\" : [ \n { \"x\" : \"]}\" } ,\t{ } \n ] } \n", "{ \"x\" : \"]}\" }\n{ }\n",
     " \r\n{ \"items\" : [] }"},
    // Brackets, quotes and commas inside of strings; escapes; "items" elsewhere.
    {"{\"items\":[{\"s\":\"\\\\\"},{\"s\":\"a\\\"],[}{\\\\\\\"\"}]}",
     "{\"s\":\"\\\\\"}\n{\"s\":\"a\\\"],[}{\\\\\\\"\"}\n", "{\"items\":[]}"},
    {"{\"metadata\":{\"items\":[1,2]},\"items\":[{\"items\":[3]}]}", "{\"items\":[3]}\n",
     "{\"metadata\":{\"items\":[1,2]},\"items\":[]}"},
    {"{\"kind\":\"items\",\"other\":[1,2],\"items\":[{}]}", "{}\n",
     "{\"kind\":\"items\",\"other\":[1,2],\"items\":[]}"},
    {"{\"a\":{\"b\":\"items\"},\"c\":[[]],\"items\":[[1],\"two\",3,null]}", "[1]\n\"two\"\n3\nnull\n",
     "{\"a\":{\"b\":\"items\"},\"c\":[[]],\"items\":[]}"},
    // A key that only ends the same, and one in escapes: those stay in the rest, for the caller to refuse.
    {"{\"xitems\":[1],\"itemsx\":[2],\"it\\u0065ms\":[3]}", "", "{\"xitems\":[1],\"itemsx\":[2],\"it\\u0065ms\":[3]}"},
    {"{\"items\":[\"caf\xc3\xa9\"]}", "\"caf\xc3\xa9\"\n", "{\"items\":[]}"},
};

static void feed(struct splitter *splitter, const char *text, const size_t *cuts, size_t n_cuts)
{
    size_t from = 0;
    struct err err = {0};
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : strlen(text);
        assert_int_equal(splitter_feed(splitter, text + from, to - from, &err), 0);
        from = to;
    }
    assert_int_equal(splitter_finish(splitter, &err), 0);
}

static void check_list(size_t i, const size_t *cuts, size_t n_cuts)
{
    struct got got = {0};
    struct splitter splitter;
    splitter_init(&splitter, on_item, &got);
    feed(&splitter, lists[i].in, cuts, n_cuts);
    assert_string_equal(text_of(&got.items), lists[i].items);
    assert_string_equal(text_of(&splitter.rest), lists[i].rest);
    assert_int_equal(splitter.n_items, got.n);
    splitter_free(&splitter);
    buf_free(&got.items);
}

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        check_list(i, NULL, 0);
    }
}

static void test_lists_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        size_t len = strlen(lists[i].in);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                check_list(i, (const size_t[]){a, b}, 2);
            }
        }
        size_t every[512];
        assert_true(len <= 512);
        for (size_t c = 0; c < len; c++) {
            every[c] = c;
        }
        check_list(i, every, len);
    }
}

static void test_refused_lists(void **state)
{
    static const char *const bad[] = {
        "[]",
        "5",
        "\"x\"",
        "<html>",
        "{\"items\":[,]}",
        "{\"items\":[{},]}",
        "{\"items\":[{},,{}]}",
        "{\"items\":[{}}",
        "{\"items\":[{}",
        "{\"items\":[{\"a\":\"",
        "{\"items\":[]} x",
        "{\"items\":[]}{}",
        "{\"items\":[],\"items\":[]}",
        "}",
        "",
        " ",
        "{",
        "\xef\xbb\xbf{}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (size_t step = 1; step < 4; step++) {
            struct got got = {0};
            struct splitter splitter;
            struct err err = {0};
            splitter_init(&splitter, on_item, &got);
            int rc = 0;
            size_t len = strlen(bad[i]);
            for (size_t at = 0; at < len && rc == 0; at += step) {
                rc = splitter_feed(&splitter, bad[i] + at, len - at < step ? len - at : step, &err);
            }
            rc = rc == 0 ? splitter_finish(&splitter, &err) : rc;
            if (rc == 0) {
                fail_msg("accepted: %s", bad[i]);
            }
            assert_int_equal(err.kind, ERR_INPUT);
            splitter_free(&splitter);
            buf_free(&got.items);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    static char block[1 << 20];
    memset(block, 'x', sizeof(block));
    for (int item = 0; item < 2; item++) {
        struct got got = {0};
        struct splitter splitter;
        struct err err = {0};
        splitter_init(&splitter, on_item, &got);
        const char *head = item ? "{\"items\":[\"" : "{\"items\":[],\"x\":\"";
        assert_int_equal(splitter_feed(&splitter, head, strlen(head), &err), 0);
        size_t fed = 0;
        int rc = 0;
        while (rc == 0 && fed < 2u * LIMIT_HTTP_LINE) {
            rc = splitter_feed(&splitter, block, sizeof(block), &err);
            fed += sizeof(block);
        }
        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, ERR_LIMIT);
        assert_in_range(fed, 1, LIMIT_HTTP_LINE + sizeof(block));
        splitter_free(&splitter);
        buf_free(&got.items);
    }
}

static void test_callback_stops(void **state)
{
    (void)state;
    struct got got = {.fail_at = 2};
    struct splitter splitter;
    struct err err = {0};
    splitter_init(&splitter, on_item, &got);
    const char *text = "{\"items\":[1,2,3]}";
    assert_int_equal(splitter_feed(&splitter, text, strlen(text), &err), -1);
    assert_int_equal(err.kind, ERR_OOM);
    assert_int_equal(got.n, 2);
    splitter_free(&splitter);
    buf_free(&got.items);
}

// ---- property: random values, random splits

static void random_string(struct rng *rng, struct buf *out)
{
    static const char *const parts[] = {"a", "items", "\\\"", "\\\\",    "]",        "}", "{",
                                        "[", ",",     ":",    "\\u005d", "\xc3\xa9", " "};
    buf_putc(out, '"');
    for (size_t n = rng_below(rng, 5); n > 0; n--) {
        buf_puts(out, parts[rng_below(rng, ARRAY_SIZE(parts))]);
    }
    buf_putc(out, '"');
}

static void random_value(struct rng *rng, struct buf *out, unsigned depth)
{
    size_t what = rng_below(rng, depth > 4 ? 3 : 5);
    if (what == 0) {
        buf_puts(out, "-12.5e3");
    } else if (what == 1) {
        buf_puts(out, "null");
    } else if (what == 2) {
        random_string(rng, out);
    } else {
        buf_putc(out, what == 3 ? '[' : '{');
        size_t n = rng_below(rng, 4);
        for (size_t i = 0; i < n; i++) {
            buf_puts(out, i ? ", " : "");
            if (what == 4) {
                random_string(rng, out);
                buf_puts(out, " :");
            }
            random_value(rng, out, depth + 1);
        }
        buf_putc(out, what == 3 ? ']' : '}');
    }
}

static void feed_randomly(struct rng *rng, struct splitter *splitter, const struct buf *text)
{
    struct err err = {0};
    size_t max = 1 + rng_below(rng, 40);
    for (size_t at = 0; at < text->len;) {
        size_t n = 1 + rng_below(rng, max);
        n = n < text->len - at ? n : text->len - at;
        assert_int_equal(splitter_feed(splitter, text->data + at, n, &err), 0);
        at += n;
    }
    assert_int_equal(splitter_finish(splitter, &err), 0);
}

static void test_random_lists(void **state)
{
    (void)state;
    struct rng rng = {.state = rng_seed("test_random_lists")};
    size_t n = rng_iterations(3000);
    for (size_t i = 0; i < n; i++) {
        struct buf BUF_CLEANUP text = {0};
        struct buf BUF_CLEANUP want = {0};
        struct buf BUF_CLEANUP rest = {0};
        struct got got = {0};
        struct splitter splitter;
        buf_puts(&rest, "{\"metadata\":");
        random_value(&rng, &rest, 2);
        buf_puts(&rest, ",\"items\":[");
        buf_add(&text, rest.data, rest.len);
        for (size_t items = rng_below(&rng, 5), at = 0; at < items; at++) {
            size_t from = want.len;
            random_value(&rng, &want, 1);
            buf_puts(&text, at ? " ,\n" : "");
            buf_add(&text, want.data + from, want.len - from);
            buf_putc(&want, '\n');
        }
        buf_puts(&text, "]}");
        buf_puts(&rest, "]}");
        splitter_init(&splitter, on_item, &got);
        feed_randomly(&rng, &splitter, &text);
        assert_string_equal(text_of(&got.items), text_of(&want));
        assert_string_equal(text_of(&splitter.rest), rest.data);
        splitter_free(&splitter);
        buf_free(&got.items);
    }
}

// ---- lines

static void test_lines_at_every_cut(void **state)
{
    (void)state;
    static const char text[] = "\none\r\ntwo \xc3\xa9\n\r\n\n{\"three\":\r}\nunfinished";
    static const char want[] = "one\ntwo \xc3\xa9\n{\"three\":\r}\n";
    const size_t len = sizeof(text) - 1;
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct got got = {0};
            struct lines lines;
            struct err err = {0};
            lines_init(&lines, on_item, &got);
            assert_int_equal(lines_feed(&lines, text, a, &err), 0);
            assert_int_equal(lines_feed(&lines, text + a, b - a, &err), 0);
            assert_int_equal(lines_feed(&lines, text + b, len - b, &err), 0);
            assert_string_equal(text_of(&got.items), want);
            assert_string_equal(text_of(&lines.tail), "unfinished");
            lines_free(&lines);
            buf_free(&got.items);
        }
    }
}

static void test_lines_refused(void **state)
{
    (void)state;
    struct got got = {0};
    struct lines lines;
    struct err err = {0};
    lines_init(&lines, on_item, &got);
    assert_int_equal(lines_feed(&lines, "a\0b\n", 4, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    lines_free(&lines);
    lines_init(&lines, on_item, &got);
    static char block[1 << 20];
    memset(block, 'x', sizeof(block));
    size_t fed = 0;
    int rc = 0;
    while (rc == 0 && fed < 2u * LIMIT_HTTP_LINE) {
        rc = lines_feed(&lines, block, sizeof(block), &err);
        fed += sizeof(block);
    }
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    lines_free(&lines);
    got.n = 0;
    got.fail_at = 1;
    lines_init(&lines, on_item, &got);
    assert_int_equal(lines_feed(&lines, "a\nb\n", 4, &err), -1);
    assert_int_equal(err.kind, ERR_OOM);
    assert_int_equal(got.n, 1);
    lines_free(&lines);
    buf_free(&got.items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_lists_at_every_cut),
        cmocka_unit_test(test_refused_lists),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_callback_stops),
        cmocka_unit_test(test_random_lists),
        cmocka_unit_test(test_lines_at_every_cut),
        cmocka_unit_test(test_lines_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
