// SPDX-License-Identifier: Apache-2.0
//
// Rules of others in a text that are asked before ours. Private to parse.c.
#pragma once

#include "model/address.h"
#include "ruleset/findings.h"

enum { PARSE_BUILTINS = 3 };

struct parse_foreign {
    struct findings *to;  // NULL: nobody asks
    char table[16];       // "filter", "mangle", …
    // Of the filter table's FORWARD, INPUT and OUTPUT, until a jump of ours is met behind them.
    struct findings ahead[FAMILY_COUNT][PARSE_BUILTINS];
};
void parse_foreign_deinit(struct parse_foreign *foreign);

void parse_foreign_table(struct parse_foreign *foreign, const char *name);
// A line that is none of ours.
NODISCARD int parse_foreign_line(struct parse_foreign *foreign, enum family family, unsigned number, const char *line,
                                 size_t len, struct err *err);
// A jump of ours is appended to the built-in chain.
NODISCARD int parse_foreign_hook(struct parse_foreign *foreign, enum family family, const char *builtin,
                                 struct err *err);
