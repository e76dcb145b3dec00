// SPDX-License-Identifier: Apache-2.0
#include "json/json_plain.h"

#include <string.h>

#include "json/json_node.h"
#include "json/json_scan.h"
#include "json/json_walk.h"

struct plain {
    struct arena *arena;
    struct json_walk walk;
    struct err *err;
};

static unsigned hex4(const char *p)
{
    unsigned value = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char b = (unsigned char)p[i];
        value = value << 4 | (b <= '9' ? b - (unsigned)'0' : (b | 0x20U) - 'a' + 10);
    }
    return value;
}

static char *put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *out++ = (char)((0xFF00U >> (more + 1) & 0xFFU) | code >> 6 * more);
    while (more-- > 0) {
        *out++ = (char)(0x80U | (code >> 6 * more & 0x3FU));
    }
    return out;
}

// The escape at p, which is behind its backslash. Returns what follows it.
static const char *put_escape(const char *p, char **out)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    if (*p != 'u') {
        const char *at = strchr(from, *p);
        *(*out)++ = at ? to[at - from] : *p;
        return p + 1;
    }
    unsigned code = hex4(p + 1);
    p += 5;
    if (code >= 0xD800 && code <= 0xDBFF) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(p + 2) - 0xDC00);
        p += 6;
    }
    *out = put_utf8(*out, code);
    return p;
}

static const char *read_string(struct plain *plain)
{
    const char *p = plain->walk.p + 1;
    json_walk_string(&plain->walk);
    const char *end = plain->walk.p - 1;
    // No escape is shorter than what it stands for.
    char *text = arena_alloc(plain->arena, (size_t)(end - p) + 1);
    if (!text) {
        return NULL;
    }
    char *out = text;
    while (p < end) {
        if (*p == '\\') {
            p = put_escape(p + 1, &out);
        } else {
            *out++ = *p++;
        }
    }
    *out = '\0';
    return text;
}

static int read_value(struct plain *plain, struct doc *doc);

// Recursion is bounded: json_scan has refused depths above LIMIT_DOCUMENT_DEPTH.
static int read_children(struct plain *plain, struct doc *doc)
{
    struct json_walk *walk = &plain->walk;
    bool map = *walk->p == '{';
    struct doc **link = &doc->child;
    doc->type = map ? DOC_MAP : DOC_LIST;
    json_walk_mark(walk);
    while (*walk->p != (map ? '}' : ']')) {
        struct doc *child = arena_alloc(plain->arena, sizeof(*child));
        if (!child) {
            return err_oom(plain->err);
        }
        child->line = walk->line;
        if (map) {
            child->key = read_string(plain);
            if (!child->key) {
                return err_oom(plain->err);
            }
            json_walk_blank(walk);
            json_walk_mark(walk);
        }
        if (read_value(plain, child) < 0) {
            return -1;
        }
        *link = child;
        link = &child->next;
        json_walk_blank(walk);
        if (*walk->p == ',') {
            json_walk_mark(walk);
        }
    }
    walk->p++;
    return map ? json_node_keys(doc, plain->err) : 0;
}

static int read_number(struct plain *plain, struct doc *doc)
{
    size_t len = json_walk_number(&plain->walk);
    char *text = arena_alloc(plain->arena, len + 1);
    if (!text) {
        return err_oom(plain->err);
    }
    memcpy(text, plain->walk.p, len);
    doc->type = DOC_NUMBER;
    doc->text = text;
    json_node_integer(doc, text, len);
    plain->walk.p += len;
    return 0;
}

static int read_value(struct plain *plain, struct doc *doc)
{
    char first = *plain->walk.p;
    if (first == '{' || first == '[') {
        return read_children(plain, doc);
    }
    if (first == '"') {
        doc->type = DOC_STRING;
        doc->text = read_string(plain);
        return doc->text ? 0 : err_oom(plain->err);
    }
    if (first != 't' && first != 'f' && first != 'n') {
        return read_number(plain, doc);
    }
    doc->type = first == 'n' ? DOC_NULL : DOC_BOOL;
    doc->boolean = first == 't';
    json_walk_value(&plain->walk);
    return 0;
}

int json_parse_plain(const char *text, size_t len, struct arena *arena, struct doc **ret, struct err *err)
{
    struct json_scan scan;
    if (json_scan(text, len, 1, &scan, err) < 0) {
        return -1;
    }
    if (scan.used != len) {
        (void)err_set(err, ERR_INPUT, (int)scan.next_line, "more than one value");
        return err_at_object(err, "line %u", scan.next_line);
    }
    struct doc *doc = arena_alloc(arena, sizeof(*doc));
    if (!doc) {
        return err_oom(err);
    }
    struct plain plain = {
        .arena = arena,
        .walk = {.p = text + scan.start, .end = text + scan.end, .line = scan.start_line},
        .err = err,
    };
    doc->line = scan.start_line;
    if (read_value(&plain, doc) < 0) {
        return -1;
    }
    *ret = doc;
    return 0;
}
