// SPDX-License-Identifier: Apache-2.0
//
// YAML door: no crash, no leak, bounded time; what is given out is well formed.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "yaml/yaml_doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_text(const char *text)
{
    check(utf8_first_bad(text, strlen(text)) == strlen(text));
}

// Aliases are expanded while walking: a budget keeps the walk short, the door has bounded the whole.
static void walk(const struct doc *doc, unsigned depth, unsigned *budget)
{
    if (*budget == 0) {
        return;
    }
    (*budget)--;
    check(depth <= LIMIT_DOCUMENT_DEPTH && doc->line >= 1);
    if (doc->type != DOC_LIST && doc->type != DOC_MAP) {
        check(doc->text && !doc->child);
        check_text(doc->text);
    }
    for (const struct doc *child = doc->child; child; child = child->next) {
        check((doc->type == DOC_MAP) == (child->key != NULL));
        if (child->key) {
            check_text(child->key);
        }
        walk(child, depth + 1, budget);
    }
}

static int on_document(struct doc *doc, void *arg, struct err *err)
{
    (void)err;
    unsigned budget = 20000;
    walk(doc, 0, &budget);
    arena_free(arg);
    return 0;
}

static int on_bad(const struct err *why, void *arg, struct err *err)
{
    (void)arg;
    (void)err;
    check((why->kind == ERR_INPUT || why->kind == ERR_LIMIT) && why->num >= 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct err err = {0};
    check(yaml_parse((const char *)data, size, &arena, on_document, on_bad, &arena, &err) == 0);
    arena_free(&arena);
    if (yaml_parse((const char *)data, size, &arena, on_document, NULL, &arena, &err) < 0) {
        check(err.num >= 1);
    }
    arena_free(&arena);
    return 0;
}
