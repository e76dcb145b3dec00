// SPDX-License-Identifier: Apache-2.0
//
// Findings about user input, with places: one bad part yields its finding and never blocks the rest.
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum diagnostic_level {
    DIAGNOSTIC_LOST,     // a document or object could not be loaded at all
    DIAGNOSTIC_PARTIAL,  // loaded; a part could not be read and grants nothing
    DIAGNOSTIC_WARNING,  // loaded as meant; worth a look
};

struct diagnostic {
    enum diagnostic_level level;
    const char *file;
    unsigned line;       // 0 unknown
    const char *object;  // "NetworkPolicy x/deny"; "" unknown
    const char *field;   // "spec.ingress[0].ports[1].port"; ""
    const char *message;
};

// Zero-initialise; diagnostics_free at the end.
struct diagnostics {
    struct arena arena;
    VEC(struct diagnostic) list;
    size_t counts[3];  // by level, the ones beyond LIMIT_DIAGNOSTICS included
};
void diagnostics_free(struct diagnostics *diagnostics);
static inline void cleanup_diagnostics(struct diagnostics *diagnostics)
{
    diagnostics_free(diagnostics);
}
#define DIAGNOSTICS_CLEANUP __attribute__((cleanup(cleanup_diagnostics)))

// Copies its texts. -1 when memory is out.
NODISCARD int diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_level level, const char *file,
                              unsigned line, const char *object, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
// "file:line: object: field: message" with empty parts left out.
void diagnostic_format(const struct diagnostic *diagnostic, struct buf *out);
const char *diagnostic_level_name(enum diagnostic_level level);  // "error", "partial", "warning"
