// SPDX-License-Identifier: Apache-2.0
//
// Reader of netlink attributes. Everything is checked against the message's length; a value of another size than asked
// for counts as absent.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One attribute; data NULL: absent. Borrows from the message.
struct netlink_attr {
    const void *data;
    size_t len;
};

// table[0..n): by attribute type; types beyond are skipped, of doubles the last wins. Absent ones are zeroed.
void netlink_attr_parse(const void *data, size_t len, struct netlink_attr *table, size_t n);
// For lists: the first attribute at *at (0 to begin) of any type; false at the end. Moves *at behind it.
bool netlink_attr_next(const void *data, size_t len, size_t *at, uint16_t *ret_type, struct netlink_attr *ret);

bool netlink_attr_u8(const struct netlink_attr *attr, uint8_t *ret);
bool netlink_attr_u32(const struct netlink_attr *attr, uint32_t *ret);
bool netlink_attr_be16(const struct netlink_attr *attr, uint16_t *ret);
bool netlink_attr_be32(const struct netlink_attr *attr, uint32_t *ret);
// Copies the text with a NUL; false when absent or when it does not fit.
bool netlink_attr_text(const struct netlink_attr *attr, char *buf, size_t size);
