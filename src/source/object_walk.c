// SPDX-License-Identifier: Apache-2.0
#include "source/object_walk.h"

#include <string.h>

enum { LIST_ITEMS = OBJECT_WALK_LIST_ITEMS };

// In front of what is wrong only because something was dropped.
static const char wrong[] = " !";

static int not_a_list(struct err *err)
{
    return err_set(err, ERR_INPUT, 0, "the answer is not a JSON list");
}

static inline void put(struct buf *out, const char *text, size_t len)
{
    if (out->cap - out->len > len && !out->failed) {
        memcpy(out->data + out->len, text, len);
        out->len += len;
        out->data[out->len] = '\0';
    } else {
        buf_add(out, text, len);
    }
}

static inline void put_char(struct buf *out, char c)
{
    put(out, &c, 1);
}

static inline void copy_from(struct object_stream *s, const char *p)
{
    s->copies = true;
    s->from = p;
}

static inline void copy_to(struct object_stream *s, const char *p)
{
    if (s->copies) {
        put(s->out, s->from, (size_t)(p - s->from));
        s->copies = false;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// The end of a word, of which only what follows tells.
static void copy_word_to(struct object_stream *s, const char *p)
{
    if (s->copies) {
        copy_to(s, p);
        while (s->out->len && is_blank(s->out->data[s->out->len - 1])) {
            s->out->data[--s->out->len] = '\0';
        }
    }
}

// ---- where it is

static inline struct object_stream_frame *top(struct object_stream *s)
{
    return &s->frames[s->n_frames - 1];
}

bool object_walk_in_items(const struct object_stream *s)
{
    return s->form == OBJECT_STREAM_LIST && s->n_frames >= LIST_ITEMS && s->frames[LIST_ITEMS - 1].items;
}

// ---- wrong text

static int raw(struct object_stream *s, const char *p, struct err *err);

// From p on as it is, behind `mark`: that makes it wrong where what was dropped was. A list that is wrong outside of
// its objects is none; an object that is wrong is the JSON door's to refuse.
static int go_raw(struct object_stream *s, const char *p, const char *mark, struct err *err)
{
    bool items = object_walk_in_items(s);
    if (s->form == OBJECT_STREAM_LIST && !items) {
        return not_a_list(err);
    }
    s->open = s->n_frames - (items ? LIST_ITEMS : 0);
    s->n_frames -= s->open;
    put(s->out, mark, strlen(mark));
    s->state = STREAM_RAW;
    copy_from(s, p);
    return raw(s, p, err);
}

// ---- what a token does

static void value_end(struct object_stream *s)
{
    s->state = s->n_frames ? STREAM_NEXT : STREAM_DONE;
    if (s->is_type) {
        static const char bookmark[] = "\"BOOKMARK\"";
        const size_t len = sizeof(bookmark) - 1;
        s->other = s->out->len < len || memcmp(s->out->data + s->out->len - len, bookmark, len) != 0;
        s->is_type = false;
    }
}

static int start_container(struct object_stream *s, const char *p, struct err *err)
{
    bool map = *p == '{';
    bool items = s->is_items;
    if (s->n_frames == LIMIT_DOCUMENT_DEPTH + (object_walk_in_items(s) ? LIST_ITEMS : 0)) {
        return go_raw(s, p, "", err);
    }
    if (items && s->seen_items) {
        return err_set(err, ERR_INPUT, 0, "the list has two \"items\"");
    }
    put_char(s->out, *p);
    s->frames[s->n_frames++] = (struct object_stream_frame){.keep = s->below, .map = map, .items = items};
    s->state = map ? STREAM_FIRST_KEY : STREAM_FIRST_VALUE;
    if (items) {
        s->is_items = false;
        s->seen_items = true;
        if (object_stream_check_rest(s, p + 1, err) < 0) {
            return -1;
        }
        s->rest_len += object_walk_place(s, p + 1) - s->item_before;
        s->out = &s->item;
    }
    return 0;
}

static void end_container(struct object_stream *s, char c)
{
    const struct object_stream_frame *frame = top(s);
    if (frame->items) {
        s->out = &s->rest;
    }
    // "status: {}" and a status of which nothing is left are not the same.
    if (frame->map && frame->any && !frame->wrote) {
        put(s->out, "\"\":null", strlen("\"\":null"));
    }
    put_char(s->out, c);
    s->n_frames--;
    value_end(s);
}

static int start_value(struct object_stream *s, const char *p, struct err *err)
{
    char c = *p;
    bool map_or_list = c == '{' || c == '[';
    if (s->is_items && c != '[') {
        s->is_items = false;
        s->below = NULL;
    }
    if (s->n_frames == LIST_ITEMS && top(s)->items) {
        s->item_before = object_walk_place(s, p);
        if (c != '{') {
            return go_raw(s, p, "", err);
        }
    } else if (s->n_frames == 0 && c != '{') {
        return go_raw(s, p, "", err);
    }
    if (map_or_list && s->keeps && s->below) {
        return start_container(s, p, err);
    }
    if (s->keeps) {
        copy_from(s, p);
    }
    s->open = 1;
    s->state = map_or_list ? STREAM_IN_WHOLE : c == '"' ? STREAM_IN_STRING : STREAM_IN_WORD;
    return 0;
}

static int start_key(struct object_stream *s, const char *p)
{
    top(s)->any = true;
    s->state = STREAM_IN_KEY;
    s->key_len = 0;
    s->from = p + 1;
    return 0;
}

// Remembers the part of a key up to p; of a long one not all, as it is none of ours.
static void keep_key(struct object_stream *s, const char *p)
{
    size_t len = (size_t)(p - s->from);
    size_t room = sizeof(s->key) - s->key_len;
    len = len < room ? len : room;
    memcpy(s->key + s->key_len, s->from, len);
    s->key_len += len;
}

// Its last quote is at p.
static void end_key(struct object_stream *s, const char *p)
{
    const char *key = s->from;
    size_t len = (size_t)(p - s->from);
    if (s->key_len) {
        keep_key(s, p);
        key = s->key;
        len = s->key_len;
    }
    struct object_stream_frame *frame = top(s);
    const struct keep *found = keep_find(frame->keep, key, len);
    s->state = STREAM_COLON;
    s->keeps = found->key ? found->role != KEEP_BOOKMARK || !s->other
                          : !found->exact && len < sizeof(s->key) && memchr(key, '\\', len);
    if (!s->keeps) {
        return;
    }
    s->below = found->below;
    if (found->role == KEEP_TYPE) {
        s->is_type = true;
    } else if (found->role == KEEP_ITEMS) {
        s->is_items = true;
        s->below = s->keep_object;
    }
    put(s->out, frame->wrote ? ",\"" : "\"", frame->wrote ? 2 : 1);
    frame->wrote = true;
    put(s->out, key, len);
    put_char(s->out, '"');
}

// The next value is an element of a list that is looked through.
static void want_element(struct object_stream *s, enum object_stream_state state)
{
    s->state = state;
    s->keeps = true;
    s->below = top(s)->keep;
}

// Behind an object of a list: a comma, or the bracket that ends the array.
static int behind_item(struct object_stream *s, const char *p, struct err *err)
{
    copy_to(s, p);
    if (*p == '}') {
        return not_a_list(err);
    }
    if (object_walk_place(s, p) - s->item_before >= LIMIT_HTTP_LINE) {
        return object_stream_too_long(s, err);
    }
    if (object_stream_give(s, err) < 0) {
        return -1;
    }
    if (*p == ',') {
        want_element(s, STREAM_VALUE);
    } else {
        s->item_before = object_walk_place(s, p);
        end_container(s, *p);
    }
    return 0;
}

static int next(struct object_stream *s, const char *p, struct err *err)
{
    struct object_stream_frame *frame = top(s);
    if (frame->items) {
        return *p == ',' || *p == ']' || *p == '}' ? behind_item(s, p, err) : go_raw(s, p, wrong, err);
    }
    if (*p == ',') {
        if (frame->map) {
            s->state = STREAM_KEY;
        } else {
            put_char(s->out, ',');
            want_element(s, STREAM_VALUE);
        }
        return 0;
    }
    if (*p != (frame->map ? '}' : ']')) {
        return go_raw(s, p, wrong, err);
    }
    end_container(s, *p);
    return 0;
}

static int value(struct object_stream *s, const char *p, struct err *err)
{
    bool element = s->n_frames && !top(s)->map;
    switch (*p) {
    case ']':
        if (element && s->state == STREAM_FIRST_VALUE) {
            s->item_before = top(s)->items ? object_walk_place(s, p) : s->item_before;
            end_container(s, ']');
            return 0;
        }
        break;
    case ',':
    case ':':
    case '}':
        break;
    default:
        return start_value(s, p, err);
    }
    // Between the objects of a list, a comma too many is the list's fault.
    if (element && top(s)->items) {
        s->item_before = object_walk_place(s, p);
        return *p == ':' ? go_raw(s, p, "", err) : not_a_list(err);
    }
    // Behind a key that is kept, such a byte is wrong by itself.
    return go_raw(s, p, s->keeps ? "" : wrong, err);
}

static int raw(struct object_stream *s, const char *p, struct err *err)
{
    if (s->open == 0 && object_walk_in_items(s) && (*p == ',' || *p == ']' || *p == '}')) {
        return behind_item(s, p, err);
    }
    if (*p == '{' || *p == '[') {
        s->open++;
    } else if (*p == '}' || *p == ']') {
        s->open -= s->open ? 1 : 0;
    }
    return 0;
}

static int colon(struct object_stream *s, const char *p, struct err *err)
{
    if (*p != ':') {
        return go_raw(s, p, wrong, err);
    }
    if (s->keeps) {
        put_char(s->out, ':');
    }
    s->state = STREAM_VALUE;
    return 0;
}

static int token(struct object_stream *s, const char *p, struct err *err)
{
    switch (s->state) {
    case STREAM_FIRST_KEY:
        if (*p == '}') {
            end_container(s, '}');
            return 0;
        }
        // fall through
    case STREAM_KEY:
        return *p == '"' ? start_key(s, p) : go_raw(s, p, wrong, err);
    case STREAM_IN_KEY:
        end_key(s, p);
        return 0;
    case STREAM_COLON:
        return colon(s, p, err);
    case STREAM_FIRST_VALUE:
    case STREAM_VALUE:
        return value(s, p, err);
    case STREAM_IN_STRING:
        copy_to(s, p + 1);
        value_end(s);
        return 0;
    case STREAM_IN_WORD:
        copy_word_to(s, p);
        value_end(s);
        return token(s, p, err);
    case STREAM_NEXT:
        return next(s, p, err);
    case STREAM_DONE:
        return go_raw(s, p, wrong, err);
    case STREAM_RAW:
        return raw(s, p, err);
    case STREAM_IN_WHOLE:
        break;
    }
    return 0;
}

static uint64_t behind(unsigned bit)
{
    return ~UINT64_C(0) << bit << 1;
}

// Goes on in a value of which only the balance matters; the bits behind its end, 0 when it does not end here.
static uint64_t skip_whole(struct object_stream *s, const char *p, const struct json_marks *marks, uint64_t left)
{
    uint64_t close = marks->close & left;
    uint64_t open = marks->open & left;
    for (uint64_t bits = open | close; bits; bits &= bits - 1) {
        unsigned i = (unsigned)__builtin_ctzll(bits);
        if (open >> i & 1) {
            s->open++;
        } else if (--s->open == 0) {
            copy_to(s, p + i + 1);
            value_end(s);
            return behind(i);
        }
    }
    return 0;
}

// n of 64 bytes at p, which `block` has too, with blanks behind them.
static int feed_block(struct object_stream *s, const char *p, const char *block, size_t n, struct err *err)
{
    struct json_marks marks;
    uint64_t left = ~UINT64_C(0);
    json_marks_strings(&s->marks, block, n, &marks);
    if (s->state == STREAM_IN_WHOLE) {
        if (marks.n_close < s->open) {
            s->open += marks.n_open - marks.n_close;
            return 0;
        }
        left = skip_whole(s, p, &marks, left);
    }
    if (!left || ((s->state == STREAM_IN_STRING || s->state == STREAM_IN_KEY) && !marks.quotes)) {
        return 0;
    }
    json_marks_words(block, &marks);
    const uint64_t all = marks.quotes | marks.open | marks.close | marks.points | marks.words;
    while (all & left) {
        unsigned i = (unsigned)__builtin_ctzll(all & left);
        left = behind(i);
        if (token(s, p + i, err) < 0) {
            return -1;
        }
        if (s->state == STREAM_IN_WHOLE) {
            left = skip_whole(s, p, &marks, left);
        }
    }
    return 0;
}

int object_walk(struct object_stream *s, const char *data, size_t len, struct err *err)
{
    s->data = s->from = data;
    size_t at = 0;
    for (; len - at >= JSON_MARKS; at += JSON_MARKS) {
        if (feed_block(s, data + at, data + at, JSON_MARKS, err) < 0) {
            return -1;
        }
    }
    if (at < len) {
        char block[JSON_MARKS];
        memcpy(memset(block, ' ', sizeof(block)), data + at, len - at);
        if (feed_block(s, data + at, block, len - at, err) < 0) {
            return -1;
        }
    }
    if (s->copies) {
        put(s->out, s->from, (size_t)(data + len - s->from));
    } else if (s->state == STREAM_IN_KEY) {
        keep_key(s, data + len);
    }
    s->before += len;
    return 0;
}
