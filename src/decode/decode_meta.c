// SPDX-License-Identifier: Apache-2.0
#include "decode/decode_object.h"

#include <stdio.h>

#include "base/limits.h"

static const char metadata_name[] = "kubernetes.io/metadata.name";

enum { NAMESPACE_MAX = 63 };

// DNS-1123, as the API server checks names: a label (no dots) or a subdomain.
static bool is_name(const char *text, size_t max, bool dots)
{
    size_t n = strnlen(text, max + 1);
    if (n == 0 || n > max) {
        return false;
    }
    bool boundary = true;  // the next character must be alphanumeric
    for (size_t i = 0; i < n; i++) {
        bool alnum = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9');
        if (text[i] == '.' ? !dots || boundary : !alnum && (text[i] != '-' || boundary)) {
            return false;
        }
        if (text[i] == '.' && text[i - 1] == '-') {
            return false;
        }
        boundary = text[i] == '.';
    }
    return text[n - 1] != '-' && text[n - 1] != '.';
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

// What stands for a label's value that is no string. The key always stays: without it the object could leave a policy's
// podSelector, or match a peer's NotIn or DoesNotExist. A scalar's literal is what its author meant (z: 1 is "1").
static const char *label_value(const struct doc *doc)
{
    switch (doc->type) {
    case DOC_STRING:
    case DOC_NUMBER:
        return doc->text;
    case DOC_BOOL:
        return doc->text ? doc->text : doc->boolean ? "true" : "false";
    case DOC_NULL:
    case DOC_LIST:
    case DOC_MAP:
        break;
    }
    return "";
}

// Selectors match the labels of all kinds but policies.
static void decode_labels(struct decode *decode, const struct path *up, const struct doc *meta, enum object_kind kind,
                          struct labels *ret)
{
    enum diagnostic_level level = kind == OBJECT_POLICY ? DIAGNOSTIC_WARNING : DIAGNOSTIC_PARTIAL;
    const struct doc *map = decode_typed(decode, level, up, meta, "labels", DOC_MAP);
    struct path path = {.up = up, .key = "labels"};
    struct label *labels = decode_array(decode, decode_count(map), sizeof(*labels));
    if (!map || !labels) {
        return;
    }
    size_t n = 0;
    for (const struct doc *child = map->child; child; child = child->next) {
        struct path at = {.up = &path, .key = child->key};
        if (child->type != DOC_STRING) {
            decode_report_type(decode, level, &at, child, DOC_STRING);
        }
        labels[n++] = (struct label){.key = child->key, .value = label_value(child)};
    }
    qsort(labels, n, sizeof(*labels), compare_labels);
    *ret = (struct labels){.v = labels, .n = n};
}

// Every namespace has this label since Kubernetes 1.21 (networkpolicy-v1.md 2.8).
static void add_metadata_name(struct decode *decode, struct object_meta *meta)
{
    if (labels_get(&meta->labels, metadata_name)) {
        return;
    }
    size_t n = meta->labels.n;
    struct label *labels = decode_array(decode, n + 1, sizeof(*labels));
    if (!labels) {
        return;
    }
    if (n > 0) {
        memcpy(labels, meta->labels.v, n * sizeof(*labels));
    }
    labels[n] = (struct label){.key = metadata_name, .value = meta->name};
    qsort(labels, n + 1, sizeof(*labels), compare_labels);
    meta->labels = (struct labels){.v = labels, .n = n + 1};
}

static void set_object(struct decode *decode, enum object_kind kind, const struct object_meta *meta)
{
    size_t size = strlen(meta->ns) + strlen(meta->name) + 32;
    char *object = decode_array(decode, size, 1);
    if (object) {
        (void)snprintf(object, size, "%s %s%s%s", object_kind_name(kind), meta->ns, meta->ns[0] ? "/" : "", meta->name);
        decode->object = object;
    }
}

// "" when absent; a name of another type loses the object.
static const char *read_name(struct decode *decode, const struct path *up, const struct doc *meta, const char *key)
{
    const struct doc *child = decode_typed(decode, DIAGNOSTIC_LOST, up, meta, key, DOC_STRING);
    return child ? child->text : "";
}

static void decode_names(struct decode *decode, const struct path *path, const struct doc *doc, enum object_kind kind,
                         struct object_meta *ret)
{
    bool namespaced = kind == OBJECT_POD || kind == OBJECT_POLICY;
    const char *name = read_name(decode, path, doc, "name");
    const char *ns = namespaced ? read_name(decode, path, doc, "namespace") : "";
    if (decode->lost) {
        return;
    }
    struct path at = {.up = path, .key = "name"};
    bool is_namespace = kind == OBJECT_NAMESPACE;
    if (name[0] == '\0') {
        decode_report(decode, DIAGNOSTIC_LOST, &at, doc->line, "is missing");
        return;
    }
    if (!is_name(name, is_namespace ? NAMESPACE_MAX : LIMIT_NAME, !is_namespace)) {
        decode_report(decode, DIAGNOSTIC_LOST, &at, decode_field(doc, "name")->line,
                      "%s is no Kubernetes name (lower-case letters, digits, '-'%s, at most %d)",
                      decode_quote(decode, name), is_namespace ? "" : ", '.'",
                      is_namespace ? NAMESPACE_MAX : LIMIT_NAME);
        return;
    }
    if (namespaced && ns[0] == '\0') {
        ns = "default";
    } else if (namespaced && !is_name(ns, NAMESPACE_MAX, false)) {
        at.key = "namespace";
        decode_report(decode, DIAGNOSTIC_LOST, &at, decode_field(doc, "namespace")->line,
                      "%s is no Kubernetes namespace name", decode_quote(decode, ns));
        return;
    }
    ret->name = name;
    ret->ns = ns;
    set_object(decode, kind, ret);
}

void decode_meta(struct decode *decode, const struct doc *doc, enum object_kind kind, struct object_meta *ret)
{
    *ret = (struct object_meta){.ns = "", .name = "", .uid = "", .resource_version = "", .created = ""};
    ret->origin = (struct origin){.file = decode->file, .line = doc->line};
    struct path path = {.key = "metadata"};
    const struct doc *meta = decode_typed(decode, DIAGNOSTIC_LOST, NULL, doc, "metadata", DOC_MAP);
    if (!meta) {
        if (!decode->lost) {
            decode_report(decode, DIAGNOSTIC_LOST, &path, doc->line, "is missing");
        }
        return;
    }
    decode_names(decode, &path, meta, kind, ret);
    if (decode->lost) {
        return;
    }
    ret->uid = decode_string(decode, &path, meta, "uid");
    ret->resource_version = decode_string(decode, &path, meta, "resourceVersion");
    ret->created = decode_string(decode, &path, meta, "creationTimestamp");
    (void)decode_string(decode, &path, meta, "deletionTimestamp");
    ret->terminating = decode_field(meta, "deletionTimestamp") != NULL;
    decode_labels(decode, &path, meta, kind, &ret->labels);
    if (kind == OBJECT_NAMESPACE) {
        add_metadata_name(decode, ret);
    }
}
