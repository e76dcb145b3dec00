// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

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
    const struct legacy_notes *notes;  // NULL: a snapshot
};

static void cleanup_reader(struct reader *reader)
{
    legacy_names_free(&reader->names);
    vec_free(&reader->rules);
    vec_free(&reader->hooks);
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

static const struct table *table_of(const struct reader *reader)
{
    return &reader->ruleset->tables[reader->family];
}

// Somebody else's rule of a built-in chain, as far as a rule of ours could say it.
static int note_foreign(struct reader *reader, const struct xtables_view *view, const struct legacy_place *place,
                        struct err *err)
{
    struct legacy_rule_room room;
    struct rule rule;
    struct buf BUF_CLEANUP text = {0};
    if (legacy_rule_decode(reader->legacy, &reader->names, table_of(reader), reader->family, view, &room, &rule, err) <
        0) {
        return -1;
    }
    if (!legacy_is_unknown(&rule)) {
        render_rule(reader->family, table_of(reader), NULL, &rule, &text);
    }
    return text.failed ? err_oom(err) : legacy_note_foreign(reader->notes, place, view, text.len ? text.data : "", err);
}

static size_t count_hooks(const struct reader *reader)
{
    size_t n = 0;
    for (size_t i = 0; i < reader->hooks.n; i++) {
        n += strcmp(reader->hooks.v[i].builtin, reader->builtin) == 0;
    }
    return n;
}

static int keep_hook(struct reader *reader, const struct rule *rule, unsigned position, struct err *err)
{
    struct hook hook = {.builtin = reader->builtin, .rule = *rule};
    if (reader->notes) {
        foreign_hook(reader->notes->foreign, reader->family, reader->builtin);
    } else if (position != count_hooks(reader)) {
        hook.rule.comment = BACKEND_MISPLACED_HOOK;
    }
    return vec_push(&reader->hooks, hook) < 0 ? err_oom(err) : 0;
}

static int read_rule(const struct xtables_view *from, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct legacy_rule_room room;
    struct rule rule;
    struct xtables_view view = *from;
    unsigned position = reader->position++;
    const struct legacy_place place = {reader->family, reader->chain, position + 1};
    view.known = reader->notes ? view.told : view.known;
    if (reader->builtin && !backend_is_our_chain(view.target)) {
        return reader->notes ? note_foreign(reader, &view, &place, err) : 0;
    }
    if (legacy_rule_decode(reader->legacy, &reader->names, table_of(reader), reader->family, &view, &room, &rule, err) <
            0 ||
        (reader->notes &&
         legacy_note_own(reader->legacy, reader->notes, table_of(reader), &place, &view, &rule, err) < 0) ||
        keep_rule(&reader->ruleset->arena, &rule, err) < 0) {
        return -1;
    }
    if (!reader->builtin) {
        return vec_push(&reader->rules, rule) < 0 ? err_oom(err) : 0;
    }
    return keep_hook(reader, &rule, position, err);
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
        if (!backend_is_our_chain(name)) {
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
    if (reader->notes && legacy_note_chains(reader->notes->foreign, reader->family, table, "filter", err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < KERNEL_BUILTINS; i++) {
        reader->chain = reader->builtin = kernel_builtins[i];
        reader->position = 0;
        if (xtables_read(table, kernel_builtins[i], read_rule, reader, err) < 0) {
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

static int read_sets(struct legacy *legacy, const struct legacy_notes *notes, struct ruleset **ret, struct err *err)
{
    if (!notes) {
        return kernel_sets_read(&legacy->kernel, ret, NULL, err);
    }
    if (!notes->has_sets) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : err_oom(err);
    }
    struct kernel_sets_apply aliens = {.kernel = &legacy->kernel};
    int rc = kernel_sets_read(&legacy->kernel, ret, &aliens, err);
    rc = rc < 0 ? rc : legacy_note_aliens(notes, &aliens, err);
    kernel_sets_apply_free(&aliens);
    return rc;
}

int legacy_snapshot(struct backend *backend, struct ruleset **ret, struct err *err)
{
    return legacy_read(CONTAINER_OF(backend, struct legacy, backend), NULL, ret, err);
}

int legacy_read(struct legacy *legacy, const struct legacy_notes *notes, struct ruleset **ret, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    if (read_sets(legacy, notes, &ruleset, err) < 0) {
        return -1;
    }
    __attribute__((cleanup(cleanup_reader))) struct reader reader = {
        .legacy = legacy, .ruleset = ruleset, .notes = notes};
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
