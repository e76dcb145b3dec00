// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_foreign.h"

#include <stdio.h>

static const char *const builtins[PARSE_BUILTINS] = {"FORWARD", "INPUT", "OUTPUT"};

void parse_foreign_deinit(struct parse_foreign *foreign)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        for (size_t j = 0; j < PARSE_BUILTINS; j++) {
            findings_free(&foreign->ahead[i][j]);
        }
    }
}

void parse_foreign_table(struct parse_foreign *foreign, const char *name)
{
    (void)snprintf(foreign->table, sizeof(foreign->table), "%s", name);
}

// PARSE_BUILTINS: not one of them.
static size_t place_of(const char *chain)
{
    size_t i = 0;
    while (i < PARSE_BUILTINS && strcmp(chain, builtins[i]) != 0) {
        i++;
    }
    return i;
}

static bool has_target(const char *rule)
{
    return strstr(rule, " -j ") || strstr(rule, " -g ");
}

int parse_foreign_line(struct parse_foreign *foreign, enum family family, unsigned number, const char *line, size_t len,
                       struct err *err)
{
    char text[FINDING_WHAT];
    char chain[32];
    int at = 0;
    if (!foreign->to) {
        return 0;
    }
    (void)snprintf(text, sizeof(text), "%.*s", (int)(len < sizeof(text) ? len : sizeof(text) - 1), line);
    // "[1:2] -A CHAIN …": the counters are nobody's matter.
    const char *rule = text[0] == '[' && strchr(text, ' ') ? strchr(text, ' ') + 1 : text;
    if (sscanf(rule, "-A %31s%n", chain, &at) != 1 || !has_target(rule)) {
        return 0;
    }
    char where[FINDING_WHERE];
    (void)snprintf(where, sizeof(where), "%s %s %s, line %u", family_name(family), foreign->table, chain, number);
    const char *what = rule + at + strspn(rule + at, " ");
    size_t place = place_of(chain);
    if (strcmp(foreign->table, "filter") == 0) {
        return place < PARSE_BUILTINS ? findings_add(&foreign->ahead[family][place], where, what, err) : 0;
    }
    bool early = strcmp(foreign->table, "raw") == 0 || strcmp(foreign->table, "mangle") == 0;
    return early && strcmp(chain, "POSTROUTING") != 0 ? findings_add(foreign->to, where, what, err) : 0;
}

int parse_foreign_hook(struct parse_foreign *foreign, enum family family, const char *builtin, struct err *err)
{
    if (!foreign->to) {
        return 0;
    }
    struct findings *ahead = &foreign->ahead[family][place_of(builtin)];
    for (size_t i = 0; i < ahead->n; i++) {
        if (findings_add(foreign->to, ahead->v[i].where, ahead->v[i].what, err) < 0) {
            return -1;
        }
    }
    foreign->to->more += ahead->more;
    ahead->n = ahead->more = 0;
    return 0;
}
