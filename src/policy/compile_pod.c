// SPDX-License-Identifier: Apache-2.0
//
// Enforced pods: which program each runs, and the pod's own chain that leads to it.
#include "policy/compile_build.h"

#include <stdio.h>

#include "policy/names.h"

void compile_program_free(struct compile_program *program)
{
    if (program) {
        compile_groups_free(&program->groups);
        free(program);
    }
}
CLEANUP_DEFINE(struct compile_program, compile_program_free);

// ---- programs ------------------------------------------------------------------------------------------------------

static bool uses_port_names(const struct compile_policies *policies, enum direction direction)
{
    for (size_t i = 0; i < policies->n; i++) {
        for (size_t j = 0; j < policies->v[i]->n_rules[direction]; j++) {
            const struct policy_rule *rule = &policies->v[i]->rules[direction][j];
            for (size_t k = 0; k < rule->n_ports; k++) {
                if (rule->ports[k].kind == PORT_NAME) {
                    return true;
                }
            }
        }
    }
    return false;
}

// Equal keys, equal programs: the policies by their place in memory, which does not change during a compile.
static void program_key(const struct compile_policies *policies, enum direction direction, const struct pod *pod,
                        struct buf *key)
{
    buf_putc(key, direction == DIRECTION_EGRESS ? 'E' : 'I');
    buf_add(key, &policies->n, sizeof(policies->n));
    buf_add(key, policies->v, policies->n * sizeof(struct policy *));
    if (direction == DIRECTION_EGRESS || !uses_port_names(policies, direction)) {
        return;
    }
    for (size_t i = 0; i < pod->n_ports; i++) {
        buf_printf(key, "%u/%u/%zu:%s", pod->ports[i].protocol, pod->ports[i].number, strlen(pod->ports[i].name),
                   pod->ports[i].name);
    }
}

static int name_policies(struct compile *compile, const struct compile_policies *policies, const char **ret,
                         struct err *err)
{
    const char **names = arena_alloc(&compile->scratch, policies->n * sizeof(*names));
    for (size_t i = 0; names && i < policies->n; i++) {
        const struct object_meta *meta = &policies->v[i]->meta;
        size_t size = strlen(meta->ns) + strlen(meta->name) + 2;
        char *name = arena_alloc(&compile->scratch, size);
        if (!name) {
            return err_oom(err);
        }
        (void)snprintf(name, size, "%s/%s", meta->ns, meta->name);
        names[i] = name;
    }
    return names ? names_comment(&compile->out->arena, "", names, policies->n, ret, err) : err_oom(err);
}

static int program_get(struct compile *compile, const struct compile_policies *policies, enum direction direction,
                       const struct pod *pod, struct compile_program **ret, struct err *err)
{
    BUF_CLEANUP struct buf key = {0};
    program_key(policies, direction, pod, &key);
    if (key.failed) {
        return err_oom(err);
    }
    *ret = map_get(compile->programs, key.data, key.len);
    if (*ret) {
        return 0;
    }
    CLEANUP(compile_program_free) struct compile_program *program = calloc(1, sizeof(*program));
    if (!program) {
        return err_oom(err);
    }
    program->direction = direction;
    if (name_policies(compile, policies, &program->comment, err) < 0 ||
        compile_groups_collect(compile, direction, pod, policies, &program->groups, err) < 0) {
        return -1;
    }
    if (map_put(compile->programs, key.data, key.len, program, NULL) < 0) {
        return err_oom(err);
    }
    *ret = TAKE(program);
    return 0;
}

// ---- pod chains ----------------------------------------------------------------------------------------------------

// What only a DNATed flow may do: a pod that reaches itself through a service (networkpolicy-v1.md 3.7; a plain
// "from itself" is forged, DESIGN 11).
static struct rule hairpin(const struct address *address)
{
    struct rule rule = rule_init();
    rule.has_source = rule.has_destination = true;
    rule.source = rule.destination = prefix_of(address);
    rule.ct_states = RULE_CT_DNAT;
    rule.target = TARGET_RETURN;
    return rule;
}

// Adds the pod's hairpin rules and leaves in the family.
static int add_addresses(struct compile *compile, uint32_t id, enum family family, enum direction direction,
                         const char *chain, struct compile_rules *rules, struct err *err)
{
    const struct pod *pod = index_pod(compile->index, id);
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (pod->addresses[i].family != family || !index_owns(compile->index, id, i)) {
            continue;
        }
        struct compile_leaf leaf = {.address = pod->addresses[i], .chain = chain};
        if (vec_push(&compile->tables[family].leaves[direction], leaf) < 0 ||
            vec_push(rules, hairpin(&pod->addresses[i])) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

static int pod_chain_name(struct compile *compile, const struct pod *pod, enum family family, enum direction direction,
                          const char **ret, struct err *err)
{
    bool egress = direction == DIRECTION_EGRESS;
    BUF_CLEANUP struct buf identity = {0};
    buf_printf(&identity, "%c|%s/%s", egress ? 'E' : 'I', pod->meta.ns, pod->meta.name);
    if (identity.failed) {
        return err_oom(err);
    }
    return names_take(compile->tables[family].chains_taken, &compile->out->arena,
                      egress ? NAMES_EGRESS_POD : NAMES_INGRESS_POD, identity.data, identity.len, ret, err);
}

static int pod_comment(struct compile *compile, const struct pod *pod, enum direction direction, const char **ret,
                       struct err *err)
{
    BUF_CLEANUP struct buf name = {0};
    buf_printf(&name, "%s/%s", pod->meta.ns, pod->meta.name);
    if (name.failed) {
        return err_oom(err);
    }
    const char *items[] = {name.data};
    return names_comment(&compile->out->arena, direction == DIRECTION_EGRESS ? "egress of " : "ingress of ", items, 1,
                         ret, err);
}

static int add_pod_chain(struct compile *compile, uint32_t id, enum family family, enum direction direction,
                         struct compile_program *program, struct compile_rules *rules, struct err *err)
{
    const struct pod *pod = index_pod(compile->index, id);
    const char *name;
    struct rule last = rule_init();
    last.target = TARGET_GOTO;
    if (pod_chain_name(compile, pod, family, direction, &name, err) < 0 ||
        add_addresses(compile, id, family, direction, name, rules, err) < 0 ||
        compile_program_chain(compile, program, family, &last.chain, err) < 0 ||
        pod_comment(compile, pod, direction, &last.comment, err) < 0) {
        return -1;
    }
    if (vec_push(rules, last) < 0) {
        return err_oom(err);
    }
    return compile_add_chain(compile, family, name, rules, err);
}

static bool owns_address(struct compile *compile, uint32_t id, enum family family)
{
    const struct pod *pod = index_pod(compile->index, id);
    for (size_t i = 0; i < pod->n_addresses; i++) {
        if (pod->addresses[i].family == family && index_owns(compile->index, id, i)) {
            return true;
        }
    }
    return false;
}

int compile_pod(struct compile *compile, uint32_t id, enum direction direction, const struct compile_policies *policies,
                struct err *err)
{
    struct compile_program *program;
    if (program_get(compile, policies, direction, index_pod(compile->index, id), &program, err) < 0) {
        return -1;
    }
    for (enum family family = FAMILY_V4; family <= FAMILY_V6; family++) {
        if (!owns_address(compile, id, family)) {
            continue;
        }
        struct compile_rules rules = {0};
        int rc = add_pod_chain(compile, id, family, direction, program, &rules, err);
        vec_free(&rules);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}
