// SPDX-License-Identifier: Apache-2.0
#include "yaml/yaml_build.h"

#include <string.h>

#include "base/limits.h"
#include "base/map.h"
#include "yaml/yaml_scalar.h"

// A named node: doc is NULL while the node is still open, which is how a node that contains itself is found.
struct yaml_anchor {
    const struct doc *doc;
    size_t nodes;     // of its subtree, aliases expanded
    unsigned height;  // 0 for a scalar
};

// "<<: value", resolved when its map is complete: explicit keys win wherever they stand.
struct merge {
    const struct doc *value;
    struct merge *next;
};

struct yaml_frame {
    struct doc *doc;
    struct doc **link;  // where the next child goes
    const struct doc *key;
    bool merge_key;
    struct merge *merges;
    struct merge **merge_link;
    struct yaml_anchor *anchor;
    size_t nodes;
    unsigned height;  // of the highest child
};

static int refuse(struct yaml_build *build, enum err_kind kind, unsigned line, const char *why, const char *what)
{
    build->refused = true;
    (void)err_set(&build->why, kind, (int)line, "%s%.100s%s", why, what ? what : "", what ? "\"" : "");
    (void)err_at_object(&build->why, "line %u", line);
    return YAML_BUILD_OK;
}

static unsigned line_of(const struct yaml_build *build, const yaml_event_t *event)
{
    return build->first_line + (unsigned)event->start_mark.line;
}

int yaml_build_init(struct yaml_build *build, struct arena *arena)
{
    *build = (struct yaml_build){.arena = arena};
    build->v = calloc(LIMIT_DOCUMENT_DEPTH, sizeof(*build->v));
    return build->v ? 0 : -1;
}

void yaml_build_done(struct yaml_build *build)
{
    if (build->anchors) {
        map_free(build->anchors);
    }
    free(build->v);
    *build = (struct yaml_build){0};
}

void yaml_build_reset(struct yaml_build *build)
{
    if (build->anchors) {
        map_free(build->anchors);
    }
    build->anchors = NULL;
    build->strings = (struct text_pool){0};
    build->nodes = build->nodes_before;
    build->n = 0;
    build->root = NULL;
    build->refused = false;
}

void yaml_build_accept(struct yaml_build *build)
{
    build->nodes_before = build->nodes;
}

static int count_nodes(struct yaml_build *build, size_t nodes, unsigned line)
{
    build->nodes += nodes;
    if (build->nodes > LIMIT_YAML_NODES) {
        return refuse(build, ERR_LIMIT, line, "too many nodes, aliases expanded", NULL);
    }
    return YAML_BUILD_OK;
}

static int add_merge(struct yaml_build *build, struct yaml_frame *frame, const struct doc *value)
{
    struct merge *merge = arena_alloc(build->arena, sizeof(*merge));
    if (!merge) {
        return YAML_BUILD_OOM;
    }
    merge->value = value;
    *frame->merge_link = merge;
    frame->merge_link = &merge->next;
    return YAML_BUILD_OK;
}

// The value of a merge key: a map, or a list of maps of which earlier ones win.
static int place_merge(struct yaml_build *build, struct yaml_frame *frame, const struct doc *value)
{
    if (value->type == DOC_MAP) {
        return add_merge(build, frame, value);
    }
    bool maps = value->type == DOC_LIST;
    for (const struct doc *child = value->child; maps && child; child = child->next) {
        maps = child->type == DOC_MAP;
    }
    if (!maps) {
        return refuse(build, ERR_INPUT, value->line, "a merge key (<<) needs a map or a list of maps", NULL);
    }
    for (const struct doc *child = value->child; child; child = child->next) {
        if (add_merge(build, frame, child) < 0) {
            return YAML_BUILD_OOM;
        }
    }
    return YAML_BUILD_OK;
}

static int place_key(struct yaml_build *build, struct yaml_frame *frame, const struct doc *key, bool merge_key)
{
    if (merge_key && frame->merges) {
        return refuse(build, ERR_INPUT, key->line, "the merge key (<<) is given twice", NULL);
    }
    if (key->type != DOC_STRING) {
        const char *text = key->type == DOC_LIST || key->type == DOC_MAP ? NULL : key->text;
        return refuse(build, ERR_INPUT, key->line,
                      text ? "a key must be a string, quote it: \"" : "a key must be a string", text);
    }
    frame->key = key;
    frame->merge_key = merge_key;
    return YAML_BUILD_OK;
}

// Put a complete node where it belongs.
static int place(struct yaml_build *build, struct doc *doc, size_t nodes, unsigned height, bool merge_key)
{
    if (build->n == 0) {
        build->root = doc;
        return YAML_BUILD_OK;
    }
    struct yaml_frame *frame = &build->v[build->n - 1];
    frame->nodes += nodes;
    frame->height = height > frame->height ? height : frame->height;
    if (frame->doc->type == DOC_MAP) {
        if (!frame->key) {
            return place_key(build, frame, doc, merge_key);
        }
        const struct doc *key = frame->key;
        frame->key = NULL;
        if (frame->merge_key) {
            return place_merge(build, frame, doc);
        }
        doc->key = key->text;
        doc->line = key->line;
    }
    *frame->link = doc;
    frame->link = &doc->next;
    return YAML_BUILD_OK;
}

static int set_anchor(struct yaml_build *build, const yaml_char_t *name, struct yaml_anchor **ret)
{
    if (!name) {
        *ret = NULL;
        return YAML_BUILD_OK;
    }
    if (!build->anchors) {
        build->anchors = map_new();
    }
    struct yaml_anchor *anchor = arena_alloc(build->arena, sizeof(*anchor));
    if (!build->anchors || !anchor || map_put_str(build->anchors, (const char *)name, anchor, NULL) < 0) {
        return YAML_BUILD_OOM;
    }
    *ret = anchor;
    return YAML_BUILD_OK;
}

// Resolve by tag, else by the form of the text. "!!str" and "!" make a string of anything.
static int resolve_scalar(struct yaml_build *build, const yaml_event_t *event, struct doc *doc)
{
    static const struct {
        const char *tag;
        enum doc_type type;
    } tags[] = {
        {YAML_NULL_TAG, DOC_NULL}, {YAML_BOOL_TAG, DOC_BOOL}, {YAML_INT_TAG, DOC_NUMBER}, {YAML_FLOAT_TAG, DOC_NUMBER}};
    const char *tag = (const char *)event->data.scalar.tag;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    doc->type = DOC_STRING;
    if (!tag) {
        if (plain) {
            yaml_scalar_resolve(doc);
        }
        return YAML_BUILD_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        if (strcmp(tag, tags[i].tag) == 0) {
            yaml_scalar_resolve(doc);
            if (doc->type != tags[i].type) {
                return refuse(build, ERR_INPUT, doc->line, "a value does not fit its tag: \"", doc->text);
            }
        }
    }
    return YAML_BUILD_OK;
}

static int add_scalar(struct yaml_build *build, const yaml_event_t *event)
{
    unsigned line = line_of(build, event);
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(value, '\0', length)) {
        return refuse(build, ERR_INPUT, line, "a string holds a NUL", NULL);
    }
    struct doc *doc = arena_alloc(build->arena, sizeof(*doc));
    struct yaml_anchor *anchor = NULL;
    if (!doc || set_anchor(build, event->data.scalar.anchor, &anchor) < 0) {
        return YAML_BUILD_OOM;
    }
    doc->line = line;
    doc->text = text_pool_add(&build->strings, build->arena, value, length);
    if (!doc->text) {
        return YAML_BUILD_OOM;
    }
    (void)resolve_scalar(build, event, doc);
    (void)count_nodes(build, 1, line);
    if (build->refused) {
        return YAML_BUILD_OK;
    }
    if (anchor) {
        *anchor = (struct yaml_anchor){.doc = doc, .nodes = 1};
    }
    bool merge_key = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(doc->text, "<<") == 0 &&
                     (!event->data.scalar.tag || event->data.scalar.plain_implicit);
    return place(build, doc, 1, 0, merge_key);
}

static int add_alias(struct yaml_build *build, const yaml_event_t *event)
{
    unsigned line = line_of(build, event);
    const char *name = (const char *)event->data.alias.anchor;
    const struct yaml_anchor *anchor = build->anchors ? map_get_str(build->anchors, name) : NULL;
    if (!anchor) {
        return refuse(build, ERR_INPUT, line, "an alias without its anchor: \"", name);
    }
    if (!anchor->doc) {
        return refuse(build, ERR_INPUT, line, "an alias inside the node it stands for: \"", name);
    }
    if (build->n + anchor->height > LIMIT_DOCUMENT_DEPTH) {
        return refuse(build, ERR_INPUT, line, "nested too deeply", NULL);
    }
    struct doc *copy = arena_alloc(build->arena, sizeof(*copy));
    if (!copy) {
        return YAML_BUILD_OOM;
    }
    // The copy shares the children: an expansion costs no memory, and its size is known from the anchor.
    *copy = *anchor->doc;
    copy->key = NULL;
    copy->next = NULL;
    copy->line = line;
    (void)count_nodes(build, anchor->nodes, line);
    return build->refused ? YAML_BUILD_OK : place(build, copy, anchor->nodes, anchor->height, false);
}

static int open_container(struct yaml_build *build, const yaml_event_t *event, enum doc_type type,
                          const yaml_char_t *anchor)
{
    unsigned line = line_of(build, event);
    if (build->n == LIMIT_DOCUMENT_DEPTH) {
        return refuse(build, ERR_INPUT, line, "nested too deeply", NULL);
    }
    struct yaml_frame *frame = &build->v[build->n];
    *frame = (struct yaml_frame){.nodes = 1};
    frame->doc = arena_alloc(build->arena, sizeof(*frame->doc));
    if (!frame->doc || set_anchor(build, anchor, &frame->anchor) < 0) {
        return YAML_BUILD_OOM;
    }
    frame->doc->type = type;
    frame->doc->line = line;
    frame->link = &frame->doc->child;
    frame->merge_link = &frame->merges;
    build->n++;
    return count_nodes(build, 1, line);
}

// Children of one merged map that the map does not have yet.
static int merge_children(struct yaml_build *build, struct yaml_frame *frame, struct map *keys,
                          const struct doc *source)
{
    for (const struct doc *child = source->child; child; child = child->next) {
        if (map_get_str(keys, child->key)) {
            continue;
        }
        struct doc *copy = arena_alloc(build->arena, sizeof(*copy));
        if (!copy || map_put_str(keys, child->key, copy, NULL) < 0) {
            return YAML_BUILD_OOM;
        }
        *copy = *child;
        copy->next = NULL;
        *frame->link = copy;
        frame->link = &copy->next;
    }
    return YAML_BUILD_OK;
}

static int merge_maps(struct yaml_build *build, struct yaml_frame *frame)
{
    CLEANUP(map_free) struct map *keys = map_new();
    if (!keys) {
        return YAML_BUILD_OOM;
    }
    for (struct doc *child = frame->doc->child; child; child = child->next) {
        if (map_put_str(keys, child->key, child, NULL) < 0) {
            return YAML_BUILD_OOM;
        }
    }
    for (const struct merge *merge = frame->merges; merge; merge = merge->next) {
        if (merge_children(build, frame, keys, merge->value) < 0) {
            return YAML_BUILD_OOM;
        }
    }
    return YAML_BUILD_OK;
}

static int close_container(struct yaml_build *build)
{
    struct yaml_frame *frame = &build->v[--build->n];
    if (frame->doc->type == DOC_MAP) {
        bool oom = false;
        const struct doc *again = doc_duplicate_key(frame->doc, &oom);
        if (again) {
            return refuse(build, ERR_INPUT, again->line, "a key is given twice: \"", again->key);
        }
        if (oom || (frame->merges && merge_maps(build, frame) < 0)) {
            return YAML_BUILD_OOM;
        }
    }
    if (frame->anchor) {
        *frame->anchor = (struct yaml_anchor){.doc = frame->doc, .nodes = frame->nodes, .height = frame->height + 1};
    }
    return place(build, frame->doc, frame->nodes, frame->height + 1, false);
}

int yaml_build_event(struct yaml_build *build, const yaml_event_t *event)
{
    if (build->refused) {
        return YAML_BUILD_OK;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(build, event);
    case YAML_ALIAS_EVENT:
        return add_alias(build, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(build, event, DOC_LIST, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return open_container(build, event, DOC_MAP, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_container(build);
    default:
        return YAML_BUILD_OK;
    }
}
