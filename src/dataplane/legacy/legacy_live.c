// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

#include <stdio.h>

#include "model/object.h"

// ---- ours ----------------------------------------------------------------------------------------------------------

static int note(const struct legacy_notes *notes, const struct legacy_place *place, const char *what, struct err *err)
{
    char where[FINDING_WHERE];
    (void)snprintf(where, sizeof(where), "%s filter %.32s rule %u", family_name(place->family), place->chain,
                   place->number);
    return findings_add(notes->unprovable, where, what, err);
}

static bool has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

// Of a rule that could be decoded: what no simulation of ours can follow. NULL: nothing.
static const char *odd_part(const struct table *sets, const struct rule *rule)
{
    const struct set *set = rule->set ? table_set(sets, rule->set) : NULL;
    if (rule->chain && !backend_is_our_chain(rule->chain)) {
        return "it leads to a chain that is not netpold's";
    }
    if (rule->n_ports && !has_ports(rule->protocol)) {
        return "ports of a protocol other than TCP, UDP and SCTP";
    }
    return set && set->type == SET_HASH_IP_PORT && rule->set_direction == SET_SRC ? "a set is asked for source ports"
                                                                                  : NULL;
}

// Why legacy_rule_decode could not tell what the entry says.
static int explain(struct legacy *legacy, const struct xtables_view *view, struct buf *out, struct err *err)
{
    const struct xtables_rule *rule = &view->rule;
    char name[SETS_NAME] = "";
    struct err why = {0};
    if (!view->told) {
        xtables_untold(view, out);
        return 0;
    }
    if (rule->verdict == XTABLES_REJECT_RESET || rule->verdict == XTABLES_REJECT_UNREACHABLE) {
        buf_puts(out, "-j REJECT, in a form that netpold does not use");
        return 0;
    }
    if (!rule->has_set) {
        buf_puts(out, "a chain's name longer than those of netpold");
        return 0;
    }
    if (kernel_sets_open(&legacy->kernel, err) < 0) {
        return -1;
    }
    if (sets_name(legacy->kernel.door, rule->set_index, name, &why) < 0) {
        (void)snprintf(name, sizeof(name), "number %u", rule->set_index);
    }
    buf_printf(out, "set %s: not netpold's, or of another kind or family than the rule asks for", name);
    return 0;
}

int legacy_note_own(struct legacy *legacy, const struct legacy_notes *notes, const struct table *sets,
                    const struct legacy_place *place, const struct xtables_view *view, struct rule *rule,
                    struct err *err)
{
    struct buf BUF_CLEANUP what = {0};
    const char *odd = NULL;
    bool unknown = legacy_is_unknown(rule);
    if (!unknown) {
        odd = odd_part(sets, rule);
        if (!odd) {
            return 0;
        }
        *rule = backend_unknown_rule();
    }
    xtables_describe(view, &what);
    buf_puts(&what, what.len ? ": " : "");
    if (unknown && explain(legacy, view, &what, err) < 0) {
        return -1;
    }
    buf_puts(&what, odd ? odd : "");
    return what.failed ? err_oom(err) : note(notes, place, what.data, err);
}

int legacy_note_aliens(const struct legacy_notes *notes, const struct kernel_sets_apply *aliens, struct err *err)
{
    for (size_t i = 0; i < aliens->aliens.n; i++) {
        const struct sets_header *header = &aliens->aliens.v[i].header;
        char where[FINDING_WHERE];
        char what[FINDING_WHAT];
        if (!aliens->aliens.v[i].in_use) {
            continue;
        }
        (void)snprintf(where, sizeof(where), "set %s", header->name);
        (void)snprintf(what, sizeof(what), "%s of %s: none of netpold's kinds under a name of netpold's; %u rule%s it",
                       header->type == SETS_OTHER ? "a set of another type or with options"
                                                  : sets_type_name(header->type),
                       header->family == SETS_V6 ? "IPv6" : "IPv4", header->references,
                       header->references == 1 ? " uses" : "s use");
        if (findings_add(notes->unprovable, where, what, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// ---- others --------------------------------------------------------------------------------------------------------

// text NULL: nobody will read it.
static int tell(struct foreign *foreign, const char *table, const struct legacy_place *place,
                const struct xtables_view *view, const char *text, struct err *err)
{
    struct buf BUF_CLEANUP described = {0};
    struct foreign_rule rule = {
        .family = place->family,
        .table = table,
        .chain = place->chain,
        .target = view->target,
        .is_goto = view->is_goto,
        .number = place->number,
        .what = text ? text : "",
    };
    if (text && !*text) {
        xtables_describe(view, &described);
        if (described.failed) {
            return err_oom(err);
        }
        rule.what = described.len ? described.data : "";
    }
    return foreign_add_rule(foreign, &rule, err);
}

int legacy_note_foreign(const struct legacy_notes *notes, const struct legacy_place *place,
                        const struct xtables_view *view, const char *text, struct err *err)
{
    return tell(notes->foreign, "filter", place, view, text, err);
}

struct chain_reader {
    struct foreign *foreign;
    const char *table;
    struct legacy_place place;
    bool builtin;
};

static int tell_rule(const struct xtables_view *view, void *arg, struct err *err)
{
    struct chain_reader *reader = arg;
    reader->place.number++;
    return tell(reader->foreign, reader->table, &reader->place, view, reader->builtin ? "" : NULL, err);
}

static int tell_chain(struct foreign *foreign, enum family family, struct xtables *table, const char *name,
                      const char *chain, struct err *err)
{
    struct chain_reader reader = {.foreign = foreign,
                                  .table = name,
                                  .place = {.family = family, .chain = chain},
                                  .builtin = xtables_is_builtin(table, chain)};
    return foreign_add_chain(foreign, family, name, chain, err) < 0 ||
                   xtables_read(table, chain, tell_rule, &reader, err) < 0
               ? -1
               : 0;
}

int legacy_note_chains(struct foreign *foreign, enum family family, struct xtables *table, const char *name,
                       struct err *err)
{
    VEC(const char *) chains = {0};
    int rc = 0;
    for (const char *chain = xtables_first_chain(table); chain && rc == 0; chain = xtables_next_chain(table)) {
        bool other = !xtables_is_builtin(table, chain) && !backend_is_our_chain(chain);
        rc = other && vec_push(&chains, chain) < 0 ? err_oom(err) : 0;
    }
    for (size_t i = 0; i < chains.n && rc == 0; i++) {
        rc = tell_chain(foreign, family, table, name, chains.v[i], err);
    }
    vec_free(&chains);
    return rc;
}

static int read_early(struct foreign *foreign, enum family family, const char *name, struct err *err)
{
    static const char *const builtins[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT"};
    enum xtables_presence presence = XTABLES_UNSUPPORTED;
    if (xtables_presence_of(legacy_xtables_family(family), name, &presence, err) < 0) {
        return -1;
    }
    if (presence != XTABLES_PRESENT) {
        return 0;
    }
    CLEANUP(xtables_close) struct xtables *table = NULL;
    if (xtables_open_table(legacy_xtables_family(family), name, &table, err) < 0 ||
        legacy_note_chains(foreign, family, table, name, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++) {
        if (!xtables_has_chain(table, builtins[i])) {
            continue;
        }
        const char *policy = xtables_policy(table, builtins[i]);
        if (tell_chain(foreign, family, table, name, builtins[i], err) < 0 ||
            (policy && foreign_add_policy(foreign, family, name, builtins[i], policy, 0, err) < 0)) {
            return -1;
        }
    }
    return 0;
}

int legacy_read_early(struct foreign *foreign, struct err *err)
{
    static const char *const tables[] = {"raw", "mangle", "nat"};
    for (enum family family = FAMILY_V4; family < (enum family)FAMILY_COUNT; family++) {
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
            if (read_early(foreign, family, tables[i], err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}
