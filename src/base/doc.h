// SPDX-License-Identifier: Apache-2.0
//
// A parsed document as a neutral tree: what the JSON and YAML doors both produce and decode/ reads. All memory is in
// the arena of the parse.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum doc_type { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_STRING, DOC_LIST, DOC_MAP };

struct doc {
    enum doc_type type;
    unsigned line;    // 1-based
    const char *key;  // of a map's child; NULL otherwise
    // DOC_STRING: the value, UTF-8 without NUL bytes. DOC_NUMBER: its literal as written.
    const char *text;
    bool boolean;   // DOC_BOOL
    bool integral;  // DOC_NUMBER: integer holds it exactly
    int64_t integer;
    struct doc *child;  // first child of a list or map
    struct doc *next;   // next sibling
};

// The child of a map with that exact key; NULL when absent or doc is no map.
const struct doc *doc_get(const struct doc *doc, const char *key);
const char *doc_type_name(enum doc_type type);  // "null", "boolean", "number", "string", "list", "map"
// The second of two children of a map that have the same key; NULL when its keys are unique. *ret_oom is set when
// memory for the check of a large map is out. Time is n log n.
const struct doc *doc_duplicate_key(const struct doc *map, bool *ret_oom);
