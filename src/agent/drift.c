// SPDX-License-Identifier: Apache-2.0
#include "agent/drift.h"

#include <stdio.h>

#include "ruleset/diff.h"

static const char *const kind_names[DRIFT_KIND_COUNT] = {
    [DRIFT_CHAIN_MISSING] = "chain-missing",   [DRIFT_CHAIN_CHANGED] = "chain-changed",
    [DRIFT_CHAIN_FOREIGN] = "chain-foreign",   [DRIFT_JUMP_MISSING] = "jump-missing",
    [DRIFT_JUMP_MOVED] = "jump-moved",         [DRIFT_JUMP_CHANGED] = "jump-changed",
    [DRIFT_JUMP_DUPLICATE] = "jump-duplicate", [DRIFT_SET_MISSING] = "set-missing",
    [DRIFT_SET_CHANGED] = "set-changed",       [DRIFT_SET_FOREIGN] = "set-foreign",
    [DRIFT_MEMBER_MISSING] = "member-missing", [DRIFT_MEMBER_FOREIGN] = "member-foreign",
};

const char *const drift_builtins[DRIFT_BUILTINS] = {"FORWARD", "INPUT", "OUTPUT"};

const char *drift_kind_name(enum drift_kind kind)
{
    return kind_names[kind];
}

static void note(struct drift *drift, enum drift_kind kind, const char *name)
{
    char *names = drift->kinds[kind].names;
    size_t len = strlen(names);
    if (len + strlen(name) + sizeof(", ") <= DRIFT_NAMES) {
        (void)snprintf(names + len, DRIFT_NAMES - len, "%s%s", len ? ", " : "", name);
    }
    drift->kinds[kind].n++;
}

// ---- chains and sets -----------------------------------------------------------------------------------------------

static void note_chains(const struct table_diff *table, enum family family, struct drift *drift)
{
    for (size_t i = 0; i < table->n_chains; i++) {
        const struct chain_delta *delta = &table->chains[i];
        const struct chain *chain = delta->to ? delta->to : delta->from;
        char name[CHAIN_NAME_SIZE + 16];
        (void)snprintf(name, sizeof(name), "%s %s", family_name(family), chain->name);
        note(drift, !delta->from ? DRIFT_CHAIN_MISSING : !delta->to ? DRIFT_CHAIN_FOREIGN : DRIFT_CHAIN_CHANGED, name);
    }
}

static void note_members(const struct set_delta *delta, enum drift_kind kind, struct drift *drift)
{
    bool missing = kind == DRIFT_MEMBER_MISSING;
    size_t n = missing ? delta->n_added : delta->n_removed;
    const struct set_member *const *members = missing ? delta->added : delta->removed;
    for (size_t i = 0; i < n; i++) {
        char address[PREFIX_TEXT];
        char name[SET_NAME_SIZE + sizeof(address) + 32];
        const struct set_member *member = members[i];
        prefix_format(&member->prefix, address);
        if (member->protocol) {
            (void)snprintf(name, sizeof(name), "%s %s,%u:%u", delta->to->name, address, member->protocol, member->port);
        } else {
            (void)snprintf(name, sizeof(name), "%s %s", delta->to->name, address);
        }
        note(drift, kind, name);
    }
}

static void note_sets(const struct table_diff *table, struct drift *drift)
{
    for (size_t i = 0; i < table->n_sets; i++) {
        const struct set_delta *delta = &table->sets[i];
        if (!delta->from) {
            note(drift, DRIFT_SET_MISSING, delta->to->name);
        } else if (!delta->to) {
            note(drift, DRIFT_SET_FOREIGN, delta->from->name);
        } else if (delta->from->type != delta->to->type) {
            note(drift, DRIFT_SET_CHANGED, delta->to->name);
        } else {
            note_members(delta, DRIFT_MEMBER_MISSING, drift);
            note_members(delta, DRIFT_MEMBER_FOREIGN, drift);
        }
    }
}

// ---- jumps ---------------------------------------------------------------------------------------------------------

enum { JUMPS_MAX = 64 };

struct jumps {
    const struct hook *v[JUMPS_MAX];
    bool used[JUMPS_MAX];
    size_t n;
    size_t more;  // of one built-in chain, beyond any reason
};

static void list_jumps(const struct table *table, const char *builtin, struct jumps *ret)
{
    *ret = (struct jumps){0};
    for (size_t i = 0; i < table->n_hooks; i++) {
        if (strcmp(table->hooks[i].builtin, builtin) != 0) {
            continue;
        }
        if (ret->n < JUMPS_MAX) {
            ret->v[ret->n++] = &table->hooks[i];
        } else {
            ret->more++;
        }
    }
}

static bool is_misplaced(const struct hook *hook)
{
    return hook->rule.comment && strcmp(hook->rule.comment, BACKEND_MISPLACED_HOOK) == 0;
}

// A snapshot says by the comment that a jump is out of place.
static bool same_jump(const struct hook *live, const struct hook *want)
{
    struct rule a = live->rule;
    struct rule b = want->rule;
    if (is_misplaced(live)) {
        a.comment = b.comment = NULL;
    }
    return rule_equal(&a, &b);
}

static bool leads_there(const struct hook *live, const struct hook *want)
{
    return live->rule.chain && want->rule.chain && strcmp(live->rule.chain, want->rule.chain) == 0;
}

static size_t find_jump(const struct jumps *live, const struct hook *want,
                        bool (*match)(const struct hook *live, const struct hook *want))
{
    size_t at = 0;
    while (at < live->n && (live->used[at] || !match(live->v[at], want))) {
        at++;
    }
    return at;
}

static void note_jumps_of(const struct ruleset *live_rules, const struct ruleset *want_rules, enum family family,
                          unsigned builtin, struct drift *drift)
{
    struct jumps live;
    struct jumps want;
    bool placed[JUMPS_MAX] = {0};
    list_jumps(&live_rules->tables[family], drift_builtins[builtin], &live);
    list_jumps(&want_rules->tables[family], drift_builtins[builtin], &want);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", family_name(family), drift_builtins[builtin]);
    for (size_t i = 0; i < want.n; i++) {
        size_t at = find_jump(&live, want.v[i], same_jump);
        if (at == live.n) {
            continue;
        }
        placed[i] = live.used[at] = true;
        bool behind = is_misplaced(live.v[at]);
        drift->behind[family][builtin] = drift->behind[family][builtin] || behind;
        if (behind && !want.v[i]->anywhere) {
            note(drift, DRIFT_JUMP_MOVED, name);
        }
    }
    for (size_t i = 0; i < want.n; i++) {
        if (placed[i]) {
            continue;
        }
        size_t at = find_jump(&live, want.v[i], leads_there);
        if (at < live.n) {
            live.used[at] = true;
        }
        note(drift, at < live.n ? DRIFT_JUMP_CHANGED : DRIFT_JUMP_MISSING, name);
    }
    for (size_t i = 0; i < live.n; i++) {
        if (!live.used[i]) {
            note(drift, DRIFT_JUMP_DUPLICATE, name);
        }
    }
    drift->kinds[DRIFT_JUMP_DUPLICATE].n += live.more;
}

// ---- the whole -----------------------------------------------------------------------------------------------------

int drift_of(const struct ruleset *live, const struct ruleset *want, struct drift *ret, struct err *err)
{
    CLEANUP(ruleset_diff_free) struct ruleset_diff *diff = NULL;
    if (ruleset_diff_make(live, want, &diff, err) < 0) {
        return -1;
    }
    *ret = (struct drift){0};
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        note_chains(&diff->tables[family], family, ret);
        note_sets(&diff->tables[family], ret);
        for (unsigned builtin = 0; builtin < DRIFT_BUILTINS; builtin++) {
            note_jumps_of(live, want, family, builtin, ret);
        }
    }
    return 0;
}

size_t drift_total(const struct drift *drift)
{
    size_t total = 0;
    for (size_t kind = 0; kind < DRIFT_KIND_COUNT; kind++) {
        total += drift->kinds[kind].n;
    }
    return total;
}

static void cut(struct drift *drift, enum drift_kind kind, size_t repaired)
{
    if (drift->kinds[kind].n > repaired) {
        drift->kinds[kind].n = repaired;
    }
}

void drift_keep_repaired(struct drift *drift, const struct apply_report *report)
{
    cut(drift, DRIFT_CHAIN_FOREIGN, report->chains_deleted);
    cut(drift, DRIFT_SET_FOREIGN, report->sets_destroyed);
    if (report->writes == 0) {
        *drift = (struct drift){0};
    }
}

void drift_leave_out(struct drift *drift, size_t leftovers)
{
    static const enum drift_kind kinds[] = {DRIFT_SET_FOREIGN, DRIFT_CHAIN_FOREIGN};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t *n = &drift->kinds[kinds[i]].n;
        size_t less = *n < leftovers ? *n : leftovers;
        *n -= less;
        leftovers -= less;
    }
}

void drift_render_json(const struct drift *drift, struct buf *out)
{
    const char *before = "{";
    for (size_t kind = 0; kind < DRIFT_KIND_COUNT; kind++) {
        if (drift->kinds[kind].n) {
            buf_printf(out, "%s\"%s\":{\"count\":%zu,\"names\":", before, kind_names[kind], drift->kinds[kind].n);
            buf_json_string(out, drift->kinds[kind].names);
            buf_putc(out, '}');
            before = ",";
        }
    }
    buf_puts(out, before[0] == '{' ? "{}" : "}");
}
