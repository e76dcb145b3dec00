// SPDX-License-Identifier: Apache-2.0
//
// Words of one rule (what stands behind "-A CHAIN") → struct rule.
#pragma once

#include "ruleset/ruleset.h"

struct parsed_rule {
    struct rule rule;
    unsigned set_dimensions;  // that the set was matched with; 0 without a set
};

// Strings and ports of the rule live in the arena. ERR_INPUT names the option that our rules do not use.
NODISCARD int parse_rule(const char *const *words, size_t n, enum family family, struct arena *arena,
                         struct parsed_rule *ret, struct err *err);
