// SPDX-License-Identifier: Apache-2.0
//
// source/object_stream against the simple way (the whole text in memory: cut into objects, prune, parse): for random
// lists and watches, sound and damaged, and bytes split anywhere, the same objects come out, or the same are refused.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "source/object_stream.h"
#include "support/plain_list.h"
#include "support/plain_prune.h"
#include "support/random_api.h"
#include "json/json.h"

enum { OBJECTS_MAX = 32, ITERATIONS = 4000 };

// What came out: the texts, and how it ended.
struct outcome {
    struct buf texts[OBJECTS_MAX];
    size_t n;
    struct buf rest;
    enum err_kind failed;  // 0: not
    const struct keep *keep;
    bool raw;  // the texts are not pruned
};

static void outcome_free(struct outcome *outcome)
{
    for (size_t i = 0; i < outcome->n; i++) {
        buf_free(&outcome->texts[i]);
    }
    buf_free(&outcome->rest);
}

static int on_object(const char *text, size_t len, void *arg, struct err *err)
{
    (void)err;
    struct outcome *outcome = arg;
    assert_true(outcome->n < OBJECTS_MAX);
    // In memory of its own size, so that a sanitizer sees a read behind its end.
    struct buf *copy = &outcome->texts[outcome->n++];
    buf_add(copy, text, len);
    assert_false(copy->failed);
    return 0;
}

// ---- the simple way

static void plain_list_of(const struct buf *text, struct outcome *ret)
{
    struct plain_list list;
    struct err err = {0};
    plain_list_init(&list, on_object, ret);
    if (plain_list_feed(&list, text->data, text->len, &err) < 0 || plain_list_finish(&list, &err) < 0) {
        ret->failed = err.kind;
    }
    buf_add(&ret->rest, list.rest.data ? list.rest.data : "", list.rest.len);
    plain_list_free(&list);
}

static void plain_watch_of(const struct buf *text, struct outcome *ret)
{
    const char *line = text->data;
    const char *end;
    while ((end = memchr(line, '\n', (size_t)(text->data + text->len - line)))) {
        size_t len = (size_t)(end - line);
        len -= len && line[len - 1] == '\r';
        if (memchr(line, '\0', len)) {
            ret->failed = ERR_INPUT;
            return;
        }
        if (len) {
            (void)on_object(line, len, ret, NULL);
        }
        line = end + 1;
    }
    if (memchr(line, '\0', (size_t)(text->data + text->len - line))) {
        ret->failed = ERR_INPUT;
    }
}

// ---- comparing

static bool same_doc(const struct doc *a, const struct doc *b)
{
    if (a->type != b->type || (a->key == NULL) != (b->key == NULL) || (a->key && strcmp(a->key, b->key) != 0) ||
        (a->text == NULL) != (b->text == NULL) || (a->text && strcmp(a->text, b->text) != 0) ||
        a->boolean != b->boolean || a->integral != b->integral || a->integer != b->integer) {
        return false;
    }
    const struct doc *x = a->child;
    const struct doc *y = b->child;
    for (; x && y; x = x->next, y = y->next) {
        if (!same_doc(x, y)) {
            return false;
        }
    }
    return !x && !y;
}

// NULL when the JSON door refuses it.
static struct doc *parsed(const char *text, size_t len, struct arena *arena)
{
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    struct err err = {0};
    if (json_parse(text, len, 1, arena, &doc, &used, &line, &err) < 0) {
        assert_int_equal(err.kind, ERR_INPUT);
        return NULL;
    }
    return used == len ? doc : NULL;
}

static struct doc *names(const struct keep *keep, const struct buf *text, struct arena *arena, bool plain)
{
    struct buf BUF_CLEANUP out = {0};
    bool pruned =
        plain ? plain_prune(keep, text->data, text->len, &out) : object_stream_text(keep, text->data, text->len, &out);
    return pruned ? parsed(out.data, out.len, arena) : NULL;
}

static bool same_docs(const struct doc *a, const struct doc *b)
{
    return a && b ? same_doc(a, b) : !a && !b;
}

// One object as it was written, against what the stream kept of it.
static bool same_object(const struct buf *written, const struct buf *kept, const struct keep *keep, bool event)
{
    struct arena arena = {0};
    struct buf BUF_CLEANUP pruned = {0};
    bool ok = plain_prune(keep, written->data, written->len, &pruned);
    const struct doc *want = ok ? parsed(pruned.data, pruned.len, &arena) : parsed(written->data, written->len, &arena);
    const struct doc *got = parsed(kept->data ? kept->data : "", kept->len, &arena);
    bool same = same_docs(want, got);
    if (same && !want) {
        const struct keep *tables[] = {event ? keep_event_names : keep_object_names,
                                       event ? keep_event_version : keep_object_names};
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
            same = same && same_docs(names(tables[i], written, &arena, true), names(tables[i], kept, &arena, false));
        }
    }
    arena_free(&arena);
    return same;
}

static bool same_rest(const struct buf *written, const struct buf *kept)
{
    struct arena arena = {0};
    struct buf BUF_CLEANUP pruned = {0};
    bool ok = plain_prune(keep_list(), written->data, written->len, &pruned);
    bool same = same_docs(ok ? parsed(pruned.data, pruned.len, &arena) : NULL, parsed(kept->data, kept->len, &arena));
    arena_free(&arena);
    return same;
}

struct trial {
    enum object_stream_form form;
    enum object_kind kind;
    uint64_t seed;
    struct buf text;
    struct outcome want;
};

static void wrong(const struct trial *trial, const struct outcome *got, const char *what, size_t i)
{
    print_message("text: %.*s\n", (int)trial->text.len, trial->text.data);
    if (i < trial->want.n) {
        print_message("written: %s\n", trial->want.texts[i].data);
    }
    if (i < got->n) {
        print_message("kept: %s\n", got->texts[i].data ? got->texts[i].data : "");
    }
    fail_msg("SEED=%" PRIu64 " N=1: %s %zu", trial->seed, what, i);
}

static void compare(const struct trial *trial, const struct outcome *got)
{
    const struct outcome *want = &trial->want;
    bool list = trial->form == OBJECT_STREAM_LIST;
    const struct keep *keep = list ? keep_object(trial->kind) : keep_event(trial->kind);
    // What is wrong outside of a list's objects shows at once in one way, in the other when the rest is parsed.
    bool early = list && got->failed == ERR_INPUT;
    if (early) {
        struct arena arena = {0};
        if (!want->failed && parsed(want->rest.data, want->rest.len, &arena)) {
            wrong(trial, got, "refused: a sound list, at object", got->n);
        }
        arena_free(&arena);
    } else if (want->failed != got->failed) {
        wrong(trial, got, "another error, at object", got->n);
    }
    if (early ? got->n > want->n : got->n != want->n) {
        wrong(trial, got, "another number of objects:", got->n);
    }
    for (size_t i = 0; i < got->n; i++) {
        if (!same_object(&want->texts[i], &got->texts[i], keep, !list)) {
            wrong(trial, got, "another object", i);
        }
    }
    if (list && !want->failed && !early && !same_rest(&want->rest, &got->rest)) {
        wrong(trial, got, "another rest:", got->n);
    }
}

// ---- feeding

// Pieces of at most `max` bytes, random ones with rng.
static void feed(const struct trial *trial, struct rng *rng, size_t max, size_t cut)
{
    struct outcome got = {0};
    struct object_stream stream;
    struct err err = {0};
    object_stream_init(&stream, trial->form, trial->kind, on_object, &got);
    int rc = 0;
    for (size_t at = 0; at < trial->text.len && rc == 0;) {
        size_t left = trial->text.len - at;
        size_t n = rng ? 1 + rng_below(rng, max) : max;
        n = at == 0 && cut ? cut : n;
        n = n < left ? n : left;
        char *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, trial->text.data + at, n);
        rc = object_stream_feed(&stream, copy, n, &err);
        free(copy);
        at += n;
    }
    rc = rc == 0 ? object_stream_finish(&stream, &err) : rc;
    got.failed = rc < 0 ? err.kind : (enum err_kind)0;
    buf_add(&got.rest, stream.rest.data ? stream.rest.data : "", stream.rest.len);
    object_stream_free(&stream);
    compare(trial, &got);
    outcome_free(&got);
}

static void feed_all_ways(const struct trial *trial, struct rng *rng)
{
    feed(trial, NULL, trial->text.len, 0);
    feed(trial, NULL, 1, 0);
    feed(trial, NULL, 63, 0);
    for (int i = 0; i < 4; i++) {
        feed(trial, rng, 1 + rng_below(rng, 200), 0);
    }
    if (trial->text.len < 600) {
        for (size_t cut = 1; cut < trial->text.len; cut++) {
            feed(trial, NULL, trial->text.len, cut);
        }
    }
}

static void run(uint64_t seed, enum object_stream_form form, bool damaged)
{
    struct rng rng = {.state = seed};
    struct trial trial = {
        .form = form, .kind = (enum object_kind)rng_below(&rng, OBJECT_KIND_COUNT), .seed = seed, .text = {0}};
    if (form == OBJECT_STREAM_LIST) {
        random_api_list(&rng, &trial.text);
    } else {
        for (size_t i = 0, n = 1 + rng_below(&rng, 4); i < n; i++) {
            random_api_event(&rng, &trial.text);
            buf_puts(&trial.text, rng_chance(&rng, 10) ? "\r\n" : rng_chance(&rng, 10) ? "\n\n" : "\n");
        }
        if (rng_chance(&rng, 20)) {
            buf_puts(&trial.text, "{\"type\":\"ADD");
        }
    }
    if (damaged) {
        random_api_damage(&rng, form == OBJECT_STREAM_WATCH, &trial.text);
    }
    assert_false(trial.text.failed);
    if (form == OBJECT_STREAM_LIST) {
        plain_list_of(&trial.text, &trial.want);
    } else {
        plain_watch_of(&trial.text, &trial.want);
    }
    feed_all_ways(&trial, &rng);
    outcome_free(&trial.want);
    buf_free(&trial.text);
}

static void runs(const char *name, enum object_stream_form form, bool damaged)
{
    uint64_t seed = rng_seed(name);
    for (size_t i = 0, n = rng_iterations(ITERATIONS); i < n; i++) {
        run(seed + i, form, damaged);
    }
}

static void test_lists(void **state)
{
    (void)state;
    runs(__func__, OBJECT_STREAM_LIST, false);
}

static void test_damaged_lists(void **state)
{
    (void)state;
    runs(__func__, OBJECT_STREAM_LIST, true);
}

static void test_watches(void **state)
{
    (void)state;
    runs(__func__, OBJECT_STREAM_WATCH, false);
}

static void test_damaged_watches(void **state)
{
    (void)state;
    runs(__func__, OBJECT_STREAM_WATCH, true);
}

static bool same_marks(const struct json_marks *a, const struct json_marks *b, const struct json_marks_state *after_a,
                       const struct json_marks_state *after_b)
{
    return a->quotes == b->quotes && a->inside == b->inside && a->open == b->open && a->close == b->close &&
           a->n_open == b->n_open && a->n_close == b->n_close && a->points == b->points && a->words == b->words &&
           after_a->in_string == after_b->in_string && after_a->escaped == after_b->escaped &&
           after_a->in_word == after_b->in_word;
}

// Every block of random bytes is read alike by all means, whatever came before it.
static void test_marks(void **state)
{
    (void)state;
    static const char bytes[] = "\"\"\"\\\\\\{}[],: \n\tax1";
    uint64_t seed = rng_seed(__func__);
    struct rng rng = {.state = seed};
    struct json_marks_state fast = {0};
    struct json_marks_state old = {0};
    struct json_marks_state plain = {0};
    for (size_t i = 0, n = 50 * rng_iterations(ITERATIONS); i < n; i++) {
        char block[JSON_MARKS];
        size_t len = rng_chance(&rng, 50) ? JSON_MARKS : 1 + rng_below(&rng, JSON_MARKS);
        bool any = rng_chance(&rng, 10);
        memset(block, ' ', sizeof(block));
        for (size_t j = 0; j < len; j++) {
            block[j] = any ? (char)rng_next(&rng) : bytes[rng_below(&rng, sizeof(bytes) - 1)];
        }
        struct json_marks a;
        struct json_marks b;
        struct json_marks c;
        json_marks_strings(&fast, block, len, &a);
        json_marks_words(block, &a);
        json_marks_old_machine(&old, block, len, &b);
        json_marks_plain(&plain, block, len, &c);
        if (!same_marks(&a, &c, &fast, &plain) || !same_marks(&b, &c, &old, &plain)) {
            fail_msg("SEED=%" PRIu64 ", block %zu is read in two ways", seed, i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),           cmocka_unit_test(test_damaged_lists), cmocka_unit_test(test_watches),
        cmocka_unit_test(test_damaged_watches), cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
