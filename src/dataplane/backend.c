// SPDX-License-Identifier: Apache-2.0
#include "dataplane/backend.h"

#include <errno.h>

#include "dataplane/interim.h"
#include "dataplane/ordered.h"
#include "sets/sets.h"

static const struct backend_ops *const backends[] = {&backend_legacy, &backend_nft, &backend_memory};

const struct backend_ops *backend_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
        if (strcmp(name, backends[i]->name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

bool backend_is_our_chain(const char *name)
{
    return strncmp(name, RULESET_CHAIN_PREFIX, sizeof(RULESET_CHAIN_PREFIX) - 1) == 0;
}

struct rule backend_unknown_rule(void)
{
    struct rule rule = rule_init();
    rule.comment = BACKEND_UNKNOWN_RULE;
    return rule;
}

int backend_fault(const struct backend_options *options, const char *what, struct err *err)
{
    static const struct {
        int num;
        enum err_kind kind;
    } kinds[] = {
        {EBUSY, ERR_RETRY},
        {EAGAIN, ERR_RETRY},
        {EINTR, ERR_RETRY},
        {ENOMEM, ERR_OOM},
        {ENOENT, ERR_NOT_FOUND},
        {EPERM, ERR_DENIED},
        {EOPNOTSUPP, ERR_UNSUPPORTED},
        {SETS_BUSY, ERR_RETRY},
        {SETS_HASH_FULL, ERR_LIMIT},
    };
    int num = options->fail ? options->fail(what, options->fail_arg) : 0;
    if (num == 0) {
        return 0;
    }
    enum err_kind kind = ERR_SYSTEM;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        kind = kinds[i].num == num ? kinds[i].kind : kind;
    }
    return err_set(err, kind, num, "%s: %s (injected)", what, num < SETS_BUSY ? strerror(num) : "refused by ipset");
}

int backend_step_begin(const struct backend_options *options, const char *what, struct err *err)
{
    if (options->step) {
        options->step(what, false, options->step_arg);
    }
    return backend_fault(options, what, err);
}

void backend_step_end(const struct backend_options *options, const char *what)
{
    if (options->step) {
        options->step(what, true, options->step_arg);
    }
}

static void report_add(struct apply_report *sum, const struct apply_report *more)
{
    sum->sets_created += more->sets_created;
    sum->sets_destroyed += more->sets_destroyed;
    sum->members_added += more->members_added;
    sum->members_removed += more->members_removed;
    sum->chains_created += more->chains_created;
    sum->chains_rewritten += more->chains_rewritten;
    sum->chains_deleted += more->chains_deleted;
    sum->hooks_written += more->hooks_written;
    sum->hooks_missing += more->hooks_missing;
    sum->commits += more->commits;
    sum->writes += more->writes;
    sum->pinned = more->pinned;  // the last step tries all of them again
}

// Copies that a failed change has left: emptied, before anything is made of what was read.
static int empty_stale(const struct backend_ops *ops, struct backend *backend, struct ruleset *read, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        struct table *table = &read->tables[family];
        struct set *sets = NULL;
        for (size_t i = 0; i < table->n_sets; i++) {
            const struct set *set = &table->sets[i];
            if (set->n_members == 0 || !interim_is_stale(table, set)) {
                continue;
            }
            const struct set_change change = {.family = family,
                                              .set = set->name,
                                              .type = set->type,
                                              .remove = set->members,
                                              .n_remove = set->n_members};
            struct apply_report ignored;
            sets = sets ? sets : arena_alloc(&read->arena, table->n_sets * sizeof(*sets));
            if (!sets) {
                return err_oom(err);
            }
            if (table->sets != sets) {
                memcpy(sets, table->sets, table->n_sets * sizeof(*sets));
                table->sets = sets;
            }
            if (ops->change_members(backend, &change, 1, &ignored, err) < 0) {
                return -1;
            }
            sets[i].n_members = 0;
        }
    }
    return 0;
}

static int apply_steps(const struct backend_ops *ops, struct backend *backend, const struct ruleset *have,
                       const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *read = NULL;
    CLEANUP(ruleset_free) struct ruleset *first = NULL;
    CLEANUP(ruleset_free) struct ruleset *second = NULL;
    CLEANUP(ordered_free) struct ordered *ordered = NULL;
    // What was read may hold rules of others in our chains, which nobody knows the meaning of.
    if (have && ordered_make(have, want, &ordered, err) < 0) {
        return -1;
    }
    if (ordered) {
        return ordered_apply(ordered, ops, backend, want, ret, err);
    }
    if ((!have && (ops->snapshot(backend, &read, err) < 0 || empty_stale(ops, backend, read, err) < 0)) ||
        interim_make(have ? have : read, want, &first, &second, err) < 0) {
        return -1;
    }
    if (!first) {
        return ops->apply(backend, have, want, ret, err);
    }
    const struct ruleset *const steps[] = {have, first, second, want};
    struct apply_report sum = {0};
    for (size_t i = 1; i < ARRAY_SIZE(steps); i++) {
        struct apply_report report;
        if (ops->apply(backend, steps[i - 1], steps[i], &report, err) < 0) {
            return -1;
        }
        report_add(&sum, &report);
    }
    *ret = sum;
    return 0;
}

int backend_apply(const struct backend_ops *ops, struct backend *backend, const struct ruleset *have,
                  const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    struct err why = {0};
    if (apply_steps(ops, backend, have, want, ret, &why) == 0) {
        return 0;
    }
    // A set stands that was thought to be gone (a leftover that is needed again), or the other way round.
    bool stale = why.kind == ERR_NOT_FOUND || (why.kind == ERR_RETRY && why.num == EEXIST);
    if (have && stale) {
        return apply_steps(ops, backend, NULL, want, ret, err);
    }
    if (err) {
        *err = why;
    }
    return -1;
}
