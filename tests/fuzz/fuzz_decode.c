// SPDX-License-Identifier: Apache-2.0
//
// Documents → objects: no crash, no leak; what is given out keeps the model's promises, above all those that fail
// closed.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "decode/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good) {
        abort();
    }
}

static void check_labels(const struct labels *labels)
{
    for (size_t i = 1; i < labels->n; i++) {
        check(strcmp(labels->v[i - 1].key, labels->v[i].key) < 0);
    }
}

static void check_selector(const struct selector *selector)
{
    for (size_t i = 0; i < selector->n; i++) {
        const struct requirement *r = &selector->v[i];
        bool values = r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN;
        check(r->key[0] && r->op != SELECTOR_UNKNOWN && values == (r->n_values > 0));
        check(i == 0 || requirement_compare(&selector->v[i - 1], r) < 0);
    }
}

static bool check_peer(const struct peer *peer)
{
    check_selector(&peer->pod_selector);
    check_selector(&peer->ns_selector);
    check(peer->kind != PEER_PODS || peer->has_pod_selector || peer->has_ns_selector);
    check(peer->kind == PEER_UNREADABLE || (!peer->pod_selector.unreadable && !peer->ns_selector.unreadable));
    for (size_t i = 0; i < peer->n_excepts; i++) {
        check(prefix_covers(&peer->cidr, &peer->excepts[i]) && peer->excepts[i].length > peer->cidr.length);
    }
    return peer->kind != PEER_UNREADABLE;
}

static bool check_port(const struct policy_port *port)
{
    check(port->kind == PORT_UNREADABLE || port->protocol == PROTOCOL_TCP || port->protocol == PROTOCOL_UDP ||
          port->protocol == PROTOCOL_SCTP);
    check(port->kind != PORT_RANGE || (port->first >= 1 && port->first <= port->last));
    check((port->kind == PORT_NAME) == (port->name != NULL));
    return port->kind != PORT_UNREADABLE;
}

static void check_rule(const struct policy *policy, const struct policy_rule *rule)
{
    bool readable = !rule->unreadable;
    check(rule->any_peer == (rule->n_peers == 0) || rule->unreadable);
    check(rule->any_port == (rule->n_ports == 0) || rule->unreadable);
    check(!rule->unreadable || (!rule->any_peer && !rule->any_port));
    for (size_t i = 0; i < rule->n_peers; i++) {
        readable = check_peer(&rule->peers[i]) && readable;
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        readable = check_port(&rule->ports[i]) && readable;
    }
    check(readable || policy->unenforceable);
}

static void check_policy(const struct policy *policy)
{
    check_selector(&policy->subject);
    check(policy->subject.unreadable == policy->grants_nothing);
    for (int d = 0; d < DIRECTION_COUNT; d++) {
        check(policy->n_rules[d] == 0 || (policy->isolates[d] && !policy->grants_nothing));
        for (size_t i = 0; i < policy->n_rules[d]; i++) {
            check_rule(policy, &policy->rules[d][i]);
        }
    }
}

static int on_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)err;
    size_t *count = arg;
    (*count)++;
    const struct object_meta *meta = object;
    check(meta->name[0] && !strchr(meta->name, '/') && !strchr(meta->ns, '/'));
    check((kind == OBJECT_POD || kind == OBJECT_POLICY) == (meta->ns[0] != '\0'));
    check_labels(&meta->labels);
    switch (kind) {
    case OBJECT_POLICY:
        check_policy(object);
        break;
    case OBJECT_NAMESPACE:
        check(labels_get(&meta->labels, "kubernetes.io/metadata.name") != NULL);
        break;
    case OBJECT_POD:
    case OBJECT_NODE:
        break;
    }
    free(object);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    size_t count = 0;
    struct err err = {0};
    check(decode_text((const char *)data, size, "f", on_object, &count, &diagnostics, &stats, &err) == 0);
    check(count == stats.objects);
    for (size_t i = 0; i < diagnostics.list.n; i++) {
        struct buf out = {0};
        diagnostic_format(&diagnostics.list.v[i], &out);
        check(!out.failed && !strchr(out.data, '\n'));
        buf_free(&out);
    }
    diagnostics_free(&diagnostics);
    return 0;
}
