// SPDX-License-Identifier: Apache-2.0
#include "json/json_room.h"

#include <stdalign.h>

#include <cjson/cJSON.h>

static struct json_room *present;

static void *room_malloc(size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > JSON_ROOM - present->used) {
        return arena_alloc(&present->arena, size);
    }
    void *p = present->bytes + present->used;
    size_t rounded = (size + align - 1) / align * align;
    present->used = rounded > JSON_ROOM - present->used ? JSON_ROOM : present->used + rounded;
    return p;
}

static void room_free(UNUSED void *p)
{
}

void json_room_enter(struct json_room *room)
{
    room->arena = (struct arena){0};
    room->used = 0;
    present = room;
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = room_malloc, .free_fn = room_free});
}

void json_room_leave(void)
{
    cJSON_InitHooks(NULL);
    present = NULL;
}

void json_room_free(struct json_room *room)
{
    arena_free(&room->arena);
}
