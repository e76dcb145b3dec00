// SPDX-License-Identifier: Apache-2.0
#include "host/facts_ports.h"

void facts_ports_free(struct facts_ports *ports)
{
    vec_free(&ports->bindings);
}

// ---- the join ------------------------------------------------------------------------------------------------------

const struct facts_link *facts_link_find(const struct facts_link *links, size_t n, uint32_t index)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (links[middle].index == index) {
            return &links[middle];
        }
        if (links[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static int compare_forward(const void *a, const void *b)
{
    const struct facts_forward *left = a;
    const struct facts_forward *right = b;
    if (left->bridge != right->bridge) {
        return left->bridge < right->bridge ? -1 : 1;
    }
    return memcmp(left->mac, right->mac, FACTS_MAC);
}

static const struct facts_forward *find_forward(const struct facts_forward *sorted, size_t n,
                                                const struct facts_neighbour *neighbour)
{
    struct facts_forward key = {.bridge = neighbour->bridge};
    memcpy(key.mac, neighbour->mac, FACTS_MAC);
    const struct facts_forward *found = n ? bsearch(&key, sorted, n, sizeof(key), compare_forward) : NULL;
    if (!found || (found > sorted && compare_forward(found - 1, &key) == 0) ||
        (found + 1 < sorted + n && compare_forward(found + 1, &key) == 0)) {
        return NULL;
    }
    return found;
}

int facts_ports_join(const struct facts_neighbour *neighbours, size_t n_neighbours,
                     const struct facts_forward *forwards, size_t n_forwards, const struct facts_link *links,
                     size_t n_links, facts_claims *claims, struct err *err)
{
    CLEANUP(free) struct facts_forward *sorted = malloc(n_forwards * sizeof(*sorted) + 1);
    if (!sorted) {
        return err_oom(err);
    }
    if (n_forwards) {
        memcpy(sorted, forwards, n_forwards * sizeof(*sorted));
        qsort(sorted, n_forwards, sizeof(*sorted), compare_forward);
    }
    for (size_t i = 0; i < n_neighbours; i++) {
        const struct facts_forward *forward = find_forward(sorted, n_forwards, &neighbours[i]);
        const struct facts_link *bridge = facts_link_find(links, n_links, neighbours[i].bridge);
        const struct facts_link *port = forward ? facts_link_find(links, n_links, forward->port) : NULL;
        if (!bridge || !port || forward->local || port->master != bridge->index) {
            continue;
        }
        struct facts_claim claim = {.address = neighbours[i].address};
        memcpy(claim.bridge, bridge->name, sizeof(claim.bridge));
        memcpy(claim.port, port->name, sizeof(claim.port));
        if (vec_push(claims, claim) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

// ---- what is believed ----------------------------------------------------------------------------------------------

const struct facts_interface *facts_ports_bridge(const struct facts *facts, const struct address *address)
{
    const struct facts_interface *behind = facts_pod_interface(facts, address);
    return behind && strcmp(behind->kind, "bridge") == 0 ? behind : NULL;
}

static int compare_binding(const void *a, const void *b)
{
    return address_compare(&((const struct facts_binding *)a)->port.address,
                           &((const struct facts_binding *)b)->port.address);
}

static int compare_owner(const void *address, const void *owner)
{
    return address_compare(address, &((const struct facts_owner *)owner)->address);
}

static int compare_claim(const void *a, const void *b)
{
    const struct facts_claim *left = *(const struct facts_claim *const *)a;
    const struct facts_claim *right = *(const struct facts_claim *const *)b;
    int order = address_compare(&left->address, &right->address);
    return order ? order : strcmp(left->port, right->port);
}

static const struct facts_owner *find_owner(const struct facts_ports_news *news, const struct address *address)
{
    return news->n_owners ? bsearch(address, news->owners, news->n_owners, sizeof(*news->owners), compare_owner) : NULL;
}

// Of the unsorted list that is being made.
static const struct facts_binding *find_new(const struct facts_ports *ports, const struct address *address)
{
    for (size_t i = 0; i < ports->bindings.n; i++) {
        if (address_equal(&ports->bindings.v[i].port.address, address)) {
            return &ports->bindings.v[i];
        }
    }
    return NULL;
}

const struct facts_binding *facts_ports_find(const struct facts_ports *ports, const struct address *address)
{
    const struct facts_binding key = {.port.address = *address};
    return ports->bindings.n ? bsearch(&key, ports->bindings.v, ports->bindings.n, sizeof(key), compare_binding) : NULL;
}

// Whether the port has a pod that is not this one; pods of unknown name are others.
static bool is_anothers(const struct facts_ports *ports, const char *port, const char *pod)
{
    for (size_t i = 0; i < ports->bindings.n; i++) {
        const struct facts_binding *binding = &ports->bindings.v[i];
        if (strcmp(binding->port.port, port) == 0 && (!*pod || strcmp(binding->pod, pod) != 0)) {
            return true;
        }
    }
    return false;
}

static bool is_port_of(const struct facts *facts, const char *port, const struct facts_interface *bridge)
{
    const struct facts_interface *interface = facts_interface(facts, port);
    return interface && bridge && strcmp(interface->master, bridge->name) == 0;
}

static int add(struct facts_ports *to, const struct address *address, const char *port, const char *pod, bool told,
               struct err *err)
{
    struct facts_binding binding = {.port.address = *address, .told = told};
    memcpy(binding.port.port, port, sizeof(binding.port.port));
    memcpy(binding.pod, pod, strlen(pod) + 1);
    return vec_push(&to->bindings, binding) < 0 ? err_oom(err) : 0;
}

static int add_told(struct facts_ports *to, const struct facts_ports_news *news, struct err *err)
{
    for (size_t i = 0; i < news->n_told; i++) {
        const struct facts_port *told = &news->told[i];
        const struct facts_interface *interface = facts_interface(news->facts, told->port);
        const struct facts_owner *owner = find_owner(news, &told->address);
        if (interface && *interface->master && !find_new(to, &told->address) &&
            add(to, &told->address, told->port, owner ? owner->pod : "", true, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int add_known(struct facts_ports *to, const struct facts_ports *old, const struct facts_ports_news *news,
                     struct err *err)
{
    for (size_t i = 0; i < old->bindings.n; i++) {
        const struct facts_binding *known = &old->bindings.v[i];
        const struct address *address = &known->port.address;
        const struct facts_owner *owner = find_owner(news, address);
        // What the plugin takes back is not kept as if it had been learnt.
        if (known->told || !owner || strcmp(owner->pod, known->pod) != 0 || find_new(to, address) ||
            is_anothers(to, known->port.port, known->pod) ||
            !is_port_of(news->facts, known->port.port, facts_ports_bridge(news->facts, address))) {
            continue;
        }
        if (add(to, address, known->port.port, known->pod, false, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void refuse(struct facts_ports *to, const struct facts_claim *claim)
{
    if (to->n_refused++ == 0) {
        to->refused = *claim;
    }
}

static int add_claim(struct facts_ports *to, const struct facts_ports_news *news, const struct facts_claim *claim,
                     struct err *err)
{
    const struct facts_owner *owner = find_owner(news, &claim->address);
    const struct facts_interface *bridge = facts_ports_bridge(news->facts, &claim->address);
    const struct facts_interface *port = facts_interface(news->facts, claim->port);
    // A port of another kind leads to more than one pod: an uplink, a tunnel.
    if (!owner || !bridge || strcmp(bridge->name, claim->bridge) != 0 ||
        !is_port_of(news->facts, claim->port, bridge) || strcmp(port->kind, "veth") != 0) {
        return 0;
    }
    const struct facts_binding *known = find_new(to, &claim->address);
    if (known || is_anothers(to, claim->port, owner->pod)) {
        if (!known || strcmp(known->port.port, claim->port) != 0) {
            refuse(to, claim);
        }
        return 0;
    }
    return add(to, &claim->address, claim->port, owner->pod, false, err);
}

// In the order of the addresses: which claim is first does not hang on the order of the kernel's tables.
static int add_claims(struct facts_ports *to, const struct facts_ports_news *news, struct err *err)
{
    CLEANUP(free) const struct facts_claim **sorted = malloc(news->n_claims * sizeof(*sorted) + 1);
    if (!sorted) {
        return err_oom(err);
    }
    for (size_t i = 0; i < news->n_claims; i++) {
        sorted[i] = &news->claims[i];
    }
    qsort(sorted, news->n_claims, sizeof(*sorted), compare_claim);
    for (size_t i = 0; i < news->n_claims; i++) {
        if (add_claim(to, news, sorted[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int facts_ports_update(struct facts_ports *ports, const struct facts_ports_news *news, struct err *err)
{
    struct facts_ports fresh = {0};
    if (add_told(&fresh, news, err) < 0 || add_known(&fresh, ports, news, err) < 0 ||
        add_claims(&fresh, news, err) < 0) {
        facts_ports_free(&fresh);
        return -1;
    }
    if (fresh.bindings.n) {
        qsort(fresh.bindings.v, fresh.bindings.n, sizeof(*fresh.bindings.v), compare_binding);
    }
    facts_ports_free(ports);
    *ports = fresh;
    return 0;
}
