// SPDX-License-Identifier: Apache-2.0
#include "policy/select.h"

static const struct selector everything;

static bool empty(const struct selector *selector)
{
    return !selector || selector->n == 0;
}

int select_peer_from(const struct policy *policy, const struct peer *peer, struct arena *arena, bool *ret_any,
                     struct select_peer *ret, struct err *err)
{
    *ret_any = false;
    if (peer->kind != PEER_PODS || (!peer->has_pod_selector && !peer->has_ns_selector) ||
        (peer->has_pod_selector && peer->pod_selector.unreadable) ||
        (peer->has_ns_selector && peer->ns_selector.unreadable)) {
        return 0;
    }
    struct select_peer out = {
        .ns = peer->has_ns_selector ? NULL : policy->meta.ns,
        .namespaces = peer->has_ns_selector ? &peer->ns_selector : NULL,
        .pods = peer->has_pod_selector ? &peer->pod_selector : NULL,
    };
    BUF_CLEANUP struct buf text = {0};
    if (out.ns) {
        buf_printf(&text, "in %zu:", strlen(out.ns));
        buf_puts(&text, out.ns);
    } else {
        buf_puts(&text, "namespaces ");
        selector_format(out.namespaces, &text);
    }
    buf_puts(&text, " pods ");
    selector_format(out.pods ? out.pods : &everything, &text);
    out.text = text.failed ? NULL : arena_strndup(arena, text.data, text.len);
    if (!out.text) {
        return err_oom(err);
    }
    *ret_any = true;
    *ret = out;
    return 0;
}

int select_peer_compare(const void *a, const void *b)
{
    return strcmp(((const struct select_peer *)a)->text, ((const struct select_peer *)b)->text);
}

void select_peer_describe(const struct select_peer *peer, struct buf *out)
{
    if (peer->ns) {
        buf_puts(out, peer->ns);
    } else {
        buf_puts(out, "namespaces ");
        selector_describe(peer->namespaces, out);
    }
    buf_puts(out, ": ");
    selector_describe(peer->pods ? peer->pods : &everything, out);
}

bool select_subject_matches(const struct selector *subject, const struct pod *pod)
{
    for (size_t i = 0; i < subject->n; i++) {
        if (subject->v[i].op != SELECTOR_UNKNOWN && !requirement_matches(&subject->v[i], &pod->meta.labels)) {
            return false;
        }
    }
    return true;
}

static bool selector_matches(const struct selector *selector, const struct labels *labels)
{
    for (size_t i = 0; selector && i < selector->n; i++) {
        if (!requirement_matches(&selector->v[i], labels)) {
            return false;
        }
    }
    return true;
}

static bool namespace_matches(const struct select_peer *peer, const struct index_namespace *namespace)
{
    if (peer->ns) {
        return strcmp(peer->ns, namespace->name) == 0;
    }
    // Labels of a namespace that was not seen yet are unknown: only the empty selector matches
    // (networkpolicy-v1.md 2.9).
    return empty(peer->namespaces) ||
           (namespace->object && selector_matches(peer->namespaces, &namespace->object->meta.labels));
}

bool select_peer_matches(const struct select_peer *peer, const struct pod *pod, const struct ns_object *ns)
{
    const struct index_namespace namespace = {.name = pod->meta.ns, .object = ns};
    return namespace_matches(peer, &namespace) && selector_matches(peer->pods, &pod->meta.labels);
}

// One select_pods.
struct selection {
    struct index *index;
    const struct index_namespace *namespaces;
    size_t n_namespaces;
    bool *in;      // by namespace: the peer at hand selects it
    bool *chosen;  // by pod, of all peers
};

// How many pods the namespaces of the peer hold; marks them.
static size_t mark_namespaces(struct selection *selection, const struct select_peer *peer)
{
    size_t pods = 0;
    if (peer->ns) {
        const struct index_namespace *own = index_namespace(selection->index, peer->ns);
        memset(selection->in, 0, selection->n_namespaces);
        if (own) {
            selection->in[own - selection->namespaces] = true;
            pods = own->n;
        }
        return pods;
    }
    for (size_t i = 0; i < selection->n_namespaces; i++) {
        selection->in[i] = namespace_matches(peer, &selection->namespaces[i]);
        pods += selection->in[i] ? selection->namespaces[i].n : 0;
    }
    return pods;
}

static void scan(struct selection *selection, const struct select_peer *peer)
{
    for (size_t i = 0; i < selection->n_namespaces; i++) {
        const struct index_namespace *namespace = &selection->namespaces[i];
        for (uint32_t j = 0; selection->in[i] && j < namespace->n; j++) {
            uint32_t id = namespace->first + j;
            if (!selection->chosen[id]) {
                selection->chosen[id] = selector_matches(peer->pods, &index_pod(selection->index, id)->meta.labels);
            }
        }
    }
}

static bool in_namespaces(const struct selection *selection, uint32_t id)
{
    size_t low = 0;
    size_t high = selection->n_namespaces;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (selection->namespaces[middle].first <= id) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return selection->in[low];
}

// Through the label index: the pods that have one of the values of an In requirement.
static int look_up(struct selection *selection, const struct select_peer *peer, const struct requirement *in,
                   struct err *err)
{
    for (size_t i = 0; i < in->n_values; i++) {
        const struct index_ids *ids;
        bool known;
        if (index_by_label(selection->index, in->key, in->values[i], 0, &ids, &known, err) < 0) {
            return -1;
        }
        for (size_t j = 0; ids && j < ids->n; j++) {
            uint32_t id = ids->v[j];
            if (!selection->chosen[id] && in_namespaces(selection, id)) {
                selection->chosen[id] = selector_matches(peer->pods, &index_pod(selection->index, id)->meta.labels);
            }
        }
    }
    return 0;
}

// The In requirement with the fewest pods among those whose key is indexed, if they are fewer than `pods`.
static int narrowest(struct selection *selection, const struct selector *selector, size_t pods,
                     const struct requirement **ret, struct err *err)
{
    *ret = NULL;
    for (size_t i = 0; selector && i < selector->n; i++) {
        const struct requirement *in = &selector->v[i];
        if (in->op != SELECTOR_IN || in->n_values == 0) {
            continue;
        }
        size_t n = 0;
        bool known = true;
        for (size_t j = 0; known && j < in->n_values; j++) {
            const struct index_ids *ids;
            if (index_by_label(selection->index, in->key, in->values[j], j == 0 ? pods : 0, &ids, &known, err) < 0) {
                return -1;
            }
            n += ids ? ids->n : 0;
        }
        if (known && n < pods) {
            pods = n;
            *ret = in;
        }
    }
    return 0;
}

static int select_peer(struct selection *selection, const struct select_peer *peer, struct err *err)
{
    enum { FEW = 64 };  // pods that are tested before anything is looked up
    size_t pods = mark_namespaces(selection, peer);
    const struct requirement *in = NULL;
    if (pods > FEW && narrowest(selection, peer->pods, pods, &in, err) < 0) {
        return -1;
    }
    if (in) {
        return look_up(selection, peer, in, err);
    }
    scan(selection, peer);
    return 0;
}

int select_pods(struct index *index, const struct select_peer *peers, size_t n, struct index_ids *ret, struct err *err)
{
    struct selection selection = {.index = index};
    uint32_t n_pods = index_count(index);
    selection.namespaces = index_namespaces(index, &selection.n_namespaces);
    CLEANUP(free) bool *in = calloc(selection.n_namespaces + 1, sizeof(*in));
    CLEANUP(free) bool *chosen = calloc((size_t)n_pods + 1, sizeof(*chosen));
    if (!in || !chosen) {
        return err_oom(err);
    }
    selection.in = in;
    selection.chosen = chosen;
    for (size_t i = 0; i < n; i++) {
        if (select_peer(&selection, &peers[i], err) < 0) {
            return -1;
        }
    }
    struct index_ids out = {0};
    for (uint32_t id = 0; id < n_pods; id++) {
        if (chosen[id] && vec_push(&out, id) < 0) {
            vec_free(&out);
            return err_oom(err);
        }
    }
    *ret = out;
    return 0;
}
