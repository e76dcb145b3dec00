// SPDX-License-Identifier: Apache-2.0
//
// The lines of one family, flat: each rule and member with the number of its chain or set, each with the line that it
// stood on. Dealt out at the end, so that their order does not matter. Private to parse.c.
#pragma once

#include "base/map.h"
#include "ruleset/parse_rule.h"
#include "ruleset/ruleset.h"

struct parse_rule_line {
    size_t chain;
    unsigned line;
    struct parsed_rule parsed;
};

struct parse_member_line {
    size_t set;
    unsigned line;
    struct set_member member;
};

struct parse_hook_line {
    unsigned line;
    const char *builtin;
    struct parsed_rule parsed;
};

struct parse_lines {
    VEC(struct chain) chains;  // names; rules are dealt out at the end
    VEC(struct set) sets;      // names and types
    VEC(struct parse_rule_line) rules;
    VEC(struct parse_member_line) members;
    VEC(struct parse_hook_line) hooks;
    struct map *chain_index;  // name → index + 1, as a pointer
    struct map *set_index;
};
void parse_lines_free(struct parse_lines *lines);

// The table of these lines; arrays come from the arena, names and rules stay where they are. ERR_INPUT names the line
// of an element that stands there twice, or of a rule that asks a set for dimensions that it has not.
NODISCARD int parse_lines_deal(struct parse_lines *lines, struct arena *arena, struct table *table, struct err *err);
