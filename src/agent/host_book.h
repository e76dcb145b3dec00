// SPDX-License-Identifier: Apache-2.0
//
// What the agent knows of its host that the kernel does not tell again: which port each bridged pod was first seen
// behind, and whether flows are marked as revoked. Kept in the run directory (host.json), so that a restart believes no
// later claim, and so that a pass beside the daemon, or the next pass of a timer, wants the rules that are there. It is
// gone after a reboot, as the pods are.
#pragma once

#include "base/err.h"
#include "host/facts_ports.h"

// A file that is not there, or cannot be read as what it should be (that is logged), is an empty book. ports:
// zero-initialised; all entries count as learnt, who was told tells again.
NODISCARD int host_book_load(struct facts_ports *ports, bool ret_revoked[FAMILY_COUNT], struct err *err);
// Entries of no pod are left out. The file is replaced as a whole.
NODISCARD int host_book_save(const struct facts_binding *bindings, size_t n, const bool revoked[FAMILY_COUNT],
                             struct err *err);
