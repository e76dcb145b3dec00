// SPDX-License-Identifier: Apache-2.0
#include "support/plain_list.h"

#include "base/limits.h"

void plain_list_init(struct plain_list *plain_list, plain_list_item_fn *fn, void *arg)
{
    *plain_list = (struct plain_list){.fn = fn, .arg = arg};
    plain_list->item.max = LIMIT_HTTP_LINE;
    plain_list->rest.max = LIMIT_HTTP_ERROR_BODY;
    plain_list->key.max = 256;
}

void plain_list_free(struct plain_list *plain_list)
{
    buf_free(&plain_list->item);
    buf_free(&plain_list->rest);
    buf_free(&plain_list->key);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int not_a_list(struct err *err)
{
    return err_set(err, ERR_INPUT, 0, "the answer is not a JSON list");
}

static int check_room(const struct plain_list *s, struct err *err)
{
    if (s->item.failed) {
        return err_set(err, ERR_LIMIT, 0, "one object of the list has more than %d bytes", LIMIT_HTTP_LINE);
    }
    if (s->rest.failed) {
        return err_set(err, ERR_LIMIT, 0, "the list has more than %d bytes besides its objects", LIMIT_HTTP_ERROR_BODY);
    }
    return 0;
}

static int end_item(struct plain_list *s, bool comma, struct err *err)
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

// Bytes that mean something inside of an element, outside of its strings.
static const bool marks[256] = {['"'] = true, ['{'] = true, ['}'] = true, ['['] = true, [']'] = true, [','] = true};

// How many bytes from here on belong to the present element: up to the comma or bracket that ends it, or all. This is
// where the time of a list goes.
static size_t scan_item(struct plain_list *s, const char *data, size_t len)
{
    size_t i = 0;
    while (i < len) {
        if (s->escaped) {
            s->escaped = false;
            i++;
        } else if (s->in_string) {
            while (i < len && data[i] != '"' && data[i] != '\\') {
                i++;
            }
            if (i < len) {
                s->escaped = data[i] == '\\';
                s->in_string = s->escaped;
                i++;
            }
        } else {
            while (i < len && !marks[(unsigned char)data[i]]) {
                i++;
            }
            if (i == len) {
                break;
            }
            char c = data[i];
            if (s->depth == 2 && (c == ',' || c == ']' || c == '}')) {
                break;
            }
            s->in_string = c == '"';
            s->depth += c == '{' || c == '[';
            s->depth -= c == '}' || c == ']';
            i++;
        }
    }
    return i;
}

static void in_string(struct plain_list *s, char c)
{
    buf_putc(&s->rest, c);
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

// Outside of elements from here on.
static int open_bracket(struct plain_list *s, char c, struct err *err)
{
    if (s->depth == 0 && c != '{') {
        return not_a_list(err);
    }
    bool items = s->depth == 1 && c == '[' && s->after_colon && !s->key.failed && s->key.len == 5 &&
                 memcmp(s->key.data, "items", 5) == 0;
    buf_putc(&s->rest, c);
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

static int outside_string(struct plain_list *s, char c, struct err *err)
{
    if (s->depth == 0 && c != '{' && !is_blank(c)) {
        return not_a_list(err);
    }
    if (c == '{' || c == '[') {
        return open_bracket(s, c, err);
    }
    buf_putc(&s->rest, c);
    if (is_blank(c)) {
        return 0;
    }
    if (c == '}' || c == ']') {
        s->depth--;
        s->done = s->depth == 0;
    } else if (c == '"') {
        s->in_string = true;
        if (s->depth == 1) {
            buf_clear(&s->key);
        }
    }
    s->after_colon = s->depth == 1 && c == ':';
    return 0;
}

// The byte behind an element: a comma, or the bracket that ends the array.
static int behind_item(struct plain_list *s, char c, struct err *err)
{
    if (c == '}') {
        return not_a_list(err);
    }
    if (end_item(s, c == ',', err) < 0) {
        return -1;
    }
    if (c == ']') {
        s->in_items = false;
        s->depth--;
        buf_putc(&s->rest, c);
    }
    return 0;
}

static int feed_items(struct plain_list *s, const char *data, size_t len, size_t *used, struct err *err)
{
    size_t i = 0;
    while (s->in_items && i < len) {
        // Blanks in front of an element are nobody's.
        if (s->item.len == 0 && is_blank(data[i])) {
            i++;
            continue;
        }
        size_t n = scan_item(s, data + i, len - i);
        buf_add(&s->item, data + i, n);
        i += n;
        if (check_room(s, err) < 0) {
            return -1;
        }
        if (i < len && behind_item(s, data[i++], err) < 0) {
            return -1;
        }
    }
    *used = i;
    return 0;
}

int plain_list_feed(struct plain_list *plain_list, const char *data, size_t len, struct err *err)
{
    struct plain_list *s = plain_list;
    size_t i = 0;
    while (i < len) {
        if (s->in_items) {
            size_t used = 0;
            if (feed_items(s, data + i, len - i, &used, err) < 0) {
                return -1;
            }
            i += used;
            continue;
        }
        char c = data[i++];
        int rc = 0;
        if (s->done) {
            rc = is_blank(c) ? 0 : not_a_list(err);
        } else if (s->in_string) {
            in_string(s, c);
        } else {
            rc = outside_string(s, c, err);
        }
        if (rc < 0 || check_room(s, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int plain_list_finish(const struct plain_list *plain_list, struct err *err)
{
    return plain_list->done ? 0 : err_set(err, ERR_INPUT, 0, "the list ends in the middle");
}
