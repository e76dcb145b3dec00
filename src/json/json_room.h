// SPDX-License-Identifier: Apache-2.0
//
// Memory for cJSON while it reads one piece of text: taken from the stack, then from an arena, and given back at once.
// A tree of many small nodes costs no malloc and no free.
#pragma once

#include "base/mem.h"

enum { JSON_ROOM = 16 << 10 };  // the tree of an object of 2 KB; larger ones use the arena

struct json_room {
    struct arena arena;
    size_t used;
    _Alignas(max_align_t) char bytes[JSON_ROOM];
};

// Between the two all memory that cJSON asks for comes from room, in the whole process (it has no threads, and cJSON
// knows no other way). What was taken lives until json_room_free.
void json_room_enter(struct json_room *room);
void json_room_leave(void);
void json_room_free(struct json_room *room);
