// SPDX-License-Identifier: Apache-2.0
#include "decode/diagnostic.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"

enum { MESSAGE_MAX = 1024 };

void diagnostics_free(struct diagnostics *diagnostics)
{
    arena_free(&diagnostics->arena);
    vec_free(&diagnostics->list);
    *diagnostics = (struct diagnostics){0};
}

// A finding is one line: whatever a document holds, its control characters do not reach a terminal or a log.
static const char *copy_line(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text ? text : "");
    for (char *p = copy; p && *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7F) {
            *p = '?';
        }
    }
    return copy;
}

int diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_level level, const char *file, unsigned line,
                    const char *object, const char *field, const char *fmt, ...)
{
    diagnostics->counts[level]++;
    if (diagnostics->list.n >= LIMIT_DIAGNOSTICS) {
        return 0;
    }
    char message[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    struct arena *arena = &diagnostics->arena;
    struct diagnostic finding = {
        .level = level,
        .file = copy_line(arena, file),
        .line = line,
        .object = copy_line(arena, object),
        .field = copy_line(arena, field),
        .message = copy_line(arena, message),
    };
    if (!finding.file || !finding.object || !finding.field || !finding.message) {
        return -1;
    }
    return vec_push(&diagnostics->list, finding);
}

void diagnostic_format(const struct diagnostic *diagnostic, struct buf *out)
{
    if (diagnostic->file[0]) {
        buf_puts(out, diagnostic->file);
        buf_puts(out, ":");
    }
    if (diagnostic->line) {
        buf_printf(out, "%s%u:", diagnostic->file[0] ? "" : "line ", diagnostic->line);
    }
    if (diagnostic->file[0] || diagnostic->line) {
        buf_puts(out, " ");
    }
    if (diagnostic->object[0]) {
        buf_printf(out, "%s: ", diagnostic->object);
    }
    if (diagnostic->field[0]) {
        buf_printf(out, "%s: ", diagnostic->field);
    }
    buf_puts(out, diagnostic->message);
}

const char *diagnostic_level_name(enum diagnostic_level level)
{
    switch (level) {
    case DIAGNOSTIC_LOST:
        return "error";
    case DIAGNOSTIC_PARTIAL:
        return "partial";
    case DIAGNOSTIC_WARNING:
        return "warning";
    }
    return "?";
}
