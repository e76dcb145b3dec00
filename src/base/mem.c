// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdalign.h>
#include <unistd.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t size;
    max_align_t data[];
};

enum { ARENA_FIRST = 1024, ARENA_MAX_STEP = 1 << 20, ARENA_KEPT = 64 << 10 };

void cleanup_fd(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

int vec_reserve_(void **v, size_t *cap, size_t want, size_t item)
{
    if (want <= *cap) {
        return 0;
    }
    size_t next = *cap ? *cap + *cap / 2 : 4;
    next = next < want ? want : next;
    if (next > SIZE_MAX / item) {
        return -1;
    }
    void *grown = realloc(*v, next * item);
    if (!grown) {
        return -1;
    }
    *v = grown;
    *cap = next;
    return 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = (size + align) / align * align;
    struct arena_chunk *chunk = arena->chunk;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t want = chunk ? chunk->size * 2 : ARENA_FIRST;
        want = want > ARENA_MAX_STEP ? ARENA_MAX_STEP : want;
        want = want < size ? size : want;
        struct arena_chunk *fresh = malloc(sizeof(*fresh) + want);
        if (!fresh) {
            return NULL;
        }
        fresh->next = chunk;
        fresh->used = 0;
        fresh->size = want;
        arena->chunk = chunk = fresh;
        arena->total += sizeof(*fresh) + want;
    }
    char *p = (char *)chunk->data + chunk->used;
    chunk->used += size;
    return memset(p, 0, size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    return copy && len ? memcpy(copy, text, len) : copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

void arena_free(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunk;
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena->chunk = NULL;
    arena->total = 0;
}

void arena_reset(struct arena *arena)
{
    // The newest chunk is the largest, but for single large blocks.
    struct arena_chunk *kept = arena->chunk;
    if (!kept || kept->size > ARENA_KEPT) {
        arena_free(arena);
        return;
    }
    arena->chunk = kept->next;
    arena_free(arena);
    *kept = (struct arena_chunk){.size = kept->size};
    arena->chunk = kept;
    arena->total = sizeof(*kept) + kept->size;
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunk; chunk; chunk = chunk->next) {
        explicit_bzero(chunk->data, chunk->used);
    }
    arena_free(arena);
}
