// SPDX-License-Identifier: Apache-2.0
//
// What a list needs of memory is that of one object's kept text, whatever the objects weigh and how many there are; and
// every allocation that fails is said, and loses nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "source/object_stream.h"
#include "support/failing_malloc.h"

#ifdef FAILING_MALLOC_ABSENT
int main(void)
{
    (void)puts("skip: the sanitizer owns the allocator");
    return 77;
}
#else

enum { OBJECTS = 300, JUNK = 1 << 20, BOUND = 16 << 10 };

static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct watched {
    size_t before;
    size_t peak;
    size_t n;
};

static void look(struct watched *watched)
{
    size_t now = in_use();
    size_t more = now > watched->before ? now - watched->before : 0;
    watched->peak = more > watched->peak ? more : watched->peak;
}

static int on_object(const char *text, size_t len, void *arg, struct err *err)
{
    (void)err;
    struct watched *watched = arg;
    static const char want[] = "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"n\"}}";
    static const char want_event[] = "{\"type\":\"ADDED\",\"object\":";
    bool event = len > sizeof(want) && strncmp(text, want_event, sizeof(want_event) - 1) == 0;
    text += event ? sizeof(want_event) - 1 : 0;
    assert_int_equal(strncmp(text, want, sizeof(want) - 1), 0);
    watched->n++;
    look(watched);
    return 0;
}

static int feed(struct object_stream *stream, const char *text, struct watched *watched)
{
    int rc = object_stream_feed(stream, text, strlen(text), NULL);
    look(watched);
    return rc;
}

// Junk as managed fields, as a string and as a key, in pieces of 16 KiB.
static void feed_junk(struct object_stream *stream, size_t which, struct watched *watched)
{
    static const char *const parts[] = {"{\"f:a\":{\"k:{\\\"b\\\":\\\"c\\\"}\":[1,true,null]}},",
                                        "junk \\\" ]}{[ ,:", "k"};
    static const char *const heads[] = {"\"managedFields\":[", "\"annotations\":\"", "\""};
    static const char *const tails[] = {"0],", "\",", "\":1,"};
    char chunk[16 << 10];
    size_t len = strlen(parts[which]);
    size_t n = (sizeof(chunk) - 1) / len;
    for (size_t i = 0; i < n; i++) {
        memcpy(chunk + i * len, parts[which], len);
    }
    chunk[n * len] = '\0';
    assert_int_equal(feed(stream, heads[which], watched), 0);
    for (size_t fed = 0; fed < JUNK; fed += n * len) {
        assert_int_equal(feed(stream, chunk, watched), 0);
    }
    assert_int_equal(feed(stream, tails[which], watched), 0);
}

static void run(enum object_stream_form form)
{
    bool list = form == OBJECT_STREAM_LIST;
    struct watched watched = {.before = in_use()};
    struct object_stream stream;
    object_stream_init(&stream, form, OBJECT_POD, on_object, &watched);
    assert_int_equal(feed(&stream, list ? "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" : "", &watched), 0);
    for (size_t i = 0; i < OBJECTS; i++) {
        const char *head =
            list ? i ? ",{\"metadata\":{" : "{\"metadata\":{" : "{\"type\":\"ADDED\",\"object\":{\"metadata\":{";
        assert_int_equal(feed(&stream, head, &watched), 0);
        feed_junk(&stream, i % 3, &watched);
        assert_int_equal(feed(&stream, "\"name\":\"a\"},\"spec\":{", &watched), 0);
        feed_junk(&stream, (i + 1) % 3, &watched);
        assert_int_equal(feed(&stream, list ? "\"nodeName\":\"n\"}}" : "\"nodeName\":\"n\"}}}\n", &watched), 0);
    }
    assert_int_equal(feed(&stream, list ? "]}" : "", &watched), 0);
    assert_int_equal(object_stream_finish(&stream, NULL), 0);
    assert_int_equal(watched.n, OBJECTS);
    print_message("%d objects of %d MiB: %zu bytes at most\n", OBJECTS, 2 * JUNK >> 20, watched.peak);
    assert_true(watched.peak <= BOUND);
    object_stream_free(&stream);
}

static void test_memory_is_that_of_one_object(void **state)
{
    (void)state;
    run(OBJECT_STREAM_LIST);
    run(OBJECT_STREAM_WATCH);
}

// A large object's memory does not stay.
static int ignore(const char *text, size_t len, void *arg, struct err *err)
{
    (void)text;
    (void)len;
    (void)arg;
    (void)err;
    return 0;
}

static void test_memory_is_given_back(void **state)
{
    (void)state;
    static char chunk[1 << 20];
    struct watched watched = {.before = in_use()};
    struct object_stream stream;
    object_stream_init(&stream, OBJECT_STREAM_WATCH, OBJECT_POLICY, ignore, NULL);
    memset(chunk, 'x', sizeof(chunk));
    assert_int_equal(feed(&stream, "{\"object\":{\"spec\":\"", &watched), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(object_stream_feed(&stream, chunk, sizeof(chunk), NULL), 0);
    }
    assert_true(in_use() - watched.before >= 8 * sizeof(chunk));
    assert_int_equal(feed(&stream, "\"}}\n", &watched), 0);
    assert_true(in_use() - watched.before < BOUND);
    object_stream_free(&stream);
}

static void test_each_allocation(void **state)
{
    (void)state;
    static const char list[] = "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[{\"kind\":\"a\"},{\"kind\":";
    bool more = true;
    long k = 0;
    for (; more; k++) {
        long before = failing_malloc_alive();
        struct object_stream stream;
        struct err err = {0};
        object_stream_init(&stream, OBJECT_STREAM_LIST, OBJECT_POD, ignore, NULL);
        failing_malloc_after(k);
        int rc = object_stream_feed(&stream, list, sizeof(list) - 1, &err);
        for (int i = 0; rc == 0 && i < 20; i++) {
            static const char names[] = "[\"a name that is kept and makes the text longer and longer\"],";
            rc = object_stream_feed(&stream, i ? names : "[", i ? sizeof(names) - 1 : 1, &err);
        }
        rc = rc == 0 ? object_stream_feed(&stream, "1]}]}", 5, &err) : rc;
        failing_malloc_after(-1);
        more = failing_malloc_refused();
        assert_int_equal(rc, more ? -1 : 0);
        assert_int_equal(err.kind, more ? ERR_OOM : 0);
        object_stream_free(&stream);
        assert_int_equal(failing_malloc_alive(), before);
    }
    assert_true(k > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_that_of_one_object),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
