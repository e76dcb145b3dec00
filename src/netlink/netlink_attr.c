// SPDX-License-Identifier: Apache-2.0
#include "netlink/netlink_attr.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <string.h>

bool netlink_attr_next(const void *data, size_t len, size_t *at, uint16_t *ret_type, struct netlink_attr *ret)
{
    if (!data || *at >= len) {
        return false;
    }
    const struct nlattr *attribute = (const struct nlattr *)(const void *)((const uint8_t *)data + *at);
    if (!mnl_attr_ok(attribute, len - *at > INT32_MAX ? INT32_MAX : (int)(len - *at))) {
        return false;
    }
    *at += ((size_t)mnl_attr_get_len(attribute) + MNL_ALIGNTO - 1) / MNL_ALIGNTO * MNL_ALIGNTO;
    *ret_type = mnl_attr_get_type(attribute);
    *ret = (struct netlink_attr){mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute)};
    return true;
}

void netlink_attr_parse(const void *data, size_t len, struct netlink_attr *table, size_t n)
{
    memset(table, 0, n * sizeof(*table));
    size_t at = 0;
    uint16_t type = 0;
    struct netlink_attr attr = {0};
    while (netlink_attr_next(data, len, &at, &type, &attr)) {
        if (type < n) {
            table[type] = attr;
        }
    }
}

static bool attr_copy(const struct netlink_attr *attr, void *ret, size_t size)
{
    if (!attr->data || attr->len != size) {
        return false;
    }
    memcpy(ret, attr->data, size);
    return true;
}

bool netlink_attr_u8(const struct netlink_attr *attr, uint8_t *ret)
{
    return attr_copy(attr, ret, sizeof(*ret));
}

bool netlink_attr_u32(const struct netlink_attr *attr, uint32_t *ret)
{
    return attr_copy(attr, ret, sizeof(*ret));
}

bool netlink_attr_be16(const struct netlink_attr *attr, uint16_t *ret)
{
    uint16_t wire = 0;
    if (!attr_copy(attr, &wire, sizeof(wire))) {
        return false;
    }
    *ret = ntohs(wire);
    return true;
}

bool netlink_attr_be32(const struct netlink_attr *attr, uint32_t *ret)
{
    uint32_t wire = 0;
    if (!attr_copy(attr, &wire, sizeof(wire))) {
        return false;
    }
    *ret = ntohl(wire);
    return true;
}

bool netlink_attr_text(const struct netlink_attr *attr, char *buf, size_t size)
{
    if (!attr->data) {
        return false;
    }
    size_t len = strnlen(attr->data, attr->len);
    if (len >= size) {
        return false;
    }
    memcpy(buf, attr->data, len);
    buf[len] = '\0';
    return true;
}
