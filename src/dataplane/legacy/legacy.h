// SPDX-License-Identifier: Apache-2.0
//
// The legacy backend: iptables' x_tables by libiptc and ipset by netlink, both behind their doors. What its files
// share.
//
//   legacy.c           probe, open, apply, purge: the order of the phases
//   legacy_table.c     one family's filter table: compare, edit, commit
//   legacy_rule.c      a rule here ↔ a rule of src/xtables
//   legacy_snapshot.c  the kernel's tables as a ruleset
//   legacy_live.c      the same for a proof: what of it cannot be told, and what others do before
#pragma once

#include "base/map.h"
#include "dataplane/backend.h"
#include "dataplane/kernel_apply.h"
#include "ruleset/findings.h"
#include "ruleset/foreign.h"
#include "xtables/xtables.h"

// Set indices, as rules hold them, both ways. Forget them whenever a set was created or destroyed.
struct legacy_names {
    struct map *index_of;  // name → index + 1
    struct map *name_of;   // index → name
    struct arena arena;
};
void legacy_names_free(struct legacy_names *names);
static inline void cleanup_legacy_names(struct legacy_names *names)
{
    legacy_names_free(names);
}
#define LEGACY_NAMES_CLEANUP __attribute__((cleanup(cleanup_legacy_names)))

struct legacy {
    struct backend backend;
    struct kernel_sets kernel;
};

static inline enum xtables_family legacy_xtables_family(enum family family)
{
    return family == FAMILY_V6 ? XTABLES_V6 : XTABLES_V4;
}

// err = why, err may be NULL. Returns -1.
int legacy_fail(struct err *err, const struct err *why);

// Before anything is written: ERR_UNSUPPORTED names the module of a match that the kernel lacks.
NODISCARD int legacy_table_check(enum family family, const struct table *want, struct err *err);
// Phase 2: one commit at most.
NODISCARD int legacy_table_apply(struct legacy *legacy, struct kernel_sets_apply *apply, enum family family,
                                 struct err *err);

// Room for what a decoded rule points to, until the next one is decoded into it.
struct legacy_rule_room {
    struct port_range ports[XTABLES_PORTS];
    char set[SETS_NAME];
    char chain[XTABLES_CHAIN];
    char comment[XTABLES_COMMENT];
};
// sets: where the types of sets are looked up. ERR_NOT_FOUND when the kernel has no set of that name.
NODISCARD int legacy_rule_encode(struct legacy *legacy, struct legacy_names *names, const struct table *sets,
                                 const struct rule *rule, struct xtables_rule *ret, struct err *err);
// Borrows from room. What cannot be told becomes backend_unknown_rule().
NODISCARD int legacy_rule_decode(struct legacy *legacy, struct legacy_names *names, const struct table *sets,
                                 enum family family, const struct xtables_view *view, struct legacy_rule_room *room,
                                 struct rule *ret, struct err *err);

bool legacy_is_unknown(const struct rule *rule);

NODISCARD int legacy_snapshot(struct backend *backend, struct ruleset **ret, struct err *err);
// What a reading for a proof notes beside the ruleset (live.h).
struct legacy_notes {
    struct findings *unprovable;
    struct foreign *foreign;
    bool has_sets;  // false: this kernel holds no sets, and asking might load a module
};
// The same for a proof: rules by what the kernel does (xtables_view.told), jumps with their own comment wherever they
// stand.
NODISCARD int legacy_read(struct legacy *legacy, const struct legacy_notes *notes, struct ruleset **ret,
                          struct err *err);
// Tells of the tables that a packet meets before the filter table. None is made.
NODISCARD int legacy_read_early(struct foreign *foreign, struct err *err);

// What legacy_live.c adds to a reading. chain and number: where the rule stands, from 1.
struct legacy_place {
    enum family family;
    const char *chain;
    unsigned number;
};
// A rule of ours. What struct rule cannot say of it becomes a finding, and the rule one that equals none.
NODISCARD int legacy_note_own(struct legacy *legacy, const struct legacy_notes *notes, const struct table *sets,
                              const struct legacy_place *place, const struct xtables_view *view, struct rule *rule,
                              struct err *err);
// A rule of others in the filter table; text is what is rendered of it, "" when struct rule cannot say it.
NODISCARD int legacy_note_foreign(const struct legacy_notes *notes, const struct legacy_place *place,
                                  const struct xtables_view *view, const char *text, struct err *err);
// The chains of others of one table, with their rules.
NODISCARD int legacy_note_chains(struct foreign *foreign, enum family family, struct xtables *table, const char *name,
                                 struct err *err);
NODISCARD int legacy_note_aliens(const struct legacy_notes *notes, const struct kernel_sets_apply *aliens,
                                 struct err *err);
