// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

#include <stdio.h>

#include "ruleset/render.h"

struct reader {
    struct legacy *legacy;
    struct legacy_names names;
    struct ruleset *ruleset;
    enum family family;
    VEC(struct rule) rules;  // of the chain being read
    VEC(struct hook) hooks;
    const char *chain;    // being read
    const char *builtin;  // the same, when it is a built-in one
    unsigned position;
    struct findings *unprovable;  // NULL: nobody asks
    struct findings *foreign;
    struct findings ahead;  // others' rules of this chain; foreign ones once a jump of ours stands behind them
};

static void cleanup_reader(struct reader *reader)
{
    legacy_names_free(&reader->names);
    vec_free(&reader->rules);
    vec_free(&reader->hooks);
    findings_free(&reader->ahead);
}

static int keep_text(struct arena *arena, const char **text, struct err *err)
{
    if (!*text) {
        return 0;
    }
    *text = arena_strdup(arena, *text);
    return *text ? 0 : err_oom(err);
}

// Moves what the rule borrows into the ruleset.
static int keep_rule(struct arena *arena, struct rule *rule, struct err *err)
{
    if (rule->n_ports) {
        struct port_range *ports = arena_alloc(arena, rule->n_ports * sizeof(*ports));
        if (!ports) {
            return err_oom(err);
        }
        memcpy(ports, rule->ports, rule->n_ports * sizeof(*ports));
        rule->ports = ports;
    }
    return keep_text(arena, &rule->set, err) < 0 || keep_text(arena, &rule->chain, err) < 0 ||
                   keep_text(arena, &rule->comment, err) < 0
               ? -1
               : 0;
}

static int note(const struct reader *reader, struct findings *to, unsigned position, const char *what, struct err *err)
{
    char where[FINDING_WHERE];
    (void)snprintf(where, sizeof(where), "%s filter %s rule %u", family_name(reader->family), reader->chain,
                   position + 1);
    return findings_add(to, where, what, err);
}

static bool is_unknown(const struct rule *rule)
{
    return rule->comment && strcmp(rule->comment, BACKEND_UNKNOWN_RULE) == 0;
}

// Somebody else's rule of a built-in chain. Those that only count decide nothing.
static int note_ahead(struct reader *reader, const struct xtables_view *view, unsigned position, struct err *err)
{
    struct legacy_rule_room room;
    struct rule rule;
    struct buf BUF_CLEANUP text = {0};
    if (!reader->foreign || !*view->target) {
        return 0;
    }
    if (legacy_rule_decode(reader->legacy, &reader->names, &reader->ruleset->tables[reader->family], reader->family,
                           view, &room, &rule, err) < 0) {
        return -1;
    }
    if (is_unknown(&rule)) {
        buf_printf(&text, "-j %s, with matches that netpold does not use", view->target);
    } else {
        render_rule(reader->family, &reader->ruleset->tables[reader->family], NULL, &rule, &text);
    }
    return text.failed ? err_oom(err) : note(reader, &reader->ahead, position, text.data, err);
}

static int keep_ahead(struct reader *reader, struct err *err)
{
    for (size_t i = 0; i < reader->ahead.n; i++) {
        if (findings_add(reader->foreign, reader->ahead.v[i].where, reader->ahead.v[i].what, err) < 0) {
            return -1;
        }
    }
    if (reader->foreign) {
        reader->foreign->more += reader->ahead.more;
    }
    reader->ahead.n = reader->ahead.more = 0;
    return 0;
}

static int read_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct legacy_rule_room room;
    struct rule rule;
    unsigned position = reader->position++;
    if (reader->builtin && !legacy_is_our_chain(view->target)) {
        return note_ahead(reader, view, position, err);
    }
    if (reader->builtin && keep_ahead(reader, err) < 0) {
        return -1;
    }
    if (legacy_rule_decode(reader->legacy, &reader->names, &reader->ruleset->tables[reader->family], reader->family,
                           view, &room, &rule, err) < 0 ||
        keep_rule(&reader->ruleset->arena, &rule, err) < 0) {
        return -1;
    }
    if (is_unknown(&rule)) {
        char what[FINDING_WHAT];
        (void)snprintf(what, sizeof(what), "%s%s: a match, a flag or a target that netpold does not use",
                       *view->target ? "-j " : "no target", view->target);
        if (note(reader, reader->unprovable, position, what, err) < 0) {
            return -1;
        }
    }
    if (!reader->builtin) {
        return vec_push(&reader->rules, rule) < 0 ? err_oom(err) : 0;
    }
    size_t ours = 0;
    for (size_t i = 0; i < reader->hooks.n; i++) {
        ours += strcmp(reader->hooks.v[i].builtin, reader->builtin) == 0;
    }
    if (position != ours) {
        rule.comment = BACKEND_MISPLACED_HOOK;
    }
    const struct hook hook = {.builtin = reader->builtin, .rule = rule};
    return vec_push(&reader->hooks, hook) < 0 ? err_oom(err) : 0;
}

static int chain_compare(const void *a, const void *b)
{
    const struct chain *left = a;
    const struct chain *right = b;
    return strcmp(left->name, right->name);
}

static int list_chains(struct xtables *table, struct reader *reader, struct chain **ret, size_t *ret_n, struct err *err)
{
    VEC(struct chain) chains = {0};
    for (const char *name = xtables_first_chain(table); name; name = xtables_next_chain(table)) {
        if (!legacy_is_our_chain(name)) {
            continue;
        }
        struct chain chain = {.name = arena_strdup(&reader->ruleset->arena, name)};
        if (!chain.name || vec_push(&chains, chain) < 0) {
            vec_free(&chains);
            return err_oom(err);
        }
    }
    struct chain *kept = arena_alloc(&reader->ruleset->arena, chains.n * sizeof(*kept));
    if (kept && chains.n) {
        qsort(chains.v, chains.n, sizeof(*chains.v), chain_compare);
        memcpy(kept, chains.v, chains.n * sizeof(*kept));
    }
    *ret = kept;
    *ret_n = chains.n;
    vec_free(&chains);
    return kept ? 0 : err_oom(err);
}

static int read_table(struct xtables *table, struct reader *reader, struct err *err)
{
    struct arena *arena = &reader->ruleset->arena;
    struct table *into = &reader->ruleset->tables[reader->family];
    struct chain *chains = NULL;
    size_t n_chains = 0;
    if (list_chains(table, reader, &chains, &n_chains, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n_chains; i++) {
        reader->rules.n = 0;
        reader->chain = chains[i].name;
        reader->position = 0;
        if (xtables_read(table, chains[i].name, read_rule, reader, err) < 0) {
            return -1;
        }
        struct rule *rules = arena_alloc(arena, reader->rules.n * sizeof(*rules));
        if (!rules) {
            return err_oom(err);
        }
        if (reader->rules.n) {
            memcpy(rules, reader->rules.v, reader->rules.n * sizeof(*rules));
        }
        chains[i].rules = rules;
        chains[i].n_rules = reader->rules.n;
    }
    for (size_t i = 0; i < LEGACY_BUILTINS; i++) {
        reader->chain = reader->builtin = legacy_builtins[i];
        reader->position = 0;
        reader->ahead.n = reader->ahead.more = 0;
        if (xtables_read(table, legacy_builtins[i], read_rule, reader, err) < 0) {
            return -1;
        }
    }
    reader->builtin = NULL;
    struct hook *hooks = arena_alloc(arena, reader->hooks.n * sizeof(*hooks));
    if (!hooks) {
        return err_oom(err);
    }
    if (reader->hooks.n) {
        memcpy(hooks, reader->hooks.v, reader->hooks.n * sizeof(*hooks));
    }
    into->chains = chains;
    into->n_chains = n_chains;
    into->hooks = hooks;
    into->n_hooks = reader->hooks.n;
    reader->hooks.n = 0;
    return 0;
}

int legacy_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    return legacy_read(CONTAINER_OF(backend, struct legacy, backend), NULL, NULL, ret, err);
}

int legacy_read(struct legacy *legacy, struct findings *unprovable, struct findings *foreign, struct ruleset **ret,
                struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    if (legacy_sets_read(legacy, &ruleset, NULL, err) < 0) {
        return -1;
    }
    __attribute__((cleanup(cleanup_reader))) struct reader reader = {
        .legacy = legacy, .ruleset = ruleset, .unprovable = unprovable, .foreign = foreign};
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        enum xtables_presence presence = XTABLES_UNSUPPORTED;
        if (xtables_presence(legacy_xtables_family(family), &presence, err) < 0) {
            return -1;
        }
        if (presence != XTABLES_PRESENT) {
            continue;
        }
        CLEANUP(xtables_close) struct xtables *table = NULL;
        reader.family = family;
        if (xtables_open(legacy_xtables_family(family), &table, err) < 0 || read_table(table, &reader, err) < 0) {
            return -1;
        }
    }
    *ret = TAKE(ruleset);
    return 0;
}
