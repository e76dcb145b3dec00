// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, enum err_kind kind, int num, const char *fmt, ...)
{
    if (!err) {
        return -1;
    }
    err->kind = kind;
    err->num = num;
    err->object[0] = '\0';
    err->field[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return -1;
}

int err_oom(struct err *err)
{
    return err_set(err, ERR_OOM, ENOMEM, "out of memory");
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int num = errno;
    if (!err) {
        return -1;
    }
    char what[384];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    char why[96];
    return err_set(err, ERR_SYSTEM, num, "%s: %s", what, strerror_r(num, why, sizeof(why)));
}

int err_at_object(struct err *err, const char *fmt, ...)
{
    if (err && err->object[0] == '\0') {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->object, sizeof(err->object), fmt, ap);
        va_end(ap);
    }
    return -1;
}

int err_at_field(struct err *err, const char *fmt, ...)
{
    if (err && err->field[0] == '\0') {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(err->field, sizeof(err->field), fmt, ap);
        va_end(ap);
    }
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    if (!err) {
        return -1;
    }
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    char inner[sizeof(err->msg)];
    memcpy(inner, err->msg, sizeof(inner));
    // A message that no longer fits loses its tail, never its context.
    int n = snprintf(err->msg, sizeof(err->msg), "%s: ", what);
    if (n > 0 && (size_t)n < sizeof(err->msg)) {
        size_t room = sizeof(err->msg) - (size_t)n - 1;
        size_t len = strnlen(inner, sizeof(inner));
        len = len < room ? len : room;
        memcpy(err->msg + n, inner, len);
        err->msg[(size_t)n + len] = '\0';
    }
    return -1;
}

void err_clear(struct err *err)
{
    if (err) {
        memset(err, 0, sizeof(*err));
    }
}

const char *err_text(const struct err *err, char *buf, unsigned long size)
{
    (void)snprintf(buf, size, "%s%s%s%s%s", err->object, err->object[0] ? ": " : "", err->field,
                   err->field[0] ? ": " : "", err->msg);
    return buf;
}

const char *err_kind_name(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return "none";
    case ERR_USAGE:
        return "usage";
    case ERR_INPUT:
        return "input";
    case ERR_NOT_FOUND:
        return "not-found";
    case ERR_RETRY:
        return "retry";
    case ERR_RELIST:
        return "relist";
    case ERR_DENIED:
        return "denied";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_LIMIT:
        return "limit";
    case ERR_SYSTEM:
        return "system";
    case ERR_OOM:
        return "out-of-memory";
    case ERR_BUG:
        return "bug";
    }
    return "?";
}
