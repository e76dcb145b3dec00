// SPDX-License-Identifier: Apache-2.0
#include "support/clause_observe.h"

#include <stdio.h>

#include "policy/evaluate_guard.h"
#include "support/clause_side.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };

// ---- the world -----------------------------------------------------------------------------------------------------

static int compare_claims(const void *a, const void *b)
{
    return address_compare(&((const struct clause_claim *)a)->address, &((const struct clause_claim *)b)->address);
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

void clause_world_init(struct clause_world *world, struct state *state)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    size_t room = 0;
    for (size_t i = 0; i < n; i++) {
        room += pods[i]->n_addresses;
    }
    *world = (struct clause_world){.state = state, .claims = allocate(room, sizeof(*world->claims))};
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < pods[i]->n_addresses; j++) {
            world->claims[world->n_claims++] = (struct clause_claim){pods[i]->addresses[j], pods[i]};
        }
    }
    qsort(world->claims, world->n_claims, sizeof(*world->claims), compare_claims);
}

void clause_world_done(struct clause_world *world)
{
    free(world->claims);
    free(world->guarded);
    *world = (struct clause_world){0};
}

// A pod-network pod that runs, or will (0, 2.3); not from pod_is_live, which evaluator and compiler share.
static bool runs(const struct pod *pod)
{
    return !pod->host_network &&
           (pod->no_status || pod->phase == POD_PENDING || pod->phase == POD_RUNNING || pod->phase == POD_UNKNOWN);
}

// Of two live claimants (2.5): the one that stays, then the newer, then what only makes it the same for everyone.
static bool is_before(const struct pod *a, const struct pod *b)
{
    int order = strcmp(a->meta.created, b->meta.created);
    if (a->meta.terminating != b->meta.terminating) {
        return !a->meta.terminating;
    }
    order = order ? order : strcmp(a->meta.uid, b->meta.uid);
    order = order ? order : strcmp(a->meta.ns, b->meta.ns);
    return (order ? order : strcmp(a->meta.name, b->meta.name)) > 0;
}

static struct clause_end end_of(const struct clause_world *world, const struct address *address)
{
    static const struct address zero;
    struct clause_end end = {.address = *address};
    bool unspecified = memcmp(address->bytes, zero.bytes, sizeof(zero.bytes)) == 0;
    size_t low = 0;
    size_t high = world->n_claims;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address_compare(&world->claims[middle].address, address) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; !unspecified && low < world->n_claims && address_equal(&world->claims[low].address, address); low++) {
        const struct pod *pod = world->claims[low].pod;
        if (pod->host_network) {
            end.host = pod;
        } else if (!runs(pod)) {
            end.finished = pod;
        } else if (!end.pod || is_before(pod, end.pod)) {
            end.rival = end.pod;
            end.pod = pod;
        } else {
            end.rival = pod;
        }
    }
    return end;
}

static bool is_isolated(const struct clause_world *world, const struct pod *pod)
{
    struct clause_set unused = {0};
    return clause_isolates(world, pod, DIRECTION_INGRESS, &unused) ||
           clause_isolates(world, pod, DIRECTION_EGRESS, &unused);
}

void clause_world_node(struct clause_world *world, const char *node, const struct facts *facts,
                       const struct policy_options *options)
{
    free(world->guarded);
    world->guarded = allocate(world->n_claims, sizeof(*world->guarded));
    world->n_guarded = 0;
    world->judges_ipv6 = false;
    world->node = node;
    world->facts = facts;
    world->options = options;
    for (size_t i = 0; i < world->n_claims; i++) {
        const struct clause_claim *claim = &world->claims[i];
        if (strcmp(claim->pod->node, node) != 0 || end_of(world, &claim->address).pod != claim->pod ||
            !is_isolated(world, claim->pod)) {
            continue;
        }
        const struct facts_interface *interface = facts ? facts_pod_interface(facts, &claim->address) : NULL;
        bool bridge = interface && strcmp(interface->kind, "bridge") == 0;
        world->judges_ipv6 = world->judges_ipv6 || bridge || claim->address.family == FAMILY_V6;
        if (interface) {
            world->guarded[world->n_guarded++] = interface;
        }
    }
}

// ---- one packet ----------------------------------------------------------------------------------------------------

struct look {
    const struct clause_world *world;
    const struct packet *packet;
    struct clause_end ends[DIRECTION_COUNT];  // where it goes, where it comes from
    struct clause_verdict verdicts[DIRECTION_COUNT];
    bool judged[DIRECTION_COUNT];  // by this node
    bool allowed;
    struct clause_set met;
};

static struct clause_side side_of(const struct look *look, enum direction direction, struct clause_set *met)
{
    return (struct clause_side){
        .world = look->world,
        .packet = look->packet,
        .direction = direction,
        .pod = look->ends[direction].pod,
        .end = &look->ends[direction],
        .other = &look->ends[DIRECTION_COUNT - 1 - direction],
        .target = &look->ends[DIRECTION_INGRESS],
        .met = met,
    };
}

static bool is_here(const struct look *look, const struct pod *pod)
{
    return pod && *look->world->node && strcmp(pod->node, look->world->node) == 0;
}

static bool is_of_node(const struct look *look, const struct address *address, bool own)
{
    size_t n;
    const struct node *const *nodes = state_nodes(look->world->state, &n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < nodes[i]->n_addresses; j++) {
            if (address_equal(&nodes[i]->addresses[j], address) &&
                (strcmp(nodes[i]->meta.name, look->world->node) == 0) == own) {
                return true;
            }
        }
    }
    return false;
}

// Who had the address and does not own it: policies that would isolate them do not.
static void observe_ghosts(struct look *look, enum direction direction)
{
    struct clause_set unused = {0};
    const struct clause_end *end = &look->ends[direction];
    if (is_here(look, end->finished) && clause_isolates(look->world, end->finished, direction, &unused)) {
        clause_mark(&look->met, CLAUSE_FINISHED_SUBJECT);
    }
    if (is_here(look, end->host) && clause_isolates(look->world, end->host, direction, &unused)) {
        clause_mark(&look->met, CLAUSE_HOST_NETWORK_SUBJECT);
    }
}

static void judge_ends(struct look *look)
{
    look->allowed = true;
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        enum direction direction = (enum direction)i;
        bool ends_here = look->packet->arrival == ARRIVAL_TO_NODE && direction == DIRECTION_INGRESS;
        look->judged[i] = !ends_here && is_here(look, look->ends[i].pod);
        look->verdicts[i] = (struct clause_verdict){.allowed = true};
        if (look->judged[i]) {
            struct clause_side side = side_of(look, direction, &look->met);
            look->verdicts[i] = clause_judge(&side);
        } else if (!ends_here && !look->ends[i].pod) {
            observe_ghosts(look, direction);
        }
        look->allowed = look->allowed && look->verdicts[i].allowed;
    }
}

// ---- guards --------------------------------------------------------------------------------------------------------

static bool is_guarded(const struct clause_world *world, const char *name)
{
    for (size_t i = 0; i < world->n_guarded; i++) {
        if (strcmp(world->guarded[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_bridge(const struct clause_world *world, const char *name)
{
    const struct facts_interface *interface = world->facts ? facts_interface(world->facts, name) : NULL;
    return interface && strcmp(interface->kind, "bridge") == 0;
}

static bool is_discovery(const struct packet *packet)
{
    return packet->source.family == FAMILY_V6 && packet->protocol == PROTOCOL_ICMPV6 && packet->icmp_type >= 133 &&
           packet->icmp_type <= 137;
}

static bool guard_forward(const struct look *look, bool both, struct clause_set *met)
{
    const struct packet *packet = look->packet;
    bool bridged = is_bridge(look->world, packet->in) && strcmp(packet->in, packet->out) == 0;
    bool guarded = is_guarded(look->world, packet->in);
    if (bridged && guarded) {
        clause_mark(met, both ? CLAUSE_GUARD_BRIDGED : CLAUSE_GUARD_MIXED);
        return true;
    }
    if (bridged) {
        clause_mark(met, CLAUSE_UNGUARDED_BRIDGE);
    } else if (guarded && *packet->out && strcmp(packet->in, packet->out) != 0) {
        clause_mark(met, CLAUSE_UNGUARDED_ROUTED);
    }
    return false;
}

// Whether a guard drops the packet.
static bool guards(const struct look *look, struct clause_set *met)
{
    const struct packet *packet = look->packet;
    bool source = packet->source.family == FAMILY_V6 && address_is_link_local(&packet->source);
    bool destination = packet->source.family == FAMILY_V6 && address_is_link_local(&packet->destination);
    bool forward = packet->arrival == ARRIVAL_FORWARD;
    if ((source || destination) && forward && guard_forward(look, source && destination, met)) {
        return true;
    }
    if ((source || destination) && packet->arrival == ARRIVAL_TO_NODE && !look->world->options->host_egress_allowed &&
        is_guarded(look->world, packet->in)) {
        clause_mark(met, CLAUSE_GUARD_TO_NODE);
        return true;
    }
    if (forward && is_discovery(packet) && address_is_multicast(&packet->destination) && look->world->judges_ipv6) {
        clause_mark(met, CLAUSE_GUARD_DISCOVERY);
        return true;
    }
    return false;
}

static bool is_false_router(const struct look *look)
{
    const struct clause_world *world = look->world;
    bool is;
    if (guard_is_false_router(world->state, world->node, world->facts, world->options, look->packet, &is, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return is;
}

// What is no clause of the specification but a way round all of them (DESIGN 11) is the evaluator's own to say.
static bool drops_otherwise(const struct look *look)
{
    const struct clause_world *world = look->world;
    bool dropped = false;
    if (guard_drops(world->state, world->node, world->facts, world->options, look->packet, &dropped, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return dropped || is_false_router(look);
}

// Of an established flow as well.
static bool is_forged_tunnel(const struct look *look)
{
    const struct clause_world *world = look->world;
    bool is;
    if (guard_is_forged_tunnel(world->state, world->node, world->facts, world->options, look->packet, &is, NULL) < 0) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return is;
}

// ---- what passes whatever the policies say -------------------------------------------------------------------------

static bool is_listener_discovery(const struct packet *packet)
{
    static const uint8_t types[] = {130, 131, 132, 143};
    return packet->source.family == FAMILY_V6 && packet->protocol == PROTOCOL_ICMPV6 &&
           memchr(types, packet->icmp_type, sizeof(types));
}

static bool is_virtual(const struct look *look)
{
    const struct facts *facts = look->world->facts;
    const struct facts_interface *ipvs = facts && facts->ipvs ? facts_interface(facts, "kube-ipvs0") : NULL;
    for (size_t i = 0; ipvs && i < ipvs->n_addresses; i++) {
        if (address_equal(&ipvs->addresses[i], &look->packet->destination)) {
            return true;
        }
    }
    return false;
}

static bool is_loopback(const struct packet *packet)
{
    return address_is_loopback(&packet->source) || address_is_loopback(&packet->destination);
}

// Passes before the guards. *met: why, for a packet that would be dropped.
static bool passes_all(const struct look *look, struct clause_set *met)
{
    static const struct address unspecified = {.family = FAMILY_V6};
    const struct packet *packet = look->packet;
    bool ipvs = look->world->facts && look->world->facts->ipvs;
    uint8_t icmp = packet->source.family == FAMILY_V6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP;
    if (packet->ct == CT_ESTABLISHED) {
        clause_mark(met, CLAUSE_ESTABLISHED);
    } else if (packet->arrival == ARRIVAL_FROM_NODE && packet->source_is_node) {
        clause_mark(met, CLAUSE_NODE_TO_POD);
        if (is_loopback(packet)) {
            clause_mark(met, CLAUSE_LOOPBACK);
        }
    } else if (packet->arrival == ARRIVAL_FROM_NODE && !ipvs) {
        clause_mark(met, CLAUSE_NO_IPVS_OUTPUT);
    } else if (packet->ct == CT_RELATED && packet->protocol == icmp) {
        clause_mark(met, CLAUSE_RELATED_ERROR);
    } else if (is_discovery(packet) && packet->hop_limit == 255 && !is_false_router(look)) {
        clause_mark(met, CLAUSE_NDP);
        if (address_equal(&packet->source, &unspecified)) {
            clause_mark(met, CLAUSE_NDP_UNSPECIFIED);
        }
    } else if (is_listener_discovery(packet) && packet->hop_limit == 1 && address_is_multicast(&packet->destination)) {
        clause_mark(met, CLAUSE_MLD);
    } else {
        return false;
    }
    return true;
}

// Passes behind the guards.
static bool passes_policies(const struct look *look, struct clause_set *met)
{
    const struct packet *packet = look->packet;
    if (packet->arrival == ARRIVAL_TO_NODE && look->world->options->host_egress_allowed) {
        clause_mark(met, CLAUSE_TO_NODE_OPTION);
    } else if (packet->arrival == ARRIVAL_TO_NODE && is_virtual(look)) {
        clause_mark(met, CLAUSE_IPVS_INPUT);
    } else if (packet->dnat && address_equal(&packet->source, &packet->destination)) {
        clause_mark(met, CLAUSE_HAIRPIN);
    } else {
        return false;
    }
    return true;
}

// ---- what the policies decided -------------------------------------------------------------------------------------

static void observe_ends(struct look *look)
{
    const struct clause_verdict *out = &look->verdicts[DIRECTION_EGRESS];
    const struct clause_verdict *in = &look->verdicts[DIRECTION_INGRESS];
    const struct packet *packet = look->packet;
    if (out->isolated && in->isolated) {
        clause_mark(&look->met, CLAUSE_BOTH_ENDS);
    }
    if (!out->allowed && look->judged[DIRECTION_INGRESS] && in->allowed) {
        clause_mark(&look->met, CLAUSE_EGRESS_ONLY_DENIES);
    }
    if (out->isolated && out->allowed && !in->allowed) {
        clause_mark(&look->met, CLAUSE_INGRESS_ONLY_DENIES);
    }
    if (in->isolated && packet->arrival == ARRIVAL_FORWARD) {
        if (is_of_node(look, &packet->source, true)) {
            clause_mark(&look->met, CLAUSE_NODE_FORGED);
        } else if (is_of_node(look, &packet->source, false)) {
            clause_mark(&look->met, CLAUSE_OTHER_NODE_SOURCE);
        }
    }
    if (out->isolated && packet->arrival == ARRIVAL_FORWARD && is_of_node(look, &packet->destination, false)) {
        clause_mark(&look->met, CLAUSE_TO_OTHER_NODE);
    }
    if (out->isolated && packet->arrival == ARRIVAL_TO_NODE) {
        clause_mark(&look->met, out->allowed ? CLAUSE_TO_NODE_ALLOWED : CLAUSE_TO_NODE_DENIED);
    }
    if (packet->arrival == ARRIVAL_FROM_NODE && !look->allowed) {
        clause_mark(&look->met, out->allowed ? CLAUSE_IPVS_OUTPUT_INGRESS : CLAUSE_IPVS_OUTPUT_EGRESS);
    }
}

static void observe_addresses(struct look *look)
{
    const struct packet *packet = look->packet;
    bool self =
        look->ends[DIRECTION_EGRESS].pod && look->ends[DIRECTION_EGRESS].pod == look->ends[DIRECTION_INGRESS].pod;
    if (self) {
        bool same = address_equal(&packet->source, &packet->destination);
        clause_mark(&look->met, same ? CLAUSE_FORGED_SELF : CLAUSE_SELF_ADDRESSES);
    }
    if (packet->dnat) {
        clause_mark(&look->met, CLAUSE_DNATED);
    }
    if (look->verdicts[DIRECTION_EGRESS].isolated && address_is_multicast(&packet->destination)) {
        clause_mark(&look->met, look->allowed ? CLAUSE_MULTICAST_ALLOWED : CLAUSE_MULTICAST_DENIED);
    }
    if (packet->source.family == FAMILY_V4 &&
        (address_is_link_local(&packet->source) || address_is_link_local(&packet->destination))) {
        clause_mark(&look->met, CLAUSE_LINK_LOCAL_V4);
    }
}

static void observe_kind(struct look *look)
{
    const struct packet *packet = look->packet;
    if (packet->ct == CT_UNTRACKED) {
        clause_mark(&look->met, CLAUSE_UNTRACKED);
    } else if (packet->ct == CT_INVALID) {
        clause_mark(&look->met, CLAUSE_INVALID);
    } else if (packet->ct == CT_RELATED) {
        clause_mark(&look->met, CLAUSE_RELATED_OTHER);
    }
    if (is_discovery(packet)) {
        clause_mark(&look->met, CLAUSE_NDP_FORGED);
    } else if (is_listener_discovery(packet)) {
        clause_mark(&look->met, CLAUSE_MLD_FORGED);
    } else if (packet->protocol == PROTOCOL_ICMPV6 && (packet->icmp_type == 128 || packet->icmp_type == 129)) {
        clause_mark(&look->met, CLAUSE_ECHO_V6);
    }
}

// Passes here; would the other node's policies deny it?
static void observe_remote(struct look *look)
{
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        struct clause_set unused = {0};
        struct clause_side side = side_of(look, (enum direction)i, &unused);
        if (look->packet->arrival == ARRIVAL_FORWARD && side.pod && !look->judged[i] && !clause_judge(&side).allowed) {
            clause_mark(&look->met, CLAUSE_REMOTE_END);
        }
    }
}

static void observe_judged(struct look *look)
{
    if (look->verdicts[DIRECTION_EGRESS].isolated || look->verdicts[DIRECTION_INGRESS].isolated) {
        observe_ends(look);
        observe_addresses(look);
        observe_kind(look);
    } else if (!look->ends[DIRECTION_EGRESS].pod && !look->ends[DIRECTION_INGRESS].pod &&
               state_count(look->world->state, OBJECT_POLICY) > 0) {
        clause_mark(&look->met, CLAUSE_NO_POD);
    }
    if (look->allowed) {
        observe_remote(look);
    }
}

bool clause_observe(const struct clause_world *world, const struct packet *packet, struct clause_set *ret)
{
    struct look look = {
        .world = world,
        .packet = packet,
        .ends = {[DIRECTION_INGRESS] = end_of(world, &packet->destination),
                 [DIRECTION_EGRESS] = end_of(world, &packet->source)},
    };
    struct clause_set reasons = {0};
    struct clause_set guarded = {0};
    judge_ends(&look);
    bool cut = guard_is_revoked(world->facts, world->options, packet);
    bool dropped = guards(&look, &guarded);
    dropped = drops_otherwise(&look) || dropped;
    if (cut || is_forged_tunnel(&look)) {
        return false;
    }
    if (passes_all(&look, &reasons)) {
        // They decide only where something else would have dropped the packet.
        if (dropped || !look.allowed) {
            clause_join(ret, &reasons);
        }
        return true;
    }
    clause_join(ret, &guarded);
    if (dropped) {
        return false;
    }
    if (passes_policies(&look, &reasons)) {
        if (!look.allowed) {
            clause_join(ret, &reasons);
        }
        return true;
    }
    observe_judged(&look);
    clause_join(ret, &look.met);
    return look.allowed;
}
