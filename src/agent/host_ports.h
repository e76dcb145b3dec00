// SPDX-License-Identifier: Apache-2.0
//
// The bridge ports of this node's live pods, kept from look to look (facts_ports.h says what is believed): which
// addresses are pods' comes from the state, what the bridges have learnt from the kernel.
#pragma once

#include "base/err.h"
#include "host/facts_ports.h"
#include "model/state.h"

struct host_ports;

// Knows what is in the book (host_book.h) of the run directory, which says of which families flows are revoked.
NODISCARD int host_ports_new(struct host_ports **ret, bool ret_revoked[FAMILY_COUNT], struct err *err);
void host_ports_free(struct host_ports *ports);
CLEANUP_DEFINE(struct host_ports, host_ports_free);
// What the CNI plugin told, in place of what it told before. Copied; counts from the next look on.
NODISCARD int host_ports_tell(struct host_ports *ports, const struct facts_port *told, size_t n, struct err *err);

// facts: as facts_read gave them. ask: ask the kernel for what is behind which port; else only what is known is
// checked against the facts and the state. That the kernel cannot answer is not an error, and said once in the log.
NODISCARD int host_ports_look(struct host_ports *ports, const struct facts *facts, struct state *state,
                              const char *node, bool ask, struct err *err);

// As of the last look; borrowed until the next one.
struct host_ports_view {
    const struct facts_binding *bindings;  // sorted by address, unique
    size_t n;
    size_t n_told;
    size_t n_unknown;  // addresses of bridged live pods without a port; the kernel may learn them
    size_t n_refused;  // claims that contradict what is known; the first of them
    struct facts_claim refused;
};
void host_ports_view(const struct host_ports *ports, struct host_ports_view *ret);
// The facts with these ports and revoked families.
NODISCARD int host_ports_put(const struct host_ports *ports, const struct facts *facts,
                             const bool revoked[FAMILY_COUNT], struct facts **ret, struct err *err);

// Write what is known into the book.
NODISCARD int host_ports_save(const struct host_ports *ports, const bool revoked[FAMILY_COUNT], struct err *err);

// Facts for one pass: read, with the ports that the book knows and those that the bridges have learnt, and the revoked
// families of the book. It writes nothing.
NODISCARD int host_ports_read_facts(struct state *state, const char *node, struct facts **ret, struct err *err);
// Write into the book what such facts say; for the one that may write (node_lock.h).
NODISCARD int host_ports_keep_facts(const struct state *state, const struct facts *facts, struct err *err);
// The same for who has no state (--print-facts): what the book knows, and every other address that a veth port of a
// bridge is seen to have.
NODISCARD int host_ports_print_facts(struct facts **ret, struct err *err);
