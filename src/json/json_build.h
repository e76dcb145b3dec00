// SPDX-License-Identifier: Apache-2.0
//
// From checked JSON text to doc nodes. cJSON's tree takes many times the text and lives beside ours while it is
// converted: long containers are taken apart here, and cJSON gets pieces.
#pragma once

#include <stdbool.h>

#include "base/text_pool.h"
#include "json/json.h"
#include "json/json_walk.h"

struct json_build {
    struct arena *arena;
    const char *text;       // elements are counted from here
    bool has_long_numbers;  // some are longer than cJSON reads
    // Of the top map: elements of the list at that key go to `elements` instead (NULL: none do).
    const char *apart_key;
    struct json_elements *elements;
    struct text_pool strings;
    struct err *err;
};

// The value of n bytes at walk.
NODISCARD int json_build(struct json_build *build, struct json_walk *walk, size_t n, struct doc *ret);
