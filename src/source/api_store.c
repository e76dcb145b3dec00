// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/log.h"
#include "source/api_source.h"
#include "json/json.h"

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

int api_store_parse(struct api_kind *kind, const char *text, size_t len, struct doc **ret, struct err *err)
{
    size_t used;
    unsigned line;
    struct doc *doc = NULL;
    if (json_parse(text, len, 1, &kind->arena, &doc, &used, &line, err) < 0) {
        return -1;
    }
    if (used != len) {
        return err_set(err, ERR_INPUT, 0, "something stands behind the object");
    }
    *ret = doc;
    return 0;
}

// Findings of one object: what is lost always, what grants nothing when it is new to us.
static void report_findings(struct api_kind *kind, const struct diagnostics *diagnostics, bool new)
{
    if (diagnostics->counts[DIAGNOSTIC_LOST]) {
        api_count(kind, "parse_errors", 1);
    }
    for (size_t i = 0; i < diagnostics->list.n; i++) {
        const struct diagnostic *d = &diagnostics->list.v[i];
        bool lost = d->level == DIAGNOSTIC_LOST;
        if (lost || new) {
            api_say(kind->source, lost ? SOURCE_ERROR : SOURCE_WARN,
                    lost ? "object-unreadable" : "object-partly-unreadable", "kind=%s object=%s field=%s error=%s",
                    kind->label, log_quote(d->object), log_quote(d->field), log_quote(d->message));
        }
    }
}

static int keep(struct api_kind *kind, const struct doc *object, struct err *err)
{
    const struct doc *meta = doc_get(object, "metadata");
    const char *name = text_of(meta, "name");
    return kind->stage.active && name[0] ? api_stage_seen(kind, text_of(meta, "namespace"), name, err) : 0;
}

int api_store_unreadable(struct api_kind *kind, const struct doc *object, const struct err *why, struct err *err)
{
    struct buf BUF_CLEANUP fields = {0};
    char text[1024];
    const struct doc *meta = doc_get(object, "metadata");
    const char *ns = text_of(meta, "namespace");
    const char *name = text_of(meta, "name");
    buf_printf(&fields, "kind=%s", kind->label);
    if (name[0]) {
        struct buf BUF_CLEANUP who = {0};
        buf_printf(&who, "%s %s%s%s", object_kind_name(kind->row->kind), ns, ns[0] ? "/" : "", name);
        buf_printf(&fields, " object=%s", log_quote(who.failed ? "" : who.data));
    }
    buf_printf(&fields, " error=%s", log_quote(err_text(why, text, sizeof(text))));
    api_count(kind, "parse_errors", 1);
    api_say(kind->source, SOURCE_ERROR, "object-unreadable", "%s", fields.failed ? "" : fields.data);
    return keep(kind, object, err);
}

// That namespace lives as long as the cluster: another uid is another cluster, whose versions are not those we know.
static void check_cluster(struct api_kind *kind, const struct object_meta *meta)
{
    struct api_source *source = kind->source;
    if (strcmp(meta->name, API_CLUSTER_NAMESPACE) != 0 || !meta->uid[0] ||
        strcmp(source->cluster_uid, meta->uid) == 0) {
        return;
    }
    if (source->cluster_uid[0]) {
        api_source_went_back(kind, source->cluster_uid, meta->uid);
    }
    (void)snprintf(source->cluster_uid, sizeof(source->cluster_uid), "%s", meta->uid);
}

int api_store_put(struct api_kind *kind, const struct doc *object, struct err *err)
{
    struct api_source *source = kind->source;
    struct decoded decoded;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    if (source->options.object) {
        source->options.object(kind->row->kind, object, source->options.object_arg);
    }
    int rc = decode_object(object, kind->row->kind, "", &kind->arena, &decoded, &diagnostics, err);
    if (rc < 0) {
        return -1;
    }
    int change = STATE_UNCHANGED;
    if (rc > 0) {
        if (keep(kind, object, err) < 0) {
            return -1;
        }
    } else {
        if (decoded.kind == OBJECT_NAMESPACE) {
            check_cluster(kind, &decoded.ns.meta);
        }
        change = kind->stage.active ? api_stage_put(kind, &decoded, err) : api_state_put(kind, &decoded, err);
        if (change < 0) {
            return -1;
        }
        if (change != STATE_UNCHANGED && !kind->stage.active) {
            api_source_changed(source);
        }
    }
    report_findings(kind, &diagnostics, change != STATE_UNCHANGED);
    return 0;
}

int api_store_remove(struct api_kind *kind, const struct doc *object, struct err *err)
{
    const struct doc *meta = doc_get(object, "metadata");
    const char *ns = text_of(meta, "namespace");
    const char *name = text_of(meta, "name");
    if (name[0] == '\0') {
        return err_set(err, ERR_INPUT, 0, "a DELETED event names no object");
    }
    if (kind->stage.active) {
        return api_stage_remove(kind, ns, name, err);
    }
    if (api_state_remove(kind, ns, name, text_of(meta, "uid")) == STATE_REMOVED) {
        api_source_changed(kind->source);
    }
    return 0;
}

int api_store_clear(struct api_kind *kind, struct err *err)
{
    return api_stage_begin(kind, err) < 0 ? -1 : api_stage_commit(kind, err);
}
