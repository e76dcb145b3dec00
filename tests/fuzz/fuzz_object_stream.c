// SPDX-License-Identifier: Apache-2.0
//
// Lists and watches, cut into objects while they arrive: no crash, the same wherever the bytes are split, and of what
// the JSON door accepts as a whole, each object is there with all that is kept of it and nothing else.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "source/object_stream.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

// ---- what comes out

struct outcome {
    struct buf all;  // texts, each with a NUL behind it
    VEC(size_t) starts;
    struct buf rest;
    enum err_kind failed;
};

static int on_object(const char *text, size_t len, void *arg, struct err *err)
{
    (void)err;
    struct outcome *outcome = arg;
    check(vec_push(&outcome->starts, outcome->all.len) == 0);
    buf_add(&outcome->all, text, len);
    buf_add(&outcome->all, "", 1);
    return 0;
}

// Pieces of `step` bytes, the first of `first`.
static void run(enum object_stream_form form, enum object_kind kind, const char *text, size_t size, size_t first,
                size_t step, struct outcome *ret)
{
    struct object_stream stream;
    struct err err = {0};
    object_stream_init(&stream, form, kind, on_object, ret);
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0;) {
        size_t n = at ? step : first;
        n = n < size - at ? n : size - at;
        rc = object_stream_feed(&stream, text + at, n, &err);
        at += n;
    }
    rc = rc == 0 ? object_stream_finish(&stream, &err) : rc;
    ret->failed = rc < 0 ? err.kind : (enum err_kind)0;
    check(rc == 0 || err.kind == ERR_INPUT || err.kind == ERR_LIMIT);
    buf_add(&ret->rest, stream.rest.data ? stream.rest.data : "", stream.rest.len);
    object_stream_free(&stream);
}

static void outcome_free(struct outcome *outcome)
{
    buf_free(&outcome->all);
    buf_free(&outcome->rest);
    vec_free(&outcome->starts);
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

// ---- what should

static struct doc *parse(const char *text, size_t len, struct arena *arena)
{
    struct doc *doc = NULL;
    size_t used;
    unsigned line;
    return json_parse(text, len, 1, arena, &doc, &used, &line, NULL) == 0 && used == len ? doc : NULL;
}

static bool same(const struct doc *a, const struct doc *b)
{
    if (a->type != b->type || (a->text && strcmp(a->text, b->text) != 0) || a->boolean != b->boolean ||
        (a->key == NULL) != (b->key == NULL) || (a->key && strcmp(a->key, b->key) != 0)) {
        return false;
    }
    const struct doc *x = a->child;
    const struct doc *y = b->child;
    for (; x && y; x = x->next, y = y->next) {
        if (!same(x, y)) {
            return false;
        }
    }
    return !x && !y;
}

static bool is_kept(const struct doc *all, const struct doc *kept, const struct keep *keep);

static bool kept_of_map(const struct doc *all, const struct doc *kept, const struct keep *keep)
{
    const struct doc *next = kept->child;
    bool none = true;
    for (const struct doc *child = all->child; child; child = child->next) {
        const struct keep *found = keep_find(keep, child->key, strlen(child->key));
        bool there = next && next->key[0] && strcmp(next->key, child->key) == 0;
        if (there != (found->key != NULL) && !(found->key && found->role == KEEP_BOOKMARK)) {
            return false;
        }
        if (!there) {
            continue;
        }
        none = false;
        bool items = found->role == KEEP_ITEMS && child->type == DOC_LIST;
        if (items ? next->type != DOC_LIST || next->child : !is_kept(child, next, found->below)) {
            return false;
        }
        next = next->next;
    }
    if (none && all->child) {
        return next && next->key[0] == '\0' && next->type == DOC_NULL && !next->next;
    }
    return !next;
}

static bool is_kept(const struct doc *all, const struct doc *kept, const struct keep *keep)
{
    if (!keep || (all->type != DOC_MAP && all->type != DOC_LIST)) {
        return same(all, kept);
    }
    if (all->type != kept->type) {
        return false;
    }
    if (all->type == DOC_MAP) {
        return kept_of_map(all, kept, keep);
    }
    const struct doc *x = all->child;
    const struct doc *y = kept->child;
    for (; x && y; x = x->next, y = y->next) {
        if (!is_kept(x, y, keep)) {
            return false;
        }
    }
    return !x && !y;
}

static const char *text_at(const struct outcome *outcome, size_t i, size_t *ret_len)
{
    size_t end = i + 1 < outcome->starts.n ? outcome->starts.v[i + 1] : outcome->all.len;
    *ret_len = end - outcome->starts.v[i] - 1;
    return outcome->all.data + outcome->starts.v[i];
}

// The list is sound: so must be what came out.
static void check_list(const struct doc *list, enum object_kind kind, const struct outcome *got, struct arena *arena)
{
    check(got->failed == 0);
    const struct doc *rest = parse(got->rest.data, got->rest.len, arena);
    check(rest && is_kept(list, rest, keep_list()));
    const struct doc *items = doc_get(list, "items");
    const struct doc *item = items && items->type == DOC_LIST ? items->child : NULL;
    for (size_t i = 0; i < got->starts.n; i++, item = item->next) {
        size_t len;
        const char *text = text_at(got, i, &len);
        const struct doc *kept = parse(text, len, arena);
        check(item && kept && is_kept(item, kept, item->type == DOC_MAP ? keep_object(kind) : NULL));
    }
    check(!item);
}

static void check_watch(const char *text, size_t size, enum object_kind kind, const struct outcome *got,
                        struct arena *arena)
{
    const char *end = text + size;
    const char *newline;
    size_t n = 0;
    for (; text < end && (newline = memchr(text, '\n', (size_t)(end - text))); text = newline + 1) {
        size_t len = (size_t)(newline - text);
        len -= len && text[len - 1] == '\r';
        if (len == 0) {
            continue;
        }
        if (n == got->starts.n) {
            check(got->failed != 0);
            return;
        }
        size_t kept_len;
        const char *kept_text = text_at(got, n++, &kept_len);
        const struct doc *event = parse(text, len, arena);
        if (event) {
            const struct doc *kept = parse(kept_text, kept_len, arena);
            check(kept && is_kept(event, kept, event->type == DOC_MAP ? keep_event(kind) : NULL));
        }
    }
    check(n == got->starts.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    enum object_stream_form form = data[0] & 1 ? OBJECT_STREAM_WATCH : OBJECT_STREAM_LIST;
    enum object_kind kind = (enum object_kind)((data[0] >> 1) % OBJECT_KIND_COUNT);
    const char *text = (const char *)data + 3;
    size -= 3;
    struct outcome whole = {0};
    struct outcome split = {0};
    run(form, kind, text, size, size, size, &whole);
    run(form, kind, text, size, 1 + (size_t)data[1], 1 + (size_t)data[2] % 80, &split);
    check(whole.failed == split.failed && same_bytes(&whole.all, &split.all));
    check(whole.failed || same_bytes(&whole.rest, &split.rest));
    // A key in escapes may be kept or not, by what it looks like: the tree does not tell.
    if (size && size < LIMIT_HTTP_ERROR_BODY && !memchr(text, '\\', size)) {
        struct arena arena = {0};
        const struct doc *doc = form == OBJECT_STREAM_LIST ? parse(text, size, &arena) : NULL;
        if (doc && doc->type == DOC_MAP) {
            check_list(doc, kind, &whole, &arena);
        } else if (form == OBJECT_STREAM_WATCH) {
            check_watch(text, size, kind, &whole, &arena);
        }
        arena_free(&arena);
    }
    outcome_free(&whole);
    outcome_free(&split);
    return 0;
}
