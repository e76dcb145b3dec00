// SPDX-License-Identifier: Apache-2.0
#include "model/state_table.h"

#include "base/limits.h"

enum {
    KEY_MAX = 2 * LIMIT_NAME + 1,
    EDITS_MAX = 16,  // single edits of the sorted array between two reads: each moves its tail
};

const struct object_meta *state_object_meta(enum object_kind kind, const void *object)
{
    switch (kind) {
    case OBJECT_POD:
        return &((const struct pod *)object)->meta;
    case OBJECT_NAMESPACE:
        return &((const struct ns_object *)object)->meta;
    case OBJECT_POLICY:
        return &((const struct policy *)object)->meta;
    case OBJECT_NODE:
        return &((const struct node *)object)->meta;
    }
    return NULL;
}

// The key's length; 0 when no object can have such a name.
static size_t make_key(const char *ns, const char *name, char key[KEY_MAX])
{
    size_t n_ns = strlen(ns);
    size_t n_name = strlen(name);
    if (n_ns > LIMIT_NAME || n_name > LIMIT_NAME) {
        return 0;
    }
    memcpy(key, ns, n_ns + 1);
    memcpy(key + n_ns + 1, name, n_name);
    return n_ns + 1 + n_name;
}

static int meta_compare(const struct object_meta *meta, const char *ns, const char *name)
{
    int order = strcmp(meta->ns, ns);
    return order ? order : strcmp(meta->name, name);
}

int state_table_init(struct state_table *table, enum object_kind kind, struct err *err)
{
    *table = (struct state_table){.kind = kind, .map = map_new()};
    return table->map ? 0 : err_oom(err);
}

void state_table_free(struct state_table *table)
{
    if (!table->map) {
        return;
    }
    for (struct map_entry *e = map_first(table->map); e; e = map_next(e)) {
        free(map_entry_value(e));
    }
    map_free(table->map);
    vec_free(&table->sorted);
}

void *state_table_get(const struct state_table *table, const char *ns, const char *name)
{
    char key[KEY_MAX];
    size_t len = make_key(ns, name, key);
    return len ? map_get(table->map, key, len) : NULL;
}

static size_t sorted_place(const struct state_table *table, const char *ns, const char *name)
{
    size_t low = 0;
    size_t high = table->sorted.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (meta_compare(state_object_meta(table->kind, table->sorted.v[mid]), ns, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void sorted_drop(struct state_table *table)
{
    vec_free(&table->sorted);
    table->made = false;
}

// May the sorted array be edited in place? Otherwise it is made anew when next asked for.
static bool sorted_edit(struct state_table *table)
{
    if (table->made && ++table->edits > EDITS_MAX) {
        sorted_drop(table);
    }
    return table->made;
}

static void sorted_put(struct state_table *table, void *object, bool replaces)
{
    if (!table->made || (!replaces && !sorted_edit(table))) {
        return;
    }
    const struct object_meta *meta = state_object_meta(table->kind, object);
    size_t at = sorted_place(table, meta->ns, meta->name);
    if (replaces) {
        table->sorted.v[at] = object;
        return;
    }
    if (vec_reserve(&table->sorted, table->sorted.n + 1) < 0) {
        sorted_drop(table);
        return;
    }
    memmove(table->sorted.v + at + 1, table->sorted.v + at, (table->sorted.n - at) * sizeof(*table->sorted.v));
    table->sorted.v[at] = object;
    table->sorted.n++;
}

int state_table_put(struct state_table *table, void *object, void **ret_old, struct err *err)
{
    const struct object_meta *meta = state_object_meta(table->kind, object);
    char key[KEY_MAX];
    size_t len = make_key(meta->ns, meta->name, key);
    if (!len) {
        return err_set(err, ERR_LIMIT, 0, "%s: a name is longer than %d bytes", object_kind_name(table->kind),
                       LIMIT_NAME);
    }
    if (map_put(table->map, key, len, object, ret_old) < 0) {
        return err_oom(err);
    }
    sorted_put(table, object, *ret_old != NULL);
    return 0;
}

void *state_table_take(struct state_table *table, const char *ns, const char *name)
{
    char key[KEY_MAX];
    size_t len = make_key(ns, name, key);
    void *object = len ? map_del(table->map, key, len) : NULL;
    if (object && sorted_edit(table)) {
        size_t at = sorted_place(table, ns, name);
        table->sorted.n--;
        memmove(table->sorted.v + at, table->sorted.v + at + 1, (table->sorted.n - at) * sizeof(*table->sorted.v));
    }
    return object;
}

static int compare_objects(const void *a, const void *b, void *arg)
{
    const struct state_table *table = arg;
    const struct object_meta *other = state_object_meta(table->kind, *(void *const *)b);
    return meta_compare(state_object_meta(table->kind, *(void *const *)a), other->ns, other->name);
}

void *const *state_table_sorted(struct state_table *table, size_t *ret_n)
{
    table->edits = 0;
    if (!table->made) {
        size_t n = map_size(table->map);
        if (vec_reserve(&table->sorted, n) < 0) {
            *ret_n = SIZE_MAX;
            return NULL;
        }
        table->sorted.n = 0;
        for (struct map_entry *e = map_first(table->map); e; e = map_next(e)) {
            table->sorted.v[table->sorted.n++] = map_entry_value(e);
        }
        if (n > 1) {
            qsort_r(table->sorted.v, n, sizeof(*table->sorted.v), compare_objects, table);
        }
        table->made = true;
    }
    *ret_n = table->sorted.n;
    return table->sorted.n ? table->sorted.v : NULL;
}
