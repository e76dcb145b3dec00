// SPDX-License-Identifier: Apache-2.0
//
// Memory and cleanup. Ownership ends by cleanup attributes: declare `CLEANUP(free) char *text = NULL;` and hand the
// value out with TAKE(text). Allocation may fail: every caller says so with err_oom.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NODISCARD __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))

// Defines the cleanup function of a pointer type whose destructor takes NULL.
#define CLEANUP_DEFINE(type, fn)                                                                                       \
    static inline void cleanup_##fn(type **p)                                                                          \
    {                                                                                                                  \
        if (*p) {                                                                                                      \
            fn(*p);                                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    struct cleanup_##fn##_needs_semicolon
#define CLEANUP(fn) __attribute__((cleanup(cleanup_##fn)))

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

void cleanup_fd(const int *fd);

// Move a pointer out of a variable that would free it.
#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __typeof__(p) take_ = (p);                                                                                     \
        (p) = NULL;                                                                                                    \
        take_;                                                                                                         \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

// A growable array of plain values: `VEC(struct prefix) v = {0};`, v.v[i], v.n. vec_push returns 0, or -1 when memory
// is out. vec_free frees the array, not what its items own.
#define VEC(type)                                                                                                      \
    struct {                                                                                                           \
        type *v;                                                                                                       \
        size_t n;                                                                                                      \
        size_t cap;                                                                                                    \
    }
NODISCARD int vec_reserve_(void **v, size_t *cap, size_t want, size_t item);
#define vec_reserve(vec, want) vec_reserve_((void **)&(vec)->v, &(vec)->cap, (want), sizeof(*(vec)->v))
#define vec_push(vec, ...) (vec_reserve((vec), (vec)->n + 1) < 0 ? -1 : ((vec)->v[(vec)->n++] = (__VA_ARGS__), 0))
#define vec_free(vec)                                                                                                  \
    do {                                                                                                               \
        free((vec)->v);                                                                                                \
        (vec)->v = NULL;                                                                                               \
        (vec)->n = (vec)->cap = 0;                                                                                     \
    } while (0)

// Bump allocator for everything that dies together. Zero-initialise; arena_free ends it (and makes it reusable).
struct arena {
    struct arena_chunk *chunk;
    size_t total;  // bytes held, for limits and metrics
};
// Zeroed memory aligned for any type; NULL when memory is out. size 0 gives a valid unique pointer.
void *arena_alloc(struct arena *arena, size_t size);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
void arena_free(struct arena *arena);
// Everything in it is gone as with arena_free, but some memory is kept (64 KiB at most): for one object after another.
void arena_reset(struct arena *arena);
void arena_wipe(struct arena *arena);  // arena_free for one that held secrets: zeroed first
