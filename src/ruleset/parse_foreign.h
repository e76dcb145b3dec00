// SPDX-License-Identifier: Apache-2.0
//
// Lines of others in a text, as ruleset/foreign.h wants to be told of them. Private to parse.c.
#pragma once

#include "ruleset/foreign.h"
#include "ruleset/parse_words.h"

struct parse_foreign {
    struct foreign *foreign;  // NULL: nobody asks
    char table[16];           // "filter", "mangle", …
    struct parse_words words;
};
void parse_foreign_deinit(struct parse_foreign *foreign);

void parse_foreign_table(struct parse_foreign *foreign, const char *name);
// A line of a table that is none of ours: ":CHAIN POLICY", "-A CHAIN …", "-I CHAIN …".
NODISCARD int parse_foreign_line(struct parse_foreign *foreign, enum family family, unsigned number, const char *line,
                                 size_t len, struct err *err);
// A jump of ours is appended to the built-in chain.
void parse_foreign_hook(struct parse_foreign *foreign, enum family family, const char *builtin);
