// SPDX-License-Identifier: Apache-2.0
#include "ruleset/diff.h"
#include "ruleset/render.h"

static char sign(const void *from, const void *to)
{
    return !from ? '+' : !to ? '-' : '~';
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

// Members that come and go with a whole set are counted, those of a changed set are shown.
static void put_set(const struct set_delta *delta, struct buf *out)
{
    const struct set *set = delta->to ? delta->to : delta->from;
    buf_printf(out, "%c set %s %s", sign(delta->from, delta->to), set->name, set_type_name(set->type));
    if (delta->from && delta->to) {
        if (delta->from->type != delta->to->type) {
            buf_printf(out, " (was %s)", set_type_name(delta->from->type));
        }
        buf_printf(out, " %zu added, %zu removed", delta->n_added, delta->n_removed);
    } else {
        buf_printf(out, " %zu member%s", set->n_members, plural(set->n_members));
    }
    if (set->describe && *set->describe) {
        buf_printf(out, " (%s)", set->describe);
    }
    buf_putc(out, '\n');
    if (!delta->from || !delta->to) {
        return;
    }
    for (size_t i = 0; i < delta->n_removed; i++) {
        buf_puts(out, "    - ");
        render_member(delta->from, delta->removed[i], out);
        buf_putc(out, '\n');
    }
    for (size_t i = 0; i < delta->n_added; i++) {
        buf_puts(out, "    + ");
        render_member(delta->to, delta->added[i], out);
        buf_putc(out, '\n');
    }
}

static void put_rule(enum family family, const struct table *table, char mark, const struct rule *rule, struct buf *out)
{
    buf_printf(out, "    %c ", mark);
    render_rule(family, table, NULL, rule, out);
    buf_putc(out, '\n');
}

// What stands between the rules that both begin with and the rules that both end with.
static void put_chain(enum family family, const struct table_diff *diff, const struct chain_delta *delta,
                      struct buf *out)
{
    static const struct chain none = {.name = ""};
    const struct chain *from = delta->from ? delta->from : &none;
    const struct chain *to = delta->to ? delta->to : &none;
    size_t head = 0;
    while (head < from->n_rules && head < to->n_rules && rule_equal(&from->rules[head], &to->rules[head])) {
        head++;
    }
    size_t from_end = from->n_rules;
    size_t to_end = to->n_rules;
    while (from_end > head && to_end > head && rule_equal(&from->rules[from_end - 1], &to->rules[to_end - 1])) {
        from_end--;
        to_end--;
    }
    buf_printf(out, "%c chain %s", sign(delta->from, delta->to), delta->to ? to->name : from->name);
    if (!delta->to) {
        buf_printf(out, " %zu rule%s\n", from->n_rules, plural(from->n_rules));
        return;
    }
    buf_putc(out, '\n');
    for (size_t i = head; i < from_end; i++) {
        put_rule(family, diff->from, '-', &from->rules[i], out);
    }
    for (size_t i = head; i < to_end; i++) {
        put_rule(family, diff->to, '+', &to->rules[i], out);
    }
}

static void put_hooks(enum family family, const struct table *table, char mark, struct buf *out)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        buf_printf(out, "    %c -A %s ", mark, table->hooks[i].builtin);
        render_rule(family, table, NULL, &table->hooks[i].rule, out);
        buf_putc(out, '\n');
    }
}

void ruleset_diff_render(const struct ruleset_diff *diff, struct buf *out)
{
    static const enum family families[] = {FAMILY_V4, FAMILY_V6};
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        enum family family = families[i];
        const struct table_diff *table = &diff->tables[family];
        if (table->n_sets || table->n_chains || table->hooks_differ) {
            buf_printf(out, "%s:\n", family_name(family));
        }
        for (size_t j = 0; j < table->n_sets; j++) {
            put_set(&table->sets[j], out);
        }
        for (size_t j = 0; j < table->n_chains; j++) {
            put_chain(family, table, &table->chains[j], out);
        }
        if (table->hooks_differ) {
            buf_puts(out, "~ hooks\n");
            put_hooks(family, table->from, '-', out);
            put_hooks(family, table->to, '+', out);
        }
    }
}
