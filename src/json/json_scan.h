// SPDX-License-Identifier: Apache-2.0
//
// Strict JSON (RFC 8259) as a check of its own. cJSON takes more than JSON (any byte up to blank as blank, "01", raw
// control characters, invalid UTF-8, 1000 levels) and less (numbers of more than 63 characters), and says neither where
// nor why it failed: so the text is checked here first, and cJSON builds the values of text that is known to be right.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

enum { JSON_NUMBER_MAX = 63 };  // characters of a number that cJSON reads

struct json_scan {
    size_t start;           // first byte of the value
    size_t end;             // past its last byte
    size_t used;            // past the blanks behind it
    unsigned start_line;    // line of start
    unsigned next_line;     // line of used
    bool has_long_numbers;  // numbers of more than JSON_NUMBER_MAX characters
};

// Check the one value at text (blanks around it). err.num and err.object name the line.
NODISCARD int json_scan(const char *text, size_t len, unsigned first_line, struct json_scan *ret, struct err *err);
