// SPDX-License-Identifier: Apache-2.0
//
// Kubernetes documents → model objects (YAML or JSON; multi-document; List kinds), only the fields we use.
#pragma once

#include "base/doc.h"
#include "decode/diagnostic.h"
#include "model/object.h"

// A decoded object; the callee takes it (free()). Return -1 with err to stop.
typedef int decode_object_fn(enum object_kind kind, void *object, void *arg, struct err *err);

struct decode_stats {
    size_t objects;
    size_t ignored;  // documents of kinds that we do not use
};

// All documents of one text. file names it in findings and origins (interned by the caller: must outlive the objects'
// use of it is NOT required, objects copy it). A text that starts with '{' or '[' is JSON (several concatenated values
// too), or YAML in flow style when it is no JSON; else YAML. What cannot be read goes to diagnostics and the rest still
// loads; -1 only for memory, limits of the whole text, or a failing fn. Objects given by fn so far stay given.
// ret_stats may be NULL.
NODISCARD int decode_text(const char *text, size_t len, const char *file, decode_object_fn *fn, void *arg,
                          struct diagnostics *diagnostics, struct decode_stats *ret_stats, struct err *err);

// One object of a known kind from a tree (watch events, list items): no apiVersion/kind needed. Scratch results live in
// the arena; use *_dup to keep them. DIAGNOSTIC_LOST findings make it return 1 and leave *ret alone; 0 otherwise. Lost
// are objects whose name or namespace cannot be read, and policies whose spec or podSelector cannot; any other part is
// left out with a PARTIAL finding.
struct decoded {
    enum object_kind kind;
    union {
        struct pod pod;
        struct ns_object ns;
        struct policy policy;
        struct node node;
    };
};
NODISCARD int decode_object(const struct doc *doc, enum object_kind kind, const char *file, struct arena *arena,
                            struct decoded *ret, struct diagnostics *diagnostics, struct err *err);
// The lasting copy, as one block for free(); NULL when memory is out.
void *decoded_dup(const struct decoded *decoded);
