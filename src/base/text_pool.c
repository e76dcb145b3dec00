// SPDX-License-Identifier: Apache-2.0
#include "base/text_pool.h"

#include <stdint.h>
#include <string.h>

enum {
    ROOM = 512,   // taken from the arena at once
    LARGE = 128,  // strings from that size on have their own block
    RECENT = 24,  // longer ones rarely come back
};

// Where to look only: collisions cost a copy at most.
static size_t slot_of(const char *text, size_t len)
{
    uint32_t hash = (uint32_t)len;
    if (len) {
        hash += (unsigned char)text[0] * 5u + (unsigned char)text[len / 2] * 31u + (unsigned char)text[len - 1] * 11u;
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
    size_t slot = slot_of(text, len);
    if (pool->recent[slot] && pool->lengths[slot] == len && memcmp(pool->recent[slot], text, len) == 0) {
        return pool->recent[slot];
    }
    const char *copy = pack(pool, arena, text, len);
    if (copy) {
        pool->recent[slot] = copy;
        pool->lengths[slot] = (unsigned char)len;
    }
    return copy;
}
