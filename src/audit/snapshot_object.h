// SPDX-License-Identifier: Apache-2.0
//
// One object of a snapshot, and what stands around and between objects. Private to snapshot.c and its tests.
#pragma once

#include "audit/snapshot.h"
#include "base/buf.h"

// What is kept of an object, with apiVersion and kind in front (the items of a list have none). In the arena, sharing
// with object; NULL when memory is out.
const struct doc *snapshot_object(enum object_kind kind, const struct doc *object, struct arena *arena);
// A text of its metadata; "" when there is none.
const char *snapshot_object_meta(const struct doc *object, const char *key);

// The object with what separates it from the next one …
void snapshot_object_write(const struct doc *reduced, enum snapshot_format format, struct buf *out);
// … of which this many bytes are wrong behind the last one …
size_t snapshot_separator(enum snapshot_format format);
// … and where in such a text of len bytes the object alone is: returns its length.
size_t snapshot_object_bare(size_t len, enum snapshot_format format, size_t *ret_skip);
void snapshot_head(enum snapshot_format format, const char *comment, struct buf *out);
const char *snapshot_tail(enum snapshot_format format);
