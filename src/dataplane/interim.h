// SPDX-License-Identifier: Apache-2.0
//
// Sets are shared, by name, by the rules in force and the rules to come. Where one change rewrites rules *and* members
// of such a set, the old rules would see the added members before the commit, or the new rules the stale ones behind
// it, and a packet that neither the old nor the new state allows would pass. So such a change, where no mere order of
// the writes does (order.h), goes by way of two interim rulesets:
//
//   first   the new rules, but on copies of the changed sets that hold the new members; the sets themselves as they
//   were.
//           Its table commit is the moment at which everything changes.
//   second  the sets with their new members: no rule uses them.
//   want    the rules on the sets again: the same verdicts; the copies go.
#pragma once

#include "base/err.h"
#include "ruleset/ruleset.h"

// A copy that an earlier change, which failed or was killed, has left in the kernel: no rule of ours uses it. Emptied,
// it may be used again, and interim_make does so: else each failure would leave one more, until no name is free.
bool interim_is_stale(const struct table *have, const struct set *set);

// Whether rules and the members of a set that stays change at once.
bool interim_mixes(const struct table *have, const struct table *want);

// *ret_first and *ret_second are NULL when no table changes both. They borrow from have and want.
NODISCARD int interim_make(const struct ruleset *have, const struct ruleset *want, struct ruleset **ret_first,
                           struct ruleset **ret_second, struct err *err);
