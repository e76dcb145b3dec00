// SPDX-License-Identifier: Apache-2.0
#include "json/json_write.h"

void json_write(const struct doc *doc, struct buf *out)
{
    switch (doc->type) {
    case DOC_NULL:
        buf_puts(out, "null");
        return;
    case DOC_BOOL:
        buf_puts(out, doc->boolean ? "true" : "false");
        return;
    case DOC_NUMBER:
        buf_puts(out, doc->text);
        return;
    case DOC_STRING:
        buf_json_string(out, doc->text);
        return;
    case DOC_LIST:
    case DOC_MAP:
        break;
    }
    bool map = doc->type == DOC_MAP;
    buf_putc(out, map ? '{' : '[');
    for (const struct doc *child = doc->child; child; child = child->next) {
        if (map) {
            buf_json_string(out, child->key);
            buf_putc(out, ':');
        }
        json_write(child, out);
        if (child->next) {
            buf_putc(out, ',');
        }
    }
    buf_putc(out, map ? '}' : ']');
}
