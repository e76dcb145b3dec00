// SPDX-License-Identifier: Apache-2.0
//
// A change of rules and members together, cut into the three phases of order.h.
#pragma once

#include "dataplane/backend.h"

struct ordered {
    struct arena arena;
    struct set_change *removals;  // first
    size_t n_removals;
    struct ruleset from;           // then from here …
    struct ruleset to;             // … to there: everything but those members
    struct set_change *additions;  // last
    size_t n_additions;
};
void ordered_free(struct ordered *ordered);
CLEANUP_DEFINE(struct ordered, ordered_free);

// *ret is NULL where nothing changes together (one apply does), or these phases do not suffice for a family. It borrows
// from have and want.
NODISCARD int ordered_make(const struct ruleset *have, const struct ruleset *want, struct ordered **ret,
                           struct err *err);
// Brings a backend from have to want by these phases.
NODISCARD int ordered_apply(const struct ordered *ordered, const struct backend_ops *ops, struct backend *backend,
                            const struct ruleset *want, struct apply_report *ret, struct err *err);

// ops->change_members in the order in which two changes at once open nothing: of the addresses that go, those that come
// to no set go first. (One end of a packet comes, the other one goes: neither before nor behind it is allowed.) An
// address that changes sets is in both for a moment, so that what knows it by either does not lose it.
NODISCARD int ordered_members(const struct backend_ops *ops, struct backend *backend, const struct set_change *changes,
                              size_t n, struct apply_report *ret, struct err *err);
