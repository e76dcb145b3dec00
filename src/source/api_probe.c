// SPDX-License-Identifier: Apache-2.0
//
// Whether the server's versions went backwards (api-client.md 2.12): an etcd that was restored from a backup accepts a
// watch from the future and keeps silent. Now and then the present version is asked for, and who the cluster is.
#include "source/api_source.h"

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

// The cluster is another one: its oldest namespace is not the one that we know.
static bool is_other_cluster(const struct api_kind *kind, const struct doc *item)
{
    const char *known = kind->source->cluster_uid;
    const struct doc *meta = doc_get(item, "metadata");
    const char *uid = text_of(meta, "uid");
    return kind->row->kind == OBJECT_NAMESPACE && known[0] && uid[0] && strcmp(known, uid) != 0 &&
           strcmp(text_of(meta, "name"), API_CLUSTER_NAMESPACE) == 0;
}

static void on_answer(const struct api_answer *answer, void *arg)
{
    struct api_kind *kind = arg;
    const char *version = api_store_version(answer->doc);
    CLEANUP(free) char *held = TAKE(kind->probe_version);
    // What was seen since the question is no sign; and who reads anew needs no answer.
    bool watches = kind->phase == API_WATCHING || (kind->phase == API_WAITING && kind->next == API_NEXT_WATCH);
    if (!watches || !version || !held) {
        return;
    }
    if (api_version_compare(version, held) < 0) {
        api_source_went_back(kind, held, version);
    } else if (is_other_cluster(kind, answer->item)) {
        api_source_went_back(kind, kind->source->cluster_uid, text_of(doc_get(answer->item, "metadata"), "uid"));
    }
}

void api_probe_now(struct api_kind *kind)
{
    if (!kind->path || !kind->version || api_ask_running(&kind->ask)) {
        return;
    }
    free(kind->probe_version);
    kind->probe_version = strdup(kind->version);
    struct buf BUF_CLEANUP query = {0};
    if (kind->row->kind == OBJECT_NAMESPACE) {
        buf_printf(&query, "&fieldSelector=metadata.name%%3D%s", API_CLUSTER_NAMESPACE);
    }
    buf_puts(&query, "&limit=1");
    CLEANUP(free) char *target = api_target(kind, &query);
    if (target) {
        api_count(kind, "probes", 1);
        api_ask_start(kind->source, &kind->ask, target, true, kind->row->kind, on_answer, kind);
    }
}

void api_probe_arm(struct api_kind *kind)
{
    if (!loop_armed(kind->probe)) {
        loop_arm(kind->probe, api_plan_about(kind->source->timing.probe_ms, &kind->source->random));
    }
}

void api_probe_due(void *arg)
{
    struct api_kind *kind = arg;
    if (kind->phase == API_WATCHING) {
        api_probe_now(kind);
    }
    api_probe_arm(kind);
}
