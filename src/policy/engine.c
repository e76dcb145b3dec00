// SPDX-License-Identifier: Apache-2.0
#include "policy/engine_private.h"

#include "base/limits.h"

enum { KEY_MAX = 2 * (LIMIT_NAME + 1) };

void engine_drop_targets(struct engine *engine)
{
    for (struct map_entry *e = engine->targets ? map_first(engine->targets) : NULL; e; e = map_next(e)) {
        engine_target_free(map_entry_value(e));
    }
    map_free(engine->targets);
    engine_match_free(engine->match);
    engine->targets = NULL;
    engine->match = NULL;
}

void engine_drop_reports(struct engine *engine)
{
    for (size_t i = 0; i < engine->reports.n; i++) {
        engine_list_free(&engine->reports.v[i].list);
    }
    engine->reports.n = 0;
    engine->told.n = 0;
    engine->touched.n = 0;
}

// ---- the node's pods -----------------------------------------------------------------------------------------------

// 0: a name that is too long for any object.
static size_t make_key(const char *ns, const char *name, char key[KEY_MAX])
{
    size_t n_ns = strlen(ns) + 1;
    size_t n_name = strlen(name) + 1;
    if (n_ns + n_name > KEY_MAX) {
        return 0;
    }
    memcpy(key, ns, n_ns);
    memcpy(key + n_ns, name, n_name);
    return n_ns + n_name;
}

static bool is_local(const struct engine *engine, const struct pod *pod)
{
    return pod && *engine->node && strcmp(pod->node, engine->node) == 0 && pod_is_live(pod);
}

static int note_local(struct engine *engine, const struct object_meta *meta)
{
    char key[KEY_MAX];
    size_t len = make_key(meta->ns, meta->name, key);
    if (is_local(engine, state_pod(engine->state, meta->ns, meta->name))) {
        return map_put(engine->local, key, len, engine, NULL);
    }
    (void)map_del(engine->local, key, len);
    return 0;
}

static bool has_local(const struct engine *engine, const char *ns)
{
    for (struct map_entry *e = map_first(engine->local); e; e = map_next(e)) {
        size_t len;
        if (strcmp(map_entry_key(e, &len), ns) == 0) {
            return true;
        }
    }
    return false;
}

int engine_reset(struct engine *engine)
{
    size_t n_pods;
    size_t n_policies;
    engine_drop_targets(engine);
    map_free(engine->local);
    engine->local = map_new();
    engine->targets = map_new();
    engine->match = engine_match_new(NULL);
    const struct pod *const *pods = state_pods(engine->state, &n_pods);
    const struct policy *const *policies = state_policies(engine->state, &n_policies);
    if (!engine->local || !engine->targets || !engine->match || (!pods && n_pods) || (!policies && n_policies)) {
        return -1;
    }
    for (size_t i = 0; i < n_pods; i++) {
        if (is_local(engine, pods[i]) && note_local(engine, &pods[i]->meta) < 0) {
            return -1;
        }
    }
    engine->unenforceable = 0;
    for (size_t i = 0; i < n_policies; i++) {
        engine->unenforceable += policies[i]->unenforceable;
    }
    return 0;
}

// ---- around a change of the state ----------------------------------------------------------------------------------

static int add_addresses(struct engine *engine, const struct pod *pod)
{
    for (size_t i = 0; pod && i < pod->n_addresses; i++) {
        if (vec_push(&engine->affected, pod->addresses[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_addresses(const void *a, const void *b)
{
    return address_compare(a, b);
}

// Each once.
static void settle_addresses(struct engine *engine)
{
    size_t n = engine->affected.n;
    struct address *v = engine->affected.v;
    if (n < 2) {
        return;
    }
    qsort(v, n, sizeof(*v), compare_addresses);
    size_t kept = 0;
    for (size_t i = 1; i < n; i++) {
        if (!address_equal(&v[kept], &v[i])) {
            v[++kept] = v[i];
        }
    }
    engine->affected.n = kept + 1;
}

static int affected_by_namespace(struct engine *engine, const char *ns)
{
    size_t n;
    const struct pod *const *pods = state_pods_of(engine->state, ns, &n);
    if (!pods && n) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (add_addresses(engine, pods[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

// The seats of the affected addresses as the state is now. *ret_local: a pod of the node owns one of them.
static int take_seats(struct engine *engine, struct engine_seats *to, bool *ret_local)
{
    bool follows = map_size(engine->targets) > 0;
    bool local = false;
    to->n = 0;
    for (size_t i = 0; i < engine->affected.n; i++) {
        const struct address *address = &engine->affected.v[i];
        const struct pod *owner = state_owner(engine->state, address);
        local = local || is_local(engine, owner);
        if (follows && owner && engine_match_seats(engine->match, engine->state, owner, address, to) < 0) {
            return -1;
        }
    }
    *ret_local = local;
    return 0;
}

static int compare_seats(const void *a, const void *b)
{
    const struct engine_seat *x = a;
    const struct engine_seat *y = b;
    if (x->target != y->target) {
        return (uintptr_t)x->target < (uintptr_t)y->target ? -1 : 1;
    }
    return set_member_compare(&x->member, &y->member);
}

// Sorted, each once.
static void settle_seats(struct engine_seats *seats)
{
    if (seats->n < 2) {
        return;
    }
    qsort(seats->v, seats->n, sizeof(*seats->v), compare_seats);
    size_t kept = 0;
    for (size_t i = 1; i < seats->n; i++) {
        if (compare_seats(&seats->v[kept], &seats->v[i]) != 0) {
            seats->v[++kept] = seats->v[i];
        }
    }
    seats->n = kept + 1;
}

static int change_seats(struct engine *engine)
{
    struct engine_seats *before = &engine->before;
    struct engine_seats *after = &engine->after;
    settle_seats(before);
    settle_seats(after);
    for (size_t i = 0, j = 0; i < before->n || j < after->n;) {
        int order = i == before->n ? 1 : j == after->n ? -1 : compare_seats(&before->v[i], &after->v[j]);
        const struct engine_seat *seat = order < 0 ? &before->v[i] : &after->v[j];
        if (order != 0 && engine_target_change(seat->target, &seat->member, order > 0) < 0) {
            return -1;
        }
        i += order <= 0;
        j += order >= 0;
    }
    return 0;
}

static const struct object_meta *meta_of(const void *old, const void *new)
{
    // The metadata stands first in every object.
    return old ? old : new;
}

static int begin(struct engine *engine, enum object_kind kind, const void *old, const void *new)
{
    engine->affected.n = 0;
    engine->before.n = engine->after.n = 0;
    engine->local_before = false;
    if (kind == OBJECT_POLICY && old) {
        engine->unenforceable -= ((const struct policy *)old)->unenforceable;
    }
    // A store that is filled for the first time is compiled as a whole afterwards.
    bool follows = engine->kept || map_size(engine->targets) > 0;
    if (kind == OBJECT_POD) {
        engine->local_before = is_local(engine, old);
        if (follows && (add_addresses(engine, old) < 0 || add_addresses(engine, new) < 0)) {
            return -1;
        }
    } else if (kind == OBJECT_NAMESPACE && map_size(engine->targets) > 0 &&
               affected_by_namespace(engine, meta_of(old, new)->name) < 0) {
        return -1;
    }
    settle_addresses(engine);
    bool local;
    if (take_seats(engine, &engine->before, &local) < 0) {
        return -1;
    }
    engine->local_before = engine->local_before || (kind == OBJECT_POD && local);
    return 0;
}

static int end(struct engine *engine, enum object_kind kind, const struct object_meta *meta)
{
    bool local;
    if (take_seats(engine, &engine->after, &local) < 0 || change_seats(engine) < 0) {
        return -1;
    }
    if (kind == OBJECT_POD) {
        bool is = is_local(engine, state_pod(engine->state, meta->ns, meta->name));
        engine->changes += engine->local_before || local || is;
        return is || engine->local_before ? note_local(engine, meta) : 0;
    }
    if (kind == OBJECT_POLICY) {
        const struct policy *policy = state_policy(engine->state, meta->ns, meta->name);
        engine->unenforceable += policy && policy->unenforceable;
        engine->changes += has_local(engine, meta->ns);
    }
    engine->changes += kind == OBJECT_NODE;
    return 0;
}

static void on_before(enum object_kind kind, const void *old, const void *new, void *arg)
{
    struct engine *engine = arg;
    if (!engine->lost && begin(engine, kind, old, new) < 0) {
        engine->lost = true;
    }
}

static void on_after(enum object_kind kind, const void *old, const void *new, void *arg)
{
    struct engine *engine = arg;
    if (!engine->lost && end(engine, kind, meta_of(old, new)) < 0) {
        engine->lost = true;
    }
}

// ---- the object ----------------------------------------------------------------------------------------------------

int engine_new(struct state *state, const char *node, const struct policy_options *options, struct engine **ret,
               struct err *err)
{
    CLEANUP(engine_free) struct engine *engine = calloc(1, sizeof(*engine));
    if (!engine) {
        return err_oom(err);
    }
    engine->node = strdup(node);
    engine->options = *options;
    engine->state = state;
    if (!engine->node || engine_reset(engine) < 0) {
        return err_oom(err);
    }
    engine->changes = engine->alarms = 1;
    engine->observer = (struct state_observer){.before = on_before, .after = on_after, .arg = engine};
    state_observe(state, &engine->observer);
    *ret = TAKE(engine);
    return 0;
}

void engine_free(struct engine *engine)
{
    if (!engine) {
        return;
    }
    if (engine->observer.arg) {
        state_observe(engine->state, NULL);
    }
    engine_drop_reports(engine);
    engine_drop_targets(engine);
    map_free(engine->local);
    ruleset_free(engine->have);
    ruleset_free(engine->next);
    ruleset_free(engine->kept);
    vec_free(&engine->affected);
    vec_free(&engine->before);
    vec_free(&engine->after);
    vec_free(&engine->reports);
    vec_free(&engine->told);
    vec_free(&engine->touched);
    free(engine->node);
    free(engine);
}

void engine_facts(struct engine *engine, const struct facts *facts)
{
    engine->facts = facts;
    engine->changes++;
    engine->alarms++;
}

void engine_sizes(const struct engine *engine, struct engine_sizes *ret)
{
    *ret = (struct engine_sizes){
        .selectors = engine->targets ? map_size(engine->targets) : 0,
        .tested = engine->match ? engine_match_tested(engine->match) : 0,
        .compiles = engine->compiles,
    };
}
