// SPDX-License-Identifier: Apache-2.0
//
// Hash table from a byte string to a pointer (the project's one use of uthash). Keys are copied in; values belong to
// the caller. Iteration is in insertion order (deletions apart): sort before anything that must not depend on event
// order.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct map;
struct map_entry;

struct map *map_new(void);  // NULL when memory is out
void map_free(struct map *map);
size_t map_size(const struct map *map);
// NULL when absent.
void *map_get(const struct map *map, const void *key, size_t len);
// Adds or replaces; *ret_old (may be NULL) gets the replaced value or NULL. -1 when memory is out: nothing changed.
NODISCARD int map_put(struct map *map, const void *key, size_t len, void *value, void **ret_old);
// Removes and returns the value; NULL when absent.
void *map_del(struct map *map, const void *key, size_t len);

void *map_get_str(const struct map *map, const char *key);
NODISCARD int map_put_str(struct map *map, const char *key, void *value, void **ret_old);
void *map_del_str(struct map *map, const char *key);

// for (struct map_entry *e = map_first(m); e; e = map_next(e)). Deleting the current entry needs its next one first.
struct map_entry *map_first(const struct map *map);
struct map_entry *map_next(const struct map_entry *entry);
const void *map_entry_key(const struct map_entry *entry, size_t *ret_len);
void *map_entry_value(const struct map_entry *entry);

CLEANUP_DEFINE(struct map, map_free);
