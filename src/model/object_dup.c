// SPDX-License-Identifier: Apache-2.0
//
// Deep copies as one block: the same walk runs twice, first to measure, then to copy. While measuring there is no copy
// to write to, so pointers go to a scratch object of the same type.
#include <stdalign.h>

#include "model/object.h"

struct block {
    char *base;  // NULL: measuring
    size_t used;
};

// The copied bytes; NULL while measuring. Pointers inside what was copied still point into the source.
static void *put(struct block *block, const void *src, size_t size, size_t align)
{
    size_t at = (block->used + align - 1) / align * align;
    block->used = at + size;
    if (!block->base) {
        return NULL;
    }
    return size ? memcpy(block->base + at, src, size) : block->base + at;
}

#define PUT(block, src, n) put((block), (src), (n) * sizeof(*(src)), alignof(__typeof__(*(src))))

static const char *put_text(struct block *block, const char *text)
{
    return text ? put(block, text, strlen(text) + 1, 1) : NULL;
}

static const struct label *put_labels(struct block *block, const struct label *v, size_t n)
{
    struct label *copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        struct label scratch;
        struct label *to = copy ? &copy[i] : &scratch;
        to->key = put_text(block, v[i].key);
        to->value = put_text(block, v[i].value);
    }
    return copy;
}

static void put_meta(struct block *block, const struct object_meta *meta, struct object_meta *to)
{
    to->ns = put_text(block, meta->ns);
    to->name = put_text(block, meta->name);
    to->uid = put_text(block, meta->uid);
    to->resource_version = put_text(block, meta->resource_version);
    to->created = put_text(block, meta->created);
    to->labels.v = put_labels(block, meta->labels.v, meta->labels.n);
    to->origin.file = put_text(block, meta->origin.file);
}

static const char *const *put_texts(struct block *block, const char *const *v, size_t n)
{
    const char **copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        const char *text = put_text(block, v[i]);
        if (copy) {
            copy[i] = text;
        }
    }
    return copy;
}

static void put_selector(struct block *block, const struct selector *selector, struct selector *to)
{
    struct requirement *copy = PUT(block, selector->v, selector->n);
    for (size_t i = 0; i < selector->n; i++) {
        const struct requirement *from = &selector->v[i];
        struct requirement scratch;
        struct requirement *target = copy ? &copy[i] : &scratch;
        target->key = put_text(block, from->key);
        target->values = put_texts(block, from->values, from->n_values);
    }
    to->v = copy;
}

static const struct peer *put_peers(struct block *block, const struct peer *v, size_t n)
{
    struct peer *copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        struct peer scratch;
        struct peer *to = copy ? &copy[i] : &scratch;
        put_selector(block, &v[i].pod_selector, &to->pod_selector);
        put_selector(block, &v[i].ns_selector, &to->ns_selector);
        to->excepts = PUT(block, v[i].excepts, v[i].n_excepts);
    }
    return copy;
}

static const struct policy_port *put_policy_ports(struct block *block, const struct policy_port *v, size_t n)
{
    struct policy_port *copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        const char *name = put_text(block, v[i].name);
        if (copy) {
            copy[i].name = name;
        }
    }
    return copy;
}

static const struct policy_rule *put_rules(struct block *block, const struct policy_rule *v, size_t n)
{
    struct policy_rule *copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        struct policy_rule scratch;
        struct policy_rule *to = copy ? &copy[i] : &scratch;
        to->peers = put_peers(block, v[i].peers, v[i].n_peers);
        to->ports = put_policy_ports(block, v[i].ports, v[i].n_ports);
    }
    return copy;
}

static const struct named_port *put_named_ports(struct block *block, const struct named_port *v, size_t n)
{
    struct named_port *copy = PUT(block, v, n);
    for (size_t i = 0; i < n; i++) {
        const char *name = put_text(block, v[i].name);
        if (copy) {
            copy[i].name = name;
        }
    }
    return copy;
}

static void walk_pod(struct block *block, const void *object)
{
    const struct pod *pod = object;
    struct pod scratch;
    struct pod *copy = PUT(block, pod, 1);
    struct pod *to = copy ? copy : &scratch;
    put_meta(block, &pod->meta, &to->meta);
    to->node = put_text(block, pod->node);
    to->addresses = PUT(block, pod->addresses, pod->n_addresses);
    to->ports = put_named_ports(block, pod->ports, pod->n_ports);
}

static void walk_ns(struct block *block, const void *object)
{
    const struct ns_object *ns = object;
    struct ns_object scratch;
    struct ns_object *copy = PUT(block, ns, 1);
    put_meta(block, &ns->meta, copy ? &copy->meta : &scratch.meta);
}

static void walk_node(struct block *block, const void *object)
{
    const struct node *node = object;
    struct node scratch;
    struct node *copy = PUT(block, node, 1);
    struct node *to = copy ? copy : &scratch;
    put_meta(block, &node->meta, &to->meta);
    to->addresses = PUT(block, node->addresses, node->n_addresses);
    to->pod_cidrs = PUT(block, node->pod_cidrs, node->n_pod_cidrs);
}

static void walk_policy(struct block *block, const void *object)
{
    const struct policy *policy = object;
    struct policy scratch;
    struct policy *copy = PUT(block, policy, 1);
    struct policy *to = copy ? copy : &scratch;
    put_meta(block, &policy->meta, &to->meta);
    put_selector(block, &policy->subject, &to->subject);
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        to->rules[i] = put_rules(block, policy->rules[i], policy->n_rules[i]);
    }
}

static void *dup_block(void (*walk)(struct block *block, const void *object), const void *object)
{
    struct block block = {0};
    walk(&block, object);
    block.base = malloc(block.used);
    if (!block.base) {
        return NULL;
    }
    block.used = 0;
    walk(&block, object);
    return block.base;
}

struct pod *pod_dup(const struct pod *pod)
{
    return dup_block(walk_pod, pod);
}

struct ns_object *ns_object_dup(const struct ns_object *ns)
{
    return dup_block(walk_ns, ns);
}

struct node *node_dup(const struct node *node)
{
    return dup_block(walk_node, node);
}

struct policy *policy_dup(const struct policy *policy)
{
    return dup_block(walk_policy, policy);
}
