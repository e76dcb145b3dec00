// SPDX-License-Identifier: Apache-2.0
//
// The driver: pods of the node → who isolates them → chains and leaves → trees → top chains; then everything is sorted
// into the ruleset. Policies of namespaces without a pod of the node are never looked at.
#include "policy/compile_build.h"

#include "policy/names.h"

int compile_add_chain(struct compile *compile, enum family family, const char *name, const struct compile_rules *rules,
                      struct err *err)
{
    struct rule *copy = arena_alloc(&compile->out->arena, rules->n * sizeof(*copy));
    if (!copy) {
        return err_oom(err);
    }
    for (size_t i = 0; i < rules->n; i++) {
        copy[i] = rules->v[i];
        compile->tables[family].drops |= copy[i].chain && strcmp(copy[i].chain, NAMES_DROP) == 0;
    }
    struct chain chain = {.name = name, .rules = copy, .n_rules = rules->n};
    return vec_push(&compile->tables[family].chains, chain) < 0 ? err_oom(err) : 0;
}

// ---- one compile's memory ------------------------------------------------------------------------------------------

static void compile_done(struct compile *compile)
{
    for (struct map_entry *e = compile->unions ? map_first(compile->unions) : NULL; e; e = map_next(e)) {
        compile_union_free(map_entry_value(e));
    }
    for (struct map_entry *e = compile->programs ? map_first(compile->programs) : NULL; e; e = map_next(e)) {
        compile_program_free(map_entry_value(e));
    }
    map_free(compile->unions);
    map_free(compile->programs);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        struct compile_table *table = &compile->tables[i];
        vec_free(&table->chains);
        vec_free(&table->sets);
        vec_free(&table->hooks);
        map_free(table->chains_taken);
        map_free(table->sets_taken);
        map_free(table->policy_chains);
        map_free(table->set_names);
        for (size_t d = 0; d < DIRECTION_COUNT; d++) {
            vec_free(&table->leaves[d]);
        }
    }
    vec_free(&compile->local);
    vec_free(&compile->interfaces);
    vec_free(&compile->unknown);
    index_free(compile->index);
    index_free(compile->everyone);
    arena_free(&compile->scratch);
    ruleset_free(compile->out);
}

static int compile_init(struct compile *compile, struct err *err)
{
    compile->out = calloc(1, sizeof(*compile->out));
    compile->unions = map_new();
    compile->programs = map_new();
    if (!compile->out || !compile->unions || !compile->programs) {
        return err_oom(err);
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        struct compile_table *table = &compile->tables[i];
        table->family = (enum family)i;
        table->chains_taken = map_new();
        table->sets_taken = map_new();
        table->policy_chains = map_new();
        table->set_names = map_new();
        if (!table->chains_taken || !table->sets_taken || !table->policy_chains || !table->set_names) {
            return err_oom(err);
        }
    }
    return compile->index ? 0 : index_new(compile->state, &compile->index, err);
}

struct index *compile_everyone(struct compile *compile, struct err *err)
{
    if (!compile->provider) {
        return compile->index;
    }
    if (!compile->everyone && index_new(compile->state, &compile->everyone, err) < 0) {
        return NULL;
    }
    return compile->everyone;
}

// ---- pods of the node ----------------------------------------------------------------------------------------------

static int find_local(struct compile *compile, struct err *err)
{
    // Without a name nothing is local: pods that are not scheduled yet have none either.
    uint32_t n = compile->node[0] ? index_count(compile->index) : 0;
    for (uint32_t id = 0; id < n; id++) {
        if (strcmp(index_pod(compile->index, id)->node, compile->node) == 0 && vec_push(&compile->local, id) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

// The interfaces behind which an enforced pod sits; *ret_owns: it owns an address at all.
static int look_at_addresses(struct compile *compile, uint32_t id, bool *ret_owns, struct err *err)
{
    const struct pod *pod = index_pod(compile->index, id);
    *ret_owns = false;
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (!index_owns(compile->index, id, i)) {
            continue;
        }
        *ret_owns = true;
        const struct facts_interface *interface =
            compile->facts ? facts_pod_interface(compile->facts, &pod->addresses[i]) : NULL;
        if (interface && compile_add_interface(&compile->interfaces, interface) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

// Of the policies of the pod's namespace, those that isolate it; active gets a mark for each that selects it.
static int isolating_policies(const struct policy *const *policies, size_t n, const struct pod *pod, bool *active,
                              struct compile_policies to[DIRECTION_COUNT], struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!select_subject_matches(&policies[i]->subject, pod)) {
            continue;
        }
        active[i] = true;
        for (size_t d = 0; d < DIRECTION_COUNT; d++) {
            if (policies[i]->isolates[d] && vec_push(&to[d], policies[i]) < 0) {
                return err_oom(err);
            }
        }
    }
    return 0;
}

static int enforce_pod(struct compile *compile, uint32_t id, struct compile_policies by[DIRECTION_COUNT],
                       struct err *err)
{
    bool owns;
    if (by[DIRECTION_INGRESS].n == 0 && by[DIRECTION_EGRESS].n == 0) {
        return 0;
    }
    if (look_at_addresses(compile, id, &owns, err) < 0) {
        return -1;
    }
    compile->enforced_pods += owns;
    for (enum direction d = DIRECTION_INGRESS; owns && d <= DIRECTION_EGRESS; d++) {
        if (by[d].n > 0 && compile_pod(compile, id, d, &by[d], err) < 0) {
            return -1;
        }
    }
    return 0;
}

// local[from..to) are the node's pods of one namespace.
static int enforce_namespace(struct compile *compile, size_t from, size_t to, struct err *err)
{
    size_t n;
    const char *ns = index_pod(compile->index, compile->local.v[from])->meta.ns;
    const struct policy *const *policies = state_policies_of(compile->state, ns, &n);
    if (!policies) {
        return n ? err_oom(err) : 0;
    }
    CLEANUP(free) bool *active = calloc(n, sizeof(*active));
    if (!active) {
        return err_oom(err);
    }
    struct compile_policies by[DIRECTION_COUNT] = {{0}};
    int rc = 0;
    for (size_t i = from; rc == 0 && i < to; i++) {
        uint32_t id = compile->local.v[i];
        by[DIRECTION_INGRESS].n = by[DIRECTION_EGRESS].n = 0;
        rc = isolating_policies(policies, n, index_pod(compile->index, id), active, by, err);
        rc = rc < 0 ? -1 : enforce_pod(compile, id, by, err);
    }
    for (size_t d = 0; d < DIRECTION_COUNT; d++) {
        vec_free(&by[d]);
    }
    for (size_t i = 0; i < n; i++) {
        compile->active_policies += active[i];
    }
    return rc;
}

static int enforce_pods(struct compile *compile, struct err *err)
{
    for (size_t from = 0, to = 0; from < compile->local.n; from = to) {
        const char *ns = index_pod(compile->index, compile->local.v[from])->meta.ns;
        for (to = from + 1; to < compile->local.n; to++) {
            if (strcmp(index_pod(compile->index, compile->local.v[to])->meta.ns, ns) != 0) {
                break;
            }
        }
        if (enforce_namespace(compile, from, to, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- the ruleset ---------------------------------------------------------------------------------------------------

static int compare_chains(const void *a, const void *b)
{
    return strcmp(((const struct chain *)a)->name, ((const struct chain *)b)->name);
}

static int compare_sets(const void *a, const void *b)
{
    return strcmp(((const struct set *)a)->name, ((const struct set *)b)->name);
}

// A copy in the ruleset's arena, sorted unless compare is NULL; NULL when memory is out.
static void *settle(struct compile *compile, const void *items, size_t n, size_t size,
                    int (*compare)(const void *, const void *))
{
    void *copy = arena_alloc(&compile->out->arena, n * size);
    if (copy && n) {
        memcpy(copy, items, n * size);
    }
    if (copy && n > 1 && compare) {
        qsort(copy, n, size, compare);
    }
    return copy;
}

static int settle_table(struct compile *compile, enum family family, struct err *err)
{
    const struct compile_table *from = &compile->tables[family];
    struct table *to = &compile->out->tables[family];
    to->chains = settle(compile, from->chains.v, from->chains.n, sizeof(*from->chains.v), compare_chains);
    to->sets = settle(compile, from->sets.v, from->sets.n, sizeof(*from->sets.v), compare_sets);
    to->hooks = settle(compile, from->hooks.v, from->hooks.n, sizeof(*from->hooks.v), NULL);
    to->n_chains = from->chains.n;
    to->n_sets = from->sets.n;
    to->n_hooks = from->hooks.n;
    return to->chains && to->sets && to->hooks ? 0 : err_oom(err);
}

static int compile_all(struct compile *compile, struct err *err)
{
    if (compile_init(compile, err) < 0 || find_local(compile, err) < 0 || enforce_pods(compile, err) < 0) {
        return -1;
    }
    // The trees of both families first: the guards of one ask which pods the other isolates.
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        if (compile_tree(compile, family, DIRECTION_EGRESS, err) < 0 ||
            compile_tree(compile, family, DIRECTION_INGRESS, err) < 0) {
            return -1;
        }
    }
    if (compile_places(compile, err) < 0 || compile_unknown_places(compile, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        if (compile_hooks(compile, family, err) < 0 || settle_table(compile, family, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static struct compile_stats stats_of(const struct compile *compile)
{
    return (struct compile_stats){
        .local_pods = compile->local.n,
        .enforced_pods = compile->enforced_pods,
        .active_policies = compile->active_policies,
        .unguarded_pods = compile->places.n_unguarded,
    };
}

static int count_unenforceable(struct state *state, size_t *ret, struct err *err)
{
    size_t n;
    const struct policy *const *policies = state_policies(state, &n);
    if (!policies && n) {
        return err_oom(err);
    }
    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        *ret += policies[i]->unenforceable;
    }
    return 0;
}

int compile_ruleset(struct state *state, const char *node, const struct facts *facts,
                    const struct policy_options *options, struct ruleset **ret, struct compile_stats *ret_stats,
                    struct err *err)
{
    struct compile_stats stats = {0};
    __attribute__((cleanup(compile_done))) struct compile compile = {
        .state = state, .node = node, .facts = facts, .options = options};
    if (compile_all(&compile, err) < 0) {
        return -1;
    }
    stats = stats_of(&compile);
    if (ret_stats && count_unenforceable(state, &stats.unenforceable, err) < 0) {
        return -1;
    }
    if (ret_stats) {
        *ret_stats = stats;
    }
    *ret = TAKE(compile.out);
    return 0;
}

int compile_provided(struct state *state, const char *node, const struct facts *facts,
                     const struct policy_options *options, const struct pod *const *pods, size_t n_pods,
                     const struct compile_provider *provider, struct ruleset **ret, struct compile_stats *ret_stats,
                     struct err *err)
{
    __attribute__((cleanup(compile_done))) struct compile compile = {
        .state = state, .node = node, .facts = facts, .options = options, .provider = provider};
    if (index_new_of(state, pods, n_pods, &compile.index, err) < 0 || compile_all(&compile, err) < 0) {
        return -1;
    }
    *ret_stats = stats_of(&compile);
    *ret = TAKE(compile.out);
    return 0;
}
