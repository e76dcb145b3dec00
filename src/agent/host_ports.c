// SPDX-License-Identifier: Apache-2.0
#include "agent/host_ports.h"

#include <stdio.h>

#include "agent/host_book.h"
#include "base/log.h"
#include "host/facts_read.h"
#include "host/facts_read_claims.h"

typedef VEC(struct facts_owner) owner_list;

struct host_ports {
    struct facts_ports known;
    VEC(struct facts_port) told;
    owner_list owners;
    size_t n_unknown;
    bool cannot_ask;
};

int host_ports_new(struct host_ports **ret, bool ret_revoked[FAMILY_COUNT], struct err *err)
{
    CLEANUP(host_ports_free) struct host_ports *ports = calloc(1, sizeof(*ports));
    if (!ports) {
        return err_oom(err);
    }
    if (host_book_load(&ports->known, ret_revoked, err) < 0) {
        return -1;
    }
    *ret = TAKE(ports);
    return 0;
}

void host_ports_free(struct host_ports *ports)
{
    if (!ports) {
        return;
    }
    facts_ports_free(&ports->known);
    vec_free(&ports->told);
    vec_free(&ports->owners);
    free(ports);
}

int host_ports_tell(struct host_ports *ports, const struct facts_port *told, size_t n, struct err *err)
{
    if (vec_reserve(&ports->told, n) < 0) {
        return err_oom(err);
    }
    if (n) {
        memcpy(ports->told.v, told, n * sizeof(*told));
    }
    ports->told.n = n;
    return 0;
}

static int compare_owner(const void *a, const void *b)
{
    return address_compare(&((const struct facts_owner *)a)->address, &((const struct facts_owner *)b)->address);
}

// A file may name a pod without a uid.
static void name_pod(const struct pod *pod, char ret[FACTS_POD_ID])
{
    int n = *pod->meta.uid ? snprintf(ret, FACTS_POD_ID, "%s", pod->meta.uid)
                           : snprintf(ret, FACTS_POD_ID, "%.31s/%.31s", pod->meta.ns, pod->meta.name);
    (void)n;  // a uid has 36 characters; of a longer one the first say enough
}

// Who owns an address that two pods claim, the state says.
static int add_pod(const struct state *state, const struct pod *pod, owner_list *owners)
{
    for (size_t i = 0; i < pod->n_addresses; i++) {
        struct facts_owner owner = {.address = pod->addresses[i]};
        if (state_owner(state, &owner.address) != pod) {
            continue;
        }
        name_pod(pod, owner.pod);
        if (vec_push(owners, owner) < 0) {
            return -1;
        }
    }
    return 0;
}

static int collect_owners(struct state *state, const char *node, owner_list *owners, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (!pods && n) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0 && pod_is_live(pods[i]) && add_pod(state, pods[i], owners) < 0) {
            return err_oom(err);
        }
    }
    if (owners->n) {
        qsort(owners->v, owners->n, sizeof(*owners->v), compare_owner);
    }
    return 0;
}

static int ask_kernel(struct host_ports *ports, const struct facts *facts, facts_claims *claims, struct err *err)
{
    facts_addresses addresses = {0};
    struct err why = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ports->owners.n; i++) {
        const struct address *address = &ports->owners.v[i].address;
        rc = facts_ports_bridge(facts, address) ? vec_push(&addresses, *address) : 0;
    }
    rc = rc < 0 ? err_oom(&why) : facts_read_claims(facts, addresses.v, addresses.n, claims, &why);
    vec_free(&addresses);
    if (rc < 0 && why.kind == ERR_UNSUPPORTED) {
        ports->cannot_ask = true;
        log_event(LOG_LEVEL_WARN, "bridge-ports-not-learnt", "why=%s effect=%s", log_quote(why.msg),
                  log_quote("only pods that netpold-cni tells of are guarded by their port"));
        return 0;
    }
    if (rc < 0 && err) {
        *err = why;
    }
    return rc;
}

static void count_unknown(struct host_ports *ports, const struct facts *facts)
{
    ports->n_unknown = 0;
    for (size_t i = 0; i < ports->owners.n && !ports->cannot_ask; i++) {
        const struct address *address = &ports->owners.v[i].address;
        ports->n_unknown += !facts_ports_find(&ports->known, address) && facts_ports_bridge(facts, address);
    }
}

int host_ports_look(struct host_ports *ports, const struct facts *facts, struct state *state, const char *node,
                    bool ask, struct err *err)
{
    facts_claims claims = {0};
    owner_list owners = {0};
    int rc = collect_owners(state, node, &owners, err);
    if (rc == 0) {
        vec_free(&ports->owners);
        ports->owners = owners;
    } else {
        vec_free(&owners);
    }
    rc = rc == 0 && ask && !ports->cannot_ask ? ask_kernel(ports, facts, &claims, err) : rc;
    if (rc == 0) {
        const struct facts_ports_news news = {
            .facts = facts,
            .owners = ports->owners.v,
            .n_owners = ports->owners.n,
            .told = ports->told.v,
            .n_told = ports->told.n,
            .claims = claims.v,
            .n_claims = claims.n,
        };
        rc = facts_ports_update(&ports->known, &news, err);
        count_unknown(ports, facts);
    }
    vec_free(&claims);
    return rc;
}

void host_ports_view(const struct host_ports *ports, struct host_ports_view *ret)
{
    *ret = (struct host_ports_view){
        .bindings = ports->known.bindings.v,
        .n = ports->known.bindings.n,
        .n_unknown = ports->n_unknown,
        .n_refused = ports->known.n_refused,
        .refused = ports->known.refused,
    };
    for (size_t i = 0; i < ret->n; i++) {
        ret->n_told += ret->bindings[i].told;
    }
}

int host_ports_put(const struct host_ports *ports, const struct facts *facts, const bool revoked[FAMILY_COUNT],
                   struct facts **ret, struct err *err)
{
    VEC(struct facts_port) list = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ports->known.bindings.n; i++) {
        rc = vec_push(&list, ports->known.bindings.v[i].port);
    }
    rc = rc < 0 ? err_oom(err) : facts_with(facts, list.v, list.n, revoked, ret, err);
    vec_free(&list);
    return rc;
}

int host_ports_save(const struct host_ports *ports, const bool revoked[FAMILY_COUNT], struct err *err)
{
    return host_book_save(ports->known.bindings.v, ports->known.bindings.n, revoked, err);
}

int host_ports_read_facts(struct state *state, const char *node, struct facts **ret, struct err *err)
{
    bool revoked[FAMILY_COUNT] = {false};
    CLEANUP(facts_free) struct facts *base = NULL;
    CLEANUP(host_ports_free) struct host_ports *ports = NULL;
    if (host_ports_new(&ports, revoked, err) < 0 || facts_read(&base, err) < 0 ||
        host_ports_look(ports, base, state, node, true, err) < 0) {
        return -1;
    }
    return host_ports_put(ports, base, revoked, ret, err);
}

int host_ports_keep_facts(const struct state *state, const struct facts *facts, struct err *err)
{
    VEC(struct facts_binding) list = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < facts->n_ports; i++) {
        struct facts_binding binding = {.port = facts->ports[i]};
        const struct pod *pod = state_owner(state, &binding.port.address);
        if (pod) {
            name_pod(pod, binding.pod);
            rc = vec_push(&list, binding);
        }
    }
    rc = rc < 0 ? err_oom(err) : host_book_save(list.v, list.n, facts->revoked, err);
    vec_free(&list);
    return rc;
}

static int add_unnamed(const struct facts *facts, struct host_ports *ports, struct err *err)
{
    facts_addresses addresses = {0};
    int rc = facts_read_neighbours(facts, &addresses, err);
    for (size_t i = 0; rc == 0 && i < addresses.n; i++) {
        // The port stands for the pod: each may be any pod's, and all of one port one pod's.
        struct facts_owner owner = {.address = addresses.v[i]};
        rc = vec_push(&ports->owners, owner) < 0 ? err_oom(err) : 0;
    }
    vec_free(&addresses);
    if (ports->owners.n) {
        qsort(ports->owners.v, ports->owners.n, sizeof(*ports->owners.v), compare_owner);
    }
    size_t kept = 0;
    for (size_t i = 0; i < ports->owners.n; i++) {
        if (kept == 0 || compare_owner(&ports->owners.v[kept - 1], &ports->owners.v[i]) != 0) {
            ports->owners.v[kept++] = ports->owners.v[i];
        }
    }
    ports->owners.n = kept;
    return rc;
}

static void name_owners(struct host_ports *ports, const facts_claims *claims)
{
    for (size_t i = 0; i < claims->n; i++) {
        const struct facts_owner key = {.address = claims->v[i].address};
        struct facts_owner *owner = bsearch(&key, ports->owners.v, ports->owners.n, sizeof(key), compare_owner);
        if (owner) {
            memcpy(owner->pod, claims->v[i].port, sizeof(claims->v[i].port));
        }
    }
}

// Who owns an address is not known here: the book is believed as it is.
static int tell_known(struct host_ports *ports, struct err *err)
{
    for (size_t i = 0; i < ports->known.bindings.n; i++) {
        if (vec_push(&ports->told, ports->known.bindings.v[i].port) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int host_ports_print_facts(struct facts **ret, struct err *err)
{
    bool revoked[FAMILY_COUNT] = {false};
    CLEANUP(facts_free) struct facts *base = NULL;
    CLEANUP(host_ports_free) struct host_ports *ports = NULL;
    facts_claims claims = {0};
    if (host_ports_new(&ports, revoked, err) < 0 || facts_read(&base, err) < 0 || add_unnamed(base, ports, err) < 0) {
        return -1;
    }
    int rc = ask_kernel(ports, base, &claims, err);
    if (rc == 0) {
        name_owners(ports, &claims);
        rc = tell_known(ports, err);
    }
    if (rc == 0) {
        const struct facts_ports_news news = {
            .facts = base,
            .owners = ports->owners.v,
            .n_owners = ports->owners.n,
            .told = ports->told.v,
            .n_told = ports->told.n,
            .claims = claims.v,
            .n_claims = claims.n,
        };
        rc = facts_ports_update(&ports->known, &news, err);
    }
    vec_free(&claims);
    return rc < 0 ? -1 : host_ports_put(ports, base, revoked, ret, err);
}
