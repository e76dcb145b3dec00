// SPDX-License-Identifier: Apache-2.0
#include "decode/context.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

enum { QUOTE_MAX = 80 };

static bool is_plain_key(const char *key)
{
    size_t n = 0;
    for (; key[n]; n++) {
        if (!isalnum((unsigned char)key[n]) && key[n] != '_' && key[n] != '-') {
            return false;
        }
    }
    return n > 0 && n <= QUOTE_MAX;
}

static void quote(const char *text, struct buf *out)
{
    char cut[QUOTE_MAX + 1];
    size_t n = strnlen(text, QUOTE_MAX + 1);
    if (n <= QUOTE_MAX) {
        buf_json_string(out, text);
        return;
    }
    // Not in the middle of a character.
    for (n = QUOTE_MAX; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80; n--) {
    }
    memcpy(cut, text, n);
    cut[n] = '\0';
    buf_json_string(out, cut);
    buf_puts(out, "...");
}

void path_format(const struct path *path, struct buf *out)
{
    if (!path) {
        return;
    }
    path_format(path->up, out);
    if (!path->key) {
        buf_printf(out, "[%zu]", path->index);
    } else if (is_plain_key(path->key)) {
        buf_printf(out, "%s%s", path->up ? "." : "", path->key);
    } else {
        buf_putc(out, '[');
        quote(path->key, out);
        buf_putc(out, ']');
    }
}

void decode_report(struct decode *decode, enum diagnostic_level level, const struct path *path, unsigned line,
                   const char *fmt, ...)
{
    decode->lost = decode->lost || level == DIAGNOSTIC_LOST;
    char message[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    BUF_CLEANUP struct buf field = {0};
    path_format(path, &field);
    if (field.failed || diagnostics_add(decode->diagnostics, level, decode->file, line, decode->object,
                                        field.data ? field.data : "", "%s", message) < 0) {
        decode->oom = true;
    }
}

void decode_report_type(struct decode *decode, enum diagnostic_level level, const struct path *path,
                        const struct doc *doc, enum doc_type wanted)
{
    bool quotes = wanted == DOC_STRING && (doc->type == DOC_NUMBER || doc->type == DOC_BOOL || doc->type == DOC_NULL);
    decode_report(decode, level, path, doc->line, "must be a %s, is %s%s%s", doc_type_name(wanted),
                  doc->type == DOC_NULL ? "" : "a ", doc_type_name(doc->type), quotes ? " (write it in quotes)" : "");
}

const char *decode_quote(struct decode *decode, const char *text)
{
    BUF_CLEANUP struct buf out = {0};
    quote(text, &out);
    const char *copy = out.failed ? NULL : arena_strdup(decode->arena, out.data);
    decode->oom = decode->oom || !copy;
    return copy ? copy : "";
}

void *decode_array(struct decode *decode, size_t n, size_t size)
{
    void *array = size && n > SIZE_MAX / 4 / size ? NULL : arena_alloc(decode->arena, n * size);
    decode->oom = decode->oom || !array;
    return array;
}

const struct doc *decode_field(const struct doc *map, const char *key)
{
    const struct doc *child = doc_get(map, key);
    return child && child->type != DOC_NULL ? child : NULL;
}

const struct doc *decode_typed(struct decode *decode, enum diagnostic_level level, const struct path *up,
                               const struct doc *map, const char *key, enum doc_type type)
{
    const struct doc *child = decode_field(map, key);
    if (!child || child->type == type) {
        return child;
    }
    struct path path = {.up = up, .key = key};
    decode_report_type(decode, level, &path, child, type);
    return NULL;
}

const char *decode_string(struct decode *decode, const struct path *up, const struct doc *map, const char *key)
{
    const struct doc *child = decode_typed(decode, DIAGNOSTIC_PARTIAL, up, map, key, DOC_STRING);
    return child ? child->text : "";
}

bool decode_bool(struct decode *decode, const struct path *up, const struct doc *map, const char *key)
{
    const struct doc *child = decode_typed(decode, DIAGNOSTIC_PARTIAL, up, map, key, DOC_BOOL);
    return child && child->boolean;
}

size_t decode_count(const struct doc *container)
{
    size_t n = 0;
    for (const struct doc *child = container ? container->child : NULL; child; child = child->next) {
        n++;
    }
    return n;
}

const struct doc *decode_next_unknown(const struct doc *child, const char *const *known)
{
    for (; child; child = child->next) {
        const char *const *name = known;
        while (*name && strcmp(*name, child->key) != 0) {
            name++;
        }
        if (!*name) {
            return child;
        }
    }
    return NULL;
}
