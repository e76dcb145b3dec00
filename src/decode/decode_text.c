// SPDX-License-Identifier: Apache-2.0
//
// A text of documents → objects: which format it is in, what kind each document is, List kinds opened.
#include <string.h>

#include "base/limits.h"
#include "decode/decode.h"
#include "yaml/yaml_doc.h"
#include "json/json.h"

// A larger text that is no JSON is not tried as YAML: a cut-off list of a whole cluster would be built in memory just
// to be refused again. It leaves room for any one object (the API server takes 1.5 MiB).
enum { FLOW_YAML_MAX = 4 << 20 };

struct text_decode {
    const char *file;
    decode_object_fn *fn;
    void *arg;
    struct diagnostics *diagnostics;
    struct decode_stats stats;
    struct arena documents;
    // A JSON List's items: left out of its tree, so that one at a time needs memory. `apart` is that tree.
    const char *json;
    const struct doc *apart;
    struct json_elements elements;
    // Why the text is no JSON, while no YAML document of it could be read.
    const struct err *no_json;
    struct err *err;
};

static const struct kind {
    const char *kind;
    const char *list_kind;
    const char *api_version;
    enum object_kind object;
} kinds[] = {
    {"Pod", "PodList", "v1", OBJECT_POD},
    {"Namespace", "NamespaceList", "v1", OBJECT_NAMESPACE},
    {"Node", "NodeList", "v1", OBJECT_NODE},
    {"NetworkPolicy", "NetworkPolicyList", "networking.k8s.io/v1", OBJECT_POLICY},
};

static void cleanup_text_decode(struct text_decode *text)
{
    arena_free(&text->documents);
    vec_free(&text->elements.list);
}

static void cleanup_arena(struct arena *arena)
{
    arena_free(arena);
}

static int lost(struct text_decode *text, unsigned line, const char *field, const char *why)
{
    int rc = diagnostics_add(text->diagnostics, DIAGNOSTIC_LOST, text->file, line, "", field, "%s", why);
    return rc < 0 ? err_oom(text->err) : 0;
}

static int take_object(struct text_decode *text, const struct doc *doc, enum object_kind kind)
{
    __attribute__((cleanup(cleanup_arena))) struct arena scratch = {0};
    struct decoded decoded;
    int rc = decode_object(doc, kind, text->file, &scratch, &decoded, text->diagnostics, text->err);
    if (rc != 0) {
        return rc < 0 ? -1 : 0;
    }
    void *object = decoded_dup(&decoded);
    if (!object) {
        return err_oom(text->err);
    }
    text->stats.objects++;
    return text->fn(kind, object, text->arg, text->err);
}

static int take_document(struct text_decode *text, const struct doc *doc, const struct kind *implied);

static int json_failed(struct text_decode *text, const struct err *why)
{
    return why->kind == ERR_INPUT ? lost(text, (unsigned)why->num, "", why->msg) : err_oom(text->err);
}

static int take_elements(struct text_decode *text, const struct kind *implied)
{
    for (size_t i = 0; i < text->elements.list.n; i++) {
        __attribute__((cleanup(cleanup_arena))) struct arena arena = {0};
        const struct json_element *element = &text->elements.list.v[i];
        struct doc *doc;
        size_t used;
        unsigned line;
        struct err why = {0};
        int rc = json_parse(text->json + element->at, element->len, element->line, &arena, &doc, &used, &line, &why);
        if ((rc < 0 ? json_failed(text, &why) : take_document(text, doc, implied)) < 0) {
            return -1;
        }
    }
    return 0;
}

// Recursion (a List in a List) is bounded by the depth of a document.
static int take_items(struct text_decode *text, const struct doc *doc, const struct kind *implied)
{
    const struct doc *items = doc_get(doc, "items");
    if (!items || items->type == DOC_NULL) {
        return 0;
    }
    if (items->type != DOC_LIST) {
        return lost(text, items->line, "items", "must be a list");
    }
    if (doc == text->apart && take_elements(text, implied) < 0) {
        return -1;
    }
    for (const struct doc *item = items->child; item; item = item->next) {
        if (take_document(text, item, implied) < 0) {
            return -1;
        }
    }
    return 0;
}

// apiVersion or kind as text; "" when absent, NULL when it has another type.
static const char *type_field(const struct doc *doc, const char *key)
{
    const struct doc *child = doc_get(doc, key);
    if (!child || child->type == DOC_NULL) {
        return "";
    }
    return child->type == DOC_STRING ? child->text : NULL;
}

// A kind that we do not use. Ours in another API group is worth a word: it looks as if it were in force.
static int ignore(struct text_decode *text, const struct doc *doc, const char *api_version, const char *kind)
{
    text->stats.ignored++;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kind, kinds[i].kind) == 0 || strcmp(kind, kinds[i].list_kind) == 0) {
            int rc = diagnostics_add(text->diagnostics, DIAGNOSTIC_WARNING, text->file, doc->line, kind, "apiVersion",
                                     "ignored: %.100s is not %s", api_version, kinds[i].api_version);
            return rc < 0 ? err_oom(text->err) : 0;
        }
    }
    return 0;
}

static int take_document(struct text_decode *text, const struct doc *doc, const struct kind *implied)
{
    if (doc->type != DOC_MAP) {
        return lost(text, doc->line, "", "an object must be a map");
    }
    const char *kind = type_field(doc, "kind");
    const char *api_version = type_field(doc, "apiVersion");
    if (implied && kind && api_version && !kind[0] && !api_version[0]) {
        return take_object(text, doc, implied->object);
    }
    if (!kind || !kind[0]) {
        return lost(text, doc->line, "kind", kind ? "is missing" : "must be a string");
    }
    if (!api_version || !api_version[0]) {
        return lost(text, doc->line, "apiVersion", api_version ? "is missing" : "must be a string");
    }
    if (strcmp(kind, "List") == 0 && strcmp(api_version, "v1") == 0) {
        return take_items(text, doc, NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(api_version, kinds[i].api_version) != 0) {
            continue;
        }
        if (strcmp(kind, kinds[i].kind) == 0) {
            return take_object(text, doc, kinds[i].object);
        }
        if (strcmp(kind, kinds[i].list_kind) == 0) {
            return take_items(text, doc, &kinds[i]);
        }
    }
    return ignore(text, doc, api_version, kind);
}

static int on_yaml_document(struct doc *doc, void *arg, struct err *err)
{
    (void)err;
    struct text_decode *text = arg;
    text->no_json = NULL;
    int rc = take_document(text, doc, NULL);
    arena_free(&text->documents);
    return rc;
}

static int on_yaml_bad(const struct err *why, void *arg, struct err *err)
{
    (void)err;
    struct text_decode *text = arg;
    arena_free(&text->documents);
    const struct err *shown = text->no_json ? text->no_json : why;
    text->no_json = NULL;
    return lost(text, (unsigned)shown->num, "", shown->msg);
}

static int decode_yaml(struct text_decode *text, const char *data, size_t len)
{
    return yaml_parse(data, len, &text->documents, on_yaml_document, on_yaml_bad, text, text->err);
}

// A text that looked like JSON and whose first value cannot be read: it may be YAML in flow style (keys without quotes,
// a comma at the end, comments). What JSON refuses for other reasons than syntax (duplicate keys, NUL, depth), YAML
// refuses too; then it is the JSON that is reported.
static int decode_flow_yaml(struct text_decode *text, const char *data, size_t len, const struct err *why)
{
    arena_free(&text->documents);
    text->no_json = why;
    int rc = decode_yaml(text, data, len);
    bool reported = !text->no_json;
    text->no_json = NULL;
    return rc < 0 || reported ? rc : json_failed(text, why);
}

// Concatenated values. One that cannot be read ends the text: nothing says where the next would start.
static int decode_json(struct text_decode *text, const char *data, size_t len)
{
    size_t at = 0;
    unsigned line = 1;
    while (at < len) {
        struct doc *doc;
        size_t used;
        struct err why = {0};
        text->json = data + at;
        text->elements.list.n = 0;
        if (json_parse_apart(data + at, len - at, line, "items", &text->documents, &doc, &text->elements, &used, &line,
                             &why) < 0) {
            return at == 0 && why.kind == ERR_INPUT && len <= FLOW_YAML_MAX ? decode_flow_yaml(text, data, len, &why)
                                                                            : json_failed(text, &why);
        }
        at += used;
        text->apart = doc;
        if (take_document(text, doc, NULL) < 0) {
            return -1;
        }
        text->apart = NULL;
        arena_free(&text->documents);
    }
    return 0;
}

static size_t skip_blank(const char *data, size_t len)
{
    size_t at = 0;
    while (at < len && data[at] && strchr(" \t\r\n", data[at])) {
        at++;
    }
    return at;
}

// '{' or '[' starts JSON, unless a line starts with "---": JSON has no such line, so those are JSON documents in a YAML
// stream.
static bool is_json(const char *data, size_t len, size_t start)
{
    return start < len && (data[start] == '{' || data[start] == '[') && !memmem(data, len, "\n---", 4);
}

static int decode_documents(struct text_decode *text, const char *data, size_t len)
{
    size_t start = skip_blank(data, len);
    if (start == len) {
        return 0;
    }
    return is_json(data, len, start) ? decode_json(text, data, len) : decode_yaml(text, data, len);
}

int decode_text(const char *text, size_t len, const char *file, decode_object_fn *fn, void *arg,
                struct diagnostics *diagnostics, struct decode_stats *ret_stats, struct err *err)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (len > LIMIT_DOCUMENT_BYTES) {
        return err_set(err, ERR_LIMIT, 0, "%s: %zu bytes, at most %lu are read", file, len, LIMIT_DOCUMENT_BYTES);
    }
    if (len >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
        text += strlen(mark);
        len -= strlen(mark);
    }
    __attribute__((cleanup(cleanup_text_decode))) struct text_decode decode = {
        .file = file, .fn = fn, .arg = arg, .diagnostics = diagnostics, .err = err};
    int rc = decode_documents(&decode, text, len);
    if (rc == 0 && ret_stats) {
        *ret_stats = decode.stats;
    }
    return rc;
}
