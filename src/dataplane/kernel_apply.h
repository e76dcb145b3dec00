// SPDX-License-Identifier: Apache-2.0
//
// The phases of an apply (backend.h), which both kernel backends go through: they differ in how a table is committed.
#pragma once

#include "dataplane/kernel_sets.h"

// The chains with hooks of ours.
enum { KERNEL_BUILTINS = 3 };
extern const char *const kernel_builtins[KERNEL_BUILTINS];

struct kernel_tables {
    // Before anything is written: what the kernel lacks for this table. NULL: nothing to ask.
    int (*check)(enum family family, const struct table *want, struct err *err);
    // Brings one family's table in step with apply->want: one commit at most. ERR_UNSUPPORTED: this family cannot be
    // written here, which does not stop the other.
    int (*commit)(struct kernel_sets_apply *apply, enum family family, void *arg, struct err *err);
    void *arg;
    unsigned patience_ms;  // kernel_sets_apply
};
// backend_ops.apply.
NODISCARD int kernel_apply(struct kernel_sets *kernel, const struct kernel_tables *tables, const struct ruleset *have,
                           const struct ruleset *want, struct apply_report *ret, struct err *err);
