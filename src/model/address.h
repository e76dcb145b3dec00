// SPDX-License-Identifier: Apache-2.0
//
// Addresses and prefixes as values. Text follows networkpolicy-v1.md 1.4: leading zeros are decimal, host bits are
// masked off, IPv4-mapped IPv6 is IPv4, no zone ids.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum family { FAMILY_V4, FAMILY_V6 };  // also an index: arrays by family have FAMILY_COUNT members
enum { FAMILY_COUNT = 2 };

struct address {
    enum family family;
    uint8_t bytes[16];  // network order; IPv4 uses the first 4, the rest is zero
};

struct prefix {
    struct address address;  // host bits are zero
    uint8_t length;          // 0..32 or 0..128
};

enum { ADDRESS_TEXT = 48, PREFIX_TEXT = 52 };

unsigned family_bits(enum family family);     // 32 | 128
unsigned family_number(enum family family);   // 4 | 6
const char *family_name(enum family family);  // "IPv4" | "IPv6"

// False unless the whole text is one address.
bool address_parse(const char *text, struct address *ret);
// Canonical text (RFC 5952 for IPv6); returns buf.
const char *address_format(const struct address *address, char buf[ADDRESS_TEXT]);
// Total order: family, then bytes. For qsort: address_compare_void.
int address_compare(const struct address *a, const struct address *b);
int address_compare_void(const void *a, const void *b);
bool address_equal(const struct address *a, const struct address *b);
unsigned address_bit(const struct address *address, unsigned bit);  // bit 0 is the most significant
bool address_is_link_local(const struct address *address);          // fe80::/10 or 169.254.0.0/16
bool address_is_loopback(const struct address *address);            // 127.0.0.0/8, ::1
bool address_is_multicast(const struct address *address);           // 224.0.0.0/4, ff00::/8, 255.255.255.255

// "10.0.0.0/8"; a missing "/n" is refused. False unless the whole text is one CIDR.
bool prefix_parse(const char *text, struct prefix *ret);
const char *prefix_format(const struct prefix *prefix, char buf[PREFIX_TEXT]);
struct prefix prefix_of(const struct address *address);  // /32 or /128
struct prefix prefix_truncate(const struct address *address, unsigned length);
bool prefix_contains(const struct prefix *prefix, const struct address *address);
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);  // equal counts
// Order: family, address bytes, length.
int prefix_compare(const struct prefix *a, const struct prefix *b);
// The longest prefix that holds both (same family).
struct prefix prefix_common(const struct prefix *a, const struct prefix *b);
