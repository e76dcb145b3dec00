// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

#include <errno.h>

#include "xtables/xtables_lock.h"

enum { ATTEMPTS = 5, LOCK_WAIT_MS = 5000 };

// One reading of the table and its editing.
struct edit {
    struct legacy *legacy;
    struct kernel_sets_apply *apply;
    struct xtables *table;
    enum family family;
    const struct table *want;
    struct legacy_names *names;
    struct apply_report report;
    bool changed;
};

// ---- comparing -----------------------------------------------------------------------------------------------------

struct comparison {
    struct edit *edit;
    const struct chain *chain;
    size_t at;
    bool equal;
};

static int compare_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    struct comparison *comparison = arg;
    struct edit *edit = comparison->edit;
    struct legacy_rule_room room;
    struct rule rule;
    if (!comparison->equal) {
        return 0;
    }
    if (comparison->at >= comparison->chain->n_rules) {
        comparison->equal = false;
        return 0;
    }
    if (legacy_rule_decode(edit->legacy, edit->names, edit->want, edit->family, view, &room, &rule, err) < 0) {
        return -1;
    }
    comparison->equal = rule_equal(&rule, &comparison->chain->rules[comparison->at++]);
    return 0;
}

static int is_same_chain(struct edit *edit, const struct chain *chain, bool *ret, struct err *err)
{
    struct comparison comparison = {.edit = edit, .chain = chain, .equal = true};
    if (xtables_read(edit->table, chain->name, compare_rule, &comparison, err) < 0) {
        return -1;
    }
    *ret = comparison.equal && comparison.at == chain->n_rules;
    return 0;
}

// ---- chains --------------------------------------------------------------------------------------------------------

static int append_rules(struct edit *edit, const struct chain *chain, struct err *err)
{
    for (size_t i = 0; i < chain->n_rules; i++) {
        struct xtables_rule rule;
        if (legacy_rule_encode(edit->legacy, edit->names, edit->want, &chain->rules[i], &rule, err) < 0 ||
            xtables_append(edit->table, chain->name, &rule, err) < 0) {
            return err_at_object(err, "chain %s rule %zu (%s)", chain->name, i + 1, family_name(edit->family));
        }
    }
    return 0;
}

// Every chain must be there before a rule may jump to it. Reading comes before editing.
static int write_chains(struct edit *edit, struct err *err)
{
    VEC(const struct chain *) write = {0};
    VEC(const struct chain *) new = {0};
    int result = 0;
    for (size_t i = 0; i < edit->want->n_chains && result == 0; i++) {
        const struct chain *chain = &edit->want->chains[i];
        bool present = xtables_has_chain(edit->table, chain->name);
        bool same = false;
        if (present && is_same_chain(edit, chain, &same, err) < 0) {
            result = -1;
        } else if (!same && (present ? vec_push(&write, chain) : vec_push(&new, chain)) < 0) {
            result = err_oom(err);
        }
    }
    for (size_t i = 0; i < new.n &&result == 0; i++) {
        result = xtables_create_chain(edit->table, new.v[i]->name, err);
    }
    for (size_t i = 0; i < new.n &&result == 0; i++) {
        result = append_rules(edit, new.v[i], err);
    }
    for (size_t i = 0; i < write.n && result == 0; i++) {
        result = xtables_flush_chain(edit->table, write.v[i]->name, err);
        result = result < 0 ? result : append_rules(edit, write.v[i], err);
    }
    edit->report.chains_created += new.n;
    edit->report.chains_rewritten += write.n;
    edit->changed = edit->changed || new.n || write.n;
    vec_free(&write);
    vec_free(&new);
    return result;
}

// ---- hooks ---------------------------------------------------------------------------------------------------------

struct jumps {
    struct edit *edit;
    const struct hook *const *want;
    size_t n_want;
    unsigned position;
    size_t in_place;            // of the wanted ones
    size_t in_order;            // likewise, wherever they stand
    VEC(unsigned) ours;         // positions of every jump of ours
    VEC(unsigned) superfluous;  // of those that are not in place
};

static int read_jump(const struct xtables_view *view, void *arg, struct err *err)
{
    struct jumps *jumps = arg;
    struct legacy_rule_room room;
    struct rule rule;
    unsigned position = jumps->position++;
    if (!backend_is_our_chain(view->target)) {
        return 0;
    }
    if (legacy_rule_decode(jumps->edit->legacy, jumps->edit->names, jumps->edit->want, jumps->edit->family, view, &room,
                           &rule, err) < 0) {
        return -1;
    }
    bool in_place = position < jumps->n_want && rule_equal(&rule, &jumps->want[position]->rule);
    bool in_order = jumps->ours.n == jumps->in_order && jumps->in_order < jumps->n_want &&
                    rule_equal(&rule, &jumps->want[jumps->in_order]->rule);
    jumps->in_order += in_order;
    jumps->in_place += in_place;
    if (vec_push(&jumps->ours, position) < 0 || (!in_place && vec_push(&jumps->superfluous, position) < 0)) {
        return err_oom(err);
    }
    return 0;
}

// From the last one, so that the positions of the others stay.
static int delete_positions(struct edit *edit, const char *builtin, const unsigned *positions, size_t n,
                            struct err *err)
{
    for (size_t i = n; i-- > 0;) {
        if (xtables_delete(edit->table, builtin, positions[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int place_jumps(struct edit *edit, const char *builtin, struct jumps *jumps, struct err *err)
{
    size_t missing = jumps->n_want - jumps->in_place;
    if (missing == 0) {
        edit->report.hooks_written += jumps->superfluous.n;
        return delete_positions(edit, builtin, jumps->superfluous.v, jumps->superfluous.n, err);
    }
    size_t extra = jumps->ours.n > jumps->n_want ? jumps->ours.n - jumps->n_want : 0;
    edit->report.hooks_written += missing + extra;
    edit->report.hooks_missing += jumps->n_want > jumps->ours.n ? jumps->n_want - jumps->ours.n : 0;
    if (delete_positions(edit, builtin, jumps->ours.v, jumps->ours.n, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < jumps->n_want; i++) {
        struct xtables_rule rule;
        if (legacy_rule_encode(edit->legacy, edit->names, edit->want, &jumps->want[i]->rule, &rule, err) < 0 ||
            xtables_insert(edit->table, builtin, (unsigned)i, &rule, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int write_hooks_of(struct edit *edit, const char *builtin, struct err *err)
{
    VEC(const struct hook *) want = {0};
    for (size_t i = 0; i < edit->want->n_hooks; i++) {
        if (strcmp(edit->want->hooks[i].builtin, builtin) == 0 && vec_push(&want, &edit->want->hooks[i]) < 0) {
            vec_free(&want);
            return err_oom(err);
        }
    }
    struct jumps jumps = {.edit = edit, .want = want.v, .n_want = want.n};
    int result = xtables_read(edit->table, builtin, read_jump, &jumps, err);
    bool stay = want.n && want.v[0]->anywhere && jumps.in_order == want.n && jumps.ours.n == want.n;
    if (result == 0 && !stay && (jumps.in_place < want.n || jumps.superfluous.n)) {
        edit->changed = true;
        result = place_jumps(edit, builtin, &jumps, err);
    }
    vec_free(&jumps.ours);
    vec_free(&jumps.superfluous);
    vec_free(&want);
    return result < 0 ? err_at_object(err, "jumps of %s (%s)", builtin, family_name(edit->family)) : 0;
}

static bool uses_physdev(const struct rule *rule)
{
    return *rule->physdev_in || *rule->physdev_out;
}

static bool uses_connmark(const struct rule *rule)
{
    return rule->connmark_mask != 0;
}

// Matches that only some rules need.
int legacy_table_check(enum family family, const struct table *want, struct err *err)
{
    static const struct {
        const char *match;
        bool (*used)(const struct rule *rule);
    } matches[] = {{"physdev", uses_physdev}, {"connmark", uses_connmark}};
    for (size_t m = 0; m < ARRAY_SIZE(matches); m++) {
        bool used = false;
        for (size_t i = 0; i < want->n_hooks; i++) {
            used = used || matches[m].used(&want->hooks[i].rule);
        }
        for (size_t i = 0; i < want->n_chains; i++) {
            for (size_t j = 0; j < want->chains[i].n_rules; j++) {
                used = used || matches[m].used(&want->chains[i].rules[j]);
            }
        }
        if (used && xtables_probe_match(legacy_xtables_family(family), matches[m].match, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- stale chains --------------------------------------------------------------------------------------------------

struct referrer {
    const char *chain;  // that is to go
    bool found;
};

static int find_jump(const struct xtables_view *view, void *arg, struct err *err)
{
    struct referrer *referrer = arg;
    (void)err;
    referrer->found = referrer->found || strcmp(view->target, referrer->chain) == 0;
    return 0;
}

// Who keeps a chain of ours: said at the end, since everything else is right.
static void report_referrer(struct edit *edit, const char *chain)
{
    struct err why = {0};
    struct referrer referrer = {.chain = chain};
    const char *from = "?";
    for (const char *name = xtables_first_chain(edit->table); name; name = xtables_next_chain(edit->table)) {
        if (xtables_read(edit->table, name, find_jump, &referrer, &why) == 0 && referrer.found) {
            from = name;
            break;
        }
    }
    kernel_sets_pinned(edit->apply, "chain %s of %s (a rule of %s jumps to it)", chain, family_name(edit->family),
                       from);
}

struct emptiness {
    bool empty;
};

static int see_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    struct emptiness *emptiness = arg;
    (void)view;
    (void)err;
    emptiness->empty = false;
    return 0;
}

static int delete_chain(struct edit *edit, const char *name, bool was_empty, struct err *err)
{
    struct err why = {0};
    if (xtables_delete_chain(edit->table, name, &why) == 0) {
        edit->report.chains_deleted++;
        edit->changed = true;
        return 0;
    }
    if (why.num != EMLINK) {
        return legacy_fail(err, &why);
    }
    edit->changed = edit->changed || !was_empty;
    report_referrer(edit, name);
    return 0;
}

// Stale chains jump to each other: all are emptied before one is deleted.
static int delete_stale(struct edit *edit, struct err *err)
{
    struct arena arena = {0};
    VEC(const char *) stale = {0};
    VEC(bool) empty = {0};
    int result = 0;
    for (const char *name = xtables_first_chain(edit->table); name && result == 0;
         name = xtables_next_chain(edit->table)) {
        if (!backend_is_our_chain(name) || xtables_is_builtin(edit->table, name) || table_chain(edit->want, name)) {
            continue;
        }
        const char *copy = arena_strdup(&arena, name);
        if (!copy || vec_push(&stale, copy) < 0) {
            result = err_oom(err);
        }
    }
    for (size_t i = 0; i < stale.n && result == 0; i++) {
        struct emptiness emptiness = {.empty = true};
        result = xtables_read(edit->table, stale.v[i], see_rule, &emptiness, err);
        if (result == 0 && vec_push(&empty, emptiness.empty) < 0) {
            result = err_oom(err);
        }
    }
    for (size_t i = 0; i < stale.n && result == 0; i++) {
        result = xtables_flush_chain(edit->table, stale.v[i], err);
    }
    for (size_t i = 0; i < stale.n && result == 0; i++) {
        result = delete_chain(edit, stale.v[i], empty.v[i], err);
    }
    vec_free(&stale);
    vec_free(&empty);
    arena_free(&arena);
    return result;
}

// ---- one family ----------------------------------------------------------------------------------------------------

static void report_add(struct apply_report *to, const struct apply_report *from)
{
    to->chains_created += from->chains_created;
    to->chains_rewritten += from->chains_rewritten;
    to->chains_deleted += from->chains_deleted;
    to->hooks_written += from->hooks_written;
    to->hooks_missing += from->hooks_missing;
    to->commits++;
}

// libiptc says only that something is missing: ask the kernel what.
static int explain(enum family family, const struct err *failure, struct err *err)
{
    struct err why = {0};
    bool vague = failure->kind == ERR_SYSTEM && (failure->num == ENOENT || failure->num == EINVAL);
    bool lacks = vague && xtables_probe(legacy_xtables_family(family), &why) < 0 && why.kind == ERR_UNSUPPORTED;
    return legacy_fail(err, lacks ? &why : failure);
}

static int edit_and_commit(struct edit *edit, struct err *err)
{
    const struct backend_options *options = &edit->legacy->kernel.options;
    if (write_chains(edit, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < KERNEL_BUILTINS; i++) {
        if (write_hooks_of(edit, kernel_builtins[i], err) < 0) {
            return -1;
        }
    }
    if (delete_stale(edit, err) < 0) {
        return -1;
    }
    if (!edit->changed) {
        return 0;
    }
    int result = backend_step_begin(options, "commit", err);
    result = result < 0 ? result : xtables_commit(edit->table, err);
    backend_step_end(options, "commit");
    edit->apply->report.writes++;
    if (result < 0) {
        return -1;
    }
    report_add(&edit->apply->report, &edit->report);
    return 0;
}

static int attempt(struct legacy *legacy, struct kernel_sets_apply *apply, enum family family, struct err *err)
{
    const struct backend_options *options = &legacy->kernel.options;
    LEGACY_NAMES_CLEANUP struct legacy_names names = {0};
    CLEANUP(xtables_close) struct xtables *table = NULL;
    __attribute__((cleanup(cleanup_fd))) int lock = -1;
    if (backend_fault(options, "lock", err) < 0 ||
        xtables_lock(options->lock_path, options->lock_wait_ms ? options->lock_wait_ms : LOCK_WAIT_MS, &lock, err) <
            0 ||
        xtables_open(legacy_xtables_family(family), &table, err) < 0) {
        return -1;
    }
    struct edit edit = {
        .legacy = legacy,
        .apply = apply,
        .table = table,
        .family = family,
        .want = &apply->want->tables[family],
        .names = &names,
    };
    return edit_and_commit(&edit, err);
}

int legacy_table_apply(struct legacy *legacy, struct kernel_sets_apply *apply, enum family family, struct err *err)
{
    const struct table *want = &apply->want->tables[family];
    enum xtables_presence presence = XTABLES_UNSUPPORTED;
    if (xtables_presence(legacy_xtables_family(family), &presence, err) < 0) {
        return -1;
    }
    if (presence == XTABLES_NO_FAMILY) {
        return 0;
    }
    // Looking at a table makes it: not for nothing.
    if (presence != XTABLES_PRESENT && want->n_chains == 0 && want->n_hooks == 0) {
        return 0;
    }
    const struct leftovers pinned = apply->report.pinned;
    for (unsigned i = 1;; i++) {
        struct err why = {0};
        apply->report.pinned = pinned;
        if (attempt(legacy, apply, family, &why) == 0) {
            return 0;
        }
        if (why.num != EAGAIN || i == ATTEMPTS) {
            return explain(family, &why, err);
        }
    }
}
