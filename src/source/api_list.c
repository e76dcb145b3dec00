// SPDX-License-Identifier: Apache-2.0
//
// A kind read page by page (api-client.md 1).
#include <stdio.h>
#include <strings.h>

#include "base/num.h"
#include "source/api_source.h"

enum { MIN_LIST_SPEED = 1024 };  // bytes a second; the server cuts a list after 60 s anyway

static void start_page(struct api_kind *kind);

void api_append_selector(struct buf *query, const struct api_kind *kind)
{
    if (kind->selector) {
        buf_puts(query, "&fieldSelector=");
        api_url_escape(query, kind->selector);
    }
}

char *api_target(const struct api_kind *kind, const struct buf *query)
{
    struct buf text = {.failed = query->failed};
    buf_puts(&text, kind->path);
    if (query->len) {
        buf_printf(&text, "?%s", query->data + 1);
    }
    return buf_take(&text);
}

int api_check_head(struct api_kind *kind, const struct http_head *head)
{
    size_t len = strcspn(head->content_type, "; ");
    if (len == strlen("application/json") && strncasecmp(head->content_type, "application/json", len) == 0) {
        return 0;
    }
    kind->fault = API_FAULT_NO_SERVER;
    return err_set(&kind->err, ERR_RETRY, 0, "the answer is not JSON but \"%.64s\": this is no API server",
                   head->content_type);
}

void api_list_stop(struct api_kind *kind)
{
    api_call_cancel(&kind->call);
    object_stream_free(&kind->list);
    arena_free(&kind->arena);
    free(kind->next_page);
    kind->next_page = NULL;
    free(kind->list_version);
    kind->list_version = NULL;
}

static void fail(struct api_kind *kind, const struct http_result *result)
{
    struct api_outcome outcome = {
        .act = API_ACT_LIST,
        .end = result->outcome,
        .http = result->status,
        .raced = result->raced,
        .has_retry_after = result->has_retry_after,
        .retry_after_s = result->retry_after_s,
        .fault = kind->fault,
        .with_version = kind->with_version,
        .with_match = kind->with_match,
        .with_limit = kind->with_limit,
        .later_page = kind->next_page != NULL,
        .terms = kind->terms,
        .lived_ms = num_now_ms() - kind->page_ms,
    };
    api_status_read(result->body, result->body_len, &outcome.status);
    if (result->status == 401) {
        outcome.credentials_changed = api_call_refused(&kind->call);
    }
    api_kind_failed(kind, &outcome, result);
}

void api_list_resume(struct api_kind *kind)
{
    start_page(kind);
}

// An item that cannot be read is there all the same: what is held under its name stays, and only that.
static int on_refused_item(struct api_kind *kind, const char *text, size_t len, const struct err *why, struct err *err)
{
    struct doc *names = NULL;
    struct err apart = {0};
    buf_clear(&kind->pruned);
    if (object_stream_text(keep_object_names, text, len, &kind->pruned) &&
        api_store_parse(kind, kind->pruned.data, kind->pruned.len, &names, &apart) < 0 && apart.kind == ERR_OOM) {
        return err_oom(err);
    }
    return api_store_unreadable(kind, names, why, err);
}

static int on_item(const char *text, size_t len, void *arg, struct err *err)
{
    struct api_kind *kind = arg;
    struct doc *item = NULL;
    struct err why = {0};
    int rc = api_store_parse(kind, text, len, &item, &why);
    if (rc == 0) {
        rc = api_store_put(kind, item, err);
    } else if (why.kind == ERR_OOM) {
        rc = err_oom(err);
    } else {
        rc = on_refused_item(kind, text, len, &why, err);
    }
    arena_reset(&kind->arena);
    return rc;
}

static bool on_head(const struct http_head *head, void *arg)
{
    return api_check_head(arg, head) == 0;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_kind *kind = arg;
    if (object_stream_feed(&kind->list, data, len, &kind->err) == 0) {
        return true;
    }
    kind->fault = API_FAULT_CONTENT;
    return false;
}

// What the page says besides its objects. *ret_next: the continue token, NULL at the end of the list.
static int read_rest(struct api_kind *kind, char **ret_version, char **ret_next, struct err *err)
{
    struct doc *rest = NULL;
    if (object_stream_finish(&kind->list, err) < 0 ||
        api_store_parse(kind, kind->list.rest.data, kind->list.rest.len, &rest, err) < 0) {
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

// A page has come whole. -1 with kind->err and kind->fault.
static int take_page(struct api_kind *kind)
{
    char *version = NULL;
    char *next = NULL;
    int rc = read_rest(kind, &version, &next, &kind->err);
    arena_free(&kind->arena);
    if (rc < 0) {
        kind->fault = API_FAULT_CONTENT;
        return -1;
    }
    // The version of the first page stands for the whole list: the watch starts there. A page that is older than that
    // lacks what the watch will not tell.
    if (!kind->list_version) {
        kind->list_version = TAKE(version);
    } else if (api_version_compare(version, kind->list_version) < 0) {
        kind->fault = API_FAULT_STALE;
        (void)err_set(&kind->err, ERR_RETRY, 0, "a later page is older (%.40s) than the first (%.40s)", version,
                      kind->list_version);
        free(version);
        free(next);
        return -1;
    }
    free(version);
    free(kind->next_page);
    kind->next_page = next;
    if (!next && api_kind_is_stale(kind, kind->list_version)) {
        kind->fault = API_FAULT_STALE;
        return err_set(&kind->err, ERR_RETRY, 0, "the list is older (%.40s) than what was seen (%.40s)",
                       kind->list_version, kind->version);
    }
    if (!next && api_stage_commit(kind, &kind->err) < 0) {
        kind->fault = API_FAULT_CONTENT;
        return -1;
    }
    return 0;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_kind *kind = arg;
    if (result->outcome != HTTP_COMPLETE || result->status != 200 || take_page(kind) < 0) {
        fail(kind, result);
    } else if (kind->next_page) {
        api_plan_page(&kind->retry);
        start_page(kind);
    } else {
        api_count_list(kind, 200);
        char *version = TAKE(kind->list_version);
        api_list_stop(kind);
        api_kind_synced(kind, version);
    }
}

static void start_page(struct api_kind *kind)
{
    struct api_source *source = kind->source;
    const struct http_handler handler = {.arg = kind, .head = on_head, .body = on_body, .done = on_done};
    bool first = !kind->next_page;
    struct buf BUF_CLEANUP query = {0};
    if (kind->with_version && first) {
        buf_puts(&query, "&resourceVersion=");
        api_url_escape(&query, kind->version);
        buf_puts(&query, kind->with_match ? "&resourceVersionMatch=NotOlderThan" : "");
    } else if (kind->with_limit) {
        buf_printf(&query, "&limit=%d", API_PAGE);
    }
    api_append_selector(&query, kind);
    if (!first) {
        buf_puts(&query, "&continue=");
        api_url_escape(&query, kind->next_page);
    }
    object_stream_free(&kind->list);
    object_stream_init(&kind->list, OBJECT_STREAM_LIST, kind->row->kind, on_item, kind);
    err_clear(&kind->err);
    kind->fault = API_FAULT_NONE;
    kind->page_ms = num_now_ms();
    kind->call.target = api_target(kind, &query);
    kind->call.compressed = true;
    kind->call.fresh = kind->fresh;
    kind->call.timeout_ms = source->timing.list_ms;
    kind->call.min_speed = MIN_LIST_SPEED;
    kind->fresh = false;
    api_call_start(source, &kind->call, &handler);
}

void api_list_start(struct api_kind *kind)
{
    unsigned lacks = kind->source->lacks;
    kind->with_version = kind->version && !kind->unset;
    kind->with_match = kind->with_version && !(lacks & API_LACKS_MATCH);
    kind->with_limit = !kind->with_version && !(lacks & API_LACKS_LIMIT);
    start_page(kind);
}
