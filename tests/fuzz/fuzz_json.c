// SPDX-License-Identifier: Apache-2.0
//
// JSON door: no crash; what is accepted is used up to its end, can be walked, and is the same when its list of items is
// left out and parsed element by element.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void walk(const struct doc *doc, unsigned last_line)
{
    check(doc->line >= 1 && doc->line <= last_line);
    check((doc->type == DOC_STRING || doc->type == DOC_NUMBER) == (doc->text != NULL));
    for (const struct doc *child = doc->child; child; child = child->next) {
        check((doc->type == DOC_MAP) == (child->key != NULL));
        walk(child, last_line);
    }
}

static void show(const struct doc *doc, struct buf *out)
{
    buf_printf(out, "%d@%u %s %s %d %lld(", (int)doc->type, doc->line, doc->key ? doc->key : "-",
               doc->text ? doc->text : "-", doc->boolean, (long long)doc->integer);
    for (const struct doc *child = doc->child; child; child = child->next) {
        show(child, out);
    }
    buf_putc(out, ')');
}

static void check_apart(const char *text, size_t size, const struct doc *whole)
{
    struct arena arena = {0};
    struct json_elements elements = {0};
    struct doc *doc;
    size_t used;
    unsigned next;
    check(json_parse_apart(text, size, 1, "items", &arena, &doc, &elements, &used, &next, NULL) == 0);
    const struct doc *items = doc_get(whole, "items");
    const struct doc *item = items && items->type == DOC_LIST ? items->child : NULL;
    for (size_t i = 0; i < elements.list.n; i++, item = item->next) {
        const struct json_element *element = &elements.list.v[i];
        struct doc *one;
        struct buf a = {0};
        struct buf b = {0};
        check(item != NULL);
        check(json_parse(text + element->at, element->len, element->line, &arena, &one, &used, &next, NULL) == 0);
        check(used == element->len);
        show(item, &a);
        show(one, &b);
        check(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
        buf_free(&a);
        buf_free(&b);
    }
    check(item == NULL);
    vec_free(&elements.list);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct doc *doc = NULL;
    size_t used = 0;
    unsigned next = 0;
    struct err err = {0};
    if (json_parse((const char *)data, size, 1, &arena, &doc, &used, &next, &err) == 0) {
        check(used > 0 && used <= size);
        walk(doc, next);
        check_apart((const char *)data, size, doc);
    } else {
        check(err.kind == ERR_INPUT && err.num >= 1 && doc == NULL);
    }
    arena_free(&arena);
    return 0;
}
