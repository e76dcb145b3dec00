// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink_batch.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <string.h>

enum { BATCH_FIRST = 4096 };

void netlink_batch_free(struct netlink_batch *batch)
{
    free(batch->data);
    memset(batch, 0, sizeof(*batch));
}

void netlink_batch_clear(struct netlink_batch *batch)
{
    batch->len = 0;
    batch->message = 0;
    batch->n_messages = 0;
    batch->failed = false;
}

// Zeroed room for len bytes, aligned as netlink wants; NULL when the batch failed.
static uint8_t *batch_room(struct netlink_batch *batch, size_t len)
{
    size_t size = (len + MNL_ALIGNTO - 1) / MNL_ALIGNTO * MNL_ALIGNTO;
    if (batch->failed) {
        return NULL;
    }
    if (batch->cap - batch->len < size) {
        size_t cap = batch->cap ? batch->cap * 2 : BATCH_FIRST;
        cap = cap < batch->len + size ? batch->len + size : cap;
        uint8_t *grown = realloc(batch->data, cap);
        if (!grown) {
            batch->failed = true;
            return NULL;
        }
        batch->data = grown;
        batch->cap = cap;
    }
    uint8_t *at = batch->data + batch->len;
    memset(at, 0, size);
    batch->len += size;
    return at;
}

static struct nlmsghdr *open_message(const struct netlink_batch *batch)
{
    return (struct nlmsghdr *)(void *)(batch->data + batch->message);
}

void netlink_batch_message(struct netlink_batch *batch, uint16_t type, uint16_t flags, const void *header,
                           size_t header_len)
{
    size_t at = batch->len;
    uint8_t *room = batch_room(batch, sizeof(struct nlmsghdr) + header_len);
    if (!room) {
        return;
    }
    struct nlmsghdr *message = mnl_nlmsg_put_header(room);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST);
    if (header_len) {
        memcpy(mnl_nlmsg_put_extra_header(message, header_len), header, header_len);
    }
    batch->message = at;
    batch->n_messages++;
}

size_t netlink_batch_message_len(const struct netlink_batch *batch)
{
    return batch->failed || batch->n_messages == 0 ? 0 : batch->len - batch->message;
}

static uint8_t *put_attribute(struct netlink_batch *batch, uint16_t type, size_t len)
{
    if (len > UINT16_MAX - sizeof(struct nlattr) || batch->n_messages == 0) {
        batch->failed = true;
        return NULL;
    }
    uint8_t *room = batch_room(batch, sizeof(struct nlattr) + len);
    if (!room) {
        return NULL;
    }
    struct nlattr *attribute = (struct nlattr *)(void *)room;
    attribute->nla_type = type;
    attribute->nla_len = (uint16_t)(sizeof(struct nlattr) + len);
    open_message(batch)->nlmsg_len = (uint32_t)(batch->len - batch->message);
    return room + sizeof(struct nlattr);
}

void netlink_batch_put(struct netlink_batch *batch, uint16_t type, const void *data, size_t len)
{
    uint8_t *room = put_attribute(batch, type, len);
    if (room && len) {
        memcpy(room, data, len);
    }
}

void netlink_batch_u8(struct netlink_batch *batch, uint16_t type, uint8_t value)
{
    netlink_batch_put(batch, type, &value, sizeof(value));
}

void netlink_batch_u32(struct netlink_batch *batch, uint16_t type, uint32_t value)
{
    netlink_batch_put(batch, type, &value, sizeof(value));
}

void netlink_batch_be16(struct netlink_batch *batch, uint16_t type, uint16_t value)
{
    uint16_t wire = htons(value);
    netlink_batch_put(batch, type | NLA_F_NET_BYTEORDER, &wire, sizeof(wire));
}

void netlink_batch_be32(struct netlink_batch *batch, uint16_t type, uint32_t value)
{
    uint32_t wire = htonl(value);
    netlink_batch_put(batch, type | NLA_F_NET_BYTEORDER, &wire, sizeof(wire));
}

void netlink_batch_text(struct netlink_batch *batch, uint16_t type, const char *text)
{
    netlink_batch_put(batch, type, text, strlen(text) + 1);
}

size_t netlink_batch_nest(struct netlink_batch *batch, uint16_t type)
{
    size_t at = batch->len;
    (void)put_attribute(batch, type | NLA_F_NESTED, 0);
    return at;
}

void netlink_batch_nest_end(struct netlink_batch *batch, size_t nest)
{
    if (batch->failed) {
        return;
    }
    size_t len = batch->len - nest;
    if (len > UINT16_MAX) {
        batch->failed = true;
        return;
    }
    struct nlattr *attribute = (struct nlattr *)(void *)(batch->data + nest);
    attribute->nla_len = (uint16_t)len;
}
