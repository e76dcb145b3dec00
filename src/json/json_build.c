// SPDX-License-Identifier: Apache-2.0
#include "json/json_build.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <string.h>

#include "json/json_node.h"
#include "json/json_room.h"
#include "json/json_scan.h"

enum { PIECE = 64 << 10 };  // bytes of text that cJSON gets at once

static const char *copy_string(struct json_build *build, const char *text, size_t len)
{
    return text_pool_add(&build->strings, build->arena, text, len);
}

// Walks the text in step with cJSON's tree, which knows neither lines nor number literals. Recursion is bounded:
// json_scan has refused depths above LIMIT_DOCUMENT_DEPTH.
static int convert(struct json_build *build, struct json_walk *walk, const cJSON *item, struct doc *doc);

static int convert_children(struct json_build *build, struct json_walk *walk, const cJSON *item, struct doc *doc)
{
    bool map = cJSON_IsObject(item);
    struct doc **link = &doc->child;
    doc->type = map ? DOC_MAP : DOC_LIST;
    json_walk_mark(walk);
    for (const cJSON *from = item->child; from; from = from->next) {
        struct doc *child = arena_alloc(build->arena, sizeof(*child));
        if (!child) {
            return err_oom(build->err);
        }
        child->line = walk->line;
        if (map) {
            child->key = copy_string(build, from->string, strlen(from->string));
            if (!child->key) {
                return err_oom(build->err);
            }
            json_walk_string(walk);
            json_walk_blank(walk);
            json_walk_mark(walk);
        }
        if (convert(build, walk, from, child) < 0) {
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
    return map ? json_node_keys(doc, build->err) : 0;
}

static int convert(struct json_build *build, struct json_walk *walk, const cJSON *item, struct doc *doc)
{
    if (cJSON_IsObject(item) || cJSON_IsArray(item)) {
        return convert_children(build, walk, item, doc);
    }
    if (cJSON_IsString(item)) {
        doc->type = DOC_STRING;
        doc->text = copy_string(build, item->valuestring, strlen(item->valuestring));
        json_walk_string(walk);
        return doc->text ? 0 : err_oom(build->err);
    }
    if (cJSON_IsNumber(item)) {
        size_t len = json_walk_number(walk);
        doc->type = DOC_NUMBER;
        doc->text = copy_string(build, walk->p, len);
        json_node_integer(doc, walk->p, len);
        walk->p += len;
        return doc->text ? 0 : err_oom(build->err);
    }
    doc->type = cJSON_IsBool(item) ? DOC_BOOL : DOC_NULL;
    doc->boolean = cJSON_IsTrue(item);
    walk->p += cJSON_IsFalse(item) ? strlen("false") : strlen("true");
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
    struct json_walk walk = {.p = copy, .end = copy + len};
    while (walk.p < walk.end) {
        if (*walk.p == '"') {
            json_walk_string(&walk);
            continue;
        }
        size_t n = *walk.p == '-' || (*walk.p >= '0' && *walk.p <= '9') ? json_walk_number(&walk) : 0;
        if (n > JSON_NUMBER_MAX) {
            char *number = copy + (walk.p - copy);
            memset(number, ' ', n);
            number[0] = '0';
        }
        walk.p += n ? n : 1;
    }
    return copy;
}

static int build_piece(struct json_build *build, struct json_walk *walk, size_t n, struct doc *doc)
{
    CLEANUP(free) char *patched = build->has_long_numbers ? without_long_numbers(walk->p, n) : NULL;
    if (build->has_long_numbers && !patched) {
        return err_oom(build->err);
    }
    struct json_room room;
    json_room_enter(&room);
    const cJSON *tree = cJSON_ParseWithLengthOpts(patched ? patched : walk->p, n, NULL, 0);
    json_room_leave();
    // cJSON refuses nothing that json_scan accepts, so memory is what is missing when there is no tree.
    int rc = tree ? convert(build, walk, tree, doc) : err_oom(build->err);
    json_room_free(&room);
    return rc;
}

static size_t value_length(const struct json_walk *walk)
{
    struct json_walk end = *walk;
    json_walk_value(&end);
    return (size_t)(end.p - walk->p);
}

static int note_elements(struct json_build *build, struct json_walk *walk)
{
    json_walk_mark(walk);
    while (*walk->p != ']') {
        struct json_element element = {
            .at = (size_t)(walk->p - build->text), .len = value_length(walk), .line = walk->line};
        if (vec_push(&build->elements->list, element) < 0) {
            return err_oom(build->err);
        }
        json_walk_value(walk);
        json_walk_blank(walk);
        if (*walk->p == ',') {
            json_walk_mark(walk);
        }
    }
    walk->p++;
    return 0;
}

static int build_key(struct json_build *build, struct json_walk *walk, struct doc *child)
{
    struct doc key = {0};
    if (build_piece(build, walk, value_length(walk), &key) < 0) {
        return -1;
    }
    child->key = key.text;
    json_walk_blank(walk);
    json_walk_mark(walk);
    return 0;
}

// A container, child by child.
static int build_container(struct json_build *build, struct json_walk *walk, struct doc *doc)
{
    bool map = *walk->p == '{';
    const char *apart_key = map ? build->apart_key : NULL;
    struct doc **link = &doc->child;
    build->apart_key = NULL;
    doc->type = map ? DOC_MAP : DOC_LIST;
    json_walk_mark(walk);
    while (*walk->p != (map ? '}' : ']')) {
        struct doc *child = arena_alloc(build->arena, sizeof(*child));
        if (!child) {
            return err_oom(build->err);
        }
        child->line = walk->line;
        if (map && build_key(build, walk, child) < 0) {
            return -1;
        }
        int rc;
        if (apart_key && *walk->p == '[' && strcmp(child->key, apart_key) == 0) {
            child->type = DOC_LIST;
            rc = note_elements(build, walk);
        } else {
            rc = json_build(build, walk, value_length(walk), child);
        }
        if (rc < 0) {
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
    return map ? json_node_keys(doc, build->err) : 0;
}

int json_build(struct json_build *build, struct json_walk *walk, size_t n, struct doc *ret)
{
    bool container = *walk->p == '{' || *walk->p == '[';
    bool apart = build->apart_key && *walk->p == '{';
    ret->line = ret->line ? ret->line : walk->line;
    return container && (n > PIECE || apart) ? build_container(build, walk, ret) : build_piece(build, walk, n, ret);
}
