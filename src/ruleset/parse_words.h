// SPDX-License-Identifier: Apache-2.0
//
// One line of a restore file as words, split as iptables-restore does: at blanks, double quotes group, a backslash
// inside quotes takes the next character as it is.
#pragma once

#include "base/err.h"
#include "base/mem.h"

enum { PARSE_WORDS_MAX = 255 };  // iptables-restore's own limit

struct parse_words {
    const char *v[PARSE_WORDS_MAX];
    size_t n;
    VEC(char) text;  // the words, each with its NUL
};

// The words are valid until the next split. -1 on an open quote, a NUL byte, or too many words.
NODISCARD int parse_words_split(struct parse_words *words, const char *line, size_t len, struct err *err);
void parse_words_free(struct parse_words *words);
