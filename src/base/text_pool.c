// SPDX-License-Identifier: Apache-2.0
#include "base/text_pool.h"

#include <stdint.h>
#include <string.h>

enum {
    ROOM = 512,   // taken from the arena at once
    LARGE = 128,  // strings from that size on have their own block
    RECENT = 24,  // longer ones rarely come back
};

// FNV-1a: where to look only, so collisions cost a copy at most.
static size_t slot_of(const char *text, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash % TEXT_POOL_RECENT;
}

static char *pack(struct text_pool *pool, struct arena *arena, const char *text, size_t len)
{
    if (len >= LARGE) {
        return arena_strndup(arena, text, len);
    }
    if (pool->left <= len) {
        char *room = arena_alloc(arena, ROOM - 1);
        if (!room) {
            return NULL;
        }
        pool->room = room;
        pool->left = ROOM - 1;
    }
    char *copy = pool->room;
    memcpy(copy, text, len);
    copy[len] = '\0';
    pool->room += len + 1;
    pool->left -= len + 1;
    return copy;
}

const char *text_pool_add(struct text_pool *pool, struct arena *arena, const char *text, size_t len)
{
    if (len > RECENT) {
        return pack(pool, arena, text, len);
    }
    const char **recent = &pool->recent[slot_of(text, len)];
    if (*recent && strncmp(*recent, text, len) == 0 && (*recent)[len] == '\0') {
        return *recent;
    }
    const char *copy = pack(pool, arena, text, len);
    *recent = copy ? copy : *recent;
    return copy;
}
