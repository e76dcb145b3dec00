// SPDX-License-Identifier: Apache-2.0
//
// Writer of netlink requests: one or many messages in one growing buffer, sent together by netlink_request. The first
// failure (memory, an attribute beyond 64 KiB) sticks; netlink_request reports it.
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

// Zero-initialise; netlink_batch_free ends it, netlink_batch_clear empties it and keeps the memory.
struct netlink_batch {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t message;  // offset of the open message
    size_t n_messages;
    bool failed;
};

void netlink_batch_free(struct netlink_batch *batch);
void netlink_batch_clear(struct netlink_batch *batch);
static inline void cleanup_netlink_batch(struct netlink_batch *batch)
{
    netlink_batch_free(batch);
}
#define NETLINK_BATCH_CLEANUP __attribute__((cleanup(cleanup_netlink_batch)))

// Starts a message: its type, flags (NLM_F_REQUEST is added) and the family's fixed header behind struct nlmsghdr.
void netlink_batch_message(struct netlink_batch *batch, uint16_t type, uint16_t flags, const void *header,
                           size_t header_len);
// Bytes of the open message so far.
size_t netlink_batch_message_len(const struct netlink_batch *batch);

// Attributes of the open message. type may carry NLA_F_NET_BYTEORDER.
void netlink_batch_put(struct netlink_batch *batch, uint16_t type, const void *data, size_t len);
void netlink_batch_u8(struct netlink_batch *batch, uint16_t type, uint8_t value);
void netlink_batch_u32(struct netlink_batch *batch, uint16_t type, uint32_t value);
// In network order, marked NLA_F_NET_BYTEORDER as ipset wants it.
void netlink_batch_be16(struct netlink_batch *batch, uint16_t type, uint16_t value);
void netlink_batch_be32(struct netlink_batch *batch, uint16_t type, uint32_t value);
void netlink_batch_text(struct netlink_batch *batch, uint16_t type, const char *text);  // with its NUL
// Opens a nest; the value closes it.
size_t netlink_batch_nest(struct netlink_batch *batch, uint16_t type);
void netlink_batch_nest_end(struct netlink_batch *batch, size_t nest);
