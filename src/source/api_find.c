// SPDX-License-Identifier: Apache-2.0
//
// Whether the server has a kind, and in which version (a CustomResource may come and go). Its absence, confirmed, is
// the one thing beside a list that removes objects.
#include <stdio.h>

#include "base/num.h"
#include "source/api_source.h"

enum { CONFIRMATIONS = 2 };

static void ask(struct api_kind *kind);

static bool lists_resource(const struct doc *doc, const char *label)
{
    const struct doc *resources = doc_get(doc, "resources");
    for (const struct doc *r = resources && resources->type == DOC_LIST ? resources->child : NULL; r; r = r->next) {
        const struct doc *name = doc_get(r, "name");
        if (name && name->type == DOC_STRING && strcmp(name->text, label) == 0) {
            return true;
        }
    }
    return false;
}

static void say(struct api_kind *kind, enum api_presence presence)
{
    if (kind->presence != presence) {
        kind->presence = presence;
        api_say(kind->source, SOURCE_INFO, presence == API_PRESENT ? "kind-found" : "kind-absent", "kind=%s group=%s",
                kind->label, kind->row->group);
    }
}

static int set_path(struct api_kind *kind, struct err *err)
{
    const struct api_kind_row *row = kind->row;
    struct buf path = {0};
    buf_printf(&path, "%s%s/%s/%s", *row->group ? "/apis/" : "/api", row->group, row->versions[kind->version_index],
               row->label);
    char *text = buf_take(&path);
    if (!text) {
        return err_oom(err);
    }
    if (kind->path && strcmp(kind->path, text) != 0) {
        // Versions of one resource share their objects, not what a watch of another one goes on from.
        free(kind->version);
        kind->version = NULL;
    }
    free(kind->path);
    kind->path = text;
    return 0;
}

static void fail(struct api_kind *kind, struct api_outcome *outcome, const char *why)
{
    const struct http_result result = {
        .outcome = outcome->end, .status = outcome->http, .why = why, .body = "", .code = 0};
    api_kind_failed(kind, outcome, &result);
}

static void found(struct api_kind *kind)
{
    struct api_outcome outcome = {.act = API_ACT_LOOK, .end = HTTP_BROKEN, .fault = API_FAULT_OUR_SIDE};
    err_clear(&kind->err);
    if (set_path(kind, &kind->err) < 0) {
        fail(kind, &outcome, "");
        return;
    }
    kind->absences = 0;
    kind->why = kind->synced ? kind->why : "found";
    say(kind, API_PRESENT);
    api_kind_go(kind, API_NEXT_SYNC);
}

static void absent(struct api_kind *kind)
{
    struct api_source *source = kind->source;
    uint64_t wait_ms = api_plan_about(source->timing.absent_ms, &source->random);
    kind->absences++;
    if (!kind->row->optional || (kind->synced && kind->absences < CONFIRMATIONS)) {
        wait_ms = api_plan_backoff(&source->timing, num_now_ms(), &kind->retry, &source->random);
    } else if (kind->synced && api_store_clear(kind, &kind->err) < 0) {
        wait_ms = api_plan_backoff(&source->timing, num_now_ms(), &kind->retry, &source->random);
    } else {
        kind->synced = false;
        free(kind->version);
        kind->version = NULL;
        say(kind, API_ABSENT);
        api_say_recovered(kind);
    }
    kind->settled = true;
    api_kind_wait(kind, API_NEXT_LOOK, wait_ms);
    api_source_check_synced(source);
    api_source_pump(source);
}

static void on_answer(const struct api_answer *answer, void *arg)
{
    struct api_kind *kind = arg;
    bool no = answer->status == 404 || (answer->doc && !lists_resource(answer->doc, kind->label));
    if (answer->doc && !no) {
        found(kind);
    } else if (no && ++kind->version_index < API_VERSIONS_MAX && kind->row->versions[kind->version_index]) {
        ask(kind);
    } else if (no) {
        absent(kind);
    } else {
        struct api_outcome outcome = answer->outcome;
        fail(kind, &outcome, answer->why);
    }
}

static void ask(struct api_kind *kind)
{
    const struct api_kind_row *row = kind->row;
    char target[600];
    (void)snprintf(target, sizeof(target), "%s%s/%s", *row->group ? "/apis/" : "/api", row->group,
                   row->versions[kind->version_index]);
    api_ask_start(kind->source, &kind->ask, target, false, row->kind, on_answer, kind);
}

void api_find_start(struct api_kind *kind)
{
    api_ask_cancel(&kind->ask);
    kind->version_index = 0;
    err_clear(&kind->err);
    kind->fault = API_FAULT_NONE;
    ask(kind);
}
