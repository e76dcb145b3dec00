// SPDX-License-Identifier: Apache-2.0
//
// Names of interfaces and bridge ports that rules or guards tell apart. A node has hundreds, and most of them are
// alike: names with one signature in every dimension are judged alike, so one of them speaks for all. Private to the
// proof (docs/PROOF.md).
#pragma once

#include "audit/verify.h"
#include "base/map.h"
#include "model/packet.h"

enum verify_dimension { VERIFY_IN, VERIFY_OUT, VERIFY_PORT_IN, VERIFY_PORT_OUT };
enum { VERIFY_DIMENSIONS = 4 };

struct verify_pods;

// What the guards make of a name, as an interface and as a port.
struct verify_name {
    const char *text;           // borrowed from facts or rules
    bool bridge;                // told from every other name
    bool several;               // and so is one that more than one claimed pod is behind
    const struct pod *claimed;  // the source guard's pod that is alone there
    bool enforced;              // an isolated pod is behind it, or may be
    bool closed;                // a pod isolated for egress is, and sends by it
    bool of_pods;               // only pods send from there
    bool unknown;               // pods may that nobody knows
    uint32_t port_bridge;       // as a port that is some pod's alone: its bridge's number + 1
    const struct pod *port_pod;
    bool port_several;
    bool port_claimed;
    bool port_isolated[DIRECTION_COUNT];
};

struct verify_names {
    struct verify_name *v;
    size_t n;
    size_t cap;
    struct map *known;  // text → number + 1
};
NODISCARD int verify_names_new(const struct verify_input *input, const struct verify_pods *pods,
                               struct verify_names **ret, struct err *err);
void verify_names_free(struct verify_names *names);
// The number of a name, a new one if need be. text must outlive the names.
NODISCARD int verify_names_number(struct verify_names *names, const char *text, uint32_t *ret, struct err *err);
// NULL when nobody knows the name.
const struct verify_name *verify_names_find(const struct verify_names *names, const char *text);

// Spreads a number over 64 bits, so that sums of several say which.
uint64_t verify_names_mix(uint64_t number);
