// SPDX-License-Identifier: Apache-2.0
//
// Random documents, written as JSON and as YAML, read back to themselves: what a snapshot saves is what was there.
// Texts are made of what readers of YAML stumble over: words and numbers that are no strings, breaks, marks, byte order
// marks.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <inttypes.h>
#include <stdio.h>

#include "support/rng.h"
#include "yaml/yaml_doc.h"
#include "yaml/yaml_write.h"
#include "json/json.h"
#include "json/json_write.h"

enum { DOCUMENTS = 20000, DEPTH_MAX = 8, CHILDREN_MAX = 5, LONG_MAX = 3000 };

struct source {
    struct rng rng;
    struct arena arena;
};

static char *random_text(struct source *source)
{
    static const char *const wholes[] = {
        "",     "null",  "Null", "~",     "true",       "False",      "yes",      "NO",   "on",  "y",    "N",
        "0",    "-1",    "017",  "0x1F",  "0b11",       "1_000",      "1e5",      ".5",   "1.",  ".inf", "-.INF",
        ".nan", "12:30", "---",  "...",   "2024-01-01", "=",          "<<",       "-",    "?",   ":",    "- a",
        "a: b", "a #b",  "#a",   " lead", "trail ",     "10.0.0.1",   "fd00::1",  "!tag", "&a",  "*a",   "%YAML",
        "@a",   "`a",    "{a}",  "[a]",   "'quoted'",   "\"quoted\"", "app/name", "x.y",  "a-b", "|",    ">"};
    static const char *const pieces[] = {
        "a",      "Z",        "0",        "_",      "-",      ".",      "/",      ":",          " ",      "\n",
        "\t",     "\r",       "\"",       "'",      "\\",     "#",      ",",      "\x01",       "\x1f",   "\x7f",
        "\u00e4", "\xc2\x80", "\xc2\x85", "\u00a0", "\u2028", "\u2029", "\ufeff", "\U0001F600", "\ufffd", "\U0010FFFF"};
    if (rng_chance(&source->rng, 40)) {
        return arena_strdup(&source->arena, RNG_PICK(&source->rng, wholes));
    }
    struct buf BUF_CLEANUP text = {0};
    size_t n = rng_chance(&source->rng, 1) ? rng_below(&source->rng, LONG_MAX) : rng_below(&source->rng, 12);
    for (size_t i = 0; i < n; i++) {
        buf_puts(&text, RNG_PICK(&source->rng, pieces));
    }
    return arena_strdup(&source->arena, text.data ? text.data : "");
}

static struct doc *random_doc(struct source *source, unsigned depth);

static void random_children(struct source *source, struct doc *doc, unsigned depth)
{
    struct doc **link = &doc->child;
    for (size_t n = rng_below(&source->rng, CHILDREN_MAX + 1); n > 0; n--) {
        const char *key = doc->type == DOC_MAP ? random_text(source) : NULL;
        if (key && doc_get(doc, key)) {
            continue;
        }
        *link = random_doc(source, depth + 1);
        (*link)->key = key;
        link = &(*link)->next;
    }
}

static struct doc *random_doc(struct source *source, unsigned depth)
{
    static const char *const numbers[] = {
        "0",   "-0",    "7",     "-12", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5",
        "1e5", "-2E-3", "1E400", "0.0"};
    struct doc *doc = arena_alloc(&source->arena, sizeof(*doc));
    assert_non_null(doc);
    doc->type = (enum doc_type)rng_below(&source->rng, depth < DEPTH_MAX ? DOC_MAP + 1 : DOC_STRING + 1);
    if (depth == 0 && rng_chance(&source->rng, 90)) {
        doc->type = DOC_MAP;
    }
    doc->text = doc->type == DOC_STRING ? random_text(source) : RNG_PICK(&source->rng, numbers);
    doc->boolean = doc->type == DOC_BOOL && rng_chance(&source->rng, 50);
    if (doc->type == DOC_LIST || doc->type == DOC_MAP) {
        random_children(source, doc, depth);
    }
    return doc;
}

static bool same(const struct doc *a, const struct doc *b)
{
    if (a->type != b->type || (a->key == NULL) != (b->key == NULL) || (a->key && strcmp(a->key, b->key) != 0) ||
        (a->type == DOC_BOOL && a->boolean != b->boolean) ||
        ((a->type == DOC_STRING || a->type == DOC_NUMBER) && strcmp(a->text, b->text) != 0)) {
        return false;
    }
    const struct doc *x = a->child;
    const struct doc *y = b->child;
    while (x && y && same(x, y)) {
        x = x->next;
        y = y->next;
    }
    return !x && !y;
}

struct reread {
    const struct doc *want;
    size_t same;
    size_t others;
};

static int on_document(struct doc *doc, void *arg, struct err *err UNUSED)
{
    struct reread *reread = arg;
    *(same(doc, reread->want) ? &reread->same : &reread->others) += 1;
    return 0;
}

static void check_yaml(const struct doc *doc, uint64_t seed)
{
    struct buf BUF_CLEANUP text = {0};
    // Between others of its stream.
    buf_puts(&text, "# head\n---\n");
    yaml_write(doc, &text);
    buf_puts(&text, "---\n");
    yaml_write(doc, &text);
    assert_false(text.failed);
    struct arena arena = {0};
    struct err err = {0};
    struct reread reread = {.want = doc};
    int rc = yaml_parse(text.data, text.len, &arena, on_document, NULL, &reread, &err);
    if (rc < 0 || reread.same != 2 || reread.others) {
        char why[1024];
        fail_msg("SEED=%" PRIu64 " N=1: %zu as written, %zu not; %s\n%s", seed, reread.same, reread.others,
                 err_text(&err, why, sizeof(why)), text.data);
    }
    arena_free(&arena);
}

static void check_json(const struct doc *doc, uint64_t seed)
{
    struct buf BUF_CLEANUP text = {0};
    json_write(doc, &text);
    assert_false(text.failed);
    struct arena arena = {0};
    struct err err = {0};
    struct doc *back = NULL;
    size_t used;
    unsigned line;
    int rc = json_parse(text.data, text.len, 1, &arena, &back, &used, &line, &err);
    if (rc < 0 || used != text.len || !same(doc, back)) {
        char why[1024];
        fail_msg("SEED=%" PRIu64 " N=1: %s\n%s", seed, err_text(&err, why, sizeof(why)), text.data);
    }
    arena_free(&arena);
}

static void test_read_back(void **state UNUSED)
{
    uint64_t seed = rng_seed(__func__);
    size_t n = rng_iterations(DOCUMENTS);
    for (size_t i = 0; i < n; i++) {
        struct source source = {.rng = {.state = seed + i}};
        const struct doc *doc = random_doc(&source, 0);
        check_json(doc, seed + i);
        check_yaml(doc, seed + i);
        arena_free(&source.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read_back)};
    return cmocka_run_group_tests_name("documents written and read back", tests, NULL, NULL);
}
