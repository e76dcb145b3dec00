// SPDX-License-Identifier: Apache-2.0
#include "model/state_private.h"

// One of several live pods that have the address in their status.
struct claim {
    struct pod *pod;
    void *next;  // a link
};

void state_observe(struct state *state, const struct state_observer *observer)
{
    state->observer = observer;
}

static void tell_before(const struct state *state, enum object_kind kind, const void *old, const void *new)
{
    if (state->observer) {
        state->observer->before(kind, old, new, state->observer->arg);
    }
}

static void tell_after(const struct state *state, enum object_kind kind, const void *old, const void *new)
{
    if (state->observer) {
        state->observer->after(kind, old, new, state->observer->arg);
    }
}

static struct claim *claim_of(void *link)
{
    return (uintptr_t)link & 1 ? (struct claim *)(void *)((char *)link - 1) : NULL;
}

static struct pod *pod_of(void *link)
{
    const struct claim *claim = claim_of(link);
    return claim ? claim->pod : link;
}

static void *link_behind(void *link)
{
    const struct claim *claim = claim_of(link);
    return claim ? claim->next : NULL;
}

enum { ADDRESS_KEY = 17 };

static size_t address_key(const struct address *address, char key[ADDRESS_KEY])
{
    size_t len = family_bits(address->family) / 8;
    key[0] = (char)family_number(address->family);
    memcpy(key + 1, address->bytes, len);
    return len + 1;
}

int state_new(struct state **ret, struct err *err)
{
    CLEANUP(state_free) struct state *state = calloc(1, sizeof(*state));
    if (!state) {
        return err_oom(err);
    }
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++) {
        if (state_table_init(&state->tables[i], (enum object_kind)i, err) < 0) {
            return -1;
        }
    }
    state->claims = map_new();
    if (!state->claims) {
        return err_oom(err);
    }
    *ret = TAKE(state);
    return 0;
}

void state_free(struct state *state)
{
    if (!state) {
        return;
    }
    for (struct map_entry *e = state->claims ? map_first(state->claims) : NULL; e; e = map_next(e)) {
        void *link = map_entry_value(e);
        while (link) {
            void *next = link_behind(link);
            free(claim_of(link));
            link = next;
        }
    }
    map_free(state->claims);
    state_learnt_free_all(state);
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++) {
        state_table_free(&state->tables[i]);
    }
    free(state);
}

static bool is_unspecified(const struct address *address)
{
    static const struct address zero;
    return memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
}

static int claim_add(struct state *state, struct pod *pod, const struct address *address)
{
    if (is_unspecified(address)) {
        return 0;
    }
    char key[ADDRESS_KEY];
    size_t len = address_key(address, key);
    void *present = map_get(state->claims, key, len);
    if (!present) {
        return map_put(state->claims, key, len, pod, NULL);
    }
    struct claim *claim = malloc(sizeof(*claim));
    if (!claim) {
        return -1;
    }
    *claim = (struct claim){.pod = pod, .next = present};
    if (map_put(state->claims, key, len, (char *)claim + 1, NULL) < 0) {
        free(claim);
        return -1;
    }
    return 0;
}

// Takes the pod's link out of those that begin at *first.
static void unlink_pod(void **first, const struct pod *pod)
{
    void **up = NULL;  // the link in front of *at
    void **at = first;
    while (*at && pod_of(*at) != pod) {
        up = at;
        struct claim *claim = claim_of(*at);
        if (!claim) {
            return;
        }
        at = &claim->next;
    }
    struct claim *gone = claim_of(*at);
    if (gone) {
        *at = gone->next;
    } else if (up) {
        // The last one: the one in front of it becomes the last.
        gone = claim_of(*up);
        *up = gone->pod;
    } else {
        *at = NULL;
    }
    free(gone);
}

// Never allocates: a replaced value needs no room in the map.
static void claim_drop(struct state *state, const struct pod *pod, const struct address *address)
{
    char key[ADDRESS_KEY];
    size_t len = address_key(address, key);
    void *present = map_get(state->claims, key, len);
    if (!present) {
        return;
    }
    void *first = present;
    unlink_pod(&first, pod);
    if (!first) {
        (void)map_del(state->claims, key, len);
    } else if (first != present && map_put(state->claims, key, len, first, NULL) < 0) {
        abort();
    }
}

static void claims_drop(struct state *state, const struct pod *pod, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        claim_drop(state, pod, &pod->addresses[i]);
    }
}

static size_t claimed(const struct pod *pod)
{
    return pod_is_live(pod) ? pod->n_addresses : 0;
}

static int claims_add(struct state *state, struct pod *pod, struct err *err)
{
    for (size_t i = 0; i < claimed(pod); i++) {
        if (claim_add(state, pod, &pod->addresses[i]) < 0) {
            claims_drop(state, pod, i);
            return err_oom(err);
        }
    }
    return 0;
}

// Takes ownership, as state_put_pod.
static int put_pod(struct state *state, struct pod *pod, struct err *err)
{
    CLEANUP(free) struct pod *owned = pod;
    struct state_table *table = &state->tables[OBJECT_POD];
    const struct pod *present = state_table_get(table, pod->meta.ns, pod->meta.name);
    if (present && pod_equal(present, pod)) {
        return STATE_UNCHANGED;
    }
    tell_before(state, OBJECT_POD, present, pod);
    void *replaced = NULL;
    bool put = claims_add(state, pod, err) == 0;
    if (put && state_table_put(table, pod, &replaced, err) < 0) {
        claims_drop(state, pod, claimed(pod));
        put = false;
    }
    struct pod *old = replaced;
    if (old) {
        claims_drop(state, old, claimed(old));
    }
    tell_after(state, OBJECT_POD, present, pod);
    if (!put) {
        return -1;
    }
    (void)TAKE(owned);
    free(old);
    return old ? STATE_UPDATED : STATE_ADDED;
}

int state_put_pod(struct state *state, struct pod *pod, struct err *err)
{
    CLEANUP(free) struct pod *owned = pod;
    const struct state_learnt *learnt = state_learnt_of(state, pod);
    if (!learnt) {
        return put_pod(state, TAKE(owned), err);
    }
    CLEANUP(free) struct pod *whole = NULL;
    if (state_learnt_add(learnt, pod, &whole, err) < 0) {
        return -1;
    }
    return put_pod(state, TAKE(whole), err);
}

// equal: the stored object means the same.
static int put_object(struct state *state, enum object_kind kind, const void *present, void *object, bool equal,
                      struct err *err)
{
    CLEANUP(free) void *owned = object;
    if (equal) {
        return STATE_UNCHANGED;
    }
    tell_before(state, kind, present, object);
    void *replaced = NULL;
    int rc = state_table_put(&state->tables[kind], object, &replaced, err);
    tell_after(state, kind, present, object);
    if (rc < 0) {
        return -1;
    }
    (void)TAKE(owned);
    free(replaced);
    return replaced ? STATE_UPDATED : STATE_ADDED;
}

int state_put_namespace(struct state *state, struct ns_object *ns, struct err *err)
{
    const struct ns_object *present = state_namespace(state, ns->meta.name);
    return put_object(state, OBJECT_NAMESPACE, present, ns, present && ns_object_equal(present, ns), err);
}

int state_put_policy(struct state *state, struct policy *policy, struct err *err)
{
    const struct policy *present = state_policy(state, policy->meta.ns, policy->meta.name);
    return put_object(state, OBJECT_POLICY, present, policy, present && policy_equal(present, policy), err);
}

int state_put_node(struct state *state, struct node *node, struct err *err)
{
    const struct node *present = state_node(state, node->meta.name);
    return put_object(state, OBJECT_NODE, present, node, present && node_equal(present, node), err);
}

int state_put(struct state *state, enum object_kind kind, void *object, struct err *err)
{
    switch (kind) {
    case OBJECT_POD:
        return state_put_pod(state, object, err);
    case OBJECT_NAMESPACE:
        return state_put_namespace(state, object, err);
    case OBJECT_POLICY:
        return state_put_policy(state, object, err);
    case OBJECT_NODE:
        return state_put_node(state, object, err);
    }
    free(object);
    return err_set(err, ERR_BUG, 0, "object kind %d", (int)kind);
}

int state_remove(struct state *state, enum object_kind kind, const char *ns, const char *name, const char *uid)
{
    struct state_table *table = &state->tables[kind];
    const void *present = state_table_get(table, ns, name);
    if (!present || (*uid && strcmp(state_object_meta(kind, present)->uid, uid) != 0)) {
        return STATE_UNCHANGED;
    }
    tell_before(state, kind, present, NULL);
    CLEANUP(free) void *gone = state_table_take(table, ns, name);
    if (kind == OBJECT_POD) {
        claims_drop(state, gone, claimed(gone));
    }
    tell_after(state, kind, gone, NULL);
    return STATE_REMOVED;
}

const struct pod *state_pod(const struct state *state, const char *ns, const char *name)
{
    return state_table_get(&state->tables[OBJECT_POD], ns, name);
}

const struct ns_object *state_namespace(const struct state *state, const char *name)
{
    return state_table_get(&state->tables[OBJECT_NAMESPACE], "", name);
}

const struct policy *state_policy(const struct state *state, const char *ns, const char *name)
{
    return state_table_get(&state->tables[OBJECT_POLICY], ns, name);
}

const struct node *state_node(const struct state *state, const char *name)
{
    return state_table_get(&state->tables[OBJECT_NODE], "", name);
}

size_t state_count(const struct state *state, enum object_kind kind)
{
    return map_size(state->tables[kind].map);
}

// Does a own the address before b? A plugin that gives it out knows better than a status that was written before: after
// a reboot all of them are old, and the addresses are dealt anew. creationTimestamps are RFC 3339 in UTC with seconds,
// so their texts sort by time.
static bool owns_before(const struct pod *a, const struct pod *b, const struct address *address)
{
    unsigned rank_a = state_learnt_rank(a, address);
    unsigned rank_b = state_learnt_rank(b, address);
    if ((rank_a == STATE_RANK_STALE) != (rank_b == STATE_RANK_STALE)) {
        return rank_b == STATE_RANK_STALE;
    }
    if (a->meta.terminating != b->meta.terminating) {
        return b->meta.terminating;
    }
    if (rank_a != rank_b) {
        return rank_a > rank_b;
    }
    int order = strcmp(a->meta.created, b->meta.created);
    order = order ? order : strcmp(a->meta.uid, b->meta.uid);
    order = order ? order : strcmp(a->meta.ns, b->meta.ns);
    order = order ? order : strcmp(a->meta.name, b->meta.name);
    return order > 0;
}

const struct pod *state_owner(const struct state *state, const struct address *address)
{
    char key[ADDRESS_KEY];
    size_t len = address_key(address, key);
    const struct pod *owner = NULL;
    for (void *link = map_get(state->claims, key, len); link; link = link_behind(link)) {
        const struct pod *pod = pod_of(link);
        if (!owner || owns_before(pod, owner, address)) {
            owner = pod;
        }
    }
    return owner;
}

const struct pod *const *state_pods(struct state *state, size_t *ret_n)
{
    return (const struct pod *const *)state_table_sorted(&state->tables[OBJECT_POD], ret_n);
}

const struct ns_object *const *state_namespaces(struct state *state, size_t *ret_n)
{
    return (const struct ns_object *const *)state_table_sorted(&state->tables[OBJECT_NAMESPACE], ret_n);
}

const struct policy *const *state_policies(struct state *state, size_t *ret_n)
{
    return (const struct policy *const *)state_table_sorted(&state->tables[OBJECT_POLICY], ret_n);
}

const struct node *const *state_nodes(struct state *state, size_t *ret_n)
{
    return (const struct node *const *)state_table_sorted(&state->tables[OBJECT_NODE], ret_n);
}

// The first object whose namespace is not below ns (or, with after, is above it).
static size_t bound(enum object_kind kind, void *const *objects, size_t n, const char *ns, bool after)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(state_object_meta(kind, objects[mid])->ns, ns);
        if (order < 0 || (after && order == 0)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void *const *objects_of(struct state *state, enum object_kind kind, const char *ns, size_t *ret_n)
{
    size_t n;
    void *const *objects = state_table_sorted(&state->tables[kind], &n);
    if (!objects) {
        *ret_n = n;
        return NULL;
    }
    size_t first = bound(kind, objects, n, ns, false);
    *ret_n = bound(kind, objects, n, ns, true) - first;
    return *ret_n ? objects + first : NULL;
}

const struct policy *const *state_policies_of(struct state *state, const char *ns, size_t *ret_n)
{
    return (const struct policy *const *)objects_of(state, OBJECT_POLICY, ns, ret_n);
}

const struct pod *const *state_pods_of(struct state *state, const char *ns, size_t *ret_n)
{
    return (const struct pod *const *)objects_of(state, OBJECT_POD, ns, ret_n);
}
