// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "source/api_source.h"
#include "source/prune.h"
#include "json/json.h"

static void start_page(struct api_kind *kind);

void api_list_reset(struct api_kind *kind)
{
    splitter_free(&kind->splitter);
    arena_free(&kind->arena);
    free(kind->next_page);
    kind->next_page = NULL;
    map_free(kind->stale);
    kind->stale = NULL;
}

// The list failed: what was listed so far stays, nothing is swept.
static void fail(struct api_kind *kind, const struct http_result *result)
{
    api_list_reset(kind);
    kind->source->listing = NULL;
    api_retry(kind, API_LIST, result);
    api_source_pump(kind->source);
}

static int parse_item(struct api_kind *kind, const char *text, size_t len, struct doc **ret, struct err *err)
{
    size_t used;
    unsigned line;
    struct doc *item = NULL;
    if (json_parse(text, len, 1, &kind->arena, &item, &used, &line, err) < 0) {
        return -1;
    }
    if (used != len) {
        return err_set(err, ERR_INPUT, 0, "something stands behind the object");
    }
    *ret = item;
    return 0;
}

// An item that cannot be read is there all the same: what is held under its name stays, and only that.
static int on_refused_item(struct api_kind *kind, const char *text, size_t len, const struct err *why, struct err *err)
{
    struct doc *names = NULL;
    struct err apart = {0};
    buf_clear(&kind->pruned);
    if (prune_object_to_names(text, len, &kind->pruned) &&
        parse_item(kind, kind->pruned.data, kind->pruned.len, &names, &apart) < 0 && apart.kind == ERR_OOM) {
        return err_oom(err);
    }
    if (names) {
        api_store_seen(kind, names);
    }
    api_store_unreadable(kind, names, why);
    return 0;
}

static int on_item(const char *text, size_t len, void *arg, struct err *err)
{
    struct api_kind *kind = arg;
    struct doc *item = NULL;
    struct err why = {0};
    buf_clear(&kind->pruned);
    bool pruned = prune_object(kind->kind, text, len, &kind->pruned);
    int rc = parse_item(kind, pruned ? kind->pruned.data : text, pruned ? kind->pruned.len : len, &item, &why);
    if (rc == 0) {
        api_store_seen(kind, item);
        rc = api_store_put(kind, item, err);
    } else if (why.kind == ERR_OOM) {
        rc = err_oom(err);
    } else {
        rc = on_refused_item(kind, text, len, &why, err);
    }
    arena_free(&kind->arena);
    return rc;
}

static bool on_head(const struct http_head *head, void *arg)
{
    struct api_kind *kind = arg;
    return api_request_check_head(kind, head) == 0;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_kind *kind = arg;
    return splitter_feed(&kind->splitter, data, len, &kind->stream_err) == 0;
}

// What the page says besides its objects. *ret_next: the continue token, NULL at the end of the list.
static int read_rest(struct api_kind *kind, char **ret_version, char **ret_next, struct err *err)
{
    struct doc *rest = NULL;
    size_t used;
    unsigned line;
    if (splitter_finish(&kind->splitter, err) < 0 ||
        json_parse(kind->splitter.rest.data, kind->splitter.rest.len, 1, &kind->arena, &rest, &used, &line, err) < 0) {
        return -1;
    }
    const struct doc *items = doc_get(rest, "items");
    const struct doc *next = doc_get(doc_get(rest, "metadata"), "continue");
    const char *version = api_store_version(rest);
    if (!items || (items->type != DOC_NULL && items->type != DOC_LIST) || items->child || !version) {
        return err_set(err, ERR_INPUT, 0, "the answer is no list of a Kubernetes API server");
    }
    bool more = next && next->type == DOC_STRING && next->text[0];
    if (more && kind->next_page && strcmp(kind->next_page, next->text) == 0) {
        return err_set(err, ERR_INPUT, 0, "the server names the same page as the next one");
    }
    char *version_copy = strdup(version);
    char *next_copy = more ? strdup(next->text) : NULL;
    if (!version_copy || (more && !next_copy)) {
        free(version_copy);
        free(next_copy);
        return err_oom(err);
    }
    *ret_version = version_copy;
    *ret_next = next_copy;
    return 0;
}

static void complete(struct api_kind *kind)
{
    struct api_source *source = kind->source;
    api_store_sweep(kind);
    api_list_reset(kind);
    source->listing = NULL;
    kind->synced = true;
    kind->relist = false;
    kind->server_errors = 0;
    api_kind_count(kind, "lists", 1);
    api_retry_recovered(kind);
    api_watch_start(kind);
    api_source_check_synced(source);
    api_source_pump(source);
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_kind *kind = arg;
    kind->request = NULL;
    if (result->outcome != HTTP_COMPLETE || result->status != 200) {
        fail(kind, result);
        return;
    }
    char *version = NULL;
    char *next = NULL;
    int rc = read_rest(kind, &version, &next, &kind->stream_err);
    arena_free(&kind->arena);
    if (rc < 0) {
        fail(kind, result);
        return;
    }
    // The version of the first page stands for the whole list: the watch starts there.
    if (!kind->next_page) {
        free(kind->version);
        kind->version = TAKE(version);
    }
    free(version);
    free(kind->next_page);
    kind->next_page = next;
    if (next) {
        start_page(kind);
    } else {
        complete(kind);
    }
}

static void start_page(struct api_kind *kind)
{
    const struct http_handler handler = {.arg = kind, .head = on_head, .body = on_body, .done = on_done};
    struct buf BUF_CLEANUP query = {0};
    buf_printf(&query, "limit=%d", API_PAGE);
    if (kind->selector) {
        buf_puts(&query, "&fieldSelector=");
        api_url_escape(&query, kind->selector);
    }
    if (kind->next_page) {
        buf_puts(&query, "&continue=");
        api_url_escape(&query, kind->next_page);
    }
    splitter_free(&kind->splitter);
    splitter_init(&kind->splitter, on_item, kind);
    err_clear(&kind->stream_err);
    int rc = query.failed ? err_oom(&kind->stream_err) : 0;
    if (rc == 0) {
        rc = api_request_start(kind, API_LIST, query.data, kind->source->timing.list_ms, &handler, &kind->stream_err);
    }
    if (rc < 0) {
        fail(kind, NULL);
    }
}

void api_list_start(struct api_kind *kind)
{
    kind->source->listing = kind;
    kind->phase = API_LISTING;
    api_list_reset(kind);
    err_clear(&kind->stream_err);
    if (api_store_mark(kind, &kind->stream_err) < 0) {
        fail(kind, NULL);
        return;
    }
    start_page(kind);
}
