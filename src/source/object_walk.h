// SPDX-License-Identifier: Apache-2.0
//
// The walk through the bytes of a list or an event. Private to object_stream.
#pragma once

#include "source/object_stream.h"

enum { OBJECT_WALK_LIST_ITEMS = 2 };  // frames outside of a list's objects

// Takes bytes of one text, up to its end at most. Of a list it gives the objects.
NODISCARD int object_walk(struct object_stream *stream, const char *data, size_t len, struct err *err);
// Within the array of a list's objects, or in one of them.
bool object_walk_in_items(const struct object_stream *stream);

// Bytes in front of p, which is within the data that are being fed.
static inline size_t object_walk_place(const struct object_stream *s, const char *p)
{
    return s->before + (size_t)(p - s->data);
}

// ---- object_stream.c
// Hands the present object or event out.
NODISCARD int object_stream_give(struct object_stream *stream, struct err *err);
// Is there too much of the list besides its objects, p included?
NODISCARD int object_stream_check_rest(const struct object_stream *stream, const char *p, struct err *err);
// -1 with ERR_LIMIT.
NODISCARD int object_stream_too_long(const struct object_stream *stream, struct err *err);
