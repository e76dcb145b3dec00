// SPDX-License-Identifier: Apache-2.0
//
// The memory backend: a kernel that always takes what it is given. For tests of what stands above, and for dry runs;
// its reports and steps are those of a real backend.
#include "dataplane/backend.h"
#include "ruleset/diff.h"

struct memory {
    struct backend backend;
    struct backend_options options;
    struct ruleset *ruleset;
};

// ---- copying -------------------------------------------------------------------------------------------------------

static bool copy_text(struct arena *arena, const char **text)
{
    if (!*text) {
        return true;
    }
    *text = arena_strdup(arena, *text);
    return *text;
}

static void *copy_array(struct arena *arena, const void *from, size_t n, size_t item)
{
    void *to = arena_alloc(arena, n * item);
    if (to && n) {
        memcpy(to, from, n * item);
    }
    return to;
}

static bool copy_rule(struct arena *arena, struct rule *rule)
{
    rule->ports = copy_array(arena, rule->ports, rule->n_ports, sizeof(*rule->ports));
    return rule->ports && copy_text(arena, &rule->set) && copy_text(arena, &rule->chain) &&
           copy_text(arena, &rule->comment);
}

static bool copy_chain(struct arena *arena, struct chain *chain)
{
    struct rule *rules = copy_array(arena, chain->rules, chain->n_rules, sizeof(*rules));
    for (size_t i = 0; rules && i < chain->n_rules; i++) {
        if (!copy_rule(arena, &rules[i])) {
            return false;
        }
    }
    chain->rules = rules;
    return rules && copy_text(arena, &chain->name);
}

static bool copy_table(struct arena *arena, struct table *table)
{
    struct chain *chains = copy_array(arena, table->chains, table->n_chains, sizeof(*chains));
    struct set *sets = copy_array(arena, table->sets, table->n_sets, sizeof(*sets));
    struct hook *hooks = copy_array(arena, table->hooks, table->n_hooks, sizeof(*hooks));
    if (!chains || !sets || !hooks) {
        return false;
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        if (!copy_chain(arena, &chains[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        sets[i].members = copy_array(arena, sets[i].members, sets[i].n_members, sizeof(*sets[i].members));
        sets[i].describe = "";
        if (!sets[i].members || !copy_text(arena, &sets[i].name)) {
            return false;
        }
    }
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (!copy_text(arena, &hooks[i].builtin) || !copy_rule(arena, &hooks[i].rule)) {
            return false;
        }
    }
    table->chains = chains;
    table->sets = sets;
    table->hooks = hooks;
    return true;
}

static int copy_ruleset(const struct ruleset *from, struct ruleset **ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *copy = calloc(1, sizeof(*copy));
    if (!copy) {
        return err_oom(err);
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        copy->tables[family] = from->tables[family];
        if (!copy_table(&copy->arena, &copy->tables[family])) {
            return err_oom(err);
        }
    }
    *ret = TAKE(copy);
    return 0;
}

// ---- applying ------------------------------------------------------------------------------------------------------

static int take_step(const struct memory *memory, const char *what, struct apply_report *report, struct err *err)
{
    int result = backend_step_begin(&memory->options, what, err);
    backend_step_end(&memory->options, what);
    report->writes++;
    return result;
}

static int widen_sets(const struct memory *memory, const struct table_diff *table, struct apply_report *report,
                      struct err *err)
{
    for (size_t i = 0; i < table->n_sets; i++) {
        const struct set_delta *delta = &table->sets[i];
        if (!delta->to) {
            continue;
        }
        bool retyped = delta->from && delta->from->type != delta->to->type;
        if (retyped) {
            if (take_step(memory, "set-destroy", report, err) < 0) {
                return -1;
            }
            report->sets_destroyed++;
        }
        if (!delta->from || retyped) {
            if (take_step(memory, "set-create", report, err) < 0) {
                return -1;
            }
            report->sets_created++;
        }
        if (delta->n_added) {
            if (take_step(memory, "set-add", report, err) < 0) {
                return -1;
            }
            report->members_added += delta->n_added;
        }
    }
    return 0;
}

static int narrow_sets(const struct memory *memory, const struct table_diff *table, struct apply_report *report,
                       struct err *err)
{
    for (size_t i = 0; i < table->n_sets; i++) {
        const struct set_delta *delta = &table->sets[i];
        bool kept = delta->from && delta->to && delta->from->type == delta->to->type;
        if (kept && delta->n_removed) {
            if (take_step(memory, "set-del", report, err) < 0) {
                return -1;
            }
            report->members_removed += delta->n_removed;
        }
    }
    for (size_t i = 0; i < table->n_sets; i++) {
        if (!table->sets[i].to) {
            if (take_step(memory, "set-destroy", report, err) < 0) {
                return -1;
            }
            report->sets_destroyed++;
        }
    }
    return 0;
}

// The hook of that rank in a built-in chain; NULL behind the last.
static const struct hook *hook_at(const struct table *table, const char *builtin, size_t rank)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (strcmp(table->hooks[i].builtin, builtin) == 0 && rank-- == 0) {
            return &table->hooks[i];
        }
    }
    return NULL;
}

static size_t count_hooks(const struct table *from, const struct table *to)
{
    static const char *const builtins[] = {"FORWARD", "INPUT", "OUTPUT"};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++) {
        for (size_t rank = 0;; rank++) {
            const struct hook *old = hook_at(from, builtins[i], rank);
            const struct hook *new = hook_at(to, builtins[i], rank);
            if (!old && !new) {
                break;
            }
            n += !old || !new || !hook_equal(old, new);
        }
    }
    return n;
}

static int commit_table(const struct memory *memory, const struct table_diff *diff, const struct table *from,
                        const struct table *to, struct apply_report *report, struct err *err)
{
    if (diff->n_chains == 0 && !diff->hooks_differ) {
        return 0;
    }
    if (take_step(memory, "commit", report, err) < 0) {
        return -1;
    }
    report->commits++;
    report->hooks_written += diff->hooks_differ ? count_hooks(from, to) : 0;
    for (size_t i = 0; i < diff->n_chains; i++) {
        report->chains_created += !diff->chains[i].from;
        report->chains_deleted += !diff->chains[i].to;
        report->chains_rewritten += diff->chains[i].from && diff->chains[i].to;
    }
    return 0;
}

static int memory_apply(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                        struct apply_report *ret, struct err *err)
{
    struct memory *memory = CONTAINER_OF(backend, struct memory, backend);
    CLEANUP(ruleset_free) struct ruleset *copy = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    struct apply_report report = {0};
    (void)have;  // this kernel is always known
    if (copy_ruleset(want, &copy, err) < 0 || ruleset_diff_make(memory->ruleset, want, &diff, err) < 0) {
        return -1;
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        if (widen_sets(memory, &diff->tables[family], &report, err) < 0) {
            return -1;
        }
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        if (commit_table(memory, &diff->tables[family], &memory->ruleset->tables[family], &want->tables[family],
                         &report, err) < 0) {
            return -1;
        }
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        if (narrow_sets(memory, &diff->tables[family], &report, err) < 0) {
            return -1;
        }
    }
    ruleset_free(memory->ruleset);
    memory->ruleset = TAKE(copy);
    if (ret) {
        *ret = report;
    }
    return 0;
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

static bool is_among(const struct set_member *member, const struct set_member *members, size_t n)
{
    return n && bsearch(member, members, n, sizeof(*members), compare_members);
}

// NULL when the kernel has no such set.
static struct set *own_set(const struct memory *memory, const struct set_change *change)
{
    // The sets are this backend's own copy.
    return (struct set *)(uintptr_t)table_set(&memory->ruleset->tables[change->family], change->set);
}

static int change_set(struct memory *memory, const struct set_change *change, bool add, struct apply_report *report,
                      struct err *err)
{
    struct set *set = own_set(memory, change);
    size_t n = add ? change->n_add : change->n_remove;
    if (!set || set->type != change->type) {
        return err_set(err, ERR_NOT_FOUND, 0, "there is no set %s", change->set);
    }
    if (n == 0) {
        return 0;
    }
    if (take_step(memory, add ? "set-add" : "set-del", report, err) < 0) {
        return -1;
    }
    struct set_member *members = arena_alloc(&memory->ruleset->arena, (set->n_members + n) * sizeof(*members));
    if (!members) {
        return err_oom(err);
    }
    size_t kept = 0;
    for (size_t i = 0; i < set->n_members; i++) {
        if (add || !is_among(&set->members[i], change->remove, n)) {
            members[kept++] = set->members[i];
        }
    }
    report->members_removed += set->n_members - kept;
    for (size_t i = 0; add && i < n; i++) {
        if (!is_among(&change->add[i], set->members, set->n_members)) {
            members[kept++] = change->add[i];
            report->members_added++;
        }
    }
    if (kept > 1) {
        qsort(members, kept, sizeof(*members), compare_members);
    }
    set->members = members;
    set->n_members = kept;
    return 0;
}

static int memory_change_members(struct backend *backend, const struct set_change *changes, size_t n,
                                 struct apply_report *ret, struct err *err)
{
    struct memory *memory = CONTAINER_OF(backend, struct memory, backend);
    struct apply_report report = {0};
    for (unsigned adding = 0; adding < 2; adding++) {
        for (size_t i = 0; i < n; i++) {
            if (change_set(memory, &changes[i], adding == 0, &report, err) < 0) {
                return -1;
            }
        }
    }
    if (ret) {
        *ret = report;
    }
    return 0;
}

static int memory_probe(struct err *err)
{
    (void)err;
    return 0;
}

static void memory_close(struct backend *backend)
{
    if (backend) {
        struct memory *memory = CONTAINER_OF(backend, struct memory, backend);
        ruleset_free(memory->ruleset);
        free(memory);
    }
}

static int memory_open(const struct backend_options *options, struct backend **ret, struct err *err)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    if (!memory) {
        return err_oom(err);
    }
    memory->ruleset = calloc(1, sizeof(*memory->ruleset));
    if (!memory->ruleset) {
        free(memory);
        return err_oom(err);
    }
    memory->backend.ops = &backend_memory;
    if (options) {
        memory->options = *options;
    }
    *ret = &memory->backend;
    return 0;
}

static int memory_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    return copy_ruleset(CONTAINER_OF(backend, struct memory, backend)->ruleset, ret, err);
}

static int memory_purge(struct backend *backend, struct apply_report *ret, struct err *err)
{
    const struct ruleset nothing = {0};
    return memory_apply(backend, NULL, &nothing, ret, err);
}

const struct backend_ops backend_memory = {
    .name = "memory",
    .probe = memory_probe,
    .open = memory_open,
    .snapshot = memory_snapshot,
    .apply = memory_apply,
    .change_members = memory_change_members,
    .purge = memory_purge,
    .close = memory_close,
};
