// SPDX-License-Identifier: Apache-2.0
//
// Single values of restore files. The bool functions are false, with the output untouched, unless the whole word is
// one value.
#pragma once

#include "ruleset/ruleset.h"

bool parse_number(const char *word, unsigned max, unsigned *ret);
// "0x1f" or "31", of 32 bits; the word need not end behind len.
bool parse_bits(const char *word, size_t len, uint32_t *ret);
// A name that iptables knows by itself or takes from /etc/protocols for our rules (ipencap, ipv6, gre), or 1..255.
bool parse_protocol(const char *word, uint8_t *ret);
// "10.0.0.0/8", or an address alone as its own prefix; host bits are masked off.
bool parse_prefix(const char *word, enum family family, struct prefix *ret);
// "80", "80:90"; the word need not end behind len.
bool parse_port_range(const char *word, size_t len, struct port_range *ret);
// What stands behind "add NAME" for a set of this type: words[0] the element, then perhaps "nomatch".
NODISCARD int parse_member(const char *const *words, size_t n, enum family family, enum set_type type,
                           struct set_member *ret, struct err *err);
