// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_write.h"

#include <string.h>

#include "yaml/yaml_scalar.h"

// A key that takes more than 1024 characters must be written as "? key". A byte takes six at most (a control
// character).
enum { SIMPLE_KEY_MAX = 1000, SIMPLE_QUOTED_MAX = SIMPLE_KEY_MAX / 6 };

// Letters first, then what neither ends a plain scalar nor begins anything: labels, names, images, never a number, a
// date or an address.
static bool looks_plain(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789./-";
    return *text && strchr(first, *text) && text[strspn(text, others)] == '\0';
}

static bool is_plain(const char *text)
{
    // The door takes y and n for strings; other readers take them for booleans.
    if (!looks_plain(text) || (strchr("yYnN", *text) && text[1] == '\0')) {
        return false;
    }
    struct doc scalar = {.text = text};
    yaml_scalar_resolve(&scalar);
    return scalar.type == DOC_STRING;
}

// The code point at p, well-formed UTF-8; *ret_len its bytes.
static unsigned code_point(const char *p, size_t *ret_len)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t len = u[0] < 0x80 ? 1 : u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    unsigned point = len == 1 ? u[0] : u[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xC0) != 0x80) {
            len = i;  // a text that is not well-formed: never over its end
            break;
        }
        point = point << 6 | (u[i] & 0x3Fu);
    }
    *ret_len = len;
    return point;
}

// What YAML does not take as it is, or folds: control characters, line breaks of Unicode, the byte order mark.
static bool needs_escape(unsigned point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 || point == 0x2029 || point == 0xFEFF ||
           (point & 0xFFFE) == 0xFFFE;
}

static void write_quoted(const char *text, struct buf *out)
{
    buf_putc(out, '"');
    size_t len;
    for (const char *p = text; *p; p += len) {
        unsigned point = code_point(p, &len);
        if (point == '"' || point == '\\') {
            buf_printf(out, "\\%c", (char)point);
        } else if (point == '\n') {
            buf_puts(out, "\\n");
        } else if (point == '\t') {
            buf_puts(out, "\\t");
        } else if (needs_escape(point)) {
            buf_printf(out, point > 0xFFFF ? "\\U%08X" : "\\u%04X", point);
        } else {
            buf_add(out, p, len);
        }
    }
    buf_putc(out, '"');
}

static void write_string(const char *text, struct buf *out)
{
    if (is_plain(text)) {
        buf_puts(out, text);
    } else {
        write_quoted(text, out);
    }
}

static void write_leaf(const struct doc *doc, struct buf *out)
{
    switch (doc->type) {
    case DOC_NULL:
        buf_puts(out, "null");
        break;
    case DOC_BOOL:
        buf_puts(out, doc->boolean ? "true" : "false");
        break;
    case DOC_NUMBER:
        buf_puts(out, doc->text);
        break;
    case DOC_STRING:
        write_string(doc->text, out);
        break;
    case DOC_LIST:
        buf_puts(out, "[]");
        break;
    case DOC_MAP:
        buf_puts(out, "{}");
        break;
    }
    buf_putc(out, '\n');
}

static void indent(unsigned column, struct buf *out)
{
    buf_printf(out, "%*s", (int)column, "");
}

static void write_node(const struct doc *doc, unsigned column, struct buf *out);

// A map's child, from the first character of its key.
static void write_member(const struct doc *doc, unsigned column, struct buf *out)
{
    bool simple = strlen(doc->key) <= (is_plain(doc->key) ? SIMPLE_KEY_MAX : SIMPLE_QUOTED_MAX);
    buf_puts(out, simple ? "" : "? ");
    write_string(doc->key, out);
    if (!simple) {
        buf_putc(out, '\n');
        indent(column, out);
    }
    buf_putc(out, ':');
    if (!doc->child) {
        buf_putc(out, ' ');
        write_leaf(doc, out);
        return;
    }
    unsigned below = doc->type == DOC_MAP ? column + 2 : column;
    buf_putc(out, '\n');
    indent(below, out);
    write_node(doc, below, out);
}

// The first line stands at column already.
static void write_node(const struct doc *doc, unsigned column, struct buf *out)
{
    if (!doc->child) {
        write_leaf(doc, out);
        return;
    }
    for (const struct doc *child = doc->child; child; child = child->next) {
        if (child != doc->child) {
            indent(column, out);
        }
        if (doc->type == DOC_MAP) {
            write_member(child, column, out);
        } else {
            buf_puts(out, "- ");
            write_node(child, column + 2, out);
        }
    }
}

void yaml_write(const struct doc *doc, struct buf *out)
{
    write_node(doc, 0, out);
}
