// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/num.h"
#include "source/api_source.h"

void api_kind_go(struct api_kind *kind, enum api_next next)
{
    kind->unauthorized = kind->unreached = false;
    if (next == API_NEXT_LOOK || !kind->path) {
        kind->phase = API_LOOKING;
        api_find_start(kind);
    } else if (next == API_NEXT_WATCH && kind->version && !kind->relist) {
        kind->phase = API_WATCHING;
        api_watch_start(kind, false);
        loop_arm(kind->timer, kind->source->timing.short_watch_ms);
    } else {
        kind->phase = API_WANTS_SYNC;
        api_source_pump(kind->source);
    }
}

void api_kind_wait(struct api_kind *kind, enum api_next next, uint64_t ms)
{
    kind->phase = API_WAITING;
    kind->next = next;
    loop_arm(kind->timer, ms);
}

static void on_timer(void *arg)
{
    struct api_kind *kind = arg;
    if (kind->phase == API_WAITING) {
        api_kind_go(kind, kind->next);
    } else if (kind->phase == API_SYNCING && kind->next_page && kind->call.state == API_CALL_IDLE) {
        api_list_resume(kind);
    } else if (kind->phase == API_WATCHING && kind->streams[kind->current].answered) {
        // It has lived for a while: it works.
        api_say_recovered(kind);
    } else if (kind->phase == API_WATCHING) {
        loop_arm(kind->timer, kind->source->timing.short_watch_ms);
    }
}

int api_kind_init(struct api_source *source, struct api_kind *kind, const struct api_kind_row *row, bool shared,
                  struct err *err)
{
    *kind =
        (struct api_kind){.source = source, .row = row, .label = row->label, .shared = shared, .phase = API_WANTS_SYNC};
    kind->why = "start";
    kind->streams[0].kind = kind->streams[1].kind = kind;
    if (!row->optional && !row->versions[1]) {
        struct buf path = {0};
        buf_printf(&path, "%s%s/%s/%s", *row->group ? "/apis/" : "/api", row->group, row->versions[0], row->label);
        kind->path = buf_take(&path);
        if (!kind->path) {
            return err_oom(err);
        }
    }
    kind->held = kind->shared ? map_new() : NULL;
    return (kind->shared && !kind->held) || loop_add_timer(source->loop, on_timer, kind, &kind->timer, err) < 0 ||
                   loop_add_timer(source->loop, api_watch_quiet, kind, &kind->quiet, err) < 0 ||
                   loop_add_timer(source->loop, api_probe_due, kind, &kind->probe, err) < 0
               ? -1
               : 0;
}

void api_kind_stop(struct api_kind *kind)
{
    api_watch_stop(kind);
    api_list_stop(kind);
    api_ask_cancel(&kind->ask);
    api_stage_drop(kind);
}

void api_kind_free(struct api_kind *kind)
{
    if (!kind->source) {
        return;
    }
    api_kind_stop(kind);
    arena_free(&kind->arena);
    buf_free(&kind->pruned);
    map_free(kind->held);
    loop_remove_timer(kind->timer);
    loop_remove_timer(kind->quiet);
    loop_remove_timer(kind->probe);
    free(kind->path);
    free(kind->selector);
    free(kind->version);
    free(kind->told);
    free(kind->probe_version);
}

// The selector of this sync and the watch behind it. A term that is dropped or taken up again needs a sync: what it had
// hidden is not in the state.
static int make_selector(struct api_kind *kind, struct err *err)
{
    const struct api_term *terms = kind->row->terms;
    struct buf BUF_CLEANUP text = {0};
    kind->terms = 0;
    for (unsigned i = 0; i < API_TERMS_MAX && terms[i].term; i++) {
        bool left_out = terms[i].only_for_rules && kind->source->options.view == API_VIEW_ALL;
        if (!left_out && !(kind->dropped & 1u << i)) {
            buf_printf(&text, "%s%s", kind->terms ? "," : "", terms[i].term);
            kind->terms |= 1u << i;
        }
    }
    free(kind->selector);
    kind->selector = kind->terms && !text.failed ? buf_take(&text) : NULL;
    return kind->terms && !kind->selector ? err_oom(err) : 0;
}

void api_kind_sync(struct api_kind *kind)
{
    struct api_source *source = kind->source;
    source->syncing = kind;
    kind->phase = API_SYNCING;
    kind->relist = false;
    kind->sync_ms = num_now_ms();
    loop_disarm(kind->timer);
    err_clear(&kind->err);
    if (make_selector(kind, &kind->err) < 0 || api_stage_begin(kind, &kind->err) < 0) {
        const struct http_result none = {.outcome = HTTP_BROKEN, .why = "", .body = ""};
        const struct api_outcome outcome = {.act = API_ACT_LIST, .end = HTTP_BROKEN, .fault = API_FAULT_OUR_SIDE};
        api_kind_failed(kind, &outcome, &none);
        return;
    }
    bool pages = source->options.once || kind->paged || source->lacks & API_LACKS_WATCH_LIST;
    if (pages) {
        api_list_start(kind);
    } else {
        api_watch_start(kind, true);
    }
}

bool api_kind_is_stale(const struct api_kind *kind, const char *version)
{
    return !kind->stale_asked && api_version_compare(version, kind->version) < 0;
}

void api_kind_synced(struct api_kind *kind, char *version)
{
    struct api_source *source = kind->source;
    CLEANUP(free) char *held = TAKE(kind->version);
    kind->version = version;
    kind->synced = true;
    kind->settled = true;
    kind->unset = false;
    kind->paged = false;
    kind->stale_asked = false;
    kind->refresh_ms = 0;
    kind->absences = 0;
    source->syncing = NULL;
    api_plan_synced(&kind->retry);
    uint64_t ms = num_now_ms() - kind->sync_ms;
    api_count(kind, "list_ms", ms < UINT32_MAX && ms ? (unsigned)ms : 1);
    if (api_version_compare(version, held) < 0) {
        api_source_went_back(kind, held, version);
    }
    if (!kind->told_watch) {
        api_say_recovered(kind);
    }
    if (source->options.once) {
        kind->phase = API_DONE;
    } else {
        kind->phase = API_WATCHING;
        if (kind->streams[kind->current].call.state == API_CALL_IDLE) {
            api_watch_start(kind, false);
        } else {
            api_say_recovered(kind);
            loop_arm(kind->quiet, source->timing.silence_ms);
        }
        loop_arm(kind->timer, source->timing.short_watch_ms);
        api_probe_arm(kind);
    }
    api_source_check_synced(source);
    api_source_pump(source);
}

static void note_break(struct api_kind *kind, const struct api_plan *plan, uint64_t now_ms)
{
    api_count_more(kind, "watch_restarts", plan->reason, 1);
    if (strcmp(plan->reason, "ended") != 0 && strcmp(plan->reason, "deadline") != 0) {
        kind->broke_ms = now_ms;
        api_source_check_mass(kind->source);
    }
}

void api_kind_failed(struct api_kind *kind, const struct api_outcome *outcome, const struct http_result *result)
{
    struct api_source *source = kind->source;
    uint64_t now_ms = num_now_ms();
    bool is_sync = outcome->act == API_ACT_LIST || outcome->act == API_ACT_INITIAL;
    struct api_plan plan = api_plan_next(kind->row, outcome, &source->timing, now_ms, &kind->retry, &source->random);
    if (plan.next == API_NEXT_PAGE) {
        // It still is this kind's turn, and what it has read waits with it.
        api_say_failed(kind, outcome, result, &plan);
        loop_arm(kind->timer, plan.wait_ms);
        return;
    }
    if (outcome->act == API_ACT_LIST) {
        api_count_list(kind, result->status);
        api_list_stop(kind);
    }
    if (source->syncing == kind) {
        source->syncing = NULL;
    }
    api_stage_drop(kind);
    source->lacks |= plan.lacks;
    kind->dropped |= plan.terms;
    kind->fresh = plan.fresh;
    kind->unset = plan.unset_version;
    kind->paged = plan.paged;
    kind->stale_asked = kind->stale_asked || outcome->fault == API_FAULT_STALE;
    kind->settled = true;
    bool refresh_failed = is_sync && plan.failed && plan.next == API_NEXT_SYNC && !plan.unset_version && kind->synced &&
                          kind->version && !plan.lacks && !plan.terms && outcome->with_version &&
                          strcmp(kind->why, "refresh") == 0;
    if (outcome->act == API_ACT_WATCH) {
        note_break(kind, &plan, now_ms);
        kind->why = plan.next == API_NEXT_SYNC ? plan.reason : kind->why;
    }
    if (plan.failed) {
        api_say_failed(kind, outcome, result, &plan);
    } else {
        api_say_recovered(kind);
    }
    if (outcome->http == 429 && plan.next == API_NEXT_SYNC && !kind->row->optional) {
        // Too much for one kind is too much for the others: the server counts users, not kinds (api-client.md 5.1).
        source->busy_ms = now_ms + plan.wait_ms;
    }
    if (refresh_failed) {
        // Nobody needed it: what is held is good, and goes on to be watched until the next try.
        kind->refresh_ms = now_ms + (plan.wait_ms ? plan.wait_ms : source->timing.backoff_max_ms);
        plan.next = API_NEXT_WATCH;
        plan.wait_ms = 0;
    }
    if (plan.wait_ms) {
        api_kind_wait(kind, plan.next, plan.wait_ms);
        kind->unauthorized = outcome->http == 401;
        kind->unreached = source->unreached && plan.next == API_NEXT_SYNC;
    } else {
        // What goes on at once keeps its turn.
        source->turn = (size_t)(kind - source->kinds);
        api_kind_go(kind, plan.next);
    }
    api_source_check_synced(source);
    api_source_pump(source);
}
