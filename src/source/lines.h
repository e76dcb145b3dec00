// SPDX-License-Identifier: Apache-2.0
//
// Cuts a watch stream into lines, wherever the bytes are split. A line that is not ended is never given: what a cut
// connection leaves behind is no event.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

// One line without its line break, never empty; not NUL-terminated. -1 with err stops.
typedef int lines_fn(const char *text, size_t len, void *arg, struct err *err);

struct lines {
    lines_fn *fn;
    void *arg;
    struct buf tail;  // of the line that has not ended
};

void lines_init(struct lines *lines, lines_fn *fn, void *arg);
void lines_free(struct lines *lines);
// Takes the next bytes; "\r\n" ends a line too, empty lines are skipped. ERR_LIMIT for a line of more than
// LIMIT_HTTP_LINE bytes, ERR_INPUT for a NUL byte; or what fn said.
NODISCARD int lines_feed(struct lines *lines, const char *data, size_t len, struct err *err);
