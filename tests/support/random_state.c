// SPDX-License-Identifier: Apache-2.0
#include "support/random_state.h"

#include <stdio.h>

const char *const random_nodes[RANDOM_NODES] = {"n1", "n2", "n3"};

const uint16_t random_ports[] = {1, 52, 53, 54, 79, 80, 81, 443, 8079, 8080, 8081, 9090, 32768, 65534, 65535};
const size_t random_ports_n = ARRAY_SIZE(random_ports);
const char *const random_port_names[] = {"http", "dns", "metrics", "grpc", "nope"};
const size_t random_port_names_n = ARRAY_SIZE(random_port_names);

static const char *const namespaces[] = {"x", "y", "z", "x-1", "unseen"};
static const char *const pod_names[] = {"a", "b", "c", "d", "e", "f"};
static const char *const policy_names[] = {"allow", "deny", "p.q", "p-q", "zz", "web"};
static const char *const label_keys[] = {"app", "env", "pod", "tier"};
static const char *const label_values[] = {"a", "b", "prod", "", "Prod"};

void *random_alloc(struct random_cluster *cluster, size_t n, size_t size)
{
    void *memory = arena_alloc(&cluster->arena, n * size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static const char *text(struct random_cluster *cluster, const char *fmt, size_t a, size_t b)
{
    enum { ROOM = 64 };
    char *ret = random_alloc(cluster, ROOM, 1);
    (void)snprintf(ret, ROOM, fmt, a, b);
    return ret;
}

uint8_t random_protocol(struct rng *rng)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};
    return RNG_PICK(rng, protocols);
}

static struct address parse(const char *address)
{
    struct address ret;
    if (!address_parse(address, &ret)) {
        fprintf(stderr, "%s: not an address\n", address);
        exit(1);
    }
    return ret;
}

// Pod addresses of three nodes (10.244.1.0/29 and so on), node addresses, and others.
static struct address pod_address(struct rng *rng, enum family family)
{
    char buf[ADDRESS_TEXT];
    size_t node = 1 + rng_below(rng, RANDOM_NODES);
    size_t host = rng_below(rng, 8);
    (void)snprintf(buf, sizeof(buf), family == FAMILY_V4 ? "10.244.%zu.%zu" : "fd00:244:%zu::%zx", node, host);
    return parse(buf);
}

static struct address node_address(size_t index, enum family family)
{
    char buf[ADDRESS_TEXT];
    (void)snprintf(buf, sizeof(buf), family == FAMILY_V4 ? "192.168.0.%zu" : "fd00:168::%zu", index + 1);
    return parse(buf);
}

struct address random_address(struct rng *rng, enum family family)
{
    static const char *const others[FAMILY_COUNT][5] = {
        {"0.0.0.0", "8.8.8.8", "10.244.9.9", "203.0.113.7", "223.255.255.255"},
        {"::", "2001:db8::7", "fd00:244:9::9", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::"},
    };
    size_t kind = rng_below(rng, 10);
    if (kind < 7) {
        return pod_address(rng, family);
    }
    return kind == 7 ? node_address(rng_below(rng, RANDOM_NODES), family) : parse(RNG_PICK(rng, others[family]));
}

struct address random_special_address(struct rng *rng, enum family family)
{
    static const char *const special[FAMILY_COUNT][8] = {
        {"169.254.169.254", "169.254.0.9", "224.0.0.1", "239.1.2.3", "255.255.255.255", "10.244.1.255", "127.0.0.1",
         "0.0.0.0"},
        {"fe80::1", "fe80::5", "febf:ffff::9", "ff02::1", "ff02::1:ff00:1", "ff05::2", "::1", "::"},
    };
    return parse(RNG_PICK(rng, special[family]));
}

static int compare_labels(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static struct labels random_labels(struct random_cluster *cluster, const char *extra_key, const char *extra_value)
{
    struct label *v = random_alloc(cluster, ARRAY_SIZE(label_keys) + 1, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(label_keys); i++) {
        if (rng_chance(&cluster->rng, 45)) {
            v[n++] = (struct label){label_keys[i], RNG_PICK(&cluster->rng, label_values)};
        }
    }
    if (extra_key) {
        v[n++] = (struct label){extra_key, extra_value};
    }
    qsort(v, n, sizeof(*v), compare_labels);
    return (struct labels){v, n};
}

static struct object_meta random_meta(struct random_cluster *cluster, const char *ns, const char *name)
{
    static const char *const created[] = {"", "2024-01-01T00:00:00Z", "2025-06-01T12:00:00Z"};
    return (struct object_meta){
        .ns = ns,
        .name = name,
        .uid = rng_chance(&cluster->rng, 10) ? "" : text(cluster, "uid-%zu", rng_below(&cluster->rng, 50), 0),
        .resource_version = text(cluster, "%zu", rng_below(&cluster->rng, 1000), 0),
        .created = RNG_PICK(&cluster->rng, created),
        .terminating = rng_chance(&cluster->rng, 12),
        .origin = {.file = "", .line = (unsigned)rng_below(&cluster->rng, 100)},
    };
}

static const struct named_port *random_named_ports(struct random_cluster *cluster, size_t *ret_n)
{
    size_t n = rng_below(&cluster->rng, 5);
    struct named_port *v = random_alloc(cluster, n, sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[i].name = random_port_names[rng_below(&cluster->rng, random_port_names_n - 1)];
        v[i].protocol = random_protocol(&cluster->rng);
        v[i].number = random_ports[rng_below(&cluster->rng, random_ports_n)];
    }
    *ret_n = n;
    return v;
}

static struct pod *random_pod(struct random_cluster *cluster, const struct object_meta *meta)
{
    static const enum pod_phase phases[] = {POD_RUNNING, POD_RUNNING,   POD_RUNNING, POD_RUNNING, POD_PENDING,
                                            POD_UNKNOWN, POD_SUCCEEDED, POD_FAILED,  POD_RUNNING};
    static const char *const nodes[] = {"n1", "n1", "n1", "n2", "n2", "n3", "", "gone"};
    struct rng *rng = &cluster->rng;
    struct pod *pod = random_alloc(cluster, 1, sizeof(*pod));
    pod->meta = *meta;
    pod->meta.labels = random_labels(cluster, NULL, NULL);
    pod->node = RNG_PICK(rng, nodes);
    pod->host_network = rng_chance(rng, 8);
    pod->phase = RNG_PICK(rng, phases);
    pod->ports = random_named_ports(cluster, &pod->n_ports);
    if (rng_chance(rng, 4)) {
        pod->no_status = true;
        pod->phase = POD_RUNNING;
        return pod;
    }
    struct address *addresses = random_alloc(cluster, 3, sizeof(*addresses));
    size_t n = 0;
    size_t node = rng_below(rng, RANDOM_NODES);
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        if (rng_chance(rng, 75)) {
            addresses[n++] =
                pod->host_network ? node_address(node, (enum family)family) : pod_address(rng, (enum family)family);
        }
    }
    if (n > 0 && cluster->wild && rng_chance(rng, 8)) {
        memset(addresses[0].bytes, 0, sizeof(addresses[0].bytes));
    } else if (n > 0 && rng_chance(rng, 2)) {
        addresses[n - 1] = parse(addresses[n - 1].family == FAMILY_V4 ? "169.254.0.9" : "fe80::5");
    } else if (n > 0 && rng_chance(rng, 4)) {
        addresses[n] = pod_address(rng, FAMILY_V4);
        n += !address_equal(&addresses[n], &addresses[0]);
    }
    pod->addresses = addresses;
    pod->n_addresses = n;
    return pod;
}

static struct ns_object *random_namespace(struct random_cluster *cluster, const struct object_meta *meta)
{
    struct ns_object *ns = random_alloc(cluster, 1, sizeof(*ns));
    ns->meta = *meta;
    ns->meta.labels = random_labels(cluster, "kubernetes.io/metadata.name", meta->name);
    return ns;
}

static struct node *random_node(struct random_cluster *cluster, const struct object_meta *meta)
{
    struct node *node = random_alloc(cluster, 1, sizeof(*node));
    size_t index = (size_t)(meta->name[1] - '1') % RANDOM_NODES;
    struct address *addresses = random_alloc(cluster, FAMILY_COUNT, sizeof(*addresses));
    struct prefix *cidrs = random_alloc(cluster, FAMILY_COUNT, sizeof(*cidrs));
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        char buf[PREFIX_TEXT];
        addresses[i] = node_address(index, (enum family)i);
        (void)snprintf(buf, sizeof(buf), i == FAMILY_V4 ? "10.244.%zu.0/24" : "fd00:244:%zu::/64", index + 1);
        (void)prefix_parse(buf, &cidrs[i]);
    }
    // Nodes are given other addresses and ranges.
    if (rng_chance(&cluster->rng, 20)) {
        addresses[FAMILY_V4].bytes[3] = (uint8_t)(200 + index);
    }
    if (rng_chance(&cluster->rng, 20)) {
        (void)prefix_parse("10.244.1.0/26", &cidrs[FAMILY_V4]);
    }
    node->meta = *meta;
    node->addresses = addresses;
    node->n_addresses = 1 + rng_below(&cluster->rng, FAMILY_COUNT);
    node->pod_cidrs = cidrs;
    node->n_pod_cidrs = rng_below(&cluster->rng, FAMILY_COUNT + 1);
    return node;
}

struct random_object random_cluster_variant(struct random_cluster *cluster, enum object_kind kind, const char *ns,
                                            const char *name)
{
    struct object_meta meta = random_meta(cluster, ns, name);
    struct random_object object = {.kind = kind};
    switch (kind) {
    case OBJECT_POD:
        object.object = random_pod(cluster, &meta);
        break;
    case OBJECT_NAMESPACE:
        object.object = random_namespace(cluster, &meta);
        break;
    case OBJECT_POLICY:
        object.object = random_policy(cluster, &meta);
        break;
    case OBJECT_NODE:
        object.object = random_node(cluster, &meta);
        break;
    }
    return object;
}

static void add(struct random_cluster *cluster, enum object_kind kind, const char *ns, const char *name)
{
    struct random_object object = random_cluster_variant(cluster, kind, ns, name);
    if (vec_push(&cluster->objects, object) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
}

void random_cluster_make(struct random_cluster *cluster, uint64_t seed)
{
    *cluster = (struct random_cluster){.rng = {seed}};
    struct rng *rng = &cluster->rng;
    cluster->wild = rng_chance(rng, 15);
    // From an empty cluster to a crowded one.
    unsigned pods = (unsigned)rng_below(rng, 110);
    unsigned policies = (unsigned)rng_below(rng, 110);
    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
        if (i < ARRAY_SIZE(namespaces) - 1 && rng_chance(rng, 85)) {
            add(cluster, OBJECT_NAMESPACE, "", namespaces[i]);
        }
        for (size_t j = 0; j < ARRAY_SIZE(pod_names); j++) {
            if (rng_chance(rng, pods)) {
                add(cluster, OBJECT_POD, namespaces[i], pod_names[j]);
            }
        }
        for (size_t j = 0; j < ARRAY_SIZE(policy_names); j++) {
            if (rng_chance(rng, policies)) {
                add(cluster, OBJECT_POLICY, namespaces[i], policy_names[j]);
            }
        }
    }
    for (size_t i = 0; i < RANDOM_NODES; i++) {
        add(cluster, OBJECT_NODE, "", random_nodes[i]);
    }
}

void random_cluster_free(struct random_cluster *cluster)
{
    arena_free(&cluster->arena);
    vec_free(&cluster->objects);
    vec_free(&cluster->edges);
    vec_free(&cluster->ports);
}

const struct object_meta *random_object_meta(const struct random_object *object)
{
    switch (object->kind) {
    case OBJECT_POD:
        return &((const struct pod *)object->object)->meta;
    case OBJECT_NAMESPACE:
        return &((const struct ns_object *)object->object)->meta;
    case OBJECT_POLICY:
        return &((const struct policy *)object->object)->meta;
    case OBJECT_NODE:
        return &((const struct node *)object->object)->meta;
    }
    return NULL;
}

static int put_copy(struct state *state, const struct random_object *object, struct err *err)
{
    switch (object->kind) {
    case OBJECT_POD:
        return state_put_pod(state, pod_dup(object->object), err);
    case OBJECT_NAMESPACE:
        return state_put_namespace(state, ns_object_dup(object->object), err);
    case OBJECT_POLICY:
        return state_put_policy(state, policy_dup(object->object), err);
    case OBJECT_NODE:
        return state_put_node(state, node_dup(object->object), err);
    }
    return -1;
}

int random_object_put(struct state *state, const struct random_object *object)
{
    struct err err = {0};
    int change = put_copy(state, object, &err);
    if (change < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return change;
}

struct state *random_cluster_state(const struct random_cluster *cluster)
{
    struct state *state;
    if (state_new(&state, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    for (size_t i = 0; i < cluster->objects.n; i++) {
        (void)random_object_put(state, &cluster->objects.v[i]);
    }
    return state;
}
