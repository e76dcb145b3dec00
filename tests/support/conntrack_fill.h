// SPDX-License-Identifier: Apache-2.0
//
// Conntrack entries made by hand, in a network namespace of one's own.
#pragma once

#include "flow/flow.h"

// Moves the process into a network namespace of its own (as an own user where that needs no rights). False: it cannot,
// errno says why.
bool conntrack_fill_enter(void);
// Adds entries that live for an hour, with their marks and zones. Fails the whole when the kernel refuses one.
NODISCARD int conntrack_fill(const struct flow *list, size_t n, struct err *err);
// A flow without translation: "10.0.0.1", "10.0.0.2", protocol, ports.
struct flow conntrack_flow(const char *source, const char *destination, uint8_t protocol, uint16_t source_port,
                           uint16_t destination_port);
