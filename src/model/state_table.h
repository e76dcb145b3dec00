// SPDX-License-Identifier: Apache-2.0
//
// One kind of objects, by namespace and name, with a sorted array of them on demand. Private to model/state.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/object.h"

struct state_table {
    enum object_kind kind;
    struct map *map;  // "ns\0name" → object
    VEC(void *) sorted;
    bool made;       // sorted has been asked for and is kept up
    unsigned edits;  // since sorted was last read: many at once are cheaper to sort anew
};

NODISCARD int state_table_init(struct state_table *table, enum object_kind kind, struct err *err);
// Frees the objects too.
void state_table_free(struct state_table *table);
void *state_table_get(const struct state_table *table, const char *ns, const char *name);
// Adds or replaces; *ret_old is what was replaced (now the caller's) or NULL. On failure nothing has changed.
NODISCARD int state_table_put(struct state_table *table, void *object, void **ret_old, struct err *err);
// Removes and returns the object; NULL when there is none.
void *state_table_take(struct state_table *table, const char *ns, const char *name);
// Sorted by namespace, then name; borrowed until the next change. *ret_n is SIZE_MAX when memory is out.
void *const *state_table_sorted(struct state_table *table, size_t *ret_n);
const struct object_meta *state_object_meta(enum object_kind kind, const void *object);
