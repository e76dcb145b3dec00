// SPDX-License-Identifier: Apache-2.0
//
// Where the pods of the node sit: what the guards tell a sender by, because its address it may forge.
//
//   bridged  the pod's route leads to a bridge; the facts name its port (facts_pod_port), as long as no other pod's
//            address is behind the same port
//   routed   a route to its very address leads to a device that leads to nothing else but the pod's addresses (and
//            link-local prefixes and addresses of the node, which every device has)
//
// A device that leads to several pods, or to other prefixes, tells nobody apart: no guard by it.
#include "policy/compile_build.h"

#include "policy/names.h"

struct place_list {
    struct compile_place *v;
    size_t n;
    size_t cap;
};

static bool is_bridge(const struct facts_interface *interface)
{
    return strcmp(interface->kind, "bridge") == 0;
}

static bool is_host_route(const struct facts_route *route)
{
    return route->prefix.length == family_bits(route->prefix.address.family);
}

// Whether a route to the very address leads to the device.
static bool has_host_route(const struct facts *facts, const struct address *address, const char *device)
{
    const struct prefix prefix = prefix_of(address);
    size_t low = 0;
    size_t high = facts->n_routes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (prefix_compare(&facts->routes[middle].prefix, &prefix) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < facts->n_routes && prefix_compare(&facts->routes[low].prefix, &prefix) == 0; low++) {
        if (strcmp(facts->routes[low].device, device) == 0) {
            return true;
        }
    }
    return false;
}

static bool leads_to_pod_alone(const struct compile *compile, const char *device, const struct pod *pod)
{
    const struct facts *facts = compile->facts;
    for (size_t i = 0; i < facts->n_routes; i++) {
        const struct facts_route *route = &facts->routes[i];
        const struct address *address = &route->prefix.address;
        if (strcmp(route->device, device) != 0 || (route->prefix.length > 0 && address_is_link_local(address))) {
            continue;
        }
        if (!is_host_route(route) ||
            (!facts_is_own_address(facts, address) && state_owner(compile->state, address) != pod)) {
            return false;
        }
    }
    return true;
}

// The port of the bridge that the address is behind, if no other pod's address is there. What a pod of another node has
// by now was seen there long ago.
static const char *port_of_pod(const struct compile *compile, const struct address *address, const struct pod *pod)
{
    const struct facts_port *port = facts_pod_port(compile->facts, address);
    for (size_t i = 0; port && i < compile->facts->n_ports; i++) {
        const struct facts_port *other = &compile->facts->ports[i];
        bool same = strcmp(other->port, port->port) == 0;
        const struct pod *owner = same ? state_owner(compile->state, &other->address) : NULL;
        if (owner && owner != pod && strcmp(owner->node, compile->node) == 0) {
            return NULL;
        }
    }
    return port ? port->port : NULL;
}

static int compare_leaf(const void *address, const void *leaf)
{
    return address_compare(address, &((const struct compile_leaf *)leaf)->address);
}

// The leaves are sorted: the trees stand.
static bool is_isolated(const struct compile *compile, const struct pod *pod, enum direction direction)
{
    for (size_t i = 0; i < pod->n_addresses; i++) {
        const struct address *address = &pod->addresses[i];
        const struct compile_leaves *leaves = &compile->tables[address->family].leaves[direction];
        if (leaves->n > 0 && state_owner(compile->state, address) == pod &&
            bsearch(address, leaves->v, leaves->n, sizeof(*leaves->v), compare_leaf)) {
            return true;
        }
    }
    return false;
}

static int add_places(const struct compile *compile, const struct pod *pod, struct place_list *to)
{
    struct compile_place place = {.pod = pod};
    for (size_t d = 0; d < DIRECTION_COUNT; d++) {
        place.isolated[d] = is_isolated(compile, pod, (enum direction)d);
    }
    for (size_t i = 0; i < pod->n_addresses; i++) {
        const struct address *address = &pod->addresses[i];
        place.behind = facts_pod_interface(compile->facts, address);
        if (!place.behind || state_owner(compile->state, address) != pod) {
            continue;
        }
        place.bridge = is_bridge(place.behind);
        if (!place.bridge && !has_host_route(compile->facts, address, place.behind->name)) {
            // The way to a network, not to a pod.
            continue;
        }
        place.port = place.bridge ? port_of_pod(compile, address, pod) : NULL;
        place.own = place.bridge ? place.port != NULL : leads_to_pod_alone(compile, place.behind->name, pod);
        if (vec_push(to, place) < 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct compile_place *x = a;
    const struct compile_place *y = b;
    int order = strcmp(x->behind->name, y->behind->name);
    order = order ? order : strcmp(x->port ? x->port : "", y->port ? y->port : "");
    order = order ? order : strcmp(x->pod->meta.ns, y->pod->meta.ns);
    return order ? order : strcmp(x->pod->meta.name, y->pod->meta.name);
}

// Sorted, each once, in the scratch arena.
static int settle_places(struct compile *compile, struct place_list *list)
{
    struct compile_place *v = arena_alloc(&compile->scratch, list->n * sizeof(*v));
    size_t n = 0;
    if (!v) {
        return -1;
    }
    if (list->n > 1) {
        qsort(list->v, list->n, sizeof(*list->v), compare_places);
    }
    for (size_t i = 0; i < list->n; i++) {
        if (n == 0 || compare_places(&v[n - 1], &list->v[i]) != 0) {
            v[n++] = list->v[i];
        }
    }
    compile->places.v = v;
    compile->places.n = n;
    return 0;
}

// ---- uplinks -------------------------------------------------------------------------------------------------------

bool compile_place_is_uplink(const struct compile *compile, const struct facts_interface *interface)
{
    for (size_t i = 0; i < compile->places.n_uplinks; i++) {
        if (compile->places.uplinks[i] == interface) {
            return true;
        }
    }
    return false;
}

static void add_uplink(struct compile *compile, const struct facts_interface *interface)
{
    if (interface && !compile_place_is_uplink(compile, interface)) {
        compile->places.uplinks[compile->places.n_uplinks++] = interface;
    }
}

bool compile_place_is_told(const struct compile *compile, const struct address *address)
{
    const struct facts_interface *behind = compile->facts ? facts_pod_interface(compile->facts, address) : NULL;
    return behind && !compile_place_is_uplink(compile, behind) &&
           (is_bridge(behind) || has_host_route(compile->facts, address, behind->name));
}

static int find_uplinks(struct compile *compile, struct err *err)
{
    const struct facts *facts = compile->facts;
    size_t n;
    const struct node *const *nodes = state_nodes(compile->state, &n);
    compile->places.uplinks =
        arena_alloc(&compile->scratch, (facts->n_interfaces + 1) * sizeof(*compile->places.uplinks));
    if (n == SIZE_MAX || !compile->places.uplinks) {
        return err_oom(err);
    }
    for (size_t i = 0; i < facts->n_routes; i++) {
        if (facts->routes[i].prefix.length == 0) {
            add_uplink(compile, facts_interface(facts, facts->routes[i].device));
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; strcmp(nodes[i]->meta.name, compile->node) != 0 && j < nodes[i]->n_addresses; j++) {
            add_uplink(compile, facts_pod_interface(facts, &nodes[i]->addresses[j]));
        }
    }
    return 0;
}

// ---- for all guards ------------------------------------------------------------------------------------------------

static bool wants_guard(const struct compile *compile, bool isolated)
{
    enum source_guard guard = compile->options->source_guard;
    return guard == SOURCE_GUARD_ALL || (guard == SOURCE_GUARD_ENFORCED && isolated);
}

bool compile_place_is_guarded(const struct compile *compile, const struct compile_place *place)
{
    return place->own && wants_guard(compile, place->isolated[DIRECTION_EGRESS]);
}

bool compile_place_is_claimed(const struct compile *compile, const struct compile_place *place)
{
    return place->own && wants_guard(compile, place->isolated[DIRECTION_EGRESS] || place->isolated[DIRECTION_INGRESS]);
}

static bool owns_some(struct compile *compile, uint32_t id)
{
    for (size_t i = 0; i < index_pod(compile->index, id)->n_addresses; i++) {
        if (index_owns(compile->index, id, i)) {
            return true;
        }
    }
    return false;
}

static int find_places(struct compile *compile, struct place_list *list)
{
    for (size_t i = 0; i < compile->local.n; i++) {
        const struct pod *pod = index_pod(compile->index, compile->local.v[i]);
        size_t from = list->n;
        bool placed = false;
        if (compile->facts && add_places(compile, pod, list) < 0) {
            return -1;
        }
        for (size_t j = from; j < list->n; j++) {
            placed = placed || list->v[j].own;
        }
        if (!placed && owns_some(compile, compile->local.v[i]) &&
            wants_guard(compile, is_isolated(compile, pod, DIRECTION_EGRESS))) {
            compile->places.n_unguarded++;
        }
    }
    return 0;
}

int compile_places(struct compile *compile, struct err *err)
{
    struct place_list list = {0};
    int rc = find_places(compile, &list) < 0 || settle_places(compile, &list) < 0 ? err_oom(err) : 0;
    vec_free(&list);
    return rc < 0 || !compile->facts ? rc : find_uplinks(compile, err);
}

// ---- unknown pods --------------------------------------------------------------------------------------------------

int compile_add_interface(struct compile_interfaces *list, const struct facts_interface *interface)
{
    size_t at = 0;
    for (; at < list->n; at++) {
        int order = strcmp(list->v[at]->name, interface->name);
        if (order == 0) {
            return 0;
        }
        if (order > 0) {
            break;
        }
    }
    if (vec_reserve(list, list->n + 1) < 0) {
        return -1;
    }
    const struct facts_interface **slot = &list->v[at];
    memmove(slot + 1, slot, (list->n - at) * sizeof(const struct facts_interface *));
    *slot = interface;
    list->n++;
    return 0;
}

static int add_unknown(struct compile *compile, const struct facts_interface *interface)
{
    return compile_place_is_uplink(compile, interface) ? 0
           : compile_add_interface(&compile->unknown, interface) < 0
               ? -1
               : compile_add_interface(&compile->interfaces, interface);
}

// A route to an address of the pod CIDRs that nobody is known to have.
static bool leads_to_unknown(const struct compile *compile, const struct facts_route *route, const struct prefix *cidrs,
                             size_t n)
{
    const struct address *address = &route->prefix.address;
    bool inside = false;
    for (size_t i = 0; is_host_route(route) && !inside && i < n; i++) {
        inside = prefix_contains(&cidrs[i], address);
    }
    const struct pod *owner = inside ? state_owner(compile->state, address) : NULL;
    return inside && !facts_is_own_address(compile->facts, address) &&
           (!owner || strcmp(owner->node, compile->node) != 0);
}

// Behind a bridge that leads to the pod CIDRs there may be pods that are not known yet, and by a route to an address of
// these that nobody has there is one. Their addresses are closed, but for link-local ones, which every interface has:
// so the interface is as if an isolated pod were behind it.
int compile_unknown_places(struct compile *compile, struct err *err)
{
    const struct facts *facts = compile->facts;
    const struct prefix *cidrs;
    size_t n;
    if (compile->options->unknown_pods != UNKNOWN_PODS_DROP || !facts) {
        return 0;
    }
    compile_pod_cidrs(compile, &cidrs, &n);
    for (size_t i = 0; i < facts->n_interfaces; i++) {
        const struct facts_interface *interface = &facts->interfaces[i];
        if (is_bridge(interface) && facts_leads_into(facts, interface, cidrs, n) &&
            add_unknown(compile, interface) < 0) {
            return err_oom(err);
        }
    }
    for (size_t i = 0; i < facts->n_routes; i++) {
        const struct facts_interface *interface = leads_to_unknown(compile, &facts->routes[i], cidrs, n)
                                                      ? facts_interface(facts, facts->routes[i].device)
                                                      : NULL;
        if (interface && add_unknown(compile, interface) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

// --------------------------------------------------------------------------------------------------------------------

int compile_local_addresses(struct compile *compile, enum family family, struct compile_addresses *ret, struct err *err)
{
    struct compile_addresses list = {0};
    for (size_t i = 0; i < compile->local.n; i++) {
        const struct pod *pod = index_pod(compile->index, compile->local.v[i]);
        for (size_t j = 0; j < pod->n_addresses; j++) {
            if (pod->addresses[j].family == family && index_owns(compile->index, compile->local.v[i], j) &&
                vec_push(&list, pod->addresses[j]) < 0) {
                vec_free(&list);
                return err_oom(err);
            }
        }
    }
    *ret = list;
    return 0;
}

int compile_local_set(struct compile *compile, enum family family, const char **ret, struct err *err)
{
    struct compile_addresses list;
    if (compile_local_addresses(compile, family, &list, err) < 0) {
        return -1;
    }
    *ret = NULL;
    int rc = list.n > 0 ? compile_set_addresses(compile, family, "local pods", list.v, list.n, ret, err) : 0;
    vec_free(&list);
    return rc;
}
