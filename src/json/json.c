// SPDX-License-Identifier: Apache-2.0
#include "json/json.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <string.h>

#include "base/num.h"
#include "json/json_scan.h"

CLEANUP_DEFINE(cJSON, cJSON_Delete);

// Walks the checked text in step with cJSON's tree, which knows neither lines nor number literals.
struct walk {
    const char *p;
    const char *end;
    unsigned line;
    struct arena *arena;
    struct err *err;
};

static void skip_blank(struct walk *walk)
{
    while (*walk->p == ' ' || *walk->p == '\n' || *walk->p == '\t' || *walk->p == '\r') {
        walk->line += *walk->p == '\n';
        walk->p++;
    }
}

static void skip_string(struct walk *walk)
{
    walk->p++;
    while (*walk->p != '"') {
        walk->p += *walk->p == '\\' ? 2 : 1;
    }
    walk->p++;
}

// Past an opening bracket, comma or colon and the blanks behind it.
static void skip_mark(struct walk *walk)
{
    walk->p++;
    skip_blank(walk);
}

static size_t number_length(const struct walk *walk)
{
    const char *p = walk->p;
    while (p < walk->end && *p && strchr("+-.0123456789eE", *p)) {
        p++;
    }
    return (size_t)(p - walk->p);
}

static void read_integer(struct doc *doc, const char *literal, size_t len)
{
    bool negative = literal[0] == '-';
    uint64_t magnitude;
    uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (num_parse_u64(literal + negative, len - (size_t)negative, max, &magnitude)) {
        doc->integral = true;
        doc->integer = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    }
}

static int convert_number(struct walk *walk, struct doc *doc)
{
    size_t len = number_length(walk);
    doc->type = DOC_NUMBER;
    doc->text = arena_strndup(walk->arena, walk->p, len);
    if (!doc->text) {
        return err_oom(walk->err);
    }
    read_integer(doc, walk->p, len);
    walk->p += len;
    return 0;
}

static int convert_string(struct walk *walk, const cJSON *item, struct doc *doc)
{
    doc->type = DOC_STRING;
    doc->text = arena_strdup(walk->arena, item->valuestring);
    if (!doc->text) {
        return err_oom(walk->err);
    }
    skip_string(walk);
    return 0;
}

static int check_keys(const struct walk *walk, const struct doc *map)
{
    bool oom = false;
    const struct doc *again = doc_duplicate_key(map, &oom);
    if (oom) {
        return err_oom(walk->err);
    }
    if (again) {
        (void)err_set(walk->err, ERR_INPUT, (int)again->line, "key \"%.100s\" is given twice", again->key);
        return err_at_object(walk->err, "line %u", again->line);
    }
    return 0;
}

static int convert(struct walk *walk, const cJSON *item, struct doc *doc);

// Recursion is bounded: json_scan has refused depths above LIMIT_DOCUMENT_DEPTH.
static int convert_children(struct walk *walk, const cJSON *item, struct doc *doc)
{
    bool map = cJSON_IsObject(item);
    struct doc **link = &doc->child;
    doc->type = map ? DOC_MAP : DOC_LIST;
    skip_mark(walk);
    for (const cJSON *from = item->child; from; from = from->next) {
        struct doc *child = arena_alloc(walk->arena, sizeof(*child));
        if (!child) {
            return err_oom(walk->err);
        }
        child->line = walk->line;
        if (map) {
            child->key = arena_strdup(walk->arena, from->string);
            if (!child->key) {
                return err_oom(walk->err);
            }
            skip_string(walk);
            skip_blank(walk);
            skip_mark(walk);
        }
        if (convert(walk, from, child) < 0) {
            return -1;
        }
        *link = child;
        link = &child->next;
        skip_blank(walk);
        if (*walk->p == ',') {
            skip_mark(walk);
        }
    }
    walk->p++;
    return map ? check_keys(walk, doc) : 0;
}

static int convert(struct walk *walk, const cJSON *item, struct doc *doc)
{
    if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
        return convert_children(walk, item, doc);
    }
    if (cJSON_IsString(item)) {
        return convert_string(walk, item, doc);
    }
    if (cJSON_IsNumber(item)) {
        return convert_number(walk, doc);
    }
    if (cJSON_IsBool(item)) {
        doc->type = DOC_BOOL;
        doc->boolean = cJSON_IsTrue(item);
        walk->p += doc->boolean ? strlen("true") : strlen("false");
        return 0;
    }
    doc->type = DOC_NULL;
    walk->p += strlen("null");
    return 0;
}

// A copy in which numbers that are too long for cJSON are a 0 and blanks; their literals are read from the original.
static char *without_long_numbers(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy) {
        return NULL;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    struct walk walk = {.p = copy, .end = copy + len};
    while (walk.p < walk.end) {
        if (*walk.p == '"') {
            skip_string(&walk);
            continue;
        }
        size_t n = *walk.p == '-' || (*walk.p >= '0' && *walk.p <= '9') ? number_length(&walk) : 0;
        if (n > JSON_NUMBER_MAX) {
            char *number = copy + (walk.p - copy);
            memset(number, ' ', n);
            number[0] = '0';
        }
        walk.p += n ? n : 1;
    }
    return copy;
}

int json_parse(const char *text, size_t len, unsigned first_line, struct arena *arena, struct doc **ret,
               size_t *ret_used, unsigned *ret_next_line, struct err *err)
{
    struct json_scan scan;
    if (json_scan(text, len, first_line, &scan, err) < 0) {
        return -1;
    }
    const char *value = text + scan.start;
    size_t n = scan.end - scan.start;
    CLEANUP(free) char *patched = scan.has_long_numbers ? without_long_numbers(value, n) : NULL;
    if (scan.has_long_numbers && !patched) {
        return err_oom(err);
    }
    CLEANUP(cJSON_Delete) cJSON *tree = cJSON_ParseWithLengthOpts(patched ? patched : value, n, NULL, 0);
    struct doc *doc = arena_alloc(arena, sizeof(*doc));
    if (!tree || !doc) {
        // cJSON refuses nothing that json_scan accepts, so memory is what was missing.
        return err_oom(err);
    }
    struct walk walk = {.p = value, .end = value + n, .line = scan.start_line, .arena = arena, .err = err};
    doc->line = scan.start_line;
    if (convert(&walk, tree, doc) < 0) {
        return -1;
    }
    *ret = doc;
    *ret_used = scan.used;
    *ret_next_line = scan.next_line;
    return 0;
}
