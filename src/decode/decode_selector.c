// SPDX-License-Identifier: Apache-2.0
//
// Label selectors (networkpolicy-v1.md 1.3, 1.5). A requirement that cannot be read is left out: as the subject of a
// policy the others select (a wider isolation), as a peer the whole selector matches nothing.
#include "decode/decode_object.h"

static const char *const selector_keys[] = {"matchLabels", "matchExpressions", NULL};
static const char *const requirement_keys[] = {"key", "operator", "values", NULL};

struct builder {
    struct decode *decode;
    struct requirement *v;
    size_t n;
    bool unreadable;
};

static void unreadable_type(struct builder *builder, const struct path *path, const struct doc *doc,
                            enum doc_type wanted)
{
    decode_report_type(builder->decode, DIAGNOSTIC_PARTIAL, path, doc, wanted);
    builder->unreadable = true;
}

static void unreadable(struct builder *builder, const struct path *up, const char *key, unsigned line, const char *why)
{
    struct path path = {.up = up, .key = key};
    decode_report(builder->decode, DIAGNOSTIC_PARTIAL, key ? &path : up, line, "%s", why);
    builder->unreadable = true;
}

static int compare_values(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_requirements(const void *a, const void *b)
{
    return requirement_compare(a, b);
}

static enum selector_operator parse_operator(const char *text)
{
    for (int op = SELECTOR_IN; op < SELECTOR_UNKNOWN; op++) {
        if (strcmp(selector_operator_name((enum selector_operator)op), text) == 0) {
            return (enum selector_operator)op;
        }
    }
    return SELECTOR_UNKNOWN;
}

static void add_match_labels(struct builder *builder, const struct path *up, const struct doc *map)
{
    struct path path = {.up = up, .key = "matchLabels"};
    for (const struct doc *child = map ? map->child : NULL; child; child = child->next) {
        struct path at = {.up = &path, .key = child->key};
        if (child->type != DOC_STRING) {
            unreadable_type(builder, &at, child, DOC_STRING);
            continue;
        }
        if (child->key[0] == '\0') {
            unreadable(builder, &at, NULL, child->line, "a label key cannot be empty");
            continue;
        }
        const char **values = decode_array(builder->decode, 1, sizeof(*values));
        if (values) {
            values[0] = child->text;
            builder->v[builder->n++] =
                (struct requirement){.key = child->key, .op = SELECTOR_IN, .values = values, .n_values = 1};
        }
    }
}

// Sorted and unique. False when one is no string.
static bool read_values(struct builder *builder, const struct path *up, const struct doc *list, struct requirement *ret)
{
    const char **values = decode_array(builder->decode, decode_count(list), sizeof(*values));
    struct path path = {.up = up, .key = "values"};
    size_t n = 0;
    for (const struct doc *child = list && values ? list->child : NULL; child; child = child->next) {
        struct path at = {.up = &path, .index = n};
        if (child->type != DOC_STRING) {
            unreadable_type(builder, &at, child, DOC_STRING);
            return false;
        }
        values[n++] = child->text;
    }
    if (n > 1) {
        qsort(values, n, sizeof(*values), compare_values);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(values[kept - 1], values[i]) != 0) {
            values[kept++] = values[i];
        }
    }
    ret->values = kept ? values : NULL;
    ret->n_values = kept;
    return true;
}

// A child of the type, absent or null; false (and a finding) when it has another type.
static bool read_child(struct builder *builder, const struct path *up, const struct doc *map, const char *key,
                       enum doc_type type, const struct doc **ret)
{
    *ret = decode_field(map, key);
    if (*ret && (*ret)->type != type) {
        struct path path = {.up = up, .key = key};
        unreadable_type(builder, &path, *ret, type);
        return false;
    }
    return true;
}

static void add_expression(struct builder *builder, const struct path *path, const struct doc *doc)
{
    const struct doc *key;
    const struct doc *op;
    const struct doc *values;
    if (doc->type != DOC_MAP) {
        unreadable_type(builder, path, doc, DOC_MAP);
        return;
    }
    const struct doc *unknown = decode_next_unknown(doc->child, requirement_keys);
    if (unknown) {
        unreadable(builder, path, unknown->key, unknown->line, "unknown field: the requirement cannot be read");
        return;
    }
    if (!read_child(builder, path, doc, "key", DOC_STRING, &key) ||
        !read_child(builder, path, doc, "operator", DOC_STRING, &op) ||
        !read_child(builder, path, doc, "values", DOC_LIST, &values)) {
        return;
    }
    if (!key || key->text[0] == '\0') {
        unreadable(builder, path, "key", doc->line, "is missing");
        return;
    }
    struct requirement requirement = {.key = key->text, .op = op ? parse_operator(op->text) : SELECTOR_UNKNOWN};
    if (requirement.op == SELECTOR_UNKNOWN) {
        unreadable(builder, path, "operator", op ? op->line : doc->line,
                   "must be In, NotIn, Exists or DoesNotExist: the requirement cannot be read");
        return;
    }
    if (!read_values(builder, path, values, &requirement)) {
        return;
    }
    bool takes_values = requirement.op == SELECTOR_IN || requirement.op == SELECTOR_NOT_IN;
    if (takes_values != (requirement.n_values > 0)) {
        unreadable(builder, path, "values", values ? values->line : doc->line,
                   takes_values ? "In and NotIn need at least one value" : "Exists and DoesNotExist take no values");
        return;
    }
    builder->v[builder->n++] = requirement;
}

static void finish(struct builder *builder, struct selector *ret)
{
    if (builder->n > 1) {
        qsort(builder->v, builder->n, sizeof(*builder->v), compare_requirements);
    }
    size_t kept = 0;
    for (size_t i = 0; i < builder->n; i++) {
        if (kept == 0 || requirement_compare(&builder->v[kept - 1], &builder->v[i]) != 0) {
            builder->v[kept++] = builder->v[i];
        }
    }
    *ret = (struct selector){.v = builder->v, .n = kept, .unreadable = builder->unreadable};
}

void decode_selector(struct decode *decode, const struct path *path, const struct doc *doc, struct selector *ret)
{
    struct builder builder = {.decode = decode};
    const struct doc *labels;
    const struct doc *expressions;
    for (const struct doc *child = decode_next_unknown(doc->child, selector_keys); child;
         child = decode_next_unknown(child->next, selector_keys)) {
        unreadable(&builder, path, child->key, child->line, "unknown field: the selector cannot be read as a whole");
    }
    if (!read_child(&builder, path, doc, "matchLabels", DOC_MAP, &labels)) {
        labels = NULL;
    }
    if (!read_child(&builder, path, doc, "matchExpressions", DOC_LIST, &expressions)) {
        expressions = NULL;
    }
    builder.v = decode_array(decode, decode_count(labels) + decode_count(expressions), sizeof(*builder.v));
    if (!builder.v) {
        return;
    }
    add_match_labels(&builder, path, labels);
    struct path list = {.up = path, .key = "matchExpressions"};
    size_t index = 0;
    for (const struct doc *child = expressions ? expressions->child : NULL; child; child = child->next, index++) {
        struct path at = {.up = &list, .index = index};
        add_expression(&builder, &at, child);
    }
    finish(&builder, ret);
}
