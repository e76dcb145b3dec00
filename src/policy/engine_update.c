// SPDX-License-Identifier: Apache-2.0
#include "policy/engine_private.h"

// The delta of a set is merged into its members when it is longer than this, and than a share of them.
enum { DELTA_MAX = 64, DELTA_SHARE = 8 };

// ---- compiling -----------------------------------------------------------------------------------------------------

static struct set_members *known(void *arg, enum family family, const char *text)
{
    const struct engine *engine = arg;
    struct engine_target *target = map_get_str(engine->targets, text);
    return target && target->members[family].base ? engine_target_members(target, family) : NULL;
}

static int follow(struct engine *engine, struct engine_target *target, enum family family, struct set_members *members)
{
    return engine_target_follow(target, family, members) < 0 ||
                   map_put_str(engine->targets, target->text, target, NULL) < 0
               ? -1
               : 0;
}

static int made_pods(void *arg, enum family family, const struct compile_union *u, struct set_members *members)
{
    struct engine *engine = arg;
    struct engine_target *present = map_get_str(engine->targets, u->text);
    if (present) {
        return engine_target_follow(present, family, members);
    }
    CLEANUP(engine_target_free) struct engine_target *target = engine_target_of_union(u);
    if (!target || engine_match_add(engine->match, target) < 0 || follow(engine, target, family, members) < 0) {
        return -1;
    }
    (void)TAKE(target);
    return 0;
}

static int made_named(void *arg, enum family family, const char *text, struct compile_group *const *groups, size_t n,
                      struct set_members *members)
{
    struct engine *engine = arg;
    struct engine_target *present = map_get_str(engine->targets, text);
    if (present) {
        return engine_target_follow(present, family, members);
    }
    CLEANUP(engine_target_free) struct engine_target *target = engine_target_of_groups(text, groups, n, family);
    if (!target || engine_match_add(engine->match, target) < 0 || follow(engine, target, family, members) < 0) {
        return -1;
    }
    (void)TAKE(target);
    return 0;
}

static int placed(void *arg, enum family family, const char *text, const char *name)
{
    struct engine *engine = arg;
    struct engine_target *target = engine->marking ? map_get_str(engine->targets, text) : NULL;
    if (target) {
        char *to = target->members[family].name;
        memcpy(to, name, strlen(name) + 1);
        target->compile = engine->compile;
    }
    return 0;
}

static int compare_pods(const void *a, const void *b)
{
    const struct object_meta *x = &(*(const struct pod *const *)a)->meta;
    const struct object_meta *y = &(*(const struct pod *const *)b)->meta;
    int order = strcmp(x->ns, y->ns);
    return order ? order : strcmp(x->name, y->name);
}

static int compile(struct engine *engine, struct ruleset **ret, struct compile_stats *stats, struct err *err)
{
    size_t n = 0;
    CLEANUP(free) const struct pod **pods = calloc(map_size(engine->local) + 1, sizeof(*pods));
    for (struct map_entry *e = pods ? map_first(engine->local) : NULL; e; e = map_next(e)) {
        size_t len;
        const char *ns = map_entry_key(e, &len);
        const struct pod *pod = state_pod(engine->state, ns, ns + strlen(ns) + 1);
        if (pod) {
            pods[n++] = pod;
        }
    }
    if (!pods) {
        return err_oom(err);
    }
    if (n > 1) {
        qsort(pods, n, sizeof(*pods), compare_pods);
    }
    const struct compile_provider provider = {
        .arg = engine, .known = known, .made_pods = made_pods, .made_named = made_named, .placed = placed};
    engine->compiles++;
    int rc = compile_provided(engine->state, engine->node, engine->facts, &engine->options, pods, n, &provider, ret,
                              stats, err);
    if (rc < 0) {
        // Targets that were made by half are in the index of selectors.
        engine->lost = true;
    }
    return rc;
}

int engine_ruleset(struct engine *engine, struct ruleset **ret, struct err *err)
{
    struct compile_stats stats;
    if (engine->lost) {
        return err_set(err, ERR_RETRY, 0, "an update must come first: memory was out");
    }
    return compile(engine, ret, &stats, err);
}

// ---- comparing -----------------------------------------------------------------------------------------------------

// All but the members of sets.
static bool same_rules(const struct table *a, const struct table *b)
{
    if (a->n_chains != b->n_chains || a->n_sets != b->n_sets || !table_hooks_equal(a, b)) {
        return false;
    }
    for (size_t i = 0; i < a->n_sets; i++) {
        if (strcmp(a->sets[i].name, b->sets[i].name) != 0 || a->sets[i].type != b->sets[i].type) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_chains; i++) {
        if (!chain_equal(&a->chains[i], &b->chains[i])) {
            return false;
        }
    }
    return true;
}

static int list_difference(const struct set *from, const struct set *to, struct engine_list *ret)
{
    struct engine_list list = {0};
    int rc = 0;
    for (size_t i = 0, j = 0; rc == 0 && (i < from->n_members || j < to->n_members);) {
        int order = i == from->n_members ? 1
                    : j == to->n_members ? -1
                                         : set_member_compare(&from->members[i], &to->members[j]);
        if (order < 0) {
            rc = vec_push(&list.remove, from->members[i]);
        } else if (order > 0) {
            rc = vec_push(&list.add, to->members[j]);
        }
        i += order <= 0;
        j += order >= 0;
    }
    if (rc < 0) {
        engine_list_free(&list);
        return -1;
    }
    *ret = list;
    return 0;
}

static int add_report(struct engine *engine, const struct engine_report *report)
{
    if (vec_push(&engine->reports, *report) < 0) {
        struct engine_list list = report->list;
        engine_list_free(&list);
        return -1;
    }
    return 0;
}

// The targets of a family by the names of their sets; NULL when memory is out.
static struct map *targets_by_name(const struct engine *engine, enum family family)
{
    CLEANUP(map_free) struct map *names = map_new();
    for (struct map_entry *e = names ? map_first(engine->targets) : NULL; e; e = map_next(e)) {
        struct engine_target *target = map_entry_value(e);
        if (*target->members[family].name && map_put_str(names, target->members[family].name, target, NULL) < 0) {
            return NULL;
        }
    }
    return TAKE(names);
}

// What is pending in the sets that are followed.
static int report_targets(struct engine *engine)
{
    for (struct map_entry *e = map_first(engine->targets); e; e = map_next(e)) {
        struct engine_target *target = map_entry_value(e);
        for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
            struct engine_members *members = &target->members[family];
            if (!members->base || map_size(members->pending) == 0) {
                continue;
            }
            const struct set *kept =
                engine->kept && *members->name ? table_set(&engine->kept->tables[family], members->name) : NULL;
            struct engine_report report = {
                .target = target, .family = family, .set = members->name, .type = target->type, .told = kept != NULL};
            if (engine_target_pending(target, family, &report.list) < 0 || add_report(engine, &report) < 0) {
                return -1;
            }
            size_t delta = map_size(members->delta);
            if (delta > DELTA_MAX && delta > members->base->n / DELTA_SHARE && !engine_target_members(target, family)) {
                return -1;
            }
        }
    }
    return 0;
}

// The other sets change with compiles only.
static int report_others(struct engine *engine)
{
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        const struct table *from = &engine->kept->tables[family];
        const struct table *to = &engine->next->tables[family];
        CLEANUP(map_free) struct map *names = targets_by_name(engine, family);
        if (!names) {
            return -1;
        }
        for (size_t i = 0; i < to->n_sets; i++) {
            const struct set *old = table_set(from, to->sets[i].name);
            if (!old || old->type != to->sets[i].type || set_equal(old, &to->sets[i]) ||
                map_get_str(names, to->sets[i].name)) {
                continue;
            }
            struct engine_report report = {.family = family, .set = to->sets[i].name, .type = old->type, .told = true};
            if (list_difference(old, &to->sets[i], &report.list) < 0 || add_report(engine, &report) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int tell_reports(struct engine *engine)
{
    for (size_t i = 0; i < engine->reports.n; i++) {
        const struct engine_report *report = &engine->reports.v[i];
        const struct engine_change change = {
            .family = report->family,
            .set = report->set,
            .type = report->type,
            .add = report->list.add.v,
            .n_add = report->list.add.n,
            .remove = report->list.remove.v,
            .n_remove = report->list.remove.n,
            .allows = report->target != NULL,
        };
        if (report->told && vec_push(&engine->told, change) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- what the kernel holds -----------------------------------------------------------------------------------------

// The members of a followed set before what is pending in it.
static int members_before(struct ruleset *have, struct engine_target *target, enum family family, struct set *set)
{
    struct set_members *present = engine_target_members(target, family);
    struct engine_list pending;
    if (!present || engine_target_pending(target, family, &pending) < 0) {
        return -1;
    }
    if (pending.add.n + pending.remove.n == 0) {
        set->members = present->v;
        set->n_members = present->n;
        return ruleset_share(have, present);
    }
    CLEANUP(set_members_free) struct set_members *before = set_members_new(present->n + pending.remove.n);
    size_t n = 0;
    size_t added = 0;
    size_t removed = 0;
    for (size_t i = 0; before && i < present->n; i++) {
        while (removed < pending.remove.n && set_member_compare(&pending.remove.v[removed], &present->v[i]) < 0) {
            before->v[n++] = pending.remove.v[removed++];
        }
        if (added < pending.add.n && set_member_compare(&pending.add.v[added], &present->v[i]) == 0) {
            added++;
        } else {
            before->v[n++] = present->v[i];
        }
    }
    while (before && removed < pending.remove.n) {
        before->v[n++] = pending.remove.v[removed++];
    }
    engine_list_free(&pending);
    if (!before) {
        return -1;
    }
    before->n = n;
    set->members = before->v;
    set->n_members = n;
    return ruleset_share(have, before);
}

static int make_have_table(const struct engine *engine, struct ruleset *have, enum family family)
{
    const struct table *kept = &engine->kept->tables[family];
    struct table *table = &have->tables[family];
    struct set *sets = arena_alloc(&have->arena, kept->n_sets * sizeof(*sets));
    CLEANUP(map_free) struct map *names = targets_by_name(engine, family);
    if (!sets || !names) {
        return -1;
    }
    *table = *kept;
    table->sets = sets;
    for (size_t i = 0; i < kept->n_sets; i++) {
        struct engine_target *target = map_get_str(names, kept->sets[i].name);
        sets[i] = kept->sets[i];
        if (target && members_before(have, target, family, &sets[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

// Chains and jumps are kept's.
static int make_have(struct engine *engine)
{
    CLEANUP(ruleset_free) struct ruleset *have = calloc(1, sizeof(*have));
    if (!have || make_have_table(engine, have, FAMILY_V4) < 0 || make_have_table(engine, have, FAMILY_V6) < 0) {
        return -1;
    }
    ruleset_free(engine->have);
    engine->have = TAKE(have);
    return 0;
}

const struct ruleset *engine_kept(struct engine *engine)
{
    return engine->lost || !engine->kept || make_have(engine) < 0 ? NULL : engine->have;
}

// ---- touched addresses ---------------------------------------------------------------------------------------------

// False: there is no room, everything is touched.
static bool touch(struct engine *engine, const struct address *address)
{
    for (size_t i = 0; i < engine->touched.n; i++) {
        if (address_equal(&engine->touched.v[i], address)) {
            return true;
        }
    }
    return engine->touched.n < ENGINE_TOUCHED_MAX && vec_push(&engine->touched, *address) == 0;
}

static bool touch_list(struct engine *engine, const struct engine_list *list)
{
    bool room = true;
    for (size_t i = 0; room && i < list->add.n; i++) {
        room = touch(engine, &list->add.v[i].prefix.address);
    }
    for (size_t i = 0; room && i < list->remove.n; i++) {
        room = touch(engine, &list->remove.v[i].prefix.address);
    }
    return room;
}

// Only a pod's own chain has rules from an address to itself.
static bool touch_pod(struct engine *engine, const struct chain *chain, bool *ret_pod)
{
    bool room = true;
    *ret_pod = false;
    for (size_t i = 0; room && i < chain->n_rules; i++) {
        const struct rule *rule = &chain->rules[i];
        if (rule->has_source && rule->has_destination && prefix_compare(&rule->source, &rule->destination) == 0) {
            *ret_pod = true;
            room = touch(engine, &rule->source.address);
        }
    }
    return room;
}

// The pods whose own chains differ. Trees and policy chains follow from those: a policy chain is named by its content.
static bool touch_chains(struct engine *engine, const struct table *from, const struct table *to)
{
    bool room = true;
    for (size_t i = 0, j = 0; room && (i < from->n_chains || j < to->n_chains);) {
        const struct chain *old = i < from->n_chains ? &from->chains[i] : NULL;
        const struct chain *new = j < to->n_chains ? &to->chains[j] : NULL;
        int order = !new ? -1 : !old ? 1 : strcmp(old->name, new->name);
        i += order <= 0;
        j += order >= 0;
        bool pod = false;
        if (order == 0 && chain_equal(old, new)) {
            continue;
        }
        if (order <= 0) {
            room = touch_pod(engine, old, &pod);
        }
        if (room && order >= 0) {
            room = touch_pod(engine, new, &pod);
        }
    }
    return room;
}

static int compare_touched(const void *a, const void *b)
{
    return address_compare(a, b);
}

static bool find_touched(struct engine *engine, bool rules)
{
    for (size_t i = 0; i < engine->reports.n; i++) {
        if (!touch_list(engine, &engine->reports.v[i].list)) {
            return false;
        }
    }
    for (enum family family = FAMILY_V4; rules && family <= FAMILY_V6; family++) {
        if (!engine->kept || !touch_chains(engine, &engine->kept->tables[family], &engine->next->tables[family])) {
            return false;
        }
    }
    if (engine->touched.n > 1) {
        qsort(engine->touched.v, engine->touched.n, sizeof(*engine->touched.v), compare_touched);
    }
    return true;
}

// ---- an update -----------------------------------------------------------------------------------------------------

static int recover(struct engine *engine, struct err *err)
{
    engine_drop_reports(engine);
    if (engine_reset(engine) < 0) {
        return err_oom(err);
    }
    ruleset_free(TAKE(engine->kept));
    engine->changes++;
    engine->alarms++;
    engine->lost = false;
    return 0;
}

static int look(struct engine *engine, enum engine_outcome *ret, struct err *err)
{
    engine_drop_reports(engine);
    ruleset_free(TAKE(engine->have));
    ruleset_free(TAKE(engine->next));
    bool rules = engine->changes != engine->changes_kept || !engine->kept;
    if (rules) {
        engine->compile++;
        engine->marking = true;
        int rc = compile(engine, &engine->next, &engine->stats, err);
        engine->marking = false;
        if (rc < 0) {
            return -1;
        }
    }
    engine->stats.unenforceable = engine->unenforceable;
    engine->changes_told = engine->changes;
    engine->alarms_told = engine->alarms;
    if (report_targets(engine) < 0 || (rules && engine->kept && report_others(engine) < 0) ||
        tell_reports(engine) < 0) {
        return err_oom(err);
    }
    rules = rules && !(engine->kept && same_rules(&engine->kept->tables[FAMILY_V4], &engine->next->tables[FAMILY_V4]) &&
                       same_rules(&engine->kept->tables[FAMILY_V6], &engine->next->tables[FAMILY_V6]));
    if (rules && engine->kept && make_have(engine) < 0) {
        return err_oom(err);
    }
    *ret = rules ? ENGINE_RULES : engine->told.n ? ENGINE_MEMBERS : ENGINE_SAME;
    return 0;
}

int engine_update(struct engine *engine, struct engine_update *ret, struct err *err)
{
    enum engine_outcome outcome;
    if (engine->lost && recover(engine, err) < 0) {
        return -1;
    }
    if (look(engine, &outcome, err) < 0) {
        engine->lost = true;
        return -1;
    }
    bool room = find_touched(engine, outcome == ENGINE_RULES);
    *ret = (struct engine_update){
        .outcome = outcome,
        .changes = engine->told.v,
        .n_changes = engine->told.n,
        .ruleset = outcome == ENGINE_RULES ? engine->next : NULL,
        .have = outcome == ENGINE_RULES ? engine->have : NULL,
        .stats = engine->stats,
        .touched = engine->touched.v,
        .n_touched = engine->touched.n,
        .everything = !room || engine->alarms != engine->alarms_kept,
    };
    return 0;
}

// Targets that no rule uses any more.
static int drop_unused(struct engine *engine)
{
    size_t used = 0;
    for (struct map_entry *e = map_first(engine->targets); e; e = map_next(e)) {
        used += ((struct engine_target *)map_entry_value(e))->compile == engine->compile;
    }
    if (used == map_size(engine->targets)) {
        return 0;
    }
    CLEANUP(engine_match_free) struct engine_match *match = engine_match_new(engine->match);
    if (!match) {
        return -1;
    }
    for (struct map_entry *e = map_first(engine->targets), *next; e; e = next) {
        struct engine_target *target = map_entry_value(e);
        next = map_next(e);
        if (target->compile != engine->compile) {
            (void)map_del_str(engine->targets, target->text);
            engine_target_free(target);
        } else if (engine_match_add(match, target) < 0) {
            return -1;
        }
    }
    engine_match_free(engine->match);
    engine->match = TAKE(match);
    return 0;
}

void engine_keep(struct engine *engine)
{
    bool good = true;
    for (size_t i = 0; good && i < engine->reports.n; i++) {
        const struct engine_report *report = &engine->reports.v[i];
        for (size_t k = 0; report->target && good && k < report->list.add.n; k++) {
            good = engine_target_settle(report->target, &report->list.add.v[k], true) == 0;
        }
        for (size_t k = 0; report->target && good && k < report->list.remove.n; k++) {
            good = engine_target_settle(report->target, &report->list.remove.v[k], false) == 0;
        }
    }
    engine_drop_reports(engine);
    ruleset_free(TAKE(engine->have));
    if (engine->next) {
        ruleset_free(engine->kept);
        engine->kept = TAKE(engine->next);
        good = good && drop_unused(engine) == 0;
    }
    engine->changes_kept = engine->changes_told;
    engine->alarms_kept = engine->alarms_told;
    engine->lost = engine->lost || !good;
}
