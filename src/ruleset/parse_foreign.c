// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_foreign.h"

#include <stdio.h>

void parse_foreign_deinit(struct parse_foreign *foreign)
{
    foreign_free(foreign->foreign);
    parse_words_free(&foreign->words);
}

void parse_foreign_table(struct parse_foreign *foreign, const char *name)
{
    (void)snprintf(foreign->table, sizeof(foreign->table), "%s", name);
}

void parse_foreign_hook(struct parse_foreign *foreign, enum family family, const char *builtin)
{
    if (foreign->foreign) {
        foreign_hook(foreign->foreign, family, builtin);
    }
}

static bool is_word(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

// "-j TARGET", "-g CHAIN"; the target is "" when there is none.
static void find_target(const struct parse_words *words, size_t from, struct foreign_rule *rule)
{
    rule->target = "";
    for (size_t i = from; i + 1 < words->n; i++) {
        if (strcmp(words->v[i], "--comment") == 0) {
            i++;
            continue;
        }
        bool goes = is_word(words->v[i], "-g", "--goto");
        if (goes || is_word(words->v[i], "-j", "--jump")) {
            rule->target = words->v[i + 1];
            rule->is_goto = goes;
            return;
        }
    }
}

// Behind n words that hold no blank.
static void skip_words(const char *line, size_t len, size_t n, char *ret, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i <= n; i++) {
        while (at < len && (line[at] == ' ' || line[at] == '\t')) {
            at++;
        }
        while (i < n && at < len && line[at] != ' ' && line[at] != '\t') {
            at++;
        }
    }
    (void)snprintf(ret, size, "%.*s", (int)(len - at < size ? len - at : size - 1), line + at);
}

static int add_rule(struct parse_foreign *foreign, enum family family, unsigned number, const char *line, size_t len,
                    struct err *err)
{
    const struct parse_words *words = &foreign->words;
    size_t at = words->v[0][0] == '[' ? 1 : 0;
    char what[FINDING_WHAT];
    if (words->n < at + 2 || !(is_word(words->v[at], "-A", "--append") || is_word(words->v[at], "-I", "--insert"))) {
        return 0;
    }
    struct foreign_rule rule = {
        .family = family,
        .table = foreign->table,
        .chain = words->v[at + 1],
        .what = what,
        .is_first = is_word(words->v[at], "-I", "--insert"),
        .line = number,
    };
    skip_words(line, len, at + 2, what, sizeof(what));
    find_target(words, at + 2, &rule);
    return foreign_add_rule(foreign->foreign, &rule, err);
}

// Words that cannot be told apart: it may do anything.
static int add_unread(struct parse_foreign *foreign, enum family family, unsigned number, const char *line, size_t len,
                      struct err *err)
{
    char text[FINDING_WHAT];
    char chain[32];
    char what[FINDING_WHAT];
    skip_words(line, len, 0, text, sizeof(text));
    size_t counters = *text == '[' ? 1 : 0;
    if (sscanf(text + (counters ? strcspn(text, " ") : 0), " -%*[AI] %31s", chain) != 1) {
        return 0;
    }
    skip_words(line, len, counters + 2, what, sizeof(what));
    const struct foreign_rule rule = {
        .family = family, .table = foreign->table, .chain = chain, .target = "?", .what = what, .line = number};
    return foreign_add_rule(foreign->foreign, &rule, err);
}

int parse_foreign_line(struct parse_foreign *foreign, enum family family, unsigned number, const char *line, size_t len,
                       struct err *err)
{
    if (!foreign->foreign || !foreign_has_table(foreign->table)) {
        return 0;
    }
    const struct parse_words *words = &foreign->words;
    struct err why = {0};
    if (parse_words_split(&foreign->words, line, len, &why) < 0) {
        return why.kind == ERR_OOM ? err_oom(err) : add_unread(foreign, family, number, line, len, err);
    }
    if (words->n == 0) {
        return 0;
    }
    if (words->v[0][0] != ':') {
        return add_rule(foreign, family, number, line, len, err);
    }
    const char *chain = words->v[0] + 1;
    return foreign_add_chain(foreign->foreign, family, foreign->table, chain, err) < 0 ||
                   (words->n > 1 &&
                    foreign_add_policy(foreign->foreign, family, foreign->table, chain, words->v[1], number, err) < 0)
               ? -1
               : 0;
}
