// SPDX-License-Identifier: Apache-2.0
//
// Mark and sweep (api-client.md 2.13). What is read of a kind is compared with the state as it comes; only what differs
// is kept, and goes into the state with the sweep of what has gone, in one step. So memory is bounded by the
// difference, and nobody sees a half-read world: no pod twice, no address with two owners because the sweep comes late.
#include <stdio.h>

#include "base/limits.h"
#include "source/api_source.h"

enum { KEY_MAX = 2 * LIMIT_NAME + 1 };

// "ns\0name"; 0 when no object of the state can have such a name.
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

const void *api_state_get(const struct state *state, enum object_kind kind, const char *ns, const char *name)
{
    switch (kind) {
    case OBJECT_POD:
        return state_pod(state, ns, name);
    case OBJECT_NAMESPACE:
        return *ns ? NULL : state_namespace(state, name);
    case OBJECT_POLICY:
        return state_policy(state, ns, name);
    case OBJECT_NODE:
        return *ns ? NULL : state_node(state, name);
    }
    return NULL;
}

// Every object begins with its meta.
const struct object_meta *const *api_state_list(struct state *state, enum object_kind kind, size_t *ret_n)
{
    switch (kind) {
    case OBJECT_POD:
        return (const struct object_meta *const *)state_pods(state, ret_n);
    case OBJECT_NAMESPACE:
        return (const struct object_meta *const *)state_namespaces(state, ret_n);
    case OBJECT_POLICY:
        return (const struct object_meta *const *)state_policies(state, ret_n);
    case OBJECT_NODE:
        return (const struct object_meta *const *)state_nodes(state, ret_n);
    }
    *ret_n = 0;
    return NULL;
}

bool api_object_equal(enum object_kind kind, const void *a, const struct decoded *b)
{
    switch (kind) {
    case OBJECT_POD:
        return pod_equal(a, &b->pod);
    case OBJECT_NAMESPACE:
        return ns_object_equal(a, &b->ns);
    case OBJECT_POLICY:
        return policy_equal(a, &b->policy);
    case OBJECT_NODE:
        return node_equal(a, &b->node);
    }
    return false;
}

static const struct object_meta *meta_of(const struct decoded *decoded)
{
    switch (decoded->kind) {
    case OBJECT_POD:
        return &decoded->pod.meta;
    case OBJECT_NAMESPACE:
        return &decoded->ns.meta;
    case OBJECT_POLICY:
        return &decoded->policy.meta;
    case OBJECT_NODE:
        return &decoded->node.meta;
    }
    return &decoded->pod.meta;
}

static int hold(struct api_kind *kind, const char *ns, const char *name, struct err *err)
{
    char key[KEY_MAX];
    size_t len = make_key(ns, name, key);
    void *generation = (void *)(uintptr_t)kind->generation;
    return kind->shared && len && map_put(kind->held, key, len, generation, NULL) < 0 ? err_oom(err) : 0;
}

// The object is the callee's.
static int put_object(struct api_kind *kind, void *object, struct err *err)
{
    const struct object_meta *meta = object;
    if (hold(kind, meta->ns, meta->name, err) < 0) {
        free(object);
        return -1;
    }
    return state_put(kind->source->state, kind->row->kind, object, err);
}

int api_state_put(struct api_kind *kind, const struct decoded *decoded, struct err *err)
{
    const struct object_meta *meta = meta_of(decoded);
    const void *present = api_state_get(kind->source->state, kind->row->kind, meta->ns, meta->name);
    // Most events change nothing that we look at; they need no copy.
    if (present && api_object_equal(kind->row->kind, present, decoded)) {
        return hold(kind, meta->ns, meta->name, err) < 0 ? -1 : STATE_UNCHANGED;
    }
    void *object = decoded_dup(decoded);
    return object ? put_object(kind, object, err) : err_oom(err);
}

int api_state_remove(struct api_kind *kind, const char *ns, const char *name, const char *uid)
{
    char key[KEY_MAX];
    size_t len = make_key(ns, name, key);
    if (kind->shared && (!len || !map_get(kind->held, key, len))) {
        return STATE_UNCHANGED;
    }
    int change = state_remove(kind->source->state, kind->row->kind, ns, name, uid);
    if (kind->shared && change == STATE_REMOVED) {
        (void)map_del(kind->held, key, len);
    }
    return change;
}

void api_stage_drop(struct api_kind *kind)
{
    struct api_stage *stage = &kind->stage;
    for (struct map_entry *e = stage->fresh ? map_first(stage->fresh) : NULL; e; e = map_next(e)) {
        free(map_entry_value(e));
    }
    map_free(stage->fresh);
    free(stage->seen);
    *stage = (struct api_stage){.active = false};
}

int api_stage_begin(struct api_kind *kind, struct err *err)
{
    struct api_source *source = kind->source;
    struct api_stage *stage = &kind->stage;
    api_stage_drop(kind);
    kind->generation++;
    bool empty = state_count(source->state, kind->row->kind) == 0;
    if (!source->synced && empty) {
        *stage = (struct api_stage){.active = true, .direct = true};
        return 0;
    }
    size_t n = 0;
    if (!kind->shared && !api_state_list(source->state, kind->row->kind, &n) && n) {
        return err_oom(err);
    }
    stage->fresh = map_new();
    stage->seen = calloc(n / 8 + 1, 1);
    stage->n = n;
    if (!stage->fresh || !stage->seen) {
        api_stage_drop(kind);
        return err_oom(err);
    }
    stage->active = true;
    return 0;
}

// The place of the object in the state's list; false when it is not there. The list does not change while the kind is
// staged: nobody else has objects of it.
static bool place_of(struct api_kind *kind, const char *ns, const char *name, size_t *ret)
{
    size_t high;
    size_t low = 0;
    const struct object_meta *const *list = api_state_list(kind->source->state, kind->row->kind, &high);
    high = list && high <= kind->stage.n ? high : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(list[mid]->ns, ns);
        order = order ? order : strcmp(list[mid]->name, name);
        if (order == 0) {
            *ret = mid;
            return true;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return false;
}

// What is held is there (or not any more).
static int mark(struct api_kind *kind, const char *ns, const char *name, bool there, struct err *err)
{
    struct api_stage *stage = &kind->stage;
    if (kind->shared) {
        char key[KEY_MAX];
        size_t len = make_key(ns, name, key);
        void *generation = (void *)(uintptr_t)(there ? kind->generation : UINT32_MAX);
        return len && map_get(kind->held, key, len) && map_put(kind->held, key, len, generation, NULL) < 0
                   ? err_oom(err)
                   : 0;
    }
    size_t at;
    if (place_of(kind, ns, name, &at)) {
        unsigned char bit = (unsigned char)(1u << at % 8);
        stage->seen[at / 8] = (unsigned char)(there ? stage->seen[at / 8] | bit : stage->seen[at / 8] & ~bit);
    }
    return 0;
}

int api_stage_seen(struct api_kind *kind, const char *ns, const char *name, struct err *err)
{
    return kind->stage.direct ? 0 : mark(kind, ns, name, true, err);
}

static void forget_fresh(struct api_stage *stage, const char *key, size_t len)
{
    free(map_del(stage->fresh, key, len));
}

int api_stage_put(struct api_kind *kind, const struct decoded *decoded, struct err *err)
{
    struct api_stage *stage = &kind->stage;
    const struct object_meta *meta = meta_of(decoded);
    if (stage->direct) {
        int change = api_state_put(kind, decoded, err);
        if (change > STATE_UNCHANGED) {
            api_source_changed(kind->source);
        }
        return change;
    }
    char key[KEY_MAX];
    size_t len = make_key(meta->ns, meta->name, key);
    if (!len) {
        return err_set(err, ERR_LIMIT, 0, "%s: a name is longer than %d bytes", object_kind_name(kind->row->kind),
                       LIMIT_NAME);
    }
    if (mark(kind, meta->ns, meta->name, true, err) < 0) {
        return -1;
    }
    const void *present = api_state_get(kind->source->state, kind->row->kind, meta->ns, meta->name);
    bool held = !kind->shared || map_get(kind->held, key, len);
    if (present && held && api_object_equal(kind->row->kind, present, decoded)) {
        forget_fresh(stage, key, len);
        return STATE_UNCHANGED;
    }
    void *object = decoded_dup(decoded);
    void *old = NULL;
    if (!object || map_put(stage->fresh, key, len, object, &old) < 0) {
        free(object);
        return err_oom(err);
    }
    free(old);
    return present ? STATE_UPDATED : STATE_ADDED;
}

int api_stage_remove(struct api_kind *kind, const char *ns, const char *name, struct err *err)
{
    if (kind->stage.direct) {
        if (api_state_remove(kind, ns, name, "") == STATE_REMOVED) {
            api_source_changed(kind->source);
        }
        return 0;
    }
    char key[KEY_MAX];
    size_t len = make_key(ns, name, key);
    if (len) {
        forget_fresh(&kind->stage, key, len);
    }
    return mark(kind, ns, name, false, err);
}

// Removes one object by its place in memory; the names are copied, since they are the object's.
static void remove_one(struct api_kind *kind, const char *ns, const char *name)
{
    char ns_copy[LIMIT_NAME + 1];
    char name_copy[LIMIT_NAME + 1];
    (void)snprintf(ns_copy, sizeof(ns_copy), "%s", ns);
    (void)snprintf(name_copy, sizeof(name_copy), "%s", name);
    if (api_state_remove(kind, ns_copy, name_copy, "") == STATE_REMOVED) {
        api_source_changed(kind->source);
    }
}

static int sweep_list(struct api_kind *kind, struct err *err)
{
    size_t n;
    VEC(const struct object_meta *) gone = {0};
    const struct object_meta *const *list = api_state_list(kind->source->state, kind->row->kind, &n);
    int rc = !list && n ? -1 : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool seen = i < kind->stage.n && kind->stage.seen[i / 8] & 1u << i % 8;
        rc = seen ? 0 : vec_push(&gone, list[i]);
    }
    for (size_t i = 0; i < gone.n && rc == 0; i++) {
        remove_one(kind, gone.v[i]->ns, gone.v[i]->name);
    }
    vec_free(&gone);
    return rc < 0 ? err_oom(err) : 0;
}

static void sweep_held(struct api_kind *kind)
{
    struct map_entry *next = NULL;
    for (struct map_entry *e = map_first(kind->held); e; e = next) {
        next = map_next(e);
        size_t len;
        const char *key = map_entry_key(e, &len);
        if (map_entry_value(e) != (void *)(uintptr_t)kind->generation) {
            char copy[KEY_MAX + 1] = "";
            memcpy(copy, key, len < KEY_MAX ? len : KEY_MAX);
            remove_one(kind, copy, copy + strlen(copy) + 1);
        }
    }
}

int api_stage_commit(struct api_kind *kind, struct err *err)
{
    struct api_stage *stage = &kind->stage;
    int rc = 0;
    if (!stage->direct) {
        if (kind->shared) {
            sweep_held(kind);
        } else {
            rc = sweep_list(kind, err);
        }
        for (struct map_entry *e = rc == 0 ? map_first(stage->fresh) : NULL; e && rc == 0; e = map_next(e)) {
            size_t len;
            const void *key = map_entry_key(e, &len);
            void *object = map_entry_value(e);
            // Replacing a value needs no memory.
            rc = map_put(stage->fresh, key, len, NULL, NULL) < 0 ? err_oom(err) : 0;
            rc = rc == 0 && put_object(kind, object, err) < 0 ? -1 : rc;
            api_source_changed(kind->source);
        }
    }
    api_stage_drop(kind);
    return rc;
}
