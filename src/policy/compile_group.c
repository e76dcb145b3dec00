// SPDX-License-Identifier: Apache-2.0
//
// The rules of all policies that isolate one pod, sorted out by port list: each group becomes one rule for each kind of
// peer that it has (DESIGN 4).
#include "policy/compile_build.h"

static void group_free(struct compile_group *group)
{
    if (group) {
        vec_free(&group->ports);
        vec_free(&group->pods);
        vec_free(&group->blocks);
        free(group);
    }
}

void compile_groups_free(struct compile_groups *groups)
{
    for (size_t i = 0; i < groups->list.n; i++) {
        group_free(groups->list.v[i]);
    }
    vec_free(&groups->list);
}

bool compile_group_all_ports(const struct compile_group *group)
{
    return group->ports.n == 1 && group->ports.v[0].first == 0 && group->ports.v[0].last == UINT16_MAX;
}

// ---- port lists ----------------------------------------------------------------------------------------------------

static int compare_ranges(const void *a, const void *b)
{
    const struct port_range *x = a;
    const struct port_range *y = b;
    return x->first != y->first ? x->first - y->first : x->last - y->last;
}

static void canonical_ports(struct compile_ports *ports)
{
    if (ports->n < 2) {
        return;
    }
    qsort(ports->v, ports->n, sizeof(*ports->v), compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < ports->n; i++) {
        struct port_range *last = &ports->v[kept];
        if (ports->v[i].first <= last->last + 1) {
            last->last = ports->v[i].last > last->last ? ports->v[i].last : last->last;
        } else {
            ports->v[++kept] = ports->v[i];
        }
    }
    ports->n = kept + 1;
}

static int add_port_names(const struct pod *pod, const struct policy_port *port, struct compile_ports *to)
{
    size_t n = pod_named_ports(pod, port->name, port->protocol, NULL, 0);
    CLEANUP(free) uint16_t *numbers = n ? malloc(n * sizeof(*numbers)) : NULL;
    if (n && (!numbers || vec_reserve(to, to->n + n) < 0)) {
        return -1;
    }
    n = n ? pod_named_ports(pod, port->name, port->protocol, numbers, n) : 0;
    for (size_t i = 0; i < n; i++) {
        to->v[to->n++] = (struct port_range){.first = numbers[i], .last = numbers[i]};
    }
    return 0;
}

// The numbers that the entries of one protocol mean; names are those of pod (NULL: names add nothing here).
static int collect_ports(const struct policy_rule *rule, uint8_t protocol, const struct pod *pod,
                         struct compile_ports *to)
{
    for (size_t i = 0; i < rule->n_ports; i++) {
        const struct policy_port *port = &rule->ports[i];
        struct port_range range = {.first = port->first, .last = port->last};
        if (port->protocol != protocol) {
            continue;
        }
        switch (port->kind) {
        case PORT_ALL:
            range = (struct port_range){.first = 0, .last = UINT16_MAX};
            break;
        case PORT_RANGE:
            break;
        case PORT_NAME:
            if (pod && add_port_names(pod, port, to) < 0) {
                return -1;
            }
            continue;
        case PORT_UNREADABLE:
            continue;
        }
        if (range.first <= range.last && vec_push(to, range) < 0) {
            return -1;
        }
    }
    canonical_ports(to);
    return 0;
}

// ---- groups --------------------------------------------------------------------------------------------------------

// Groups by their key, while they are collected.
struct collector {
    struct compile *compile;
    struct compile_groups *groups;
    struct map *by_key;
    const struct pod *pod;
    enum direction direction;
};

// What the peers of one rule mean.
struct rule_peers {
    bool any;
    VEC(struct select_peer) pods;
    VEC(const struct peer *) blocks;
};

static void cleanup_rule_peers(struct rule_peers *peers)
{
    vec_free(&peers->pods);
    vec_free(&peers->blocks);
}

static int read_peers(struct compile *compile, const struct policy *policy, const struct policy_rule *rule,
                      struct rule_peers *to, struct err *err)
{
    to->any = rule->any_peer;
    for (size_t i = 0; !to->any && i < rule->n_peers; i++) {
        struct select_peer pods;
        bool is_pods;
        if (select_peer_from(policy, &rule->peers[i], &compile->scratch, &is_pods, &pods, err) < 0) {
            return -1;
        }
        if ((is_pods && vec_push(&to->pods, pods) < 0) ||
            (rule->peers[i].kind == PEER_BLOCK && vec_push(&to->blocks, &rule->peers[i]) < 0)) {
            return err_oom(err);
        }
    }
    return 0;
}

// Takes over the ports. NULL when memory is out.
static struct compile_group *group_of(struct collector *collector, uint8_t protocol, struct compile_ports *ports,
                                      const char *name)
{
    BUF_CLEANUP struct buf key = {0};
    buf_putc(&key, (char)protocol);
    buf_putc(&key, name ? 'N' : 'P');
    buf_puts(&key, name ? name : "");
    buf_add(&key, ports->v, ports->n * sizeof(*ports->v));
    if (key.failed) {
        return NULL;
    }
    struct compile_group *group = map_get(collector->by_key, key.data, key.len);
    if (group) {
        return group;
    }
    group = calloc(1, sizeof(*group));
    if (!group || vec_reserve(&collector->groups->list, collector->groups->list.n + 1) < 0 ||
        map_put(collector->by_key, key.data, key.len, group, NULL) < 0) {
        free(group);
        return NULL;
    }
    group->protocol = protocol;
    group->name = name;
    group->ports = *ports;
    *ports = (struct compile_ports){0};
    collector->groups->list.v[collector->groups->list.n++] = group;
    return group;
}

static int add_to_group(struct collector *collector, uint8_t protocol, struct compile_ports *ports, const char *name,
                        const struct rule_peers *peers)
{
    struct compile_group *group = group_of(collector, protocol, ports, name);
    if (!group || vec_reserve(&group->pods, group->pods.n + peers->pods.n) < 0 ||
        vec_reserve(&group->blocks, group->blocks.n + peers->blocks.n) < 0) {
        return -1;
    }
    group->any_peer = group->any_peer || peers->any;
    for (size_t i = 0; i < peers->pods.n; i++) {
        group->pods.v[group->pods.n++] = peers->pods.v[i];
    }
    for (size_t i = 0; i < peers->blocks.n; i++) {
        group->blocks.v[group->blocks.n++] = peers->blocks.v[i];
    }
    return 0;
}

// The entries of one protocol of a rule.
static int add_protocol(struct collector *collector, const struct policy_rule *rule, uint8_t protocol,
                        const struct rule_peers *peers)
{
    struct compile_ports ports = {0};
    bool ingress = collector->direction == DIRECTION_INGRESS;
    int rc = collect_ports(rule, protocol, ingress ? collector->pod : NULL, &ports);
    if (rc == 0 && ports.n > 0) {
        rc = add_to_group(collector, protocol, &ports, NULL, peers);
    }
    vec_free(&ports);
    // The names of egress are those of the destination, so they go with their peers into a set (4.5).
    for (size_t i = 0; rc == 0 && !ingress && i < rule->n_ports; i++) {
        struct compile_ports none = {0};
        if (rule->ports[i].kind == PORT_NAME && rule->ports[i].protocol == protocol) {
            rc = add_to_group(collector, protocol, &none, rule->ports[i].name, peers);
        }
    }
    return rc;
}

static int add_rule(struct collector *collector, const struct policy *policy, const struct policy_rule *rule,
                    struct err *err)
{
    if (rule->unreadable) {
        return 0;
    }
    __attribute__((cleanup(cleanup_rule_peers))) struct rule_peers peers = {0};
    if (read_peers(collector->compile, policy, rule, &peers, err) < 0) {
        return -1;
    }
    if (!peers.any && peers.pods.n == 0 && peers.blocks.n == 0) {
        return 0;
    }
    if (rule->any_port) {
        struct compile_ports none = {0};
        return add_to_group(collector, 0, &none, NULL, &peers) < 0 ? err_oom(err) : 0;
    }
    bool done[UINT8_MAX + 1] = {false};
    for (size_t i = 0; i < rule->n_ports; i++) {
        uint8_t protocol = rule->ports[i].protocol;
        if (rule->ports[i].kind == PORT_UNREADABLE || protocol == 0 || done[protocol]) {
            continue;
        }
        done[protocol] = true;
        if (add_protocol(collector, rule, protocol, &peers) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

// Protocol, then ports, then names; what matches any protocol comes last.
static int compare_groups(const void *a, const void *b)
{
    const struct compile_group *x = *(const struct compile_group *const *)a;
    const struct compile_group *y = *(const struct compile_group *const *)b;
    if (x->protocol != y->protocol) {
        return (uint8_t)(x->protocol - 1) < (uint8_t)(y->protocol - 1) ? -1 : 1;
    }
    if (x->name || y->name) {
        return x->name && y->name ? strcmp(x->name, y->name) : (x->name ? 1 : -1);
    }
    for (size_t i = 0; i < x->ports.n && i < y->ports.n; i++) {
        int order = compare_ranges(&x->ports.v[i], &y->ports.v[i]);
        if (order) {
            return order;
        }
    }
    return (x->ports.n > y->ports.n) - (x->ports.n < y->ports.n);
}

static int finish_groups(struct compile *compile, struct compile_groups *groups, struct err *err)
{
    if (groups->list.n > 1) {
        qsort(groups->list.v, groups->list.n, sizeof(struct compile_group *), compare_groups);
    }
    for (size_t i = 0; i < groups->list.n; i++) {
        struct compile_group *group = groups->list.v[i];
        if (!group->any_peer && group->pods.n > 0 &&
            compile_union_get(compile, group->pods.v, group->pods.n, &group->pod_union, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int compile_groups_collect(struct compile *compile, enum direction direction, const struct pod *pod,
                           const struct compile_policies *policies, struct compile_groups *ret, struct err *err)
{
    struct compile_groups groups = {0};
    CLEANUP(map_free) struct map *by_key = map_new();
    struct collector collector = {
        .compile = compile, .groups = &groups, .by_key = by_key, .pod = pod, .direction = direction};
    int rc = by_key ? 0 : err_oom(err);
    for (size_t i = 0; rc == 0 && i < policies->n; i++) {
        const struct policy *policy = policies->v[i];
        bool grants = !policy->grants_nothing && !policy->subject.unreadable;
        for (size_t j = 0; rc == 0 && grants && j < policy->n_rules[direction]; j++) {
            rc = add_rule(&collector, policy, &policy->rules[direction][j], err);
        }
    }
    if (rc < 0 || finish_groups(compile, &groups, err) < 0) {
        compile_groups_free(&groups);
        return -1;
    }
    *ret = groups;
    return 0;
}
