// SPDX-License-Identifier: Apache-2.0
#include "base/doc.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// Most keys differ in their first byte, which is cheaper to see here than by a call.
static inline bool same_key(const char *a, const char *b)
{
    return a[0] == b[0] && strcmp(a, b) == 0;
}

const struct doc *doc_get(const struct doc *doc, const char *key)
{
    if (!doc || doc->type != DOC_MAP) {
        return NULL;
    }
    for (const struct doc *child = doc->child; child; child = child->next) {
        if (same_key(child->key, key)) {
            return child;
        }
    }
    return NULL;
}

const char *doc_type_name(enum doc_type type)
{
    switch (type) {
    case DOC_NULL:
        return "null";
    case DOC_BOOL:
        return "boolean";
    case DOC_NUMBER:
        return "number";
    case DOC_STRING:
        return "string";
    case DOC_LIST:
        return "list";
    case DOC_MAP:
        return "map";
    }
    return "?";
}

enum { DOC_PAIRWISE = 12 };  // children up to which comparing all pairs beats sorting

static const struct doc *duplicate_pairwise(const struct doc *map)
{
    for (const struct doc *b = map->child; b; b = b->next) {
        for (const struct doc *a = map->child; a != b; a = a->next) {
            if (same_key(a->key, b->key)) {
                return b;
            }
        }
    }
    return NULL;
}

static int compare_keys(const void *a, const void *b)
{
    const struct doc *left = *(const struct doc *const *)a;
    const struct doc *right = *(const struct doc *const *)b;
    int order = strcmp(left->key, right->key);
    return order ? order : (left->line > right->line) - (left->line < right->line);
}

const struct doc *doc_duplicate_key(const struct doc *map, bool *ret_oom)
{
    size_t n = 0;
    for (const struct doc *child = map->child; child; child = child->next) {
        n++;
    }
    if (n <= DOC_PAIRWISE) {
        return duplicate_pairwise(map);
    }
    CLEANUP(free) const struct doc **sorted = calloc(n, sizeof(*sorted));
    if (!sorted) {
        *ret_oom = true;
        return NULL;
    }
    n = 0;
    for (const struct doc *child = map->child; child; child = child->next) {
        sorted[n++] = child;
    }
    qsort(sorted, n, sizeof(*sorted), compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            return sorted[i];
        }
    }
    return NULL;
}
