// SPDX-License-Identifier: Apache-2.0
#include "source/json_marks.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

enum byte_class { IN_WORD, BLANK, QUOTE, OPEN, CLOSE, POINT };

static const unsigned char classes[256] = {
    [' '] = BLANK, ['\t'] = BLANK, ['\r'] = BLANK, ['\n'] = BLANK, ['"'] = QUOTE, ['{'] = OPEN,
    ['['] = OPEN,  ['}'] = CLOSE,  [']'] = CLOSE,  [','] = POINT,  [':'] = POINT,
};

void json_marks_plain(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    struct json_marks marks = {.after_word = state->in_word};
    for (size_t i = 0; i < len; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (state->in_string) {
            bool quote = text[i] == '"' && !state->escaped;
            marks.quotes |= quote ? bit : 0;
            marks.inside |= quote ? 0 : bit;
            state->in_string = !quote;
            state->escaped = text[i] == '\\' && !state->escaped;
            continue;
        }
        // A backslash out here is no escape but junk.
        enum byte_class class = classes[(unsigned char)text[i]];
        marks.open |= class == OPEN ? bit : 0;
        marks.close |= class == CLOSE ? bit : 0;
        marks.points |= class == POINT ? bit : 0;
        marks.words |= class == IN_WORD && !state->in_word ? bit : 0;
        if (class == QUOTE) {
            marks.quotes |= bit;
            marks.inside |= bit;
            state->in_string = true;
        }
        state->in_word = class == IN_WORD;
    }
    marks.n_open = (unsigned)__builtin_popcountll(marks.open);
    marks.n_close = (unsigned)__builtin_popcountll(marks.close);
    *ret = marks;
}

#ifndef __SSE2__

void json_marks_strings(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    json_marks_plain(state, text, len, ret);
}

void json_marks_words(const char *text, struct json_marks *marks)
{
    (void)text;
    (void)marks;
}

void json_marks_old_machine(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    json_marks_plain(state, text, len, ret);
}

#else

// Bytes that a backslash takes with it; *escaped is whether the first one is, and then whether the one behind `len` is.
// Backslashes go in runs: those at odd places of a run escape, so adding the run's first bit carries through it (the
// way of simdjson).
static inline uint64_t escaped_bytes(uint64_t slashes, size_t len, bool *escaped)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    uint64_t carry = *escaped ? 1 : 0;
    slashes &= ~carry;
    uint64_t behind = slashes << 1 | carry;
    uint64_t odd_starts = slashes & ~even & ~behind;
    uint64_t sum;
    bool overflow = __builtin_add_overflow(odd_starts, slashes, &sum);
    uint64_t bytes = (even ^ sum << 1) & behind;
    *escaped = len == JSON_MARKS ? overflow : bytes >> len & 1;
    return bytes;
}

// Bit n: an odd number of bits up to n are set.
static inline uint64_t odd_before(uint64_t x)
{
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    return x ^ x << 32;
}

// Where bytes of a few kinds are, whatever is a string.
struct found {
    uint64_t quotes;
    uint64_t slashes;
    uint64_t open;
    uint64_t close;
};

// False when this needs the plain loop: a backslash outside of strings.
static inline bool strings(struct json_marks_state *state, const struct found *found, char last, size_t len,
                           struct json_marks *ret)
{
    struct json_marks_state next = *state;
    uint64_t quotes = found->quotes;
    if (found->slashes || next.escaped) {
        quotes &= ~escaped_bytes(found->slashes, len, &next.escaped);
    }
    uint64_t inside = odd_before(quotes) ^ (state->in_string ? ~UINT64_C(0) : 0);
    if (found->slashes & ~inside) {
        return false;
    }
    ret->quotes = quotes;
    ret->inside = len < JSON_MARKS ? inside & ((UINT64_C(1) << len) - 1) : inside;
    ret->open = found->open & ~inside;
    ret->close = found->close & ~inside;
    ret->n_open = (unsigned)__builtin_popcountll(ret->open);
    ret->n_close = (unsigned)__builtin_popcountll(ret->close);
    ret->after_word = state->in_word;
    next.in_string = inside >> (len - 1) & 1;
    next.in_word = !next.in_string && classes[(unsigned char)last] == IN_WORD;
    *state = next;
    return true;
}

static inline void words(uint64_t points, uint64_t blanks, struct json_marks *marks)
{
    uint64_t outside = ~(marks->inside | marks->quotes);
    marks->points = points & outside;
    uint64_t in_word = outside & ~(points | blanks | marks->open | marks->close);
    marks->words = in_word & ~(in_word << 1 | (marks->after_word ? 1 : 0));
}

// { and [, } and ] differ in this bit, and no other byte becomes one of them with it.
enum { BRACKET_BIT = 0x20 };

// ---- with SSE2, which every x86-64 has

struct block16 {
    __m128i v[4];
};

static inline struct block16 load16(const char *text)
{
    struct block16 block;
    for (size_t i = 0; i < 4; i++) {
        block.v[i] = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * i));
    }
    return block;
}

static inline uint64_t equal16(const struct block16 *block, char c)
{
    const __m128i want = _mm_set1_epi8(c);
    uint64_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        bits |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block->v[i], want)) << (16 * i);
    }
    return bits;
}

static bool strings16(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    const struct block16 block = load16(text);
    struct block16 folded;
    for (size_t i = 0; i < 4; i++) {
        folded.v[i] = _mm_or_si128(block.v[i], _mm_set1_epi8(BRACKET_BIT));
    }
    const struct found found = {.quotes = equal16(&block, '"'),
                                .slashes = equal16(&block, '\\'),
                                .open = equal16(&folded, '{'),
                                .close = equal16(&folded, '}')};
    return strings(state, &found, text[len - 1], len, ret);
}

static void words16(const char *text, struct json_marks *marks)
{
    const struct block16 block = load16(text);
    words(equal16(&block, ',') | equal16(&block, ':'),
          equal16(&block, ' ') | equal16(&block, '\n') | equal16(&block, '\t') | equal16(&block, '\r'), marks);
}

// ---- with AVX2, where the machine has it

#define AVX2 __attribute__((target("avx2,popcnt")))

struct block32 {
    __m256i v[2];
};

AVX2 static inline struct block32 load32(const char *text)
{
    return (struct block32){{_mm256_loadu_si256((const __m256i *)(const void *)text),
                             _mm256_loadu_si256((const __m256i *)(const void *)(text + 32))}};
}

AVX2 static inline uint64_t equal32(const struct block32 *block, char c)
{
    const __m256i want = _mm256_set1_epi8(c);
    return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block->v[0], want)) |
           (uint64_t)(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block->v[1], want)) << 32;
}

AVX2 static bool strings32(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    const struct block32 block = load32(text);
    const __m256i bit = _mm256_set1_epi8(BRACKET_BIT);
    const struct block32 folded = {{_mm256_or_si256(block.v[0], bit), _mm256_or_si256(block.v[1], bit)}};
    const struct found found = {.quotes = equal32(&block, '"'),
                                .slashes = equal32(&block, '\\'),
                                .open = equal32(&folded, '{'),
                                .close = equal32(&folded, '}')};
    return strings(state, &found, text[len - 1], len, ret);
}

AVX2 static void words32(const char *text, struct json_marks *marks)
{
    const struct block32 block = load32(text);
    words(equal32(&block, ',') | equal32(&block, ':'),
          equal32(&block, ' ') | equal32(&block, '\n') | equal32(&block, '\t') | equal32(&block, '\r'), marks);
}

void json_marks_strings(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    if (!(__builtin_cpu_supports("avx2") ? strings32(state, text, len, ret) : strings16(state, text, len, ret))) {
        json_marks_plain(state, text, len, ret);
    }
}

void json_marks_old_machine(struct json_marks_state *state, const char *text, size_t len, struct json_marks *ret)
{
    if (!strings16(state, text, len, ret)) {
        json_marks_plain(state, text, len, ret);
    }
    words16(text, ret);
}

void json_marks_words(const char *text, struct json_marks *marks)
{
    if (__builtin_cpu_supports("avx2")) {
        words32(text, marks);
    } else {
        words16(text, marks);
    }
}

#endif
