// SPDX-License-Identifier: Apache-2.0
//
// The first list of a fleet that starts at once must not come at once: each waits a random part of a time that grows
// with the cluster (api-client.md 5.5). A node that has just come does not wait: nobody protects its pods yet.
#include <time.h>

#include "base/num.h"
#include "source/api_source.h"

static void ask(struct api_source *source);

static void open_gate(struct api_source *source)
{
    source->started = true;
    for (size_t i = 0; i < source->n_kinds; i++) {
        if (!source->kinds[i].path) {
            api_kind_go(&source->kinds[i], API_NEXT_LOOK);
        }
    }
    api_source_pump(source);
}

static bool is_young(const struct api_source *source, const struct doc *node)
{
    const struct doc *created = doc_get(doc_get(node, "metadata"), "creationTimestamp");
    struct tm tm = {.tm_mday = 0};
    if (!created || created->type != DOC_STRING || !strptime(created->text, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
        return false;
    }
    // Two clocks: one that is a little behind the other is none of age.
    double age = difftime(time(NULL), timegm(&tm));
    return age < source->timing.young_node_s && age > -(double)source->timing.young_node_s;
}

static void wait_for_turn(struct api_source *source, size_t nodes)
{
    source->start_wait = true;
    uint64_t ms = api_plan_spread(&source->timing, nodes, &source->random);
    api_say(source, SOURCE_INFO, "start-spread", "wait_ms=%llu", (unsigned long long)ms);
    loop_arm(source->start_timer, ms);
}

static size_t count_nodes(const struct api_answer *answer)
{
    const struct doc *more = doc_get(doc_get(answer->doc, "metadata"), "remainingItemCount");
    bool known = more && more->type == DOC_NUMBER && more->integral && more->integer > 0;
    return answer->n_items + (known ? (size_t)more->integer : 0);
}

static struct api_kind *kind_of_nodes(struct api_source *source)
{
    for (size_t i = 0; i < source->n_kinds; i++) {
        if (source->kinds[i].row->kind == OBJECT_NODE) {
            return &source->kinds[i];
        }
    }
    return &source->kinds[0];
}

static void on_answer(const struct api_answer *answer, void *arg)
{
    struct api_source *source = arg;
    struct api_kind *kind = kind_of_nodes(source);
    if (answer->doc && source->start_asks_node) {
        source->start_asks_node = false;
        if (answer->n_items == 1 && is_young(source, answer->item)) {
            open_gate(source);
        } else {
            ask(source);
        }
        return;
    }
    if (answer->doc) {
        wait_for_turn(source, count_nodes(answer));
        return;
    }
    const struct http_result result = {
        .outcome = answer->outcome.end, .status = answer->status, .why = answer->why, .body = ""};
    struct api_plan plan = api_plan_next(kind->row, &answer->outcome, &source->timing, num_now_ms(),
                                         &source->start_retry, &source->random);
    api_say_failed(kind, &answer->outcome, &result, &plan);
    if (answer->status == 403 || answer->status == 404) {
        wait_for_turn(source, SIZE_MAX);
    } else {
        loop_arm(source->start_timer, plan.wait_ms);
    }
}

static void ask(struct api_source *source)
{
    struct buf BUF_CLEANUP target = {0};
    buf_puts(&target, "/api/v1/nodes?");
    if (source->start_asks_node) {
        buf_puts(&target, "fieldSelector=metadata.name%3D");
        api_url_escape(&target, source->node);
        buf_putc(&target, '&');
    }
    buf_puts(&target, "limit=1");
    if (target.failed) {
        wait_for_turn(source, SIZE_MAX);
        return;
    }
    api_ask_start(source, &source->start, target.data, true, OBJECT_NODE, on_answer, source);
}

void api_start_due(void *arg)
{
    struct api_source *source = arg;
    if (!source->version_asked) {
        source->version_asked = true;
        api_ask_version(source);
    }
    if (source->start_wait || !source->options.spread_start) {
        open_gate(source);
    } else {
        ask(source);
    }
}

static void on_version(const struct api_answer *answer, void *arg)
{
    struct api_source *source = arg;
    const struct doc *version = doc_get(answer->doc, "gitVersion");
    if (!version || version->type != DOC_STRING) {
        return;
    }
    char *copy = strdup(version->text);
    if (source->git_version && strcmp(source->git_version, version->text) != 0) {
        // What the other one lacked, this one may have.
        source->lacks = 0;
        for (size_t i = 0; i < source->n_kinds; i++) {
            source->kinds[i].dropped = 0;
        }
    }
    free(source->git_version);
    source->git_version = copy;
}

void api_ask_version(struct api_source *source)
{
    api_ask_start(source, &source->version_ask, "/version", false, OBJECT_POD, on_version, source);
}
