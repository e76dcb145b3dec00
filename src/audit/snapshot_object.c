// SPDX-License-Identifier: Apache-2.0
#include "audit/snapshot_object.h"

#include "source/keep.h"
#include "yaml/yaml_write.h"
#include "json/json_write.h"

static const char between_json[] = ",\n";
static const char before_yaml[] = "---\n";

const char *snapshot_object_meta(const struct doc *object, const char *key)
{
    const struct doc *child = doc_get(doc_get(object, "metadata"), key);
    return child && child->type == DOC_STRING ? child->text : "";
}

static struct doc *copy_node(const struct doc *from, struct arena *arena)
{
    struct doc *copy = arena_alloc(arena, sizeof(*copy));
    if (copy) {
        *copy = *from;
        copy->next = NULL;
    }
    return copy;
}

static struct doc *new_text(const char *key, const char *text, struct arena *arena)
{
    struct doc *doc = arena_alloc(arena, sizeof(*doc));
    if (doc) {
        *doc = (struct doc){.type = DOC_STRING, .key = key, .text = text};
    }
    return doc;
}

// The node without what the table does not keep; lists are looked through. The tables bound the depth.
static struct doc *reduce(const struct doc *from, const struct keep *keep, struct arena *arena)
{
    struct doc *copy = copy_node(from, arena);
    if (!copy || !keep || (from->type != DOC_MAP && from->type != DOC_LIST)) {
        return copy;
    }
    copy->child = NULL;
    struct doc **link = &copy->child;
    for (const struct doc *child = from->child; child; child = child->next) {
        const struct keep *below = keep;
        if (from->type == DOC_MAP) {
            const struct keep *row = keep_find(keep, child->key, strlen(child->key));
            if (!row->key || row->role != KEEP_PLAIN) {
                continue;
            }
            below = row->below;
        }
        *link = reduce(child, below, arena);
        if (!*link) {
            return NULL;
        }
        link = &(*link)->next;
    }
    return copy;
}

static const char *api_version(enum object_kind kind)
{
    switch (kind) {
    case OBJECT_POLICY:
        return "networking.k8s.io/v1";
    case OBJECT_POD:
    case OBJECT_NAMESPACE:
    case OBJECT_NODE:
        return "v1";
    }
    return "v1";
}

static bool append(struct doc ***link, struct doc *doc)
{
    if (doc) {
        **link = doc;
        *link = &doc->next;
    }
    return doc != NULL;
}

// "status: {}" and a status of which nothing is left are not the same: a pod with the former has no status at all.
static bool mark_emptied(const struct doc *from, struct doc *reduced, struct arena *arena)
{
    if (reduced->type != DOC_MAP || reduced->child || !from->child) {
        return true;
    }
    struct doc *mark = arena_alloc(arena, sizeof(*mark));
    if (mark) {
        *mark = (struct doc){.type = DOC_NULL, .key = "", .text = "null"};
        reduced->child = mark;
    }
    return mark != NULL;
}

const struct doc *snapshot_object(enum object_kind kind, const struct doc *object, struct arena *arena)
{
    static const char *const parts[] = {"metadata", "spec", "status"};
    const struct doc *version = doc_get(object, "apiVersion");
    const char *version_text = version && version->type == DOC_STRING ? version->text : api_version(kind);
    struct doc *ret = arena_alloc(arena, sizeof(*ret));
    if (!ret) {
        return NULL;
    }
    *ret = (struct doc){.type = DOC_MAP};
    struct doc **link = &ret->child;
    if (!append(&link, new_text("apiVersion", version_text, arena)) ||
        !append(&link, new_text("kind", object_kind_name(kind), arena))) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const struct doc *from = doc_get(object, parts[i]);
        const struct keep *row = keep_find(keep_object(kind), parts[i], strlen(parts[i]));
        if (!from || !row->key) {
            continue;
        }
        struct doc *reduced = reduce(from, row->below, arena);
        if (!append(&link, reduced) || (strcmp(parts[i], "status") == 0 && !mark_emptied(from, reduced, arena))) {
            return NULL;
        }
    }
    return ret;
}

void snapshot_object_write(const struct doc *reduced, enum snapshot_format format, struct buf *out)
{
    if (format == SNAPSHOT_JSON) {
        json_write(reduced, out);
        buf_puts(out, between_json);
    } else {
        buf_puts(out, before_yaml);
        yaml_write(reduced, out);
    }
}

size_t snapshot_separator(enum snapshot_format format)
{
    return format == SNAPSHOT_JSON ? strlen(between_json) : 0;
}

size_t snapshot_object_bare(size_t len, enum snapshot_format format, size_t *ret_skip)
{
    *ret_skip = format == SNAPSHOT_JSON ? 0 : strlen(before_yaml);
    return len - *ret_skip - snapshot_separator(format);
}

void snapshot_head(enum snapshot_format format, const char *comment, struct buf *out)
{
    if (format == SNAPSHOT_JSON) {
        buf_puts(out, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n");
        return;
    }
    bool start = true;
    for (const char *p = comment; *p; p++) {
        buf_puts(out, start ? "# " : "");
        start = *p == '\n';
        // Names of objects that could not be read may hold what no YAML text may.
        buf_putc(out, start || (*p >= 0x20 && *p < 0x7F) ? *p : '?');
    }
    buf_puts(out, start ? "" : "\n");
}

const char *snapshot_tail(enum snapshot_format format)
{
    return format == SNAPSHOT_JSON ? "\n]}\n" : "";
}
