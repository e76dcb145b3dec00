// SPDX-License-Identifier: Apache-2.0
//
// The ports 0 to 65535 put into classes: those that are in the same ranges. Private to the proof (docs/PROOF.md).
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "ruleset/ruleset.h"

struct verify_ports {
    VEC(struct port_range) pieces;  // sorted by class, then port
    VEC(uint32_t) first;            // of each class: its first piece; one more at the end
    size_t n_classes;
    VEC(struct port_range) ranges;
    VEC(uint32_t) starts;
};
void verify_ports_free(struct verify_ports *ports);

// ranges may overlap and repeat. has_ports false: one class without ports, for protocols that have none.
NODISCARD int verify_ports_cut(const struct port_range *ranges, size_t n, bool has_ports, struct verify_ports *ret,
                               struct err *err);
// The intervals of a class; none where the protocol has no ports.
const struct port_range *verify_ports_class(const struct verify_ports *ports, size_t class, size_t *ret_n);
