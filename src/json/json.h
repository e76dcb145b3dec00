// SPDX-License-Identifier: Apache-2.0
//
// The door to cJSON: strict JSON text → doc tree with line numbers.
#pragma once

#include "base/doc.h"
#include "base/err.h"
#include "base/mem.h"

// One JSON value at text; *ret_used is how many bytes it took with blanks around it. first_line numbers its first line.
// Refused with a line (err.num, and err.object "line N"): NUL bytes, "\u0000", invalid UTF-8, depth above
// LIMIT_DOCUMENT_DEPTH, duplicate keys, and what JSON refuses. Numbers keep their literal; integral are those written
// without fraction and exponent that fit. The line of a map's child is that of its key.
NODISCARD int json_parse(const char *text, size_t len, unsigned first_line, struct arena *arena, struct doc **ret,
                         size_t *ret_used, unsigned *ret_next_line, struct err *err);

// Where an element of a list stands in the text: give it to json_parse.
struct json_element {
    size_t at;
    size_t len;
    unsigned line;
};

struct json_elements {
    VEC(struct json_element) list;
};

// As json_parse, for a map with a long list: the elements of the list at `key` of the top map are left out of the tree
// (the list is empty there) and *ret_elements says where they are, so that one at a time needs memory. All of the text
// is checked as json_parse does, except that duplicate keys inside of an element show when it is parsed. Nothing is
// left out when the value is no map or has no list there. The caller frees ret_elements->list (vec_free) in every case.
NODISCARD int json_parse_apart(const char *text, size_t len, unsigned first_line, const char *key, struct arena *arena,
                               struct doc **ret, struct json_elements *ret_elements, size_t *ret_used,
                               unsigned *ret_next_line, struct err *err);
