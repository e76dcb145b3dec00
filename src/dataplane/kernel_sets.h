// SPDX-License-Identifier: Apache-2.0
//
// Our ipsets in the kernel, as both kernel backends use them: read, create and fill, remove stale members, destroy. The
// rules of either backend hold the same sets.
#pragma once

#include "base/map.h"
#include "dataplane/backend.h"
#include "ruleset/diff.h"
#include "sets/sets.h"

// Zero but for options at the start; kernel_sets_close ends it.
struct kernel_sets {
    struct backend_options options;
    struct sets *door;  // NULL until needed
};
// Opens kernel->door when it is not open yet.
NODISCARD int kernel_sets_open(struct kernel_sets *kernel, struct err *err);
void kernel_sets_close(struct kernel_sets *kernel);
// What the kernel lacks of ipset, as a clear error.
NODISCARD int kernel_sets_probe(struct err *err);
const char *kernel_sets_prefix(enum family family);

// A set of our name in the kernel that cannot hold what is ours: another type, another family, a timeout.
struct kernel_sets_alien {
    struct sets_header header;
    bool in_use;  // a rule uses it
};

// What an apply works on.
struct kernel_sets_apply {
    struct kernel_sets *kernel;
    const struct ruleset *want;
    const struct ruleset_diff *diff;  // of sets alone
    VEC(struct kernel_sets_alien) aliens;
    struct map *exact;        // names of the sets that hold exactly what is wanted already: nothing to remove from them
    bool kept[FAMILY_COUNT];  // the old rules of this family are still in force: nothing of it may be narrowed
    // How long, in all, to wait for sets that a commit has released: nf_tables frees deleted rules behind the commit.
    unsigned patience_ms;
    struct apply_report report;
    struct err late;  // a failure that does not stop the rest: reported at the end
};
void kernel_sets_apply_free(struct kernel_sets_apply *apply);
// Adds to the leftovers of the report.
void kernel_sets_pinned(struct kernel_sets_apply *apply, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// Our sets of the kernel as a ruleset without chains. aliens (may be NULL) gets those that cannot be told as such. A
// kernel without ipset holds none.
NODISCARD int kernel_sets_read(struct kernel_sets *kernel, struct ruleset **ret, struct kernel_sets_apply *aliens,
                               struct err *err);
// Before the commits: nothing is taken away. After them: stale members and sets.
NODISCARD int kernel_sets_widen(struct kernel_sets_apply *apply, struct err *err);
NODISCARD int kernel_sets_narrow(struct kernel_sets_apply *apply, struct err *err);
// backend_ops.change_members.
NODISCARD int kernel_sets_change(struct kernel_sets *kernel, const struct set_change *changes, size_t n,
                                 struct apply_report *ret, struct err *err);
