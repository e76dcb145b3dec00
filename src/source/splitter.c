// SPDX-License-Identifier: Apache-2.0
#include "source/splitter.h"

#include "base/limits.h"

void splitter_init(struct splitter *splitter, splitter_item_fn *fn, void *arg)
{
    *splitter = (struct splitter){.fn = fn, .arg = arg};
    splitter->item.max = LIMIT_HTTP_LINE;
    splitter->rest.max = LIMIT_HTTP_ERROR_BODY;
    splitter->key.max = 256;
}

void splitter_free(struct splitter *splitter)
{
    buf_free(&splitter->item);
    buf_free(&splitter->rest);
    buf_free(&splitter->key);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int not_a_list(struct err *err)
{
    return err_set(err, ERR_INPUT, 0, "the answer is not a JSON list");
}

// The buffer that bytes go to at this point.
static struct buf *target(struct splitter *s)
{
    return s->in_items ? &s->item : &s->rest;
}

static int check_room(const struct splitter *s, struct err *err)
{
    if (s->item.failed) {
        return err_set(err, ERR_LIMIT, 0, "one object of the list has more than %d bytes", LIMIT_HTTP_LINE);
    }
    if (s->rest.failed) {
        return err_set(err, ERR_LIMIT, 0, "the list has more than %d bytes besides its objects", LIMIT_HTTP_ERROR_BODY);
    }
    return 0;
}

static int end_item(struct splitter *s, bool comma, struct err *err)
{
    while (s->item.len && is_blank(s->item.data[s->item.len - 1])) {
        s->item.len--;
    }
    if (s->item.len == 0) {
        // "[]" has none; "[,]" and "[x,]" miss one.
        return comma || s->after_comma ? not_a_list(err) : 0;
    }
    s->after_comma = comma;
    s->n_items++;
    int rc = s->fn(s->item.data, s->item.len, s->arg, err);
    buf_clear(&s->item);
    return rc;
}

// Everything up to the next byte that means something, in one piece. Returns how many bytes it took.
static size_t skip_plain(struct splitter *s, const char *data, size_t len)
{
    size_t n = 0;
    if (s->in_string) {
        while (n < len && data[n] != '"' && data[n] != '\\') {
            n++;
        }
    } else {
        while (n < len && data[n] != '"' && data[n] != '{' && data[n] != '}' && data[n] != '[' && data[n] != ']' &&
               data[n] != ',' && data[n] != ':' && !is_blank(data[n])) {
            n++;
        }
    }
    if (n) {
        buf_add(target(s), data, n);
        if (s->in_string && s->depth == 1) {
            buf_add(&s->key, data, n);
        }
        s->after_colon = false;
    }
    return n;
}

static void in_string(struct splitter *s, char c)
{
    buf_putc(target(s), c);
    if (s->escaped) {
        s->escaped = false;
    } else if (c == '\\') {
        s->escaped = true;
    } else if (c == '"') {
        s->in_string = false;
        return;
    }
    if (s->depth == 1) {
        buf_putc(&s->key, c);
    }
}

static int open_bracket(struct splitter *s, char c, struct err *err)
{
    if (s->depth == 0 && c != '{') {
        return not_a_list(err);
    }
    bool items = s->depth == 1 && c == '[' && s->after_colon && !s->key.failed && s->key.len == 5 &&
                 memcmp(s->key.data, "items", 5) == 0;
    buf_putc(target(s), c);
    s->after_colon = false;
    s->depth++;
    if (items && s->seen_items) {
        return err_set(err, ERR_INPUT, 0, "the list has two \"items\"");
    }
    if (items) {
        s->in_items = s->seen_items = true;
        s->after_comma = false;
    }
    return 0;
}

static int close_bracket(struct splitter *s, char c, struct err *err)
{
    if (s->depth == 0) {
        return not_a_list(err);
    }
    if (s->in_items && s->depth == 2) {
        if (c != ']' || end_item(s, /* comma= */ false, err) < 0) {
            return c != ']' ? not_a_list(err) : -1;
        }
        s->in_items = false;
    }
    buf_putc(target(s), c);
    s->depth--;
    s->done = s->depth == 0;
    return 0;
}

static int outside_string(struct splitter *s, char c, struct err *err)
{
    if (is_blank(c)) {
        // Blanks between elements are nobody's.
        if (!s->in_items || s->item.len) {
            buf_putc(target(s), c);
        }
        return 0;
    }
    if (c == '{' || c == '[') {
        return open_bracket(s, c, err);
    }
    if (c == '}' || c == ']') {
        return close_bracket(s, c, err);
    }
    if (c == ',' && s->in_items && s->depth == 2) {
        return end_item(s, /* comma= */ true, err);
    }
    if (c == '"') {
        s->in_string = true;
        if (s->depth == 1) {
            buf_clear(&s->key);
        }
    }
    s->after_colon = s->depth == 1 && c == ':';
    buf_putc(target(s), c);
    return 0;
}

int splitter_feed(struct splitter *splitter, const char *data, size_t len, struct err *err)
{
    struct splitter *s = splitter;
    size_t i = 0;
    while (i < len) {
        if (s->done) {
            if (!is_blank(data[i])) {
                return not_a_list(err);
            }
            i++;
            continue;
        }
        if (!s->escaped) {
            i += skip_plain(s, data + i, len - i);
        }
        if (s->depth == 0 && s->rest.len && !is_blank(s->rest.data[s->rest.len - 1])) {
            return not_a_list(err);  // something before the first bracket
        }
        if (i == len) {
            break;
        }
        int rc = 0;
        if (s->in_string) {
            in_string(s, data[i]);
        } else {
            rc = outside_string(s, data[i], err);
        }
        if (rc < 0 || check_room(s, err) < 0) {
            return -1;
        }
        i++;
    }
    return check_room(s, err);
}

int splitter_finish(const struct splitter *splitter, struct err *err)
{
    return splitter->done ? 0 : err_set(err, ERR_INPUT, 0, "the list ends in the middle");
}
