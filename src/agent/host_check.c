// SPDX-License-Identifier: Apache-2.0
#include "agent/host_check.h"

#include "host/facts_check.h"

typedef VEC(const char *) name_list;

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_unique(name_list *names)
{
    if (names->n < 2) {
        return;
    }
    qsort(names->v, names->n, sizeof(*names->v), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < names->n; i++) {
        if (strcmp(names->v[i], names->v[kept - 1]) != 0) {
            names->v[kept++] = names->v[i];
        }
    }
    names->n = kept;
}

// A bridge needs the switch of IPv4 for pods that have an IPv4 address, and that of IPv6 for all of them: link-local
// addresses are there without being given (DESIGN 11).
static int add_bridges(const struct facts *facts, const struct pod *pod, name_list bridges[FAMILY_COUNT])
{
    bool has_v4 = false;
    for (size_t i = 0; i < pod->n_addresses; i++) {
        has_v4 = has_v4 || pod->addresses[i].family == FAMILY_V4;
    }
    for (size_t i = 0; i < pod->n_addresses; i++) {
        const struct facts_interface *behind = facts_pod_interface(facts, &pod->addresses[i]);
        if (!behind || strcmp(behind->kind, "bridge") != 0) {
            continue;
        }
        if (vec_push(&bridges[FAMILY_V6], behind->name) < 0 ||
            (has_v4 && vec_push(&bridges[FAMILY_V4], behind->name) < 0)) {
            return -1;
        }
    }
    return 0;
}

static int collect(const struct facts *facts, struct state *state, const char *node, name_list bridges[FAMILY_COUNT],
                   struct facts_check **ret, struct err *err)
{
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (!pods && n) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pods[i]->node, node) == 0 && pod_is_live(pods[i]) && add_bridges(facts, pods[i], bridges) < 0) {
            return err_oom(err);
        }
    }
    const char *const *lists[FAMILY_COUNT];
    size_t counts[FAMILY_COUNT];
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        sort_unique(&bridges[family]);
        lists[family] = bridges[family].v;
        counts[family] = bridges[family].n;
    }
    return facts_check(facts, lists, counts, ret, err);
}

static int check(const struct facts *facts, struct state *state, const char *node, struct facts_check **ret,
                 struct err *err)
{
    name_list bridges[FAMILY_COUNT] = {0};
    int rc = collect(facts, state, node, bridges, ret, err);
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        vec_free(&bridges[family]);
    }
    return rc;
}

int host_check_all(const struct facts *facts, struct state *state, const char *node, bool ret_ok[FAMILY_COUNT],
                   struct buf *out, bool *ret_vlan_ok, struct buf *vlan_out, struct err *err)
{
    CLEANUP(facts_check_free) struct facts_check *got = NULL;
    if (check(facts, state, node, &got, err) < 0) {
        return -1;
    }
    *ret_vlan_ok = true;
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        ret_ok[family] = true;
    }
    for (size_t i = 0; i < got->n; i++) {
        const struct facts_finding *finding = &got->findings[i];
        struct buf *to = finding->vlan ? vlan_out : out;
        *(finding->vlan ? ret_vlan_ok : &ret_ok[finding->family]) = false;
        buf_printf(to, "%s%s", to->len ? "; " : "", finding->text);
    }
    return out->failed || vlan_out->failed ? err_oom(err) : 0;
}

int host_check_bridges(const struct facts *facts, struct state *state, const char *node, bool ret_ok[FAMILY_COUNT],
                       struct buf *out, struct err *err)
{
    BUF_CLEANUP struct buf vlan = {0};
    bool vlan_ok = true;
    return host_check_all(facts, state, node, ret_ok, out, &vlan_ok, &vlan, err);
}
