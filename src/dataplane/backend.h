// SPDX-License-Identifier: Apache-2.0
//
// A dataplane backend: brings a kernel (or a memory model of one) in step with a ruleset. One const table of functions
// a backend; the same contract tests run over all of them.
//
// apply order (DESIGN 5.4), the invariant of the whole project: create and fill sets, add members → one table commit a
// family (IPv4, then IPv6) → remove stale members → destroy stale sets. Nothing is written when nothing differs. Only
// chains and sets with our prefixes, and our jumps, are ever touched.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "ruleset/ruleset.h"

struct backend;

// The comment of what a snapshot could not decode, or found in the wrong place: such a rule or hook equals none.
#define BACKEND_UNKNOWN_RULE "(this rule is not netpold's: it cannot be decoded)"
#define BACKEND_MISPLACED_HOOK "(this jump is not where it belongs)"

struct backend_options {
    // Called before and after every kernel write with a stable name of the step ("set-create", "set-add", "commit",
    // "set-del", "set-destroy", …): the crash tests kill the process here. NULL in production.
    void (*step)(const char *what, bool after, void *arg);
    void *step_arg;
    // Asked at every step, and before the lock is taken ("lock"): an errno (or a code of ipset) to fail with instead of
    // doing it, or 0. For fault tests; NULL in production.
    int (*fail)(const char *what, void *arg);
    void *fail_arg;
    const char *lock_path;  // NULL: $XTABLES_LOCKFILE, else /run/xtables.lock
    unsigned lock_wait_ms;  // 0: 5000
};

// What is not needed any more and stays, since a rule of another program uses it: a set that it matches, an emptied
// chain that it jumps to. Everything wanted is in force all the same, and the next apply that reads the kernel back
// tries again.
struct leftovers {
    size_t n;
    char names[256];  // "set NP4-X, chain NETPOL-Y (a rule of FOREIGN jumps to it)"; the first few of many
};

struct apply_report {
    size_t sets_created, sets_destroyed, members_added, members_removed;
    size_t chains_created, chains_rewritten, chains_deleted;
    size_t hooks_written;  // jumps put (back) in place, duplicates removed included
    size_t hooks_missing;  // of these: there were too few of them
    size_t commits;        // table commits, all families
    size_t writes;         // kernel writes in all; 0: nothing differed, or nothing but leftovers
    struct leftovers pinned;
};

// A change of the members of one set.
struct set_change {
    enum family family;
    const char *set;
    enum set_type type;
    const struct set_member *add;  // sorted, as remove is
    size_t n_add;
    const struct set_member *remove;
    size_t n_remove;
};

struct backend_ops {
    const char *name;
    // What the kernel lacks, as a clear error: which module to load, which right is missing. 0 when usable.
    int (*probe)(struct err *err);
    int (*open)(const struct backend_options *options, struct backend **ret, struct err *err);
    // What of ours is in the kernel now, decoded. Rules of ours that cannot be decoded come back as rules that equal
    // none. Does not create anything (a legacy table that does not exist yet stays so).
    int (*snapshot)(struct backend *backend, struct ruleset **ret, struct err *err);
    // Make it so. have: what the kernel is known to hold in its *sets* (the ruleset of the last successful apply);
    // NULL: read it back first. Chains and jumps are always compared with the kernel. On failure the kernel holds the
    // old rules, or rules that allow no more than old and new together; call again with have = NULL. A family that the
    // kernel does not speak at all (ipv6.disable=1) is left out: it has no packets. ERR_UNSUPPORTED: one family's
    // tables cannot be written on this host (err says why), and the other one is in force, unless it says the same.
    int (*apply)(struct backend *backend, const struct ruleset *have, const struct ruleset *want,
                 struct apply_report *ret, struct err *err);
    // Members of sets that are there, and nothing else: no table is read, no process started. First every addition of
    // every set, then every removal. What is there already, or not there to be removed, is no error. On failure some of
    // it is done: apply with have = NULL puts that right (ERR_NOT_FOUND: a set is gone; ERR_LIMIT: one is full).
    int (*change_members)(struct backend *backend, const struct set_change *changes, size_t n, struct apply_report *ret,
                          struct err *err);
    // A number that another one follows when somebody has written to the tables (legacy: nearly always, xtables.h; nft:
    // to any table of nf_tables), read in some microseconds: no table is read, no process started. NULL: none is known.
    int (*stamp)(struct backend *backend, uint64_t *ret, struct err *err);
    // A program that does not take the lock may read the table before a commit of ours and put its older copy over it
    // afterwards: the kernel compares nothing but the number of entries (xt_replace_table), and stamp may not tell.
    bool overwritable;
    // Remove everything of ours: jumps, chains, sets. What others use stays: report.pinned.
    int (*purge)(struct backend *backend, struct apply_report *ret, struct err *err);
    void (*close)(struct backend *backend);
};
struct backend {
    const struct backend_ops *ops;
};

// ops->apply, in steps where one step would mix old and new (order.h, interim.h): no packet that both have and want
// deny passes, nor does a kill between two writes open one. have NULL: the kernel is read; so it is when it turns out
// that its sets are not those of have. Use this for every change; ops->apply alone is for verifying what is in force
// already.
NODISCARD int backend_apply(const struct backend_ops *ops, struct backend *backend, const struct ruleset *have,
                            const struct ruleset *want, struct apply_report *ret, struct err *err);

extern const struct backend_ops backend_legacy;
extern const struct backend_ops backend_nft;
extern const struct backend_ops backend_memory;
// "legacy", "nft" or "memory"; NULL when there is none of that name. "auto" is for backend_choose.
const struct backend_ops *backend_find(const char *name);

// Which backend this host is programmed through, and why, for the log and for status.
struct backend_choice {
    const struct backend_ops *ops;
    char why[384];
};
// name: "auto", or a backend's. auto looks at the host (backend_host.h) without changing it: nothing is made, no table
// that is not there is read. Never fails for what it cannot see: the backend's probe says what is missing. ERR_USAGE
// for an unknown name.
NODISCARD int backend_choose(const char *name, struct backend_choice *ret, struct err *err);

// Takes our jumps and chains out of the kernel backends other than the chosen one, once the chosen one's are in force
// (after the first successful apply, or for --cleanup before its purge). No table is made. Sets are shared and stay:
// those that only the other's rules used go with the chosen one's next apply that reads the kernel back (have NULL), or
// purge. report.writes is 0 when there was nothing. ops memory: nothing is done. ERR_UNSUPPORTED when rules of ours
// stand in a backend whose tools are gone.
NODISCARD int backend_clean_other(const struct backend_ops *chosen, const struct backend_options *options,
                                  struct apply_report *ret, struct err *err);

// ---- for backends --------------------------------------------------------------------------------------------------

bool backend_is_our_chain(const char *name);
// What options.fail wants at this step, as the error that the kernel would be told of.
NODISCARD int backend_fault(const struct backend_options *options, const char *what, struct err *err);
// Announces a write, and asks options.fail. backend_step_end follows in either case.
NODISCARD int backend_step_begin(const struct backend_options *options, const char *what, struct err *err);
void backend_step_end(const struct backend_options *options, const char *what);
// Rules of ours that no struct rule says, with the comment BACKEND_UNKNOWN_RULE.
struct rule backend_unknown_rule(void);
