// SPDX-License-Identifier: Apache-2.0
//
// Many short strings in an arena: packed without the arena's rounding, and one copy of those that keep coming back
// (keys, names of protocols and phases). Strings live as long as the arena; a pool whose arena was freed must be
// zeroed.
#pragma once

#include <stddef.h>

#include "base/mem.h"

enum { TEXT_POOL_RECENT = 128 };

// Zero-initialise.
struct text_pool {
    char *room;
    size_t left;
    const char *recent[TEXT_POOL_RECENT];  // by hash
    unsigned char lengths[TEXT_POOL_RECENT];
};

// A NUL-terminated copy of len bytes (which hold no NUL); NULL when memory is out.
const char *text_pool_add(struct text_pool *pool, struct arena *arena, const char *text, size_t len);
