// SPDX-License-Identifier: Apache-2.0
#include "policy/compile_build.h"

#include <stdio.h>

int compile_push(struct compile_rules *rules, struct rule rule, struct err *err)
{
    return vec_push(rules, rule) < 0 ? err_oom(err) : 0;
}

struct rule compile_rule_to(enum rule_target target, const char *chain)
{
    struct rule rule = rule_init();
    rule.target = target;
    rule.chain = chain;
    return rule;
}

void compile_rule_in(struct rule *rule, const char *interface)
{
    (void)snprintf(rule->in, sizeof(rule->in), "%s", interface);
}

void compile_rule_out(struct rule *rule, const char *interface)
{
    (void)snprintf(rule->out, sizeof(rule->out), "%s", interface);
}

int compile_close_chain(struct compile *compile, enum family family, const char *name, int rc,
                        struct compile_rules *rules, struct err *err)
{
    rc = rc < 0 ? -1 : compile_add_chain(compile, family, name, rules, err);
    vec_free(rules);
    return rc;
}
