// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

// A failed allocation inside uthash must come back to map_put instead of ending the process.
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->oom = true)
#include <uthash.h>

struct map_entry {
    UT_hash_handle hh;
    void *value;
    bool oom;
    char key[];
};

struct map {
    struct map_entry *head;
};

struct map *map_new(void)
{
    return calloc(1, sizeof(struct map));
}

void map_free(struct map *map)
{
    if (!map) {
        return;
    }
    struct map_entry *entry;
    struct map_entry *next;
    HASH_ITER (hh, map->head, entry, next) {
        HASH_DEL(map->head, entry);
        free(entry);
    }
    free(map);
}

size_t map_size(const struct map *map)
{
    return HASH_COUNT(map->head);
}

static struct map_entry *map_find(const struct map *map, const void *key, size_t len)
{
    struct map_entry *entry;
    HASH_FIND(hh, map->head, key, len, entry);
    return entry;
}

void *map_get(const struct map *map, const void *key, size_t len)
{
    struct map_entry *entry = map_find(map, key, len);
    return entry ? entry->value : NULL;
}

int map_put(struct map *map, const void *key, size_t len, void *value, void **ret_old)
{
    struct map_entry *entry = map_find(map, key, len);
    void *old = NULL;
    if (entry) {
        old = entry->value;
        entry->value = value;
    } else {
        size_t size = offsetof(struct map_entry, key) + len + 1;
        entry = calloc(1, size < sizeof(*entry) ? sizeof(*entry) : size);
        if (!entry) {
            return -1;
        }
        if (len) {
            memcpy(entry->key, key, len);
        }
        entry->value = value;
        HASH_ADD_KEYPTR(hh, map->head, entry->key, len, entry);
        if (entry->oom) {
            free(entry);
            return -1;
        }
    }
    if (ret_old) {
        *ret_old = old;
    }
    return 0;
}

void *map_del(struct map *map, const void *key, size_t len)
{
    struct map_entry *entry = map_find(map, key, len);
    if (!entry) {
        return NULL;
    }
    void *value = entry->value;
    HASH_DEL(map->head, entry);
    free(entry);
    return value;
}

void *map_get_str(const struct map *map, const char *key)
{
    return map_get(map, key, strlen(key));
}

int map_put_str(struct map *map, const char *key, void *value, void **ret_old)
{
    return map_put(map, key, strlen(key), value, ret_old);
}

void *map_del_str(struct map *map, const char *key)
{
    return map_del(map, key, strlen(key));
}

struct map_entry *map_first(const struct map *map)
{
    return map->head;
}

struct map_entry *map_next(const struct map_entry *entry)
{
    return entry->hh.next;
}

const void *map_entry_key(const struct map_entry *entry, size_t *ret_len)
{
    if (ret_len) {
        *ret_len = entry->hh.keylen;
    }
    return entry->key;
}

void *map_entry_value(const struct map_entry *entry)
{
    return entry->value;
}
