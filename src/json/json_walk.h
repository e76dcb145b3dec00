// SPDX-License-Identifier: Apache-2.0
//
// Steps over JSON text that json_scan has checked, counting lines.
#pragma once

#include <stddef.h>

struct json_walk {
    const char *p;
    const char *end;
    unsigned line;
};

void json_walk_blank(struct json_walk *walk);
// A bracket, comma or colon and the blanks behind it.
void json_walk_mark(struct json_walk *walk);
void json_walk_string(struct json_walk *walk);
// Any value. Time is linear in its text.
void json_walk_value(struct json_walk *walk);
// Bytes of the number there.
size_t json_walk_number(const struct json_walk *walk);
