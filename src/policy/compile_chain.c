// SPDX-License-Identifier: Apache-2.0
//
// Policy chains: the rules of a program in one family. A policy chain is named by its content, so all pods with the
// same effective rules share it; what is only membership (of pods in sets) is no part of it.
#include "policy/compile_build.h"

#include "base/limits.h"
#include "policy/names.h"
#include "ruleset/render.h"

// One chain at work.
struct chain_build {
    struct compile *compile;
    enum family family;
    const struct compile_program *program;
    struct region **regions;  // by group; NULL without blocks
    struct compile_rules rules;
    bool open[UINT8_MAX + 1];  // protocols of which every packet is allowed
};

static void chain_build_done(struct chain_build *build)
{
    for (size_t i = 0; build->regions && i < build->program->groups.list.n; i++) {
        region_free(build->regions[i]);
    }
    free(build->regions);
    vec_free(&build->rules);
}

static int build_regions(struct chain_build *build, struct err *err)
{
    size_t n = build->program->groups.list.n;
    build->regions = calloc(n + 1, sizeof(struct region *));
    if (!build->regions) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        const struct compile_group *group = build->program->groups.list.v[i];
        if (group->any_peer || group->blocks.n == 0) {
            continue;
        }
        if (region_new(build->family, &build->regions[i], err) < 0) {
            return -1;
        }
        for (size_t j = 0; j < group->blocks.n; j++) {
            const struct peer *peer = group->blocks.v[j];
            if (region_add(build->regions[i], &peer->cidr, peer->excepts, peer->n_excepts, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

// The group's rules need no set: they hold for every peer of the family.
static bool any_peer(const struct chain_build *build, size_t group)
{
    return build->program->groups.list.v[group]->any_peer ||
           (build->regions[group] && region_is_whole(build->regions[group]));
}

// RETURN rules for the group's ports from or to the members of the set (NULL: anyone), as many as multiport needs.
static int add_returns(struct chain_build *build, const struct compile_group *group, const char *set, struct err *err)
{
    struct rule rule = rule_init();
    rule.protocol = group->protocol;
    rule.set = set;
    rule.set_direction = build->program->direction == DIRECTION_EGRESS ? SET_DST : SET_SRC;
    rule.target = TARGET_RETURN;
    if (group->protocol == 0 || compile_group_all_ports(group)) {
        return vec_push(&build->rules, rule) < 0 ? err_oom(err) : 0;
    }
    size_t done = 0;
    while (done < group->ports.n) {
        size_t slots = 0;
        size_t n = 0;
        for (; done + n < group->ports.n; n++) {
            const struct port_range *range = &group->ports.v[done + n];
            slots += range->first == range->last ? 1 : 2;
            if (slots > LIMIT_MULTIPORT) {
                break;
            }
        }
        struct port_range *ports = arena_alloc(&build->compile->out->arena, n * sizeof(*ports));
        if (!ports) {
            return err_oom(err);
        }
        memcpy(ports, group->ports.v + done, n * sizeof(*ports));
        rule.ports = ports;
        rule.n_ports = n;
        if (vec_push(&build->rules, rule) < 0) {
            return err_oom(err);
        }
        done += n;
    }
    return 0;
}

// Numbers of a protocol: neither a port name nor any protocol.
static bool is_numeric(const struct compile_group *group)
{
    return group->protocol && !group->name;
}

static int add_group_sets(struct chain_build *build, size_t i, struct err *err)
{
    const struct compile_group *group = build->program->groups.list.v[i];
    const char *set;
    if (group->pod_union) {
        if (compile_set_pods(build->compile, build->family, group->pod_union, &set, err) < 0 ||
            add_returns(build, group, set, err) < 0) {
            return -1;
        }
    }
    if (build->regions[i] && !region_is_empty(build->regions[i])) {
        if (compile_set_region(build->compile, build->family, build->regions[i], &set, err) < 0 ||
            add_returns(build, group, set, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// One rule for all named ports of a protocol.
static int add_named_sets(struct chain_build *build, struct err *err)
{
    struct compile_group *const *groups = build->program->groups.list.v;
    size_t n = build->program->groups.list.n;
    for (size_t i = 0, same = 1; i < n; i += same) {
        struct compile_group all = {.protocol = groups[i]->protocol,
                                    .ports = {.v = &(struct port_range){0, UINT16_MAX}, .n = 1}};
        for (same = 1; groups[i]->name && i + same < n && groups[i + same]->protocol == all.protocol;) {
            same++;
        }
        const char *set = NULL;
        if (groups[i]->name && !build->open[all.protocol] &&
            (compile_set_named(build->compile, build->family, groups + i, build->regions + i, same, &set, err) < 0 ||
             (set && add_returns(build, &all, set, err) < 0))) {
            return -1;
        }
    }
    return 0;
}

// The RETURN rules, cheap ones first: a port match costs a fifth of a set lookup.
static int add_all_returns(struct chain_build *build, struct err *err)
{
    struct compile_group *const *groups = build->program->groups.list.v;
    size_t n = build->program->groups.list.n;
    for (size_t i = 0; i < n; i++) {
        if (groups[i]->protocol && compile_group_all_ports(groups[i]) && any_peer(build, i)) {
            build->open[groups[i]->protocol] = true;
        }
    }
    for (size_t i = 0; i < n; i++) {
        bool covered = build->open[groups[i]->protocol] && !compile_group_all_ports(groups[i]);
        if (is_numeric(groups[i]) && any_peer(build, i) && !covered && add_returns(build, groups[i], NULL, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (is_numeric(groups[i]) && !any_peer(build, i) && !build->open[groups[i]->protocol] &&
            add_group_sets(build, i, err) < 0) {
            return -1;
        }
    }
    if (add_named_sets(build, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (!groups[i]->protocol && add_group_sets(build, i, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int build_rules(struct chain_build *build, struct err *err)
{
    for (size_t i = 0; i < build->program->groups.list.n; i++) {
        if (build->program->groups.list.v[i]->protocol == 0 && any_peer(build, i)) {
            return add_returns(build, build->program->groups.list.v[i], NULL, err);
        }
    }
    struct rule drop = rule_init();
    drop.target = TARGET_GOTO;
    drop.chain = NAMES_DROP;
    drop.comment = build->program->comment;
    if (add_all_returns(build, err) < 0) {
        return -1;
    }
    return vec_push(&build->rules, drop) < 0 ? err_oom(err) : 0;
}

static int add_policy_chain(struct chain_build *build, const char **ret, struct err *err)
{
    struct compile *compile = build->compile;
    struct compile_table *table = &compile->tables[build->family];
    BUF_CLEANUP struct buf content = {0};
    for (size_t i = 0; i < build->rules.n; i++) {
        render_rule(build->family, NULL, NULL, &build->rules.v[i], &content);
        buf_putc(&content, '\n');
    }
    if (content.failed) {
        return err_oom(err);
    }
    const char *name = map_get_str(table->policy_chains, content.data);
    if (!name) {
        if (names_take(table->chains_taken, &compile->out->arena, NAMES_POLICY, content.data, content.len, &name, err) <
                0 ||
            compile_add_chain(compile, build->family, name, &build->rules, err) < 0) {
            return -1;
        }
        if (map_put_str(table->policy_chains, content.data, (void *)(uintptr_t)name, NULL) < 0) {
            return err_oom(err);
        }
    }
    *ret = name;
    return 0;
}

int compile_program_chain(struct compile *compile, struct compile_program *program, enum family family,
                          const char **ret, struct err *err)
{
    if (!program->chains[family]) {
        struct chain_build build = {.compile = compile, .family = family, .program = program};
        int rc = build_regions(&build, err) < 0 || build_rules(&build, err) < 0 ||
                         add_policy_chain(&build, &program->chains[family], err) < 0
                     ? -1
                     : 0;
        chain_build_done(&build);
        if (rc < 0) {
            return -1;
        }
    }
    *ret = program->chains[family];
    return 0;
}
