// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_lines.h"

void parse_lines_free(struct parse_lines *lines)
{
    vec_free(&lines->chains);
    vec_free(&lines->sets);
    vec_free(&lines->rules);
    vec_free(&lines->members);
    vec_free(&lines->hooks);
    map_free(lines->chain_index);
    map_free(lines->set_index);
}

static int chain_compare(const void *a, const void *b)
{
    return strcmp(((const struct chain *)a)->name, ((const struct chain *)b)->name);
}

static int set_compare(const void *a, const void *b)
{
    return strcmp(((const struct set *)a)->name, ((const struct set *)b)->name);
}

static int member_line_compare(const void *a, const void *b)
{
    const struct parse_member_line *x = a;
    const struct parse_member_line *y = b;
    if (x->set != y->set) {
        return x->set < y->set ? -1 : 1;
    }
    int order = set_member_compare(&x->member, &y->member);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int check_dimensions(const struct table *table, const struct parsed_rule *parsed, unsigned line, struct err *err)
{
    const struct set *set = parsed->rule.set ? table_set(table, parsed->rule.set) : NULL;
    if (set && set_type_dimensions(set->type) != parsed->set_dimensions) {
        err_set(err, ERR_INPUT, 0, "--match-set %s: a set of type %s is not matched in %u dimension%s", set->name,
                set_type_name(set->type), parsed->set_dimensions, parsed->set_dimensions == 1 ? "" : "s");
        return err_at_object(err, "line %u", line);
    }
    return 0;
}

static int deal_sets(struct parse_lines *lines, struct arena *arena, struct table *table, struct err *err)
{
    struct set_member *members = arena_alloc(arena, lines->members.n * sizeof(*members));
    struct set *sets = arena_alloc(arena, lines->sets.n * sizeof(*sets));
    if (!members || !sets) {
        return err_oom(err);
    }
    if (lines->members.n) {
        qsort(lines->members.v, lines->members.n, sizeof(*lines->members.v), member_line_compare);
    }
    for (size_t i = 0; i < lines->members.n; i++) {
        const struct parse_member_line *line = &lines->members.v[i];
        const struct parse_member_line *before = i ? line - 1 : NULL;
        struct set *set = &lines->sets.v[line->set];
        // The kernel holds one element of a prefix, whatever its flag.
        if (before && before->set == line->set && set_member_same_key(&before->member, &line->member)) {
            err_set(err, ERR_INPUT, 0, "set %s has the element twice", set->name);
            return err_at_object(err, "line %u", line->line > before->line ? line->line : before->line);
        }
        members[i] = line->member;
        if (set->n_members++ == 0) {
            set->members = &members[i];
        }
    }
    if (lines->sets.n) {
        memcpy(sets, lines->sets.v, lines->sets.n * sizeof(*sets));
        qsort(sets, lines->sets.n, sizeof(*sets), set_compare);
    }
    table->sets = sets;
    table->n_sets = lines->sets.n;
    return 0;
}

// Rules keep their order within each chain: count, give each chain its part of one array, fill.
static int deal_chains(struct parse_lines *lines, struct arena *arena, struct table *table, struct err *err)
{
    struct rule *rules = arena_alloc(arena, lines->rules.n * sizeof(*rules));
    struct chain *chains = arena_alloc(arena, lines->chains.n * sizeof(*chains));
    CLEANUP(free) struct rule **next = calloc(lines->chains.n + 1, sizeof(struct rule *));
    if (!rules || !chains || !next) {
        return err_oom(err);
    }
    for (size_t i = 0; i < lines->rules.n; i++) {
        lines->chains.v[lines->rules.v[i].chain].n_rules++;
    }
    size_t used = 0;
    for (size_t i = 0; i < lines->chains.n; i++) {
        chains[i] = lines->chains.v[i];
        chains[i].rules = next[i] = rules + used;
        used += chains[i].n_rules;
    }
    for (size_t i = 0; i < lines->rules.n; i++) {
        const struct parse_rule_line *line = &lines->rules.v[i];
        if (check_dimensions(table, &line->parsed, line->line, err) < 0) {
            return -1;
        }
        *next[line->chain]++ = line->parsed.rule;
    }
    if (lines->chains.n) {
        qsort(chains, lines->chains.n, sizeof(*chains), chain_compare);
    }
    table->chains = chains;
    table->n_chains = lines->chains.n;
    return 0;
}

static int deal_hooks(struct parse_lines *lines, struct arena *arena, struct table *table, struct err *err)
{
    struct hook *hooks = arena_alloc(arena, lines->hooks.n * sizeof(*hooks));
    if (!hooks) {
        return err_oom(err);
    }
    for (size_t i = 0; i < lines->hooks.n; i++) {
        const struct parse_hook_line *line = &lines->hooks.v[i];
        if (check_dimensions(table, &line->parsed, line->line, err) < 0) {
            return -1;
        }
        hooks[i] = (struct hook){.builtin = line->builtin, .rule = line->parsed.rule};
    }
    table->hooks = hooks;
    table->n_hooks = lines->hooks.n;
    return 0;
}

int parse_lines_deal(struct parse_lines *lines, struct arena *arena, struct table *table, struct err *err)
{
    // Sets first: rules are checked against them.
    return deal_sets(lines, arena, table, err) < 0 || deal_chains(lines, arena, table, err) < 0 ||
                   deal_hooks(lines, arena, table, err) < 0
               ? -1
               : 0;
}
