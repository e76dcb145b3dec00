// SPDX-License-Identifier: Apache-2.0
//
// What the bytes of a JSON text are, 64 at a time, as one bit each: where strings are, and the brackets outside of
// them. With this, text of which only the balance of brackets matters costs a few instructions per 64 bytes. With SSE2
// where the compiler has it; a plain loop says the same (and is what decides on text that is no JSON).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MARKS = 64 };

// Between two blocks. Zero: in front of a text.
struct json_marks_state {
    bool in_string;
    bool escaped;  // the next byte belongs to an escape
    bool in_word;  // the last byte was one of a word, as below
};

// Bit n is for byte n.
struct json_marks {
    uint64_t quotes;  // that begin or end a string
    uint64_t inside;  // of strings, with the first quote, without the last one
    uint64_t open;    // { and [ outside of strings
    uint64_t close;   // } and ] outside of strings
    unsigned n_open;  // bits of open and close
    unsigned n_close;
    // By json_marks_words only.
    uint64_t points;  // , and : outside of strings
    uint64_t words;   // first bytes of all else outside of strings that is no blank: numbers, words, junk
    bool after_word;  // the byte in front of the block was one of a word
};

// The 64 bytes at text, of which `len` (1 to 64) are meant: the others must be blanks.
void json_marks_strings(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret);
// The rest, when it is wanted, of the same 64 bytes.
void json_marks_words(const char *text, struct json_marks *marks);
// Both at once as a machine without AVX2 finds them, for tests.
void json_marks_old_machine(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret);
// Both at once, byte by byte: what all must say.
void json_marks_plain(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret);
