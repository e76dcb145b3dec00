// SPDX-License-Identifier: Apache-2.0
#include "base/doc.h"

#include <string.h>

const struct doc *doc_get(const struct doc *doc, const char *key)
{
    if (!doc || doc->type != DOC_MAP) {
        return NULL;
    }
    for (const struct doc *child = doc->child; child; child = child->next) {
        if (strcmp(child->key, key) == 0) {
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
