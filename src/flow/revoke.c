// SPDX-License-Identifier: Apache-2.0
#include "flow/revoke.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <string.h>

#include "base/map.h"
#include "policy/evaluate.h"

enum { CACHE_MAX = 1 << 16 };

// Everything that a judgement follows from, without padding.
struct revoke_key {
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t port;
    uint8_t family;
    uint8_t protocol;
    uint8_t icmp_type;
    uint8_t arrival;
    uint8_t dnat;
    uint8_t source_is_node;
};
_Static_assert(sizeof(struct revoke_key) == 40, "no padding, whose bytes would be part of the key");

struct revoke_cache {
    struct map *map;
};

int revoke_cache_new(struct revoke_cache **ret, struct err *err)
{
    CLEANUP(revoke_cache_free) struct revoke_cache *cache = calloc(1, sizeof(*cache));
    if (!cache || !(cache->map = map_new())) {
        return err_oom(err);
    }
    *ret = TAKE(cache);
    return 0;
}

void revoke_cache_free(struct revoke_cache *cache)
{
    if (cache) {
        map_free(cache->map);
        free(cache);
    }
}

void revoke_cache_clear(struct revoke_cache *cache)
{
    struct map *fresh = map_size(cache->map) ? map_new() : NULL;
    if (fresh) {
        map_free(cache->map);
        cache->map = fresh;
        return;
    }
    for (struct map_entry *entry = map_first(cache->map); entry; entry = map_first(cache->map)) {
        size_t len;
        const void *key = map_entry_key(entry, &len);
        (void)map_del(cache->map, key, len);
    }
}

// Addresses of kube-ipvs0 are local to the kernel, and not the node's own to the policies.
static bool is_virtual(const struct facts *facts, const struct address *address)
{
    const struct facts_interface *ipvs = facts->ipvs ? facts_interface(facts, "kube-ipvs0") : NULL;
    for (size_t i = 0; ipvs && i < ipvs->n_addresses; i++) {
        if (address_equal(&ipvs->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_local(const struct facts *facts, const struct address *address)
{
    return facts_is_own_address(facts, address) || is_virtual(facts, address);
}

// Where the flow's first packet met the rules. What IPVS forwards leaves by OUTPUT with its sender's address.
static enum arrival arrival_of(const struct facts *facts, const struct flow *flow, const struct packet *packet)
{
    if (packet->source_is_node) {
        return ARRIVAL_FROM_NODE;
    }
    if (is_local(facts, &packet->destination)) {
        return ARRIVAL_TO_NODE;
    }
    return is_virtual(facts, &flow->original.destination) ? ARRIVAL_FROM_NODE : ARRIVAL_FORWARD;
}

// An entry does not tell by which interface its flow came. What a pod of the node sends comes from its place: there the
// guards ask whether pods may send such a thing at all (tunnels, groups).
static void put_place(const struct state *state, const char *node, const struct facts *facts, struct packet *packet)
{
    const struct pod *pod = packet->arrival == ARRIVAL_FROM_NODE ? NULL : state_owner(state, &packet->source);
    if (!pod || strcmp(pod->node, node) != 0) {
        return;
    }
    const struct facts_interface *behind = facts_pod_interface(facts, &packet->source);
    const struct facts_port *port = behind ? facts_pod_port(facts, &packet->source) : NULL;
    if (behind) {
        memcpy(packet->in, behind->name, sizeof(packet->in));
    }
    if (port) {
        memcpy(packet->physdev_in, port->port, sizeof(packet->physdev_in));
    }
}

static struct packet first_packet(const struct state *state, const char *node, const struct facts *facts,
                                  const struct flow *flow)
{
    struct packet packet = {
        .source = flow->original.source,
        .destination = flow->reply.source,
        .protocol = flow->original.protocol,
        .icmp_type = flow->original.icmp_type,
        .ct = CT_NEW,
        .dnat = flow->status & IPS_DST_NAT,
        .source_is_node = is_local(facts, &flow->original.source),
    };
    if (packet.protocol == PROTOCOL_TCP || packet.protocol == PROTOCOL_UDP || packet.protocol == PROTOCOL_SCTP) {
        packet.port = flow->reply.source_port;
    }
    packet.arrival = arrival_of(facts, flow, &packet);
    put_place(state, node, facts, &packet);
    return packet;
}

static bool is_of_node(const struct state *state, const char *node, const struct address *address)
{
    const struct pod *pod = state_owner(state, address);
    return pod && strcmp(pod->node, node) == 0;
}

// IPv6: those of IPv4 are routed as any other.
static bool is_on_link(const struct address *source, const struct address *destination)
{
    return source->family == FAMILY_V6 && (address_is_link_local(source) || address_is_link_local(destination));
}

// The rules of the node concern only what has a pod of the node at an end, or an address that should be one's.
static bool is_foreign(const struct state *state, const char *node, const struct policy_options *options,
                       const struct flow *flow)
{
    return options->unknown_pods == UNKNOWN_PODS_ALLOW && !is_on_link(&flow->original.source, &flow->reply.source) &&
           !is_of_node(state, node, &flow->original.source) && !is_of_node(state, node, &flow->reply.source);
}

static bool has_address(const struct facts_interface *interface, const struct address *address)
{
    for (size_t i = 0; i < interface->n_addresses; i++) {
        if (address_equal(&interface->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

static bool has_pods(struct state *state, const char *node, const struct facts *facts,
                     const struct facts_interface *bridge)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        for (size_t j = 0; strcmp(pods[i]->node, node) == 0 && j < pods[i]->n_addresses; j++) {
            if (facts_pod_interface(facts, &pods[i]->addresses[j]) == bridge) {
                return true;
            }
        }
    }
    return false;
}

// Between link-local addresses an entry does not tell the link. With the node itself it is one that has the node's end;
// else a bridge, for nothing routes such packets, with pods behind it. The flow is denied when every one that it may be
// denies it.
static int judge_on_link(struct state *state, const char *node, const struct facts *facts,
                         const struct policy_options *options, struct packet packet, enum revoke_verdict *ret,
                         struct err *err)
{
    bool forward = packet.arrival == ARRIVAL_FORWARD;
    bool any = false;
    *ret = REVOKE_PASS;
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        const struct facts_interface *link = &facts->interfaces[i];
        bool allowed;
        if (forward ? strcmp(link->kind, "bridge") != 0 || !has_pods(state, node, facts, link)
                    : !has_address(link, &packet.destination)) {
            continue;
        }
        if (*packet.physdev_in && strcmp(packet.in, link->name) != 0) {
            continue;  // its pod is known to be elsewhere
        }
        memcpy(packet.in, link->name, sizeof(packet.in));
        memcpy(packet.out, forward ? link->name : "", forward ? sizeof(packet.out) : 1);
        if (evaluate_packet(state, node, facts, options, &packet, &allowed, err) < 0) {
            return -1;
        }
        if (allowed) {
            return 0;
        }
        any = true;
    }
    *ret = any ? REVOKE_DENIED : REVOKE_PASS;
    return 0;
}

static int judge(struct state *state, const char *node, const struct facts *facts, const struct policy_options *options,
                 const struct packet *packet, enum revoke_verdict *ret, struct err *err)
{
    bool allowed;
    // The place was made up from the source: there is nothing to compare it with.
    struct policy_options honest = *options;
    honest.source_guard = SOURCE_GUARD_OFF;
    options = &honest;
    if (packet->arrival != ARRIVAL_FROM_NODE && is_on_link(&packet->source, &packet->destination)) {
        return judge_on_link(state, node, facts, options, *packet, ret, err);
    }
    if (evaluate_packet(state, node, facts, options, packet, &allowed, err) < 0) {
        return -1;
    }
    *ret = allowed ? REVOKE_PASS : REVOKE_DENIED;
    return 0;
}

int revoke_judge(struct state *state, const char *node, const struct facts *facts, const struct policy_options *options,
                 const struct flow *flow, enum revoke_verdict *ret, struct err *err)
{
    if (is_foreign(state, node, options, flow)) {
        *ret = REVOKE_PASS;
        return 0;
    }
    const struct packet packet = first_packet(state, node, facts, flow);
    return judge(state, node, facts, options, &packet, ret, err);
}

int revoke_judge_cached(struct revoke_cache *cache, struct state *state, const char *node, const struct facts *facts,
                        const struct policy_options *options, const struct flow *flow, enum revoke_verdict *ret,
                        struct err *err)
{
    if (is_foreign(state, node, options, flow)) {
        *ret = REVOKE_PASS;
        return 0;
    }
    const struct packet packet = first_packet(state, node, facts, flow);
    struct revoke_key key = {
        .port = packet.port,
        .family = (uint8_t)packet.source.family,
        .protocol = packet.protocol,
        .icmp_type = packet.icmp_type,
        .arrival = (uint8_t)packet.arrival,
        .dnat = packet.dnat,
        .source_is_node = packet.source_is_node,
    };
    memcpy(key.source, packet.source.bytes, sizeof(key.source));
    memcpy(key.destination, packet.destination.bytes, sizeof(key.destination));
    // The values are addresses of these, which say which one it is.
    static const enum revoke_verdict verdicts[] = {REVOKE_PASS, REVOKE_DENIED};
    const enum revoke_verdict *known = map_get(cache->map, &key, sizeof(key));
    if (known) {
        *ret = *known;
        return 0;
    }
    enum revoke_verdict verdict;
    if (judge(state, node, facts, options, &packet, &verdict, err) < 0) {
        return -1;
    }
    if (map_size(cache->map) >= CACHE_MAX) {
        revoke_cache_clear(cache);
    }
    // Out of memory: it is judged again next time.
    (void)!map_put(cache->map, &key, sizeof(key), (void *)(uintptr_t)&verdicts[verdict], NULL);
    *ret = verdict;
    return 0;
}
