// SPDX-License-Identifier: Apache-2.0
//
// Lists and watches cut into objects while they arrive: whatever the bytes and wherever they are split, the same comes
// out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/object_stream.h"
#include "json/json.h"

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

// Feeds text cut at the given places, in memory of its own size; -1 with err as the stream says.
static int feed(struct object_stream *stream, const char *text, size_t len, const size_t *cuts, size_t n_cuts,
                struct err *err)
{
    size_t from = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : len;
        char *copy = malloc(to - from + 1);
        assert_non_null(copy);
        memcpy(copy, text + from, to - from);
        int rc = object_stream_feed(stream, copy, to - from, err);
        free(copy);
        if (rc < 0) {
            return -1;
        }
        from = to;
    }
    return object_stream_finish(stream, err);
}

struct example {
    const char *in;
    const char *items;
    const char *rest;
};

static void check(enum object_stream_form form, const struct example *example, const size_t *cuts, size_t n_cuts)
{
    struct got got = {0};
    struct object_stream stream;
    struct err err = {0};
    object_stream_init(&stream, form, OBJECT_POD, on_item, &got);
    if (feed(&stream, example->in, strlen(example->in), cuts, n_cuts, &err) < 0) {
        fail_msg("%s: %s", err.msg, example->in);
    }
    assert_string_equal(text_of(&got.items), example->items);
    assert_string_equal(text_of(&stream.rest), example->rest);
    assert_int_equal(stream.n_items, got.n);
    object_stream_free(&stream);
    buf_free(&got.items);
}

static void check_at_every_cut(enum object_stream_form form, const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t every[512];
        size_t len = strlen(examples[i].in);
        assert_true(len <= ARRAY_SIZE(every));
        check(form, &examples[i], NULL, 0);
        for (size_t a = 0; a <= len; a++) {
            for (size_t b = a; b <= len; b++) {
                check(form, &examples[i], (const size_t[]){a, b}, 2);
            }
        }
        for (size_t c = 0; c < len; c++) {
            every[c] = c;
        }
        check(form, &examples[i], every, len);
    }
}

// ---- lists

static const struct example lists[] = {
    {"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\",\"selfLink\":\"x\","
     "\"continue\":\"c\",\"remainingItemCount\":7},\"items\":[{\"kind\":\"a\",\"x\":1},{\"b\":[2,{}]}]}",
     "{\"kind\":\"a\"}\n{\"\":null}\n",
     "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\",\"continue\":\"c\","
     "\"remainingItemCount\":7},\"items\":[]}"},
    {"{\"items\":[],\"metadata\":{}}", "", "{\"items\":[],\"metadata\":{}}"},
    {"{\"items\":null}", "", "{\"items\":null}"},
    {"{\"items\":{\"a\":[1,2]}}", "", "{\"items\":{\"a\":[1,2]}}"},
    {"{\"items\":7 }", "", "{\"items\":7}"},
    {"{}", "", "{}"},
    {" \r\n{ \"items\" : [ \n { \"spec\" : { \"nodeName\" :\n\"]}\" , \"x\": 1 } } ,\t{ } \n ] } \n",
     "{\"spec\":{\"nodeName\":\"]}\"}}\n{}\n", "{\"items\":[]}"},
    // Brackets, quotes and commas inside of strings; escapes; "items" elsewhere.
    {"{\"items\":[{\"kind\":\"\\\\\"},{\"kind\":\"a\\\"],[}{\\\\\\\"\"},{\"x\":\"\\\\\\\"]\",\"code\":-1e5 }]}",
     "{\"kind\":\"\\\\\"}\n{\"kind\":\"a\\\"],[}{\\\\\\\"\"}\n{\"code\":-1e5}\n", "{\"items\":[]}"},
    {"{\"metadata\":{\"items\":[1,2]},\"items\":[{\"items\":[3]}]}", "{\"\":null}\n",
     "{\"metadata\":{\"\":null},\"items\":[]}"},
    {"{\"kind\":\"items\",\"other\":[1,2],\"items\":[{}]}", "{}\n", "{\"kind\":\"items\",\"items\":[]}"},
    // What is no object is for the JSON door.
    {"{\"a\":{\"b\":\"items\"},\"c\":[[]],\"items\":[[1,{}],\"t,wo\",3,null,[]]}", "[1,{}]\n\"t,wo\"\n3\nnull\n[]\n",
     "{\"items\":[]}"},
    // A key that only ends the same, and one in escapes: that stays in the rest, for the caller to refuse.
    {"{\"xitems\":[1],\"itemsx\":[2],\"it\\u0065ms\":[3]}", "", "{\"it\\u0065ms\":[3]}"},
    {"{\"items\":[{\"metadata\":{\"labels\":{\"caf\xc3\xa9\":\"\xf0\x9f\x98\x80\"},\"annotations\":{\"k8s.io/initial-"
     "events-end\":\"true\"}}}]}",
     "{\"metadata\":{\"labels\":{\"caf\xc3\xa9\":\"\xf0\x9f\x98\x80\"}}}\n", "{\"items\":[]}"},
    // An object that is wrong stays one: from there on it is what it was, and the next ones are as they should be.
    {"{\"items\":[{\"x\":1 \"kind\":\"a\"},{\"kind\" \"b\"},{\"kind\":},{\"x\":},{\"kind\":\"c\",},{}{}, {\"kind\":[1"
     "}},{\"kind\":\"d\"}]}",
     "{ !\"kind\":\"a\"}\n{\"kind\" !\"b\"}\n{\"kind\":}\n{ !}\n{\"kind\":\"c\" !}\n{} !{}\n{\"kind\":[1}}\n"
     "{\"kind\":\"d\"}\n",
     "{\"items\":[]}"},
};

static void test_lists_at_every_cut(void **state)
{
    (void)state;
    check_at_every_cut(OBJECT_STREAM_LIST, lists, ARRAY_SIZE(lists));
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
        "{\"items\":[]]",
        "{\"items\":[],}",
        "{\"x\":1 \"items\":[]}",
        "{\"x\" 1}",
        "{1:2}",
        "}",
        "",
        " ",
        "{",
        "\xef\xbb\xbf{}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t len = strlen(bad[i]);
        for (size_t cut = 0; cut <= len; cut++) {
            struct got got = {0};
            struct object_stream stream;
            struct err err = {0};
            object_stream_init(&stream, OBJECT_STREAM_LIST, OBJECT_POD, on_item, &got);
            if (feed(&stream, bad[i], len, &cut, 1, &err) == 0) {
                fail_msg("accepted: %s", bad[i]);
            }
            assert_int_equal(err.kind, ERR_INPUT);
            object_stream_free(&stream);
            buf_free(&got.items);
        }
    }
}

// ---- watches

static const struct example watches[] = {
    {"\n{\"type\":\"ADDED\",\"x\":1,\"object\":{\"kind\":\"Pod\",\"spec\":{\"volumes\":[]}}}\r\n"
     "{\"type\":\"DELETED\",\"object\":{\"status\":{}}}\n\r\n\n{\"object\":null,\"type\":7 }\nunfinished",
     "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"spec\":{\"\":null}}}\n"
     "{\"type\":\"DELETED\",\"object\":{\"status\":{}}}\n{\"object\":null,\"type\":7}\n",
     ""},
    // The annotation that ends the initial events: of bookmarks only, or when the type comes late; no other one.
    {"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"annotations\":{\"a\":\"\\u0000\",\"\\u0000\":1,"
     "\"k8s.io/initial-events-end\":\"true\"},\"name\":null}}}\n"
     "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
     "{\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}},\"type\":\"BOOKMARK\"}\n",
     "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"},"
     "\"name\":null}}}\n{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"\":null}}}\n"
     "{\"object\":{\"metadata\":{\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}},\"type\":\"BOOKMARK\"}\n",
     ""},
    {"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"m\","
     "\"reason\":\"Timeout\",\"details\":{\"name\":\"n\",\"causes\":[{\"reason\":\"ResourceVersionTooLarge\","
     "\"message\":\"x\"}],\"retryAfterSeconds\":1},\"code\":504}}\n",
     "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"m\","
     "\"reason\":\"Timeout\",\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}],\"retryAfterSeconds\":"
     "1},"
     "\"code\":504}}\n",
     ""},
    // A line that is wrong, or no event at all, ends at its end.
    {"{\"type\":\"ADDED\",\"object\":{\"x\":\"\n{\"type\":\"ADDED\"}\n5\n[1]\n{}{}\n}\n \n{\"type\":[}\n{\"type\":1}\n",
     "{\"type\":\"ADDED\",\"object\":{\n{\"type\":\"ADDED\"}\n5\n[1]\n{} !{}\n}\n\n{\"type\":[}\n{\"type\":1}\n", ""},
};

static void test_watches_at_every_cut(void **state)
{
    (void)state;
    check_at_every_cut(OBJECT_STREAM_WATCH, watches, ARRAY_SIZE(watches));
}

static void test_nul_in_a_watch(void **state)
{
    (void)state;
    static const char text[] = "{\"type\":\"ADDED\",\"x\":\"a\0b\"}\n";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        struct got got = {0};
        struct object_stream stream;
        struct err err = {0};
        object_stream_init(&stream, OBJECT_STREAM_WATCH, OBJECT_POD, on_item, &got);
        assert_int_equal(feed(&stream, text, sizeof(text) - 1, &cut, 1, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_int_equal(got.n, 0);
        object_stream_free(&stream);
    }
}

// ---- limits

static char block[1 << 20];

// Feeds head, then up to `total` bytes of x; what the stream said.
static enum err_kind feed_many(enum object_stream_form form, const char *head, size_t total, size_t *ret_fed)
{
    struct got got = {0};
    struct object_stream stream;
    struct err err = {0};
    object_stream_init(&stream, form, OBJECT_POD, on_item, &got);
    memset(block, 'x', sizeof(block));
    assert_int_equal(object_stream_feed(&stream, head, strlen(head), &err), 0);
    int rc = 0;
    for (*ret_fed = strlen(head); rc == 0 && *ret_fed < total;) {
        size_t n = total - *ret_fed < sizeof(block) ? total - *ret_fed : sizeof(block);
        rc = object_stream_feed(&stream, block, n, &err);
        *ret_fed += n;
    }
    object_stream_free(&stream);
    buf_free(&got.items);
    return rc < 0 ? err.kind : (enum err_kind)0;
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        enum object_stream_form form;
        const char *head;
        size_t limit;
        size_t outside;  // of the head, bytes that are not counted
    } cases[] = {
        {OBJECT_STREAM_LIST, "{\"items\":[{\"x\":\"", LIMIT_HTTP_LINE, 10},
        {OBJECT_STREAM_LIST, "{\"items\":[{\"kind\":\"", LIMIT_HTTP_LINE, 10},
        {OBJECT_STREAM_LIST, "{\"items\":[[\"", LIMIT_HTTP_LINE, 10},
        {OBJECT_STREAM_LIST, "{\"items\":[{},{\"", LIMIT_HTTP_LINE, 13},
        {OBJECT_STREAM_LIST, "{\"items\":[],\"x\":\"", LIMIT_HTTP_ERROR_BODY, 0},
        {OBJECT_STREAM_LIST, "{\"", LIMIT_HTTP_ERROR_BODY, 0},
        {OBJECT_STREAM_WATCH, "\n\r\n{\"type\":\"", LIMIT_HTTP_LINE, 3},
        {OBJECT_STREAM_WATCH, "{\"x\":[", LIMIT_HTTP_LINE, 0},
        {OBJECT_STREAM_WATCH, "no event", LIMIT_HTTP_LINE, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t fed;
        size_t limit = cases[i].limit + cases[i].outside;
        assert_int_equal(feed_many(cases[i].form, cases[i].head, limit - 1, &fed), 0);
        assert_int_equal(fed, limit - 1);
        assert_int_equal(feed_many(cases[i].form, cases[i].head, limit, &fed), ERR_LIMIT);
        assert_int_equal(fed, limit);
    }
}

static void test_long_keys(void **state)
{
    (void)state;
    // None of ours, however it is written; the key behind it is.
    for (size_t len = 1; len < 2000; len += len < 300 ? 1 : 97) {
        struct buf BUF_CLEANUP text = {0};
        struct buf BUF_CLEANUP out = {0};
        buf_puts(&text, "{\"\\u006b");
        for (size_t i = 0; i < len; i++) {
            buf_putc(&text, 'k');
        }
        buf_puts(&text, "\":1,\"kind\":2}");
        assert_true(object_stream_text(keep_object(OBJECT_POD), text.data, text.len, &out));
        bool kept = strlen("\\u006b") + len < OBJECT_STREAM_KEY;
        assert_string_equal(out.data, kept ? text.data : "{\"kind\":2}");
    }
}

// As deep as the JSON door goes, whatever is around the object.
static void test_depth(void **state)
{
    (void)state;
    for (size_t depth = LIMIT_DOCUMENT_DEPTH - 1; depth <= LIMIT_DOCUMENT_DEPTH + 1; depth++) {
        struct buf BUF_CLEANUP text = {0};
        struct got got = {0};
        struct object_stream stream;
        struct err err = {0};
        buf_puts(&text, "{\"items\":[{\"spec\":{\"containers\":");
        for (size_t i = 2; i < depth; i++) {
            buf_putc(&text, '[');
        }
        for (size_t i = 2; i < depth; i++) {
            buf_putc(&text, ']');
        }
        buf_puts(&text, "}}]}");
        object_stream_init(&stream, OBJECT_STREAM_LIST, OBJECT_POD, on_item, &got);
        assert_int_equal(feed(&stream, text.data, text.len, NULL, 0, &err), 0);
        assert_int_equal(got.n, 1);
        struct arena arena = {0};
        struct doc *doc;
        size_t used;
        unsigned line;
        assert_int_equal(json_parse(got.items.data, got.items.len, 1, &arena, &doc, &used, &line, &err),
                         depth > LIMIT_DOCUMENT_DEPTH ? -1 : 0);
        arena_free(&arena);
        object_stream_free(&stream);
        buf_free(&got.items);
    }
}

static void test_callback_stops(void **state)
{
    (void)state;
    static const char list[] = "{\"items\":[1,2,3]}";
    static const char watch[] = "1\n2\n3\n";
    for (int form = OBJECT_STREAM_LIST; form <= OBJECT_STREAM_WATCH; form++) {
        struct got got = {.fail_at = 2};
        struct object_stream stream;
        struct err err = {0};
        object_stream_init(&stream, (enum object_stream_form)form, OBJECT_POD, on_item, &got);
        const char *text = form == OBJECT_STREAM_LIST ? list : watch;
        assert_int_equal(object_stream_feed(&stream, text, strlen(text), &err), -1);
        assert_int_equal(err.kind, ERR_OOM);
        assert_int_equal(got.n, 2);
        object_stream_free(&stream);
        buf_free(&got.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_at_every_cut),
        cmocka_unit_test(test_refused_lists),
        cmocka_unit_test(test_watches_at_every_cut),
        cmocka_unit_test(test_nul_in_a_watch),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_callback_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
