// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/log.h"
#include "decode/decode.h"
#include "source/api_source.h"

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

const char *api_store_version(const struct doc *object)
{
    const char *version = text_of(doc_get(object, "metadata"), "resourceVersion");
    return version[0] ? version : NULL;
}

// Findings of one object: what is lost always, what grants nothing when it is new to us.
static void report_findings(struct api_kind *kind, const struct diagnostics *diagnostics, bool new)
{
    const struct source_owner *owner = &kind->source->owner;
    if (diagnostics->counts[DIAGNOSTIC_LOST]) {
        api_kind_count(kind, "parse_errors", 1);
    }
    for (size_t i = 0; i < diagnostics->list.n; i++) {
        const struct diagnostic *d = &diagnostics->list.v[i];
        if (d->level != DIAGNOSTIC_LOST && !new) {
            continue;
        }
        struct buf BUF_CLEANUP fields = {0};
        buf_printf(&fields, "kind=%s object=%s", kind->label, log_quote(d->object));
        buf_printf(&fields, " field=%s error=%s", log_quote(d->field), log_quote(d->message));
        owner->report(d->level == DIAGNOSTIC_LOST ? SOURCE_ERROR : SOURCE_WARN,
                      d->level == DIAGNOSTIC_LOST ? "object-unreadable" : "object-partly-unreadable",
                      fields.failed ? "" : fields.data, owner->arg);
    }
}

void api_store_unreadable(struct api_kind *kind, const struct doc *object, const struct err *why)
{
    struct buf BUF_CLEANUP fields = {0};
    char text[1024];
    const struct doc *meta = doc_get(object, "metadata");
    const char *ns = text_of(meta, "namespace");
    const char *name = text_of(meta, "name");
    buf_printf(&fields, "kind=%s", kind->label);
    if (name[0]) {
        struct buf BUF_CLEANUP who = {0};
        buf_printf(&who, "%s %s%s%s", object_kind_name(kind->kind), ns, ns[0] ? "/" : "", name);
        buf_printf(&fields, " object=%s", log_quote(who.failed ? "" : who.data));
    }
    buf_printf(&fields, " error=%s", log_quote(err_text(why, text, sizeof(text))));
    api_kind_count(kind, "parse_errors", 1);
    kind->source->owner.report(SOURCE_ERROR, "object-unreadable", fields.failed ? "" : fields.data,
                               kind->source->owner.arg);
}

int api_store_put(struct api_kind *kind, const struct doc *object, struct err *err)
{
    struct decoded decoded;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    int rc = decode_object(object, kind->kind, "", &kind->arena, &decoded, &diagnostics, err);
    if (rc < 0) {
        return -1;
    }
    int change = STATE_UNCHANGED;
    if (rc == 0) {
        void *lasting = decoded_dup(&decoded);
        if (!lasting) {
            return err_oom(err);
        }
        change = state_put(kind->source->state, kind->kind, lasting, err);
        if (change < 0) {
            return -1;
        }
    }
    report_findings(kind, &diagnostics, change != STATE_UNCHANGED);
    if (change != STATE_UNCHANGED) {
        api_source_changed(kind->source);
    }
    return 0;
}

int api_store_remove(struct api_kind *kind, const struct doc *object, struct err *err)
{
    const struct doc *meta = doc_get(object, "metadata");
    const char *name = text_of(meta, "name");
    if (name[0] == '\0') {
        return err_set(err, ERR_INPUT, 0, "a DELETED event names no object");
    }
    if (state_remove(kind->source->state, kind->kind, text_of(meta, "namespace"), name, text_of(meta, "uid")) ==
        STATE_REMOVED) {
        api_source_changed(kind->source);
    }
    return 0;
}

// "ns\0name" with both at most 253 bytes long, as all names that the state holds.
struct key {
    char text[520];
    size_t len;
};

static bool key_make(struct key *key, const char *ns, const char *name)
{
    int n = snprintf(key->text, sizeof(key->text), "%s%c%s", ns, '\0', name);
    key->len = n > 0 ? (size_t)n : 0;
    return n > 0 && (size_t)n < sizeof(key->text);
}

static int mark_one(struct api_kind *kind, const struct object_meta *meta, struct err *err)
{
    struct key key = {.len = 0};
    if (!key_make(&key, meta->ns, meta->name)) {
        return err_set(err, ERR_BUG, 0, "an object's name has more than 253 bytes");
    }
    return map_put(kind->stale, key.text, key.len, kind, NULL) < 0 ? err_oom(err) : 0;
}

// The metas of everything of this kind that is in the state.
#define MARK_ALL(type, list_fn)                                                                                        \
    do {                                                                                                               \
        size_t n_;                                                                                                     \
        const struct type *const *list_ = list_fn(kind->source->state, &n_);                                           \
        if (!list_ && n_) {                                                                                            \
            return err_oom(err);                                                                                       \
        }                                                                                                              \
        for (size_t i_ = 0; i_ < n_; i_++) {                                                                           \
            if (mark_one(kind, &list_[i_]->meta, err) < 0) {                                                           \
                return -1;                                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        return 0;                                                                                                      \
    } while (0)

int api_store_mark(struct api_kind *kind, struct err *err)
{
    map_free(kind->stale);
    kind->stale = NULL;
    if (state_count(kind->source->state, kind->kind) == 0) {
        return 0;
    }
    kind->stale = map_new();
    if (!kind->stale) {
        return err_oom(err);
    }
    switch (kind->kind) {
    case OBJECT_POD:
        MARK_ALL(pod, state_pods);
    case OBJECT_NAMESPACE:
        MARK_ALL(ns_object, state_namespaces);
    case OBJECT_POLICY:
        MARK_ALL(policy, state_policies);
    case OBJECT_NODE:
        MARK_ALL(node, state_nodes);
    }
    return 0;
}

void api_store_seen(struct api_kind *kind, const struct doc *object)
{
    const struct doc *meta = doc_get(object, "metadata");
    const char *name = text_of(meta, "name");
    struct key key = {.len = 0};
    // An object without a usable name is none that the state holds.
    if (kind->stale && name[0] && key_make(&key, text_of(meta, "namespace"), name)) {
        (void)map_del(kind->stale, key.text, key.len);
    }
}

void api_store_sweep(struct api_kind *kind)
{
    if (kind->stale) {
        for (struct map_entry *entry = map_first(kind->stale); entry; entry = map_next(entry)) {
            size_t len;
            const char *ns = map_entry_key(entry, &len);
            char name[sizeof(((struct key *)0)->text)];
            size_t ns_len = strnlen(ns, len);
            (void)snprintf(name, sizeof(name), "%.*s", (int)(len - ns_len - 1), ns + ns_len + 1);
            if (state_remove(kind->source->state, kind->kind, ns, name, "") == STATE_REMOVED) {
                api_source_changed(kind->source);
            }
        }
    }
    map_free(kind->stale);
    kind->stale = NULL;
}
