// SPDX-License-Identifier: Apache-2.0
//
// Words of iptables and ipset that render and parse share, each table in the order in which the tools print it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ruleset/ruleset.h"

struct render_word {
    const char *text;
    uint8_t value;
};
extern const struct render_word render_ct_states[];  // value: bit of rule.ct_states
extern const size_t render_n_ct_states;
extern const struct render_word render_protocols[];  // value: IANA number; only those that iptables knows by itself
extern const size_t render_n_protocols;

// NULL when iptables needs a number.
const char *render_protocol(uint8_t protocol);
// "--reject-with" of a REJECT rule.
const char *render_reject_with(enum family family, const struct rule *rule);
