// SPDX-License-Identifier: Apache-2.0
//
// Sets are shared, by name, by the rules in force and the rules to come. Where one change rewrites rules *and* members
// of such sets, and each set only lets more pass the more it holds, three phases are enough in most cases:
//
//   stale members go → the tables are committed, one commit a family → new members come.
//
// Nothing that the old and the new state deny passes in between: with fewer members each of the two allows less. What
// both allow must not fall in between either, where the members in question are in no set. It does not when
//   - a way into the rules that stays as it is (a pod's chain and all behind it) does not know one address by a set
//     that it leaves and by another one that it joins;
//   - a way that is new or changed knows, by sets that change, no other address than the pod's own, which it does not
//     meet on it: what a pod sends to itself by a Service returns before, and all else from itself is forged.
// So it is with a pod that comes, goes, or gets another label. Everything else goes by interim copies (interim.h).
#pragma once

#include "base/err.h"
#include "ruleset/ruleset.h"

// Whether these phases do for a change of one family's rules and sets together. False also when there is nothing to
// decide (no set changes), and when it cannot be told. -1 when memory is out.
NODISCARD int order_suffices(const struct table *have, const struct table *want, bool *ret, struct err *err);
