// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_apply.h"

const char *const kernel_builtins[KERNEL_BUILTINS] = {"FORWARD", "INPUT", "OUTPUT"};

// The kernel would say only that something is missing. A hook that does not lead to our chains could not be found
// again.
static int check_table(const struct table *want, struct err *err)
{
    for (size_t i = 0; i < want->n_chains; i++) {
        const struct chain *chain = &want->chains[i];
        for (size_t j = 0; j < chain->n_rules; j++) {
            const struct rule *rule = &chain->rules[j];
            if ((rule->chain && !table_chain(want, rule->chain)) || (rule->set && !table_set(want, rule->set))) {
                return err_set(err, ERR_BUG, 0, "chain %s rule %zu names chain or set %s, which the ruleset lacks",
                               chain->name, j + 1, rule->chain ? rule->chain : rule->set);
            }
        }
    }
    for (size_t i = 0; i < want->n_hooks; i++) {
        const struct hook *hook = &want->hooks[i];
        bool known = false;
        for (size_t builtin = 0; builtin < KERNEL_BUILTINS; builtin++) {
            known = known || strcmp(hook->builtin, kernel_builtins[builtin]) == 0;
        }
        if (!known || !hook->rule.chain || !backend_is_our_chain(hook->rule.chain) ||
            !table_chain(want, hook->rule.chain)) {
            return err_set(err, ERR_BUG, 0, "the hook in %s does not lead to a chain of ours", hook->builtin);
        }
    }
    return 0;
}

static int run_phases(struct kernel_sets_apply *apply, const struct kernel_tables *tables, struct err *err)
{
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        if (check_table(&apply->want->tables[family], err) < 0 ||
            (tables->check && tables->check(family, &apply->want->tables[family], err) < 0)) {
            return -1;
        }
    }
    if (kernel_sets_widen(apply, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        struct err why = {0};
        if (tables->commit(apply, family, tables->arg, &why) == 0) {
            continue;
        }
        if (why.kind != ERR_UNSUPPORTED) {
            if (err) {
                *err = why;
            }
            return -1;
        }
        apply->kept[family] = true;
        if (apply->late.kind == ERR_NONE) {
            apply->late = why;
        }
    }
    return kernel_sets_narrow(apply, err);
}

static int apply_from(struct kernel_sets_apply *apply, const struct kernel_tables *tables, const struct ruleset *have,
                      const struct ruleset *want, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *read = NULL;
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    if (!have) {
        if (kernel_sets_read(apply->kernel, &read, apply, err) < 0) {
            return -1;
        }
        have = read;
    }
    if (ruleset_diff_make(have, want, &diff, err) < 0) {
        return -1;
    }
    apply->want = want;
    apply->diff = diff;
    return run_phases(apply, tables, err);
}

int kernel_apply(struct kernel_sets *kernel, const struct kernel_tables *tables, const struct ruleset *have,
                 const struct ruleset *want, struct apply_report *ret, struct err *err)
{
    struct kernel_sets_apply apply = {.kernel = kernel, .patience_ms = tables->patience_ms};
    int result = apply_from(&apply, tables, have, want, err);
    kernel_sets_apply_free(&apply);
    if (result == 0 && apply.late.kind != ERR_NONE) {
        if (err) {
            *err = apply.late;
        }
        return -1;
    }
    if (result == 0 && ret) {
        *ret = apply.report;
    }
    return result;
}
