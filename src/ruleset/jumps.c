// SPDX-License-Identifier: Apache-2.0
#include "ruleset/jumps.h"

#include <stdio.h>

static int say(enum family family, const char *builtin, const char *what, struct findings *to, struct err *err)
{
    char where[FINDING_WHERE];
    (void)snprintf(where, sizeof(where), "%s filter %.32s", family_name(family), builtin);
    return findings_add(to, where, what, err);
}

static int check_missing(const struct table *table, enum family family, const char *builtin, const char *chain,
                         struct findings *to, struct err *err)
{
    char what[FINDING_WHAT];
    if (!table_chain(table, chain)) {
        return 0;
    }
    for (size_t i = 0; i < table->n_hooks; i++) {
        const struct hook *hook = &table->hooks[i];
        if (strcmp(hook->builtin, builtin) == 0 && hook->rule.chain && strcmp(hook->rule.chain, chain) == 0) {
            return 0;
        }
    }
    (void)snprintf(what, sizeof(what), "no rule leads to %s", chain);
    return say(family, builtin, what, to, err);
}

// How many hooks equal the one at `at`; 0 when it is not the first of them.
static size_t count_equal(const struct table *table, size_t at)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (hook_equal(&table->hooks[i], &table->hooks[at])) {
            if (i < at) {
                return 0;
            }
            n++;
        }
    }
    return n;
}

static int check_doubled(const struct table *table, enum family family, struct findings *to, struct err *err)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        const struct hook *hook = &table->hooks[i];
        size_t n = count_equal(table, i);
        char what[FINDING_WHAT];
        if (n < 2 || !hook->rule.chain) {
            continue;
        }
        (void)snprintf(what, sizeof(what), "the jump to %s stands there %zu times", hook->rule.chain, n);
        if (say(family, hook->builtin, what, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int jumps_check(const struct ruleset *ruleset, struct findings *to, struct err *err)
{
    static const struct {
        const char *builtin;
        const char *chain;
    } jumps[] = {
        {"FORWARD", RULESET_CHAIN_PREFIX "FORWARD"}, {"FORWARD", RULESET_CHAIN_PREFIX "ENCAP"},
        {"INPUT", RULESET_CHAIN_PREFIX "INPUT"},     {"INPUT", RULESET_CHAIN_PREFIX "ENCAP"},
        {"OUTPUT", RULESET_CHAIN_PREFIX "OUTPUT"},
    };
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        const struct table *table = &ruleset->tables[family];
        for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
            if (check_missing(table, family, jumps[i].builtin, jumps[i].chain, to, err) < 0) {
                return -1;
            }
        }
        if (check_doubled(table, family, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}
