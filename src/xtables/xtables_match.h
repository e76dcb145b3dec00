// SPDX-License-Identifier: Apache-2.0
//
// Matches and targets in the kernel's form: what follows the header of an entry, the same for both families but for
// names and numbers. Internal to xtables/.
#pragma once

#include "xtables/xtables.h"

struct xt_entry_target;

// Appends to a buffer aligned for the kernel's structs. failed: the buffer is full.
struct xtables_writer {
    uint8_t *buf;
    size_t size;
    size_t len;
    bool failed;
};

// In the order of ruleset/render.h: cheap before dear, the comment behind all that can fail. ERR_BUG when the rule asks
// for what no match says (an ICMP type without ICMP, …).
NODISCARD int xtables_match_encode(enum xtables_family family, const struct xtables_rule *rule,
                                   struct xtables_writer *writer, struct err *err);
// Reads what it knows into *ret; false at a match or revision that it does not know. What a known match says beyond
// struct xtables_rule is not noticed here: the caller encodes the result and compares.
bool xtables_match_decode(enum xtables_family family, const void *matches, size_t len, struct xtables_rule *ret);
// The same by meaning: in any order, once each, with no option that struct xtables_rule lacks. blind: the kernel does
// not look for the protocol's header (see xtables_family.inc), so that no match may stand on it.
bool xtables_match_tell(enum xtables_family family, const void *matches, size_t len, bool blind,
                        struct xtables_rule *ret, struct buf *why);
void xtables_match_describe(enum xtables_family family, const void *matches, size_t len, struct buf *out);

NODISCARD int xtables_target_encode(enum xtables_family family, const struct xtables_rule *rule,
                                    struct xtables_writer *writer, struct err *err);
// name: what libiptc calls the target (a chain's name for a jump). is_goto: the flag of the entry's header.
bool xtables_target_decode(enum xtables_family family, const struct xt_entry_target *target, const char *name,
                           bool is_goto, struct xtables_rule *ret);

// Whether two lists of known matches, each len bytes, are the same.
bool xtables_match_same(enum xtables_family family, const void *a, const void *b, size_t len);

struct xtables_extension {
    const char *name;
    uint8_t revision;
    bool is_target;
    const char *module;
    bool optional;
};
// Every match and target that the encoder may use, by number from 0; false behind the last.
bool xtables_match_extension(enum xtables_family family, size_t index, struct xtables_extension *ret);
