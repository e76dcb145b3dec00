// SPDX-License-Identifier: Apache-2.0
//
// Equality of objects: every field that can change a verdict, a rule or a message. Padding is never compared.
#include "model/object.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool meta_equal(const struct object_meta *a, const struct object_meta *b)
{
    return same_text(a->ns, b->ns) && same_text(a->name, b->name) && same_text(a->uid, b->uid) &&
           same_text(a->created, b->created) && a->terminating == b->terminating &&
           labels_equal(&a->labels, &b->labels) && same_text(a->origin.file, b->origin.file);
}

static bool addresses_equal(const struct address *a, size_t n_a, const struct address *b, size_t n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (size_t i = 0; i < n_a; i++) {
        if (!address_equal(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

static bool prefixes_equal(const struct prefix *a, size_t n_a, const struct prefix *b, size_t n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (size_t i = 0; i < n_a; i++) {
        if (prefix_compare(&a[i], &b[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool named_ports_equal(const struct pod *a, const struct pod *b)
{
    if (a->n_ports != b->n_ports) {
        return false;
    }
    for (size_t i = 0; i < a->n_ports; i++) {
        const struct named_port *p = &a->ports[i];
        const struct named_port *q = &b->ports[i];
        if (p->protocol != q->protocol || p->number != q->number || !same_text(p->name, q->name)) {
            return false;
        }
    }
    return true;
}

bool pod_equal(const struct pod *a, const struct pod *b)
{
    return meta_equal(&a->meta, &b->meta) && same_text(a->node, b->node) && a->host_network == b->host_network &&
           a->no_status == b->no_status && a->phase == b->phase && a->told == b->told && a->unnamed == b->unnamed &&
           addresses_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) && named_ports_equal(a, b);
}

bool ns_object_equal(const struct ns_object *a, const struct ns_object *b)
{
    return meta_equal(&a->meta, &b->meta);
}

bool node_equal(const struct node *a, const struct node *b)
{
    return meta_equal(&a->meta, &b->meta) &&
           addresses_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
           prefixes_equal(a->pod_cidrs, a->n_pod_cidrs, b->pod_cidrs, b->n_pod_cidrs);
}

static bool policy_port_equal(const struct policy_port *a, const struct policy_port *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case PORT_UNREADABLE:
        return true;
    case PORT_ALL:
        return a->protocol == b->protocol;
    case PORT_NAME:
        return a->protocol == b->protocol && same_text(a->name, b->name);
    case PORT_RANGE:
        return a->protocol == b->protocol && a->first == b->first && a->last == b->last;
    }
    return false;
}

static bool peer_equal(const struct peer *a, const struct peer *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case PEER_UNREADABLE:
        return true;
    case PEER_BLOCK:
        return prefix_compare(&a->cidr, &b->cidr) == 0 &&
               prefixes_equal(a->excepts, a->n_excepts, b->excepts, b->n_excepts);
    case PEER_PODS:
        return a->has_pod_selector == b->has_pod_selector && a->has_ns_selector == b->has_ns_selector &&
               (!a->has_pod_selector || selector_equal(&a->pod_selector, &b->pod_selector)) &&
               (!a->has_ns_selector || selector_equal(&a->ns_selector, &b->ns_selector));
    }
    return false;
}

static bool rule_same(const struct policy_rule *a, const struct policy_rule *b)
{
    if (a->unreadable != b->unreadable || a->any_peer != b->any_peer || a->any_port != b->any_port ||
        a->n_peers != b->n_peers || a->n_ports != b->n_ports) {
        return false;
    }
    for (size_t i = 0; i < a->n_peers; i++) {
        if (!peer_equal(&a->peers[i], &b->peers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_ports; i++) {
        if (!policy_port_equal(&a->ports[i], &b->ports[i])) {
            return false;
        }
    }
    return true;
}

static bool rules_equal(const struct policy *a, const struct policy *b, enum direction direction)
{
    if (a->isolates[direction] != b->isolates[direction] || a->n_rules[direction] != b->n_rules[direction]) {
        return false;
    }
    for (size_t i = 0; i < a->n_rules[direction]; i++) {
        if (!rule_same(&a->rules[direction][i], &b->rules[direction][i])) {
            return false;
        }
    }
    return true;
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
    return meta_equal(&a->meta, &b->meta) && selector_equal(&a->subject, &b->subject) &&
           rules_equal(a, b, DIRECTION_INGRESS) && rules_equal(a, b, DIRECTION_EGRESS) &&
           a->grants_nothing == b->grants_nothing && a->unenforceable == b->unenforceable;
}
