// SPDX-License-Identifier: Apache-2.0
//
// What the decoders of one object share: where findings go, where results live, and how a field is named in them.
// Memory that runs out sets `oom`, which decode_object looks at once at the end; everything else is a finding.
#pragma once

#include "base/doc.h"
#include "decode/diagnostic.h"

struct decode {
    const char *file;
    const char *object;  // "NetworkPolicy x/deny", as far as it is known
    struct arena *arena;
    struct diagnostics *diagnostics;
    bool lost;  // a DIAGNOSTIC_LOST finding was made
    bool oom;
};

// The way from the object to a field, as a list on the stack; key NULL: element `index` of a list.
struct path {
    const struct path *up;
    const char *key;
    size_t index;
};

// "spec.ingress[0].ports[1].port"; keys that are no plain words in brackets and quotes.
void path_format(const struct path *path, struct buf *out);

void decode_report(struct decode *decode, enum diagnostic_level level, const struct path *path, unsigned line,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
// A value's wrong type as a finding: "must be a string, is a number (write it in quotes)".
void decode_report_type(struct decode *decode, enum diagnostic_level level, const struct path *path,
                        const struct doc *doc, enum doc_type wanted);
// A value from a document for messages: in quotes, escaped, cut when long. In the arena.
const char *decode_quote(struct decode *decode, const char *text);

// Zeroed array in the arena; NULL sets oom. n 0 gives a valid pointer.
void *decode_array(struct decode *decode, size_t n, size_t size);

// The child of a map; NULL when absent or null.
const struct doc *decode_field(const struct doc *map, const char *key);
// The child of that type; NULL when absent or null, and when its type is another one, which is a finding at `level`.
const struct doc *decode_typed(struct decode *decode, enum diagnostic_level level, const struct path *up,
                               const struct doc *map, const char *key, enum doc_type type);
// The string there; "" when absent, null or (a PARTIAL finding) of another type; the boolean there, false likewise.
const char *decode_string(struct decode *decode, const struct path *up, const struct doc *map, const char *key);
bool decode_bool(struct decode *decode, const struct path *up, const struct doc *map, const char *key);

size_t decode_count(const struct doc *container);
// The first child of a map from `child` on whose key is not one of known (NULL-terminated); NULL when there is none.
const struct doc *decode_next_unknown(const struct doc *child, const char *const *known);
