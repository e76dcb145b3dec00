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
