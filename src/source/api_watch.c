// SPDX-License-Identifier: Apache-2.0
//
// Watches (api-client.md 2): from a version on, or (WatchList) from everything there is.
#include <stdio.h>

#include "base/num.h"
#include "source/api_source.h"

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

// An ERROR event, with a Status.
static int on_error_event(struct api_kind *kind, const struct doc *status, struct err *err)
{
    api_status_of(status, &kind->status);
    kind->fault = API_FAULT_STATUS;
    return err_set(err, ERR_RELIST, (int)kind->status.code, "the server ended the watch: %s %s", kind->status.reason,
                   kind->status.message);
}

static int advance(struct api_kind *kind, const char *version, struct err *err)
{
    // A kind whose version was taken away reads everything anew: what its old stream still says is of no use for that.
    if (!version || !kind->version || strcmp(version, kind->version) == 0) {
        return 0;
    }
    char *copy = strdup(version);
    if (!copy) {
        return err_oom(err);
    }
    free(kind->version);
    kind->version = copy;
    return 0;
}

// A replacement begins where the watch was when it was asked for; what the old one has said since comes again, and
// would turn the state back.
static bool is_replay(const struct api_stream *stream, const struct doc *object)
{
    return stream->from && api_version_compare(api_store_version(object), stream->from) < 0;
}

// All that there is has come.
static int on_initial_end(struct api_stream *stream, const char *version, struct err *err)
{
    struct api_kind *kind = stream->kind;
    if (!version) {
        return err_set(err, ERR_INPUT, 0, "the bookmark behind the initial events names no version");
    }
    if (api_kind_is_stale(kind, version)) {
        kind->fault = API_FAULT_STALE;
        return err_set(err, ERR_RETRY, 0, "the list is older (%.40s) than what was seen (%.40s)", version,
                       kind->version);
    }
    char *copy = strdup(version);
    if (!copy || api_stage_commit(kind, err) < 0) {
        free(copy);
        return copy ? -1 : err_oom(err);
    }
    stream->initial = false;
    api_count_list(kind, 200);
    api_kind_synced(kind, copy);
    return 0;
}

static bool ends_initial(const struct doc *object)
{
    const struct doc *annotations = doc_get(doc_get(object, "metadata"), "annotations");
    return strcmp(text_of(annotations, "k8s.io/initial-events-end"), "true") == 0;
}

static int on_bookmark(struct api_stream *stream, const struct doc *object, struct err *err)
{
    const char *version = api_store_version(object);
    stream->bookmark_gap_ms = stream->last_ms - stream->bookmark_ms;
    stream->bookmark_ms = stream->last_ms;
    stream->bookmarks++;
    if (!stream->initial) {
        return advance(stream->kind, version, err);
    }
    // The initial events come in any order: only their end has a version that means something.
    return ends_initial(object) ? on_initial_end(stream, version, err) : 0;
}

// refused: why only the names of the object could be read; NULL when all of it was.
static int apply(struct api_stream *stream, const struct doc *event, const struct err *refused, struct err *err)
{
    struct api_kind *kind = stream->kind;
    const char *type = text_of(event, "type");
    const struct doc *object = doc_get(event, "object");
    if (!object || object->type != DOC_MAP) {
        return err_set(err, ERR_INPUT, 0, "a watch event holds no object");
    }
    int rc = 0;
    bool bookmark = strcmp(type, "BOOKMARK") == 0;
    // A server that writes an object that we refuse writes its version all the same; other text is no event.
    if (refused && strcmp(type, "ERROR") != 0 && !api_store_version(object)) {
        *err = *refused;
        return -1;
    }
    if (is_replay(stream, object) && strcmp(type, "ERROR") != 0) {
        return 0;
    }
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        rc = refused ? 0 : api_store_put(kind, object, err);
    } else if (strcmp(type, "DELETED") == 0) {
        // An object whose very name cannot be read was never in the state.
        bool nameless = refused && text_of(doc_get(object, "metadata"), "name")[0] == '\0';
        rc = nameless ? 0 : api_store_remove(kind, object, err);
    } else if (strcmp(type, "ERROR") == 0) {
        return on_error_event(kind, object, err);
    } else if (bookmark) {
        rc = on_bookmark(stream, object, err);
    } else {
        return err_set(err, ERR_INPUT, 0, "a watch event is of the unknown type \"%.32s\"", type);
    }
    if (rc < 0 || (!bookmark && !stream->initial && advance(kind, api_store_version(object), err) < 0)) {
        return -1;
    }
    if (refused && api_store_unreadable(kind, object, refused, err) < 0) {
        return -1;
    }
    api_count_more(kind, "watch_events", type, 1);
    return 0;
}

// The line is whole, so the stream is sound: what one object holds must not cost all others their events. A line of
// which not even the type can be read is no event; then nothing is known of the stream any more.
static int on_refused_line(struct api_stream *stream, const char *text, size_t len, const struct err *why,
                           struct err *err)
{
    struct api_kind *kind = stream->kind;
    const struct keep *const keeps[] = {keep_event_names, keep_event_version};
    for (size_t i = 0; i < ARRAY_SIZE(keeps); i++) {
        struct doc *event = NULL;
        struct err apart = {0};
        buf_clear(&kind->pruned);
        if (!object_stream_text(keeps[i], text, len, &kind->pruned)) {
            break;
        }
        if (api_store_parse(kind, kind->pruned.data, kind->pruned.len, &event, &apart) == 0) {
            return apply(stream, event, why, err);
        }
        if (apart.kind == ERR_OOM) {
            return err_oom(err);
        }
    }
    *err = *why;
    return -1;
}

static int on_line(const char *text, size_t len, void *arg, struct err *err)
{
    struct api_stream *stream = arg;
    struct api_kind *kind = stream->kind;
    struct doc *event = NULL;
    struct err why = {0};
    int rc = api_store_parse(kind, text, len, &event, &why);
    if (rc == 0) {
        rc = apply(stream, event, NULL, err);
    } else if (why.kind == ERR_OOM) {
        rc = err_oom(err);
    } else {
        rc = on_refused_line(stream, text, len, &why, err);
    }
    arena_reset(&kind->arena);
    if (rc == 0) {
        stream->events++;
        api_plan_event(&kind->retry);
        if (!stream->initial) {
            api_say_recovered(kind);
        }
    }
    return rc;
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct api_stream *stream = arg;
    struct api_kind *kind = stream->kind;
    if (api_check_head(kind, head) < 0) {
        return false;
    }
    // Each flush would be a gzip member of its own, and libcurl stops behind the first (api-client.md 2.9).
    if (head->content_encoding[0] && strcmp(head->content_encoding, "identity") != 0) {
        kind->fault = API_FAULT_COMPRESSED;
        (void)err_set(&kind->err, ERR_RETRY, 0, "the watch is compressed (%.32s), which was not asked for",
                      head->content_encoding);
        return false;
    }
    stream->answered = true;
    stream->last_ms = num_now_ms();
    struct api_stream *other = &kind->streams[stream == &kind->streams[0]];
    if (other->call.state != API_CALL_IDLE) {
        // From now on this one counts; the other is ended from the timer.
        free(stream->from);
        stream->from = kind->version ? strdup(kind->version) : NULL;
        if (kind->version && !stream->from) {
            (void)err_oom(&kind->err);
            return false;
        }
        other->superseded = true;
        loop_arm(kind->quiet, 0);
    }
    return true;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_stream *stream = arg;
    struct api_kind *kind = stream->kind;
    if (stream->superseded) {
        return true;
    }
    stream->last_ms = num_now_ms();
    if (!stream->frames) {
        size_t blank = 0;
        while (blank < len && strchr(" \t\r\n", data[blank]) && data[blank]) {
            blank++;
        }
        if (blank < len && data[blank] != '{') {
            kind->fault = API_FAULT_NO_SERVER;
            (void)err_set(&kind->err, ERR_RETRY, 0, "the answer holds no watch events: this is no API server");
            return false;
        }
        stream->frames = blank < len;
    }
    if (object_stream_feed(&stream->lines, data, len, &kind->err) == 0) {
        return true;
    }
    kind->fault = kind->fault == API_FAULT_NONE ? API_FAULT_CONTENT : kind->fault;
    return false;
}

static void stop_stream(struct api_stream *stream)
{
    api_call_cancel(&stream->call);
    object_stream_free(&stream->lines);
    free(stream->from);
    stream->from = NULL;
    stream->superseded = false;
    stream->answered = false;
}

void api_watch_stop(struct api_kind *kind)
{
    stop_stream(&kind->streams[0]);
    stop_stream(&kind->streams[1]);
    loop_disarm(kind->quiet);
    arena_free(&kind->arena);
}

// Only watches that had their time say something by being silent: what cuts them early on the way does so for ever, and
// must not cost a list each time.
static void count_barren(struct api_kind *kind, const struct api_stream *stream, const struct api_outcome *outcome)
{
    if (stream->events == 0 && outcome->lived_ms < (uint64_t)stream->asked_s * 500) {
        return;
    }
    kind->barren = stream->events ? 0 : kind->barren + 1;
    if (kind->barren >= 2) {
        kind->barren = 0;
        api_probe_now(kind);
    }
}

static void ended(struct api_stream *stream, const struct http_result *result)
{
    struct api_kind *kind = stream->kind;
    struct api_outcome outcome = {
        .act = stream->initial ? API_ACT_INITIAL : API_ACT_WATCH,
        .end = result->outcome,
        .http = result->status,
        .raced = result->raced,
        .has_retry_after = result->has_retry_after,
        .retry_after_s = result->retry_after_s,
        .fault = kind->fault,
        .status = kind->status,
        .with_version = kind->with_version,
        .terms = kind->terms,
        .asked_s = stream->asked_s,
        .lived_ms = num_now_ms() - stream->started_ms,
        .events = stream->events,
    };
    if (kind->fault != API_FAULT_STATUS) {
        api_status_read(result->body, result->body_len, &outcome.status);
    }
    if (result->status == 401) {
        outcome.credentials_changed = api_call_refused(&stream->call);
    }
    bool over = result->status == 200 && kind->fault == API_FAULT_NONE;
    if (stream->initial) {
        api_count_list(kind, result->status);
    }
    api_watch_stop(kind);
    if (over && outcome.act == API_ACT_WATCH) {
        count_barren(kind, stream, &outcome);
    }
    api_kind_failed(kind, &outcome, result);
}

// The other one has answered: this one is over.
static void retire(struct api_stream *stream)
{
    stop_stream(stream);
    stream->kind->current = stream == &stream->kind->streams[0];
}

// A replacement that was not taken has not shown that the silent one is dead: that one goes on, and in a while there is
// another try. What the server has forgotten (410) it would not say on the old stream either.
static bool is_spare(const struct api_stream *stream, const struct http_result *result)
{
    const struct api_kind *kind = stream->kind;
    const struct api_stream *present = &kind->streams[kind->current];
    return stream != present && !present->superseded && present->call.state != API_CALL_IDLE && result->status != 410;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_stream *stream = arg;
    struct api_kind *kind = stream->kind;
    if (stream->superseded) {
        retire(stream);
    } else if (is_spare(stream, result)) {
        if (result->status == 401) {
            (void)api_call_refused(&stream->call);
        }
        stop_stream(stream);
        err_clear(&kind->err);
        kind->fault = API_FAULT_NONE;
        loop_arm(kind->quiet, kind->source->timing.backoff_max_ms);
    } else {
        ended(stream, result);
    }
}

static void begin(struct api_kind *kind, struct api_stream *stream, bool initial)
{
    struct api_source *source = kind->source;
    const struct http_handler handler = {.arg = stream, .head = on_head, .body = on_body, .done = on_done};
    struct buf BUF_CLEANUP query = {0};
    stop_stream(stream);
    struct api_call call = stream->call;
    *stream = (struct api_stream){.kind = kind, .call = call, .initial = initial};
    stream->asked_s =
        (unsigned)api_random_between(&source->random, source->timing.watch_min_s, source->timing.watch_max_s);
    stream->started_ms = stream->last_ms = num_now_ms();
    buf_puts(&query, "&watch=1&allowWatchBookmarks=true");
    if (initial) {
        buf_puts(&query, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    }
    if (!initial || kind->with_version) {
        buf_puts(&query, "&resourceVersion=");
        api_url_escape(&query, kind->version);
    }
    buf_printf(&query, "&timeoutSeconds=%u", stream->asked_s);
    api_append_selector(&query, kind);
    object_stream_init(&stream->lines, OBJECT_STREAM_WATCH, kind->row->kind, on_line, stream);
    stream->call.target = api_target(kind, &query);
    stream->call.compressed = false;
    stream->call.fresh = kind->fresh;
    stream->call.timeout_ms = stream->asked_s * 1000 + source->timing.watch_grace_ms;
    stream->call.min_speed = 0;
    kind->fresh = false;
    api_call_start(source, &stream->call, &handler);
}

void api_watch_start(struct api_kind *kind, bool initial)
{
    const struct api_timing *timing = &kind->source->timing;
    err_clear(&kind->err);
    kind->fault = API_FAULT_NONE;
    kind->status = (struct api_status){.code = 0};
    kind->current = 0;
    stop_stream(&kind->streams[1]);
    kind->with_version = initial ? kind->version && !kind->unset : true;
    begin(kind, &kind->streams[0], initial);
    loop_arm(kind->quiet, initial ? timing->initial_quiet_ms : timing->silence_ms);
}

static void replace(struct api_kind *kind)
{
    kind->fresh = true;
    begin(kind, &kind->streams[!kind->current], false);
    api_count_more(kind, "watch_restarts", "silent", 1);
}

// A WatchList that says nothing more was none.
static void give_up(struct api_kind *kind, struct api_stream *stream)
{
    const struct http_result result = {.outcome = HTTP_STOPPED, .status = 200, .why = "", .body = ""};
    kind->fault = API_FAULT_QUIET;
    (void)err_set(&kind->err, ERR_RETRY, 0, "the initial events do not come to an end");
    ended(stream, &result);
}

void api_watch_quiet(void *arg)
{
    struct api_kind *kind = arg;
    const struct api_timing *timing = &kind->source->timing;
    if (kind->streams[kind->current].superseded) {
        retire(&kind->streams[kind->current]);
    }
    struct api_stream *stream = &kind->streams[kind->current];
    const struct api_stream *other = &kind->streams[!kind->current];
    if (stream->call.state == API_CALL_IDLE) {
        return;
    }
    uint64_t idle = num_now_ms() - stream->last_ms;
    uint64_t limit = stream->initial ? timing->initial_quiet_ms : timing->silence_ms;
    if (idle < limit) {
        loop_arm(kind->quiet, limit - idle);
        return;
    }
    // Bookmarks came about once a minute, and do not any more.
    bool regular = stream->bookmarks >= 2 && stream->bookmark_gap_ms <= timing->silence_ms / 2;
    if (stream->initial && stream->answered) {
        give_up(kind, stream);
        return;
    }
    if (!stream->initial && regular && other->call.state == API_CALL_IDLE && kind->version && !kind->relist) {
        replace(kind);
    }
    loop_arm(kind->quiet, limit);
}
