// SPDX-License-Identifier: Apache-2.0
//
// What another program has changed in the kernel: the difference between what was read back and what was in force, by
// kind, with the names of the first few. Only told of a kernel that held exactly that ruleset before; what a failed
// write of our own left behind is not drift.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "dataplane/backend.h"
#include "ruleset/ruleset.h"

enum drift_kind {
    DRIFT_CHAIN_MISSING,
    DRIFT_CHAIN_CHANGED,
    DRIFT_CHAIN_FOREIGN,  // one of our names that we did not make
    DRIFT_JUMP_MISSING,
    DRIFT_JUMP_MOVED,      // another rule stands before it
    DRIFT_JUMP_CHANGED,    // it leads to our chain, with other matches
    DRIFT_JUMP_DUPLICATE,  // more of them than wanted, or where none belongs
    DRIFT_SET_MISSING,
    DRIFT_SET_CHANGED,  // its type
    DRIFT_SET_FOREIGN,
    DRIFT_MEMBER_MISSING,
    DRIFT_MEMBER_FOREIGN,
    DRIFT_KIND_COUNT
};
const char *drift_kind_name(enum drift_kind kind);  // "jump-moved"

// The built-in chains that lead into ours.
enum { DRIFT_BUILTINS = 3, DRIFT_NAMES = 256 };
extern const char *const drift_builtins[DRIFT_BUILTINS];

struct drift {
    struct {
        size_t n;
        char names[DRIFT_NAMES];  // "NETPOL-FE, NETPOL-E-…"; the first few of many
    } kinds[DRIFT_KIND_COUNT];
    // Jumps that stand behind rules of others, whether or not they are wanted at the head (hook.anywhere).
    bool behind[FAMILY_COUNT][DRIFT_BUILTINS];
};

// live: what backend_ops.snapshot read.
NODISCARD int drift_of(const struct ruleset *live, const struct ruleset *want, struct drift *ret, struct err *err);
size_t drift_total(const struct drift *drift);
// What of it the apply behind it has repaired: what is kept since rules of others use it is not claimed.
void drift_keep_repaired(struct drift *drift, const struct apply_report *report);
// So many leftovers of our own are among what is foreign.
void drift_leave_out(struct drift *drift, size_t leftovers);
// {"chain-missing":{"count":2,"names":"…"},…}; kinds that were not found are left out.
void drift_render_json(const struct drift *drift, struct buf *out);
