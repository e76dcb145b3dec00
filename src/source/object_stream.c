// SPDX-License-Identifier: Apache-2.0
#include "source/object_stream.h"

#include <string.h>

#include "source/object_walk.h"

enum { ITEM_MEMORY = 1 << 20 };  // a larger buffer is given back after its object

static void begin(struct object_stream *s, enum object_stream_form form)
{
    *s = (struct object_stream){.form = form, .other = form == OBJECT_STREAM_LIST};
    // What is kept can be longer than its text (members that are dropped leave a mark), never twice as long: the text's
    // own length is what is limited.
    s->item.max = (size_t)2 * LIMIT_HTTP_LINE;
    s->rest.max = (size_t)2 * LIMIT_HTTP_ERROR_BODY;
    s->keeps = true;
}

void object_stream_init(struct object_stream *stream, enum object_stream_form form, enum object_kind kind,
                        object_stream_fn *fn, void *arg)
{
    bool list = form == OBJECT_STREAM_LIST;
    begin(stream, form);
    stream->keep_object = keep_object(kind);
    stream->keep_event = keep_event(kind);
    stream->below = list ? keep_list() : stream->keep_event;
    stream->out = list ? &stream->rest : &stream->item;
    stream->fn = fn;
    stream->arg = arg;
}

void object_stream_free(struct object_stream *stream)
{
    buf_free(&stream->item);
    buf_free(&stream->rest);
}

int object_stream_too_long(const struct object_stream *s, struct err *err)
{
    return err_set(err, ERR_LIMIT, 0, "one %s has more than %d bytes",
                   s->form == OBJECT_STREAM_LIST ? "object of the list" : "event", LIMIT_HTTP_LINE);
}

int object_stream_give(struct object_stream *s, struct err *err)
{
    if (s->item.failed) {
        return err_oom(err);
    }
    s->n_items++;
    int rc = s->fn(s->item.data ? s->item.data : "", s->item.len, s->arg, err);
    buf_clear(&s->item);
    if (s->item.cap > ITEM_MEMORY) {
        buf_free(&s->item);
    }
    return rc;
}

int object_stream_check_rest(const struct object_stream *s, const char *p, struct err *err)
{
    if (s->rest_len + (object_walk_place(s, p) - s->item_before) >= LIMIT_HTTP_ERROR_BODY) {
        return err_set(err, ERR_LIMIT, 0, "the list has more than %d bytes besides its objects", LIMIT_HTTP_ERROR_BODY);
    }
    return s->rest.failed ? err_oom(err) : 0;
}

// ---- lists

static int feed_list(struct object_stream *s, const char *data, size_t len, struct err *err)
{
    if (object_walk(s, data, len, err) < 0) {
        return -1;
    }
    s->data = data + len;
    if (!object_walk_in_items(s)) {
        return object_stream_check_rest(s, s->data, err);
    }
    bool between =
        s->n_frames == OBJECT_WALK_LIST_ITEMS && (s->state == STREAM_VALUE || s->state == STREAM_FIRST_VALUE);
    return !between && s->before - s->item_before >= LIMIT_HTTP_LINE ? object_stream_too_long(s, err) : 0;
}

int object_stream_finish(const struct object_stream *stream, struct err *err)
{
    return stream->form == OBJECT_STREAM_WATCH || stream->state == STREAM_DONE
               ? 0
               : err_set(err, ERR_INPUT, 0, "the list ends in the middle");
}

// ---- watches

static int feed_line(struct object_stream *s, const char *data, size_t len, struct err *err)
{
    if (len == 0) {
        return 0;
    }
    if (memchr(data, '\0', len)) {
        return err_set(err, ERR_INPUT, 0, "the stream holds a NUL byte");
    }
    s->after_return = data[len - 1] == '\r';
    if (object_walk(s, data, len, err) < 0) {
        return -1;
    }
    return s->before - s->item_before >= LIMIT_HTTP_LINE ? object_stream_too_long(s, err) : 0;
}

static int end_line(struct object_stream *s, struct err *err)
{
    size_t len = s->before - s->item_before;
    bool empty = len == 0 || (len == 1 && s->after_return);
    int rc = empty ? 0 : object_stream_give(s, err);
    s->state = STREAM_VALUE;
    s->n_frames = 0;
    s->below = s->keep_event;
    s->keeps = true;
    s->copies = s->is_type = s->other = false;
    s->marks = (struct json_marks_state){0};
    s->item_before = s->before;
    return rc;
}

static int feed_watch(struct object_stream *s, const char *data, size_t len, struct err *err)
{
    const char *end = data + len;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (feed_line(s, data, (size_t)((newline ? newline : end) - data), err) < 0) {
            return -1;
        }
        if (newline && end_line(s, err) < 0) {
            return -1;
        }
        data = newline ? newline + 1 : end;
    }
    return 0;
}

int object_stream_feed(struct object_stream *stream, const char *data, size_t len, struct err *err)
{
    return stream->form == OBJECT_STREAM_LIST ? feed_list(stream, data, len, err) : feed_watch(stream, data, len, err);
}

// ---- one text

bool object_stream_text(const struct keep *keep, const char *text, size_t len, struct buf *out)
{
    struct object_stream s;
    begin(&s, OBJECT_STREAM_WATCH);
    s.other = keep->role != KEEP_TYPE;
    s.below = keep;
    s.out = out;
    return object_walk(&s, text, len, NULL) == 0 && s.state == STREAM_DONE && !out->failed;
}
