// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_words.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

// One word from line[*at] on, appended to words->text with its NUL.
static int take_word(struct parse_words *words, const char *line, size_t len, size_t *at, struct err *err)
{
    bool quoted = false;
    size_t i = *at;
    for (; i < len && (quoted || !blank(line[i])); i++) {
        if (line[i] == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && line[i] == '\\' && i + 1 < len) {
            i++;
        }
        if (line[i] == '\0') {
            return err_set(err, ERR_INPUT, 0, "a NUL byte");
        }
        words->text.v[words->text.n++] = line[i];
    }
    if (quoted) {
        return err_set(err, ERR_INPUT, 0, "a quote is not closed");
    }
    words->text.v[words->text.n++] = '\0';
    *at = i;
    return 0;
}

int parse_words_split(struct parse_words *words, const char *line, size_t len, struct err *err)
{
    words->n = 0;
    words->text.n = 0;
    // Each word is no longer than what it came from, and the blank behind it makes room for its NUL. Reserving all of
    // it first keeps the pointers valid.
    if (vec_reserve(&words->text, len + 2) < 0) {
        return err_oom(err);
    }
    for (size_t at = 0;;) {
        while (at < len && blank(line[at])) {
            at++;
        }
        if (at == len) {
            return 0;
        }
        if (words->n == PARSE_WORDS_MAX) {
            return err_set(err, ERR_INPUT, 0, "more than %d words", PARSE_WORDS_MAX);
        }
        words->v[words->n++] = words->text.v + words->text.n;
        if (take_word(words, line, len, &at, err) < 0) {
            return -1;
        }
    }
}

void parse_words_free(struct parse_words *words)
{
    vec_free(&words->text);
}
