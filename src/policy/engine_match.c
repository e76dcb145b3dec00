// SPDX-License-Identifier: Apache-2.0
#include "policy/engine_match.h"

// Kinds of keys.
enum {
    LABEL = 'L',
    KEY = 'K',
    NAMESPACE = 'N',
    NAMESPACE_AND_LABEL = 'n',
    LABEL_AND_LABEL = 'b',  // of the namespace, and of the pod
    NS_LABEL = 'l',
    NS_KEY = 'k',
    PORT = 'P',
    ALWAYS = '*',
};

// At most so many keys for one peer.
enum { PRODUCT_MAX = 64 };

struct bucket {
    VEC(struct engine_target *) targets;
};

struct engine_match {
    struct map *buckets;  // kind, key, NUL, value → struct bucket
    size_t stamp;
    size_t tested;
    struct buf key;  // room for keys
};

struct engine_match *engine_match_new(const struct engine_match *before)
{
    CLEANUP(engine_match_free) struct engine_match *match = calloc(1, sizeof(*match));
    if (match) {
        match->buckets = map_new();
        // Targets remember the number of what they were tested against.
        match->stamp = before ? before->stamp : 0;
    }
    return match && match->buckets ? TAKE(match) : NULL;
}

void engine_match_free(struct engine_match *match)
{
    if (!match) {
        return;
    }
    for (struct map_entry *e = match->buckets ? map_first(match->buckets) : NULL; e; e = map_next(e)) {
        struct bucket *bucket = map_entry_value(e);
        vec_free(&bucket->targets);
        free(bucket);
    }
    map_free(match->buckets);
    buf_free(&match->key);
    free(match);
}

size_t engine_match_tested(const struct engine_match *match)
{
    return match->tested;
}

// False when memory is out.
static bool make_key(struct engine_match *match, char kind, const char *key, const char *value)
{
    buf_clear(&match->key);
    buf_putc(&match->key, kind);
    buf_puts(&match->key, key);
    if (value) {
        buf_putc(&match->key, '\0');
        buf_puts(&match->key, value);
    }
    return !match->key.failed;
}

// Behind make_key.
static bool add_label(struct engine_match *match, const char *key, const char *value)
{
    buf_putc(&match->key, '\0');
    buf_puts(&match->key, key);
    buf_putc(&match->key, '\0');
    buf_puts(&match->key, value);
    return !match->key.failed;
}

// Under the key that was made.
static int put_made(struct engine_match *match, struct engine_target *target)
{
    struct bucket *bucket = map_get(match->buckets, match->key.data, match->key.len);
    if (!bucket) {
        bucket = calloc(1, sizeof(*bucket));
        if (!bucket || map_put(match->buckets, match->key.data, match->key.len, bucket, NULL) < 0) {
            free(bucket);
            return -1;
        }
    }
    bool last = bucket->targets.n && bucket->targets.v[bucket->targets.n - 1] == target;
    return last ? 0 : vec_push(&bucket->targets, target);
}

static int put(struct engine_match *match, char kind, const char *key, const char *value, struct engine_target *target)
{
    return make_key(match, kind, key, value) ? put_made(match, target) : -1;
}

// The requirement with the fewest values that has to be met by a label that is there; NULL when there is none.
static const struct requirement *narrowest(const struct selector *selector)
{
    const struct requirement *best = NULL;
    for (size_t i = 0; selector && i < selector->n; i++) {
        const struct requirement *one = &selector->v[i];
        bool in = one->op == SELECTOR_IN && (!best || best->op != SELECTOR_IN || one->n_values < best->n_values);
        if (in || (one->op == SELECTOR_EXISTS && !best)) {
            best = one;
        }
    }
    return best;
}

static int put_requirement(struct engine_match *match, const struct requirement *requirement, char label, char key,
                           struct engine_target *target)
{
    if (requirement->op == SELECTOR_EXISTS) {
        return put(match, key, requirement->key, NULL, target);
    }
    for (size_t i = 0; i < requirement->n_values; i++) {
        if (put(match, label, requirement->key, requirement->values[i], target) < 0) {
            return -1;
        }
    }
    return 0;
}

// A label of the pod together with its namespace or a label of that: what most peers ask for, and few pods have.
static int put_products(struct engine_match *match, char kind, const char *key, const char *const *values, size_t n,
                        const struct requirement *of_pod, struct engine_target *target)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < of_pod->n_values; j++) {
            if (!make_key(match, kind, key, values[i]) || !add_label(match, of_pod->key, of_pod->values[j]) ||
                put_made(match, target) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int put_peer(struct engine_match *match, const struct select_peer *peer, struct engine_target *target)
{
    const struct requirement *of_pod = narrowest(peer->pods);
    const struct requirement *of_ns = narrowest(peer->namespaces);
    bool labelled = of_pod && of_pod->op == SELECTOR_IN;
    if (labelled && peer->ns && of_pod->n_values <= PRODUCT_MAX) {
        return put_products(match, NAMESPACE_AND_LABEL, "", &peer->ns, 1, of_pod, target);
    }
    if (labelled && of_ns && of_ns->op == SELECTOR_IN && of_ns->n_values * of_pod->n_values <= PRODUCT_MAX) {
        return put_products(match, LABEL_AND_LABEL, of_ns->key, of_ns->values, of_ns->n_values, of_pod, target);
    }
    if (of_pod) {
        return put_requirement(match, of_pod, LABEL, KEY, target);
    }
    if (peer->ns) {
        return put(match, NAMESPACE, peer->ns, NULL, target);
    }
    return of_ns ? put_requirement(match, of_ns, NS_LABEL, NS_KEY, target) : put(match, ALWAYS, "", NULL, target);
}

int engine_match_add(struct engine_match *match, struct engine_target *target)
{
    for (size_t i = 0; i < target->n_peers; i++) {
        if (put_peer(match, &target->peers[i], target) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < target->n_groups; i++) {
        if (put(match, PORT, target->groups[i].port, NULL, target) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- one address ---------------------------------------------------------------------------------------------------

struct question {
    struct engine_match *match;
    const struct pod *pod;
    const struct ns_object *ns;
    const struct address *address;
    struct engine_seats *to;
};

static bool any_matches(const struct question *q, const struct select_peer *peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (select_peer_matches(&peers[i], q->pod, q->ns)) {
            return true;
        }
    }
    return false;
}

static int seat(const struct question *q, struct engine_target *target, uint16_t port)
{
    const struct engine_seat one = {
        .target = target,
        .member = {.prefix = prefix_of(q->address), .protocol = target->protocol, .port = port},
    };
    return vec_push(q->to, one);
}

// The numbers that one port name of the target has on the pod.
static int seat_ports(const struct question *q, struct engine_target *target, const struct engine_group *group)
{
    enum { USUAL = 8 };
    uint16_t few[USUAL];
    size_t n = pod_named_ports(q->pod, group->port, target->protocol, few, USUAL);
    if (n == 0 || (!group->any && !any_matches(q, group->peers, group->n_peers) &&
                   !(group->region && region_contains(group->region, q->address)))) {
        return 0;
    }
    CLEANUP(free) uint16_t *many = n > USUAL ? malloc(n * sizeof(*many)) : NULL;
    if (n > USUAL && !many) {
        return -1;
    }
    if (many) {
        (void)pod_named_ports(q->pod, group->port, target->protocol, many, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (seat(q, target, many ? many[i] : few[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int test(const struct question *q, struct engine_target *target)
{
    if (target->tested == q->match->stamp || !target->members[q->address->family].base) {
        return 0;
    }
    target->tested = q->match->stamp;
    q->match->tested++;
    if (target->type == SET_HASH_IP) {
        return any_matches(q, target->peers, target->n_peers) ? seat(q, target, 0) : 0;
    }
    for (size_t i = 0; i < target->n_groups; i++) {
        if (seat_ports(q, target, &target->groups[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

// Those under the key that was made.
static int test_made(const struct question *q)
{
    const struct buf *key = &q->match->key;
    const struct bucket *bucket = key->failed ? NULL : map_get(q->match->buckets, key->data, key->len);
    for (size_t i = 0; bucket && i < bucket->targets.n; i++) {
        if (test(q, bucket->targets.v[i]) < 0) {
            return -1;
        }
    }
    return q->match->key.failed ? -1 : 0;
}

static int test_all(const struct question *q, char kind, const char *key, const char *value)
{
    (void)make_key(q->match, kind, key, value);
    return test_made(q);
}

static int test_products(const struct question *q)
{
    const struct labels *of_pod = &q->pod->meta.labels;
    for (size_t i = 0; i < of_pod->n; i++) {
        (void)make_key(q->match, NAMESPACE_AND_LABEL, "", q->pod->meta.ns);
        (void)add_label(q->match, of_pod->v[i].key, of_pod->v[i].value);
        if (test_made(q) < 0) {
            return -1;
        }
        for (size_t j = 0; q->ns && j < q->ns->meta.labels.n; j++) {
            const struct label *of_ns = &q->ns->meta.labels.v[j];
            (void)make_key(q->match, LABEL_AND_LABEL, of_ns->key, of_ns->value);
            (void)add_label(q->match, of_pod->v[i].key, of_pod->v[i].value);
            if (test_made(q) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int test_labels(const struct question *q, const struct labels *labels, char label, char key)
{
    for (size_t i = 0; i < labels->n; i++) {
        if (test_all(q, label, labels->v[i].key, labels->v[i].value) < 0 ||
            test_all(q, key, labels->v[i].key, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

int engine_match_seats(struct engine_match *match, const struct state *state, const struct pod *pod,
                       const struct address *address, struct engine_seats *to)
{
    const struct question q = {
        .match = match, .pod = pod, .ns = state_namespace(state, pod->meta.ns), .address = address, .to = to};
    match->stamp++;
    match->tested = 0;
    if (test_all(&q, ALWAYS, "", NULL) < 0 || test_products(&q) < 0 ||
        test_all(&q, NAMESPACE, pod->meta.ns, NULL) < 0 || test_labels(&q, &pod->meta.labels, LABEL, KEY) < 0 ||
        (q.ns && test_labels(&q, &q.ns->meta.labels, NS_LABEL, NS_KEY) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < pod->n_ports; i++) {
        if (test_all(&q, PORT, pod->ports[i].name, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}
