// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/num.h"
#include "source/api_source.h"
#include "source/prune.h"
#include "json/json.h"

enum { SERVER_ERRORS = 3 };  // ERROR 500 events in a row until the list is asked for again

static const char *text_of(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type == DOC_STRING ? child->text : "";
}

// An ERROR event, with a Status: what to do is in the kind of the error.
static int on_error_event(struct api_kind *kind, const struct doc *status, struct err *err)
{
    const struct doc *code = doc_get(status, "code");
    const char *reason = text_of(status, "reason");
    int number = code && code->type == DOC_NUMBER && code->integral && code->integer > 0 && code->integer < 1000
                     ? (int)code->integer
                     : 0;
    enum err_kind what = ERR_RELIST;
    if (number == 500 && strcmp(reason, "Expired") != 0 && ++kind->server_errors < SERVER_ERRORS) {
        what = ERR_RETRY;
    }
    bool gone = number == 410 || strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0;
    return err_set(err, what, gone ? 410 : number, "the server ended the watch: %s %s", reason,
                   text_of(status, "message"));
}

static void count_event(const struct api_kind *kind, const char *type)
{
    char label[64];
    (void)snprintf(label, sizeof(label), "%s/%s", kind->label, type);
    kind->source->owner.count("watch_events", label, 1, kind->source->owner.arg);
}

static int advance(struct api_kind *kind, const struct doc *object, struct err *err)
{
    const char *version = api_store_version(object);
    if (!version || strcmp(version, kind->version) == 0) {
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

// refused: why only the names of the object could be read; NULL when all of it was.
static int apply(struct api_kind *kind, const struct doc *event, const struct err *refused, struct err *err)
{
    const char *type = text_of(event, "type");
    const struct doc *object = doc_get(event, "object");
    if (!object || object->type != DOC_MAP) {
        return err_set(err, ERR_RELIST, 0, "a watch event holds no object");
    }
    int rc = 0;
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        rc = refused ? 0 : api_store_put(kind, object, err);
    } else if (strcmp(type, "DELETED") == 0) {
        // An object whose very name cannot be read was never in the state.
        bool nameless = refused && text_of(doc_get(object, "metadata"), "name")[0] == '\0';
        rc = nameless ? 0 : api_store_remove(kind, object, err);
    } else if (strcmp(type, "ERROR") == 0) {
        return on_error_event(kind, object, err);
    } else if (strcmp(type, "BOOKMARK") != 0) {
        return err_set(err, ERR_RELIST, 0, "a watch event is of the unknown type \"%.32s\"", type);
    }
    if (rc < 0 || advance(kind, object, err) < 0) {
        return -1;
    }
    if (refused) {
        api_store_unreadable(kind, object, refused);
    }
    count_event(kind, type);
    return 0;
}

static int parse_event(struct api_kind *kind, const char *text, size_t len, struct doc **ret, struct err *err)
{
    size_t used;
    unsigned line;
    struct doc *event = NULL;
    if (json_parse(text, len, 1, &kind->arena, &event, &used, &line, err) < 0) {
        return -1;
    }
    if (used != len) {
        return err_set(err, ERR_INPUT, 0, "a line of the watch holds more than one event");
    }
    *ret = event;
    return 0;
}

// The line is whole, so the stream is sound: what one object holds must not cost all others their events. A line of
// which not even the type can be read is no event; then nothing is known of the stream any more.
static int on_refused_line(struct api_kind *kind, const char *text, size_t len, const struct err *why, struct err *err)
{
    bool (*const prunes[])(const char *, size_t, struct buf *) = {prune_event_to_names, prune_event_to_version};
    for (size_t i = 0; i < ARRAY_SIZE(prunes); i++) {
        struct doc *event = NULL;
        struct err apart = {0};
        buf_clear(&kind->pruned);
        if (!prunes[i](text, len, &kind->pruned)) {
            break;
        }
        if (parse_event(kind, kind->pruned.data, kind->pruned.len, &event, &apart) == 0) {
            return apply(kind, event, why, err);
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
    struct api_kind *kind = arg;
    struct doc *event = NULL;
    struct err why = {0};
    buf_clear(&kind->pruned);
    bool pruned = prune_event(kind->kind, text, len, &kind->pruned);
    int rc = parse_event(kind, pruned ? kind->pruned.data : text, pruned ? kind->pruned.len : len, &event, &why);
    if (rc == 0) {
        rc = apply(kind, event, NULL, err);
    } else if (why.kind == ERR_OOM) {
        rc = err_oom(err);
    } else {
        rc = on_refused_line(kind, text, len, &why, err);
    }
    arena_free(&kind->arena);
    if (rc == 0) {
        kind->events++;
        kind->server_errors = 0;
        kind->failures = 0;
        api_retry_recovered(kind);
    }
    return rc;
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct api_kind *kind = arg;
    if (api_request_check_head(kind, head) < 0) {
        return false;
    }
    // Each flush would be a gzip member of its own, and libcurl stops behind the first (api-client.md 2.9).
    if (head->content_encoding[0] && strcmp(head->content_encoding, "identity") != 0) {
        (void)err_set(&kind->stream_err, ERR_RETRY, 0, "the watch is compressed (%.32s), which was not asked for",
                      head->content_encoding);
        return false;
    }
    return true;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_kind *kind = arg;
    return lines_feed(&kind->lines, data, len, &kind->stream_err) == 0;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_kind *kind = arg;
    const struct api_timing *timing = &kind->source->timing;
    kind->request = NULL;
    lines_free(&kind->lines);
    arena_free(&kind->arena);
    api_kind_count(kind, "watch_restarts", 1);
    bool ended = result->status == 200 && (result->outcome == HTTP_COMPLETE || result->outcome == HTTP_TIMEOUT);
    bool hollow = kind->events == 0 && num_now_ms() - kind->started_ms < timing->short_watch_ms;
    if (!ended || hollow) {
        if (ended) {
            (void)err_set(&kind->stream_err, ERR_RETRY, 0, "the watch ended at once");
        }
        api_retry(kind, API_WATCH, result);
        return;
    }
    kind->failures = 0;
    api_retry_recovered(kind);
    kind->fresh = result->outcome == HTTP_TIMEOUT;
    api_watch_start(kind);
}

void api_watch_start(struct api_kind *kind)
{
    struct api_source *source = kind->source;
    const struct http_handler handler = {.arg = kind, .head = on_head, .body = on_body, .done = on_done};
    unsigned seconds = (unsigned)api_random(source, source->timing.watch_min_s, source->timing.watch_max_s);
    struct buf BUF_CLEANUP query = {0};
    buf_puts(&query, "watch=1&allowWatchBookmarks=true&resourceVersion=");
    api_url_escape(&query, kind->version);
    buf_printf(&query, "&timeoutSeconds=%u", seconds);
    if (kind->selector) {
        buf_puts(&query, "&fieldSelector=");
        api_url_escape(&query, kind->selector);
    }
    kind->phase = API_WATCHING;
    kind->resume = true;
    kind->events = 0;
    kind->started_ms = num_now_ms();
    lines_free(&kind->lines);
    lines_init(&kind->lines, on_line, kind);
    err_clear(&kind->stream_err);
    int rc = query.failed ? err_oom(&kind->stream_err) : 0;
    if (rc == 0) {
        rc = api_request_start(kind, API_WATCH, query.data, seconds * 1000 + source->timing.watch_grace_ms, &handler,
                               &kind->stream_err);
    }
    if (rc < 0) {
        api_retry(kind, API_WATCH, NULL);
    }
}
