// SPDX-License-Identifier: Apache-2.0
#include "base/num.h"
#include "source/api_source.h"
#include "json/json.h"

enum { ANSWER_MAX = 4 << 20, ASK_MS = 30000 };

static int parse(struct api_ask *ask, const char *text, size_t len, struct doc **ret, struct err *err)
{
    size_t used;
    unsigned line;
    struct doc *doc = NULL;
    if (json_parse(text, len, 1, &ask->arena, &doc, &used, &line, err) < 0) {
        return -1;
    }
    if (used != len) {
        return err_set(err, ERR_INPUT, 0, "something stands behind the answer");
    }
    *ret = doc;
    return 0;
}

static int on_item(const char *text, size_t len, void *arg, UNUSED struct err *err)
{
    struct api_ask *ask = arg;
    // One that cannot be read is counted all the same.
    if (!ask->item && parse(ask, text, len, &ask->item, NULL) < 0) {
        ask->item = NULL;
    }
    return 0;
}

static bool on_head(const struct http_head *head, UNUSED void *arg)
{
    return head->status == 200;
}

static bool on_body(const char *data, size_t len, void *arg)
{
    struct api_ask *ask = arg;
    if (ask->list) {
        return object_stream_feed(&ask->stream, data, len, &ask->err) == 0;
    }
    buf_add(&ask->text, data, len);
    return !ask->text.failed;
}

static struct doc *read_answer(struct api_ask *ask)
{
    struct doc *doc = NULL;
    if (ask->list && object_stream_finish(&ask->stream, NULL) < 0) {
        return NULL;
    }
    const struct buf *text = ask->list ? &ask->stream.rest : &ask->text;
    return text->len && parse(ask, text->data, text->len, &doc, NULL) == 0 ? doc : NULL;
}

static void clear(struct api_ask *ask)
{
    if (ask->list) {
        object_stream_free(&ask->stream);
    }
    ask->list = false;
    buf_free(&ask->text);
    arena_free(&ask->arena);
    ask->item = NULL;
}

static void on_done(const struct http_result *result, void *arg)
{
    struct api_ask *ask = arg;
    struct api_answer answer = {.status = result->status,
                                .why = result->why,
                                .outcome = {.act = API_ACT_LOOK,
                                            .end = result->outcome,
                                            .http = result->status,
                                            .raced = result->raced,
                                            .has_retry_after = result->has_retry_after,
                                            .retry_after_s = result->retry_after_s,
                                            .lived_ms = num_now_ms() - ask->started_ms}};
    if (result->status == 200 && result->outcome == HTTP_COMPLETE) {
        answer.doc = read_answer(ask);
        answer.item = ask->item;
        answer.n_items = ask->list ? ask->stream.n_items : 0;
    }
    if (result->status == 200 && (!answer.doc || answer.doc->type != DOC_MAP)) {
        answer.doc = NULL;
        answer.outcome.fault = API_FAULT_NO_SERVER;
    }
    api_status_read(result->body, result->body_len, &answer.outcome.status);
    if (result->status == 401) {
        answer.outcome.credentials_changed = api_call_refused(&ask->call);
    }
    // The answer is in memory of its own by then: fn may ask again.
    struct arena arena = ask->arena;
    ask->arena = (struct arena){0};
    clear(ask);
    ask->fn(&answer, ask->arg);
    arena_free(&arena);
}

void api_ask_start(struct api_source *source, struct api_ask *ask, const char *target, bool list, enum object_kind kind,
                   api_ask_fn *fn, void *arg)
{
    if (api_ask_running(ask)) {
        return;
    }
    const struct http_handler handler = {.arg = ask, .head = on_head, .body = on_body, .done = on_done};
    clear(ask);
    err_clear(&ask->err);
    ask->source = source;
    ask->list = list;
    ask->text.max = ANSWER_MAX;
    ask->fn = fn;
    ask->arg = arg;
    ask->started_ms = num_now_ms();
    if (list) {
        object_stream_init(&ask->stream, OBJECT_STREAM_LIST, kind, on_item, ask);
    }
    ask->call.target = strdup(target);
    ask->call.timeout_ms = ASK_MS;
    ask->call.fresh = false;
    api_call_start(source, &ask->call, &handler);
}

bool api_ask_running(const struct api_ask *ask)
{
    return ask->call.state != API_CALL_IDLE;
}

void api_ask_cancel(struct api_ask *ask)
{
    api_call_cancel(&ask->call);
    clear(ask);
}
