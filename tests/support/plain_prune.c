// SPDX-License-Identifier: Apache-2.0
#include "support/plain_prune.h"

#include <string.h>

#include "base/limits.h"

struct pruner {
    const char *p;
    const char *end;
    struct buf *out;
    bool other;  // an event whose type is known and not BOOKMARK, or no event at all
    unsigned depth;
};

static bool at(const struct pruner *pruner, char c)
{
    return pruner->p < pruner->end && *pruner->p == c;
}

static void skip_blank(struct pruner *pruner)
{
    while (pruner->p < pruner->end &&
           (*pruner->p == ' ' || *pruner->p == '\t' || *pruner->p == '\r' || *pruner->p == '\n')) {
        pruner->p++;
    }
}

// From its first quote to behind its last.
static bool skip_string(struct pruner *pruner)
{
    pruner->p++;
    while (pruner->p < pruner->end && *pruner->p != '"') {
        if (*pruner->p == '\\' && ++pruner->p == pruner->end) {
            return false;
        }
        pruner->p++;
    }
    if (pruner->p == pruner->end) {
        return false;
    }
    pruner->p++;
    return true;
}

// A whole value; of its inside only strings and the balance of brackets are looked at.
static bool skip_value(struct pruner *pruner)
{
    unsigned open = 0;
    while (pruner->p < pruner->end) {
        char c = *pruner->p;
        if (c == '"') {
            if (!skip_string(pruner)) {
                return false;
            }
        } else if (c == '{' || c == '[') {
            open++;
            pruner->p++;
            continue;
        } else if (c == '}' || c == ']') {
            if (open == 0) {
                return false;
            }
            open--;
            pruner->p++;
        } else if (open) {
            pruner->p++;
            continue;
        } else {
            const char *start = pruner->p;
            while (pruner->p < pruner->end && (*pruner->p == '\0' || !strchr(",:]}{[\" \t\r\n", *pruner->p))) {
                pruner->p++;
            }
            return pruner->p > start;
        }
        if (open == 0) {
            return true;
        }
    }
    return false;
}

static bool copy_value(struct pruner *pruner, const struct keep *keep);

static bool copy_whole(struct pruner *pruner)
{
    const char *start = pruner->p;
    if (!skip_value(pruner)) {
        return false;
    }
    buf_add(pruner->out, start, (size_t)(pruner->p - start));
    return true;
}

// One member of a map, from its key to behind its value.
static bool copy_member(struct pruner *pruner, const struct keep *keep, bool *first)
{
    const char *key = pruner->p;
    if (!at(pruner, '"') || !skip_string(pruner)) {
        return false;
    }
    size_t len = (size_t)(pruner->p - key);
    skip_blank(pruner);
    if (!at(pruner, ':')) {
        return false;
    }
    pruner->p++;
    skip_blank(pruner);
    const struct keep *found = keep_find(keep, key + 1, len - 2);
    bool escaped = memchr(key, '\\', len) != NULL && !found->exact;
    if (found->key ? found->role == KEEP_BOOKMARK && pruner->other : !escaped) {
        return skip_value(pruner);
    }
    buf_puts(pruner->out, *first ? "" : ",");
    *first = false;
    buf_add(pruner->out, key, len);
    buf_putc(pruner->out, ':');
    const char *value = pruner->p;
    if (!(found->below ? copy_value(pruner, found->below) : copy_whole(pruner))) {
        return false;
    }
    if (found->role == KEEP_TYPE) {
        pruner->other = pruner->p - value != 10 || memcmp(value, "\"BOOKMARK\"", 10) != 0;
    }
    return true;
}

static bool copy_value(struct pruner *pruner, const struct keep *keep)
{
    bool map = at(pruner, '{');
    if (!map && !at(pruner, '[')) {
        return copy_whole(pruner);
    }
    if (++pruner->depth > LIMIT_DOCUMENT_DEPTH) {
        return false;
    }
    bool first = true;
    buf_putc(pruner->out, *pruner->p++);
    skip_blank(pruner);
    bool empty = at(pruner, map ? '}' : ']');
    while (!at(pruner, map ? '}' : ']')) {
        if (!map && !first) {
            buf_putc(pruner->out, ',');
        }
        if (map ? !copy_member(pruner, keep, &first) : !copy_value(pruner, keep)) {
            return false;
        }
        first = first && map;
        skip_blank(pruner);
        if (at(pruner, ',')) {
            pruner->p++;
            skip_blank(pruner);
            if (at(pruner, map ? '}' : ']')) {
                return false;
            }
        } else if (!at(pruner, map ? '}' : ']')) {
            return false;
        }
    }
    // "status: {}" and a status of which nothing is left are not the same.
    buf_puts(pruner->out, map && first && !empty ? "\"\":null" : "");
    buf_putc(pruner->out, *pruner->p++);
    pruner->depth--;
    return true;
}

bool plain_prune(const struct keep *keep, const char *text, size_t len, struct buf *out)
{
    struct pruner pruner = {.p = text, .end = text + len, .out = out, .other = keep->role != KEEP_TYPE};
    skip_blank(&pruner);
    if (!at(&pruner, '{') || !copy_value(&pruner, keep)) {
        return false;
    }
    skip_blank(&pruner);
    return pruner.p == pruner.end && !out->failed;
}
