// SPDX-License-Identifier: Apache-2.0
#include "policy/index.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"

enum { OWNED_BITS = 32 };
_Static_assert((int)LIMIT_POD_ADDRESSES < (int)OWNED_BITS, "the addresses of a pod are numbered in 32 bits");

struct entry {
    const struct pod *pod;
    uint32_t owned;
    bool owned_known;
};

// One label key. values (label value → struct index_ids) is NULL until the key was asked for often enough.
struct label_key {
    size_t asked;  // pods that callers would have tested so far
    struct map *values;
};

struct index {
    struct state *state;
    struct entry *pods;
    uint32_t n_pods;
    struct index_namespace *namespaces;
    size_t n_namespaces;
    struct map *keys;  // label key → struct label_key
    struct {
        bool known;
        struct index_address *v;
        size_t n;
    } addresses[FAMILY_COUNT];
    struct map *ports;  // family, protocol, name → struct index_ports
};

static void label_values_free(struct map *values)
{
    for (struct map_entry *e = values ? map_first(values) : NULL; e; e = map_next(e)) {
        struct index_ids *ids = map_entry_value(e);
        vec_free(ids);
        free(ids);
    }
    map_free(values);
}

static void cleanup_label_values(struct map **values)
{
    label_values_free(*values);
}

void index_free(struct index *index)
{
    if (!index) {
        return;
    }
    for (struct map_entry *e = index->keys ? map_first(index->keys) : NULL; e; e = map_next(e)) {
        struct label_key *key = map_entry_value(e);
        label_values_free(key->values);
        free(key);
    }
    map_free(index->keys);
    for (struct map_entry *e = index->ports ? map_first(index->ports) : NULL; e; e = map_next(e)) {
        struct index_ports *ports = map_entry_value(e);
        vec_free(ports);
        free(ports);
    }
    map_free(index->ports);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        free(index->addresses[i].v);
    }
    free(index->namespaces);
    free(index->pods);
    free(index);
}

static void add_pod(struct index *index, const struct pod *pod)
{
    struct index_namespace *last = index->n_namespaces ? &index->namespaces[index->n_namespaces - 1] : NULL;
    if (!last || strcmp(last->name, pod->meta.ns) != 0) {
        last = &index->namespaces[index->n_namespaces++];
        *last = (struct index_namespace){
            .name = pod->meta.ns,
            .object = state_namespace(index->state, pod->meta.ns),
            .first = index->n_pods,
        };
    }
    last->n++;
    index->pods[index->n_pods++].pod = pod;
}

int index_new(struct state *state, struct index **ret, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    return !pods && n ? err_oom(err) : index_new_of(state, pods, n, ret, err);
}

int index_new_of(struct state *state, const struct pod *const *pods, size_t n, struct index **ret, struct err *err)
{
    CLEANUP(index_free) struct index *index = calloc(1, sizeof(*index));
    if (!index) {
        return err_oom(err);
    }
    if (n >= UINT32_MAX) {
        return err_set(err, ERR_LIMIT, 0, "%zu pods are more than can be numbered", n);
    }
    size_t n_namespaces = 0;
    for (size_t i = 0; i < n; i++) {
        n_namespaces += i == 0 || strcmp(pods[i - 1]->meta.ns, pods[i]->meta.ns) != 0;
    }
    index->state = state;
    index->keys = map_new();
    index->ports = map_new();
    index->pods = calloc(n + 1, sizeof(*index->pods));
    index->namespaces = calloc(n_namespaces + 1, sizeof(*index->namespaces));
    if (!index->keys || !index->ports || !index->pods || !index->namespaces) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (pod_is_live(pods[i])) {
            add_pod(index, pods[i]);
        }
    }
    *ret = TAKE(index);
    return 0;
}

uint32_t index_count(const struct index *index)
{
    return index->n_pods;
}

const struct pod *index_pod(const struct index *index, uint32_t id)
{
    return index->pods[id].pod;
}

const struct index_namespace *index_namespaces(const struct index *index, size_t *ret_n)
{
    *ret_n = index->n_namespaces;
    return index->namespaces;
}

static int compare_namespace_name(const void *name, const void *namespace)
{
    return strcmp(name, ((const struct index_namespace *)namespace)->name);
}

const struct index_namespace *index_namespace(const struct index *index, const char *name)
{
    return bsearch(name, index->namespaces, index->n_namespaces, sizeof(*index->namespaces), compare_namespace_name);
}

static bool unspecified(const struct address *address)
{
    return address_equal(address, &(struct address){.family = address->family});
}

bool index_owns(struct index *index, uint32_t id, size_t place)
{
    struct entry *entry = &index->pods[id];
    if (!entry->owned_known) {
        entry->owned_known = true;
        for (size_t i = 0; i < entry->pod->n_addresses && i < OWNED_BITS; i++) {
            const struct address *address = &entry->pod->addresses[i];
            if (!unspecified(address) && state_owner(index->state, address) == entry->pod) {
                entry->owned |= (uint32_t)1 << i;
            }
        }
    }
    return place < OWNED_BITS && (entry->owned >> place & 1);
}

static int compare_addresses(const void *a, const void *b)
{
    return address_compare(&((const struct index_address *)a)->address, &((const struct index_address *)b)->address);
}

int index_addresses(struct index *index, enum family family, const struct index_address **ret, size_t *ret_n,
                    struct err *err)
{
    if (!index->addresses[family].known) {
        VEC(struct index_address) all = {0};
        for (uint32_t id = 0; id < index->n_pods; id++) {
            const struct pod *pod = index->pods[id].pod;
            for (size_t i = 0; i < pod->n_addresses; i++) {
                struct index_address one = {.address = pod->addresses[i], .id = id};
                if (one.address.family == family && index_owns(index, id, i) && vec_push(&all, one) < 0) {
                    vec_free(&all);
                    return err_oom(err);
                }
            }
        }
        if (all.n > 1) {
            qsort(all.v, all.n, sizeof(*all.v), compare_addresses);
        }
        index->addresses[family].known = true;
        index->addresses[family].v = all.v;
        index->addresses[family].n = all.n;
    }
    *ret = index->addresses[family].v;
    *ret_n = index->addresses[family].n;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

// The numbers that the name has on the pod of one address.
static int add_ports(struct index_ports *to, uint32_t at, const struct pod *pod, uint8_t protocol, const char *name)
{
    enum { USUAL = 8 };
    uint16_t few[USUAL];
    size_t n = pod_named_ports(pod, name, protocol, few, USUAL);
    CLEANUP(free) uint16_t *many = n > USUAL ? malloc(n * sizeof(*many)) : NULL;
    if (n > USUAL) {
        if (!many) {
            return -1;
        }
        (void)pod_named_ports(pod, name, protocol, many, n);
    }
    uint16_t *numbers = many ? many : few;
    if (n > 1) {
        qsort(numbers, n, sizeof(*numbers), compare_numbers);
    }
    for (size_t i = 0; i < n; i++) {
        if ((i == 0 || numbers[i] != numbers[i - 1]) &&
            vec_push(to, (struct index_port){.at = at, .number = numbers[i]}) < 0) {
            return -1;
        }
    }
    return 0;
}

static int build_ports(struct index *index, enum family family, uint8_t protocol, const char *name,
                       struct index_ports *to, struct err *err)
{
    const struct index_address *addresses;
    size_t n;
    if (index_addresses(index, family, &addresses, &n, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (add_ports(to, (uint32_t)i, index->pods[addresses[i].id].pod, protocol, name) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int index_named_ports(struct index *index, enum family family, uint8_t protocol, const char *name,
                      const struct index_ports **ret, struct err *err)
{
    BUF_CLEANUP struct buf key = {0};
    buf_printf(&key, "%u/%u/%s", family_number(family), protocol, name);
    if (key.failed) {
        return err_oom(err);
    }
    struct index_ports *ports = map_get_str(index->ports, key.data);
    if (!ports) {
        ports = calloc(1, sizeof(*ports));
        if (!ports || map_put_str(index->ports, key.data, ports, NULL) < 0) {
            free(ports);
            return err_oom(err);
        }
        if (build_ports(index, family, protocol, name, ports, err) < 0) {
            vec_free(ports);
            free(map_del_str(index->ports, key.data));
            return -1;
        }
    }
    *ret = ports;
    return 0;
}

static int add_value(struct map *values, const char *value, uint32_t id)
{
    struct index_ids *ids = map_get_str(values, value);
    if (!ids) {
        ids = calloc(1, sizeof(*ids));
        if (!ids || map_put_str(values, value, ids, NULL) < 0) {
            free(ids);
            return -1;
        }
    }
    return vec_push(ids, id);
}

static int build_values(struct index *index, const char *key, struct label_key *to)
{
    __attribute__((cleanup(cleanup_label_values))) struct map *values = map_new();
    for (uint32_t id = 0; values && id < index->n_pods; id++) {
        const char *value = labels_get(&index->pods[id].pod->meta.labels, key);
        if (value && add_value(values, value, id) < 0) {
            return -1;
        }
    }
    to->values = TAKE(values);
    return to->values ? 0 : -1;
}

int index_by_label(struct index *index, const char *key, const char *value, size_t worth, const struct index_ids **ret,
                   bool *ret_known, struct err *err)
{
    struct label_key *entry = map_get_str(index->keys, key);
    if (!entry) {
        entry = calloc(1, sizeof(*entry));
        if (!entry || map_put_str(index->keys, key, entry, NULL) < 0) {
            free(entry);
            return err_oom(err);
        }
    }
    entry->asked += worth;
    if (!entry->values && entry->asked >= index->n_pods && build_values(index, key, entry) < 0) {
        return err_oom(err);
    }
    *ret_known = entry->values != NULL;
    *ret = entry->values ? map_get_str(entry->values, value) : NULL;
    return 0;
}
