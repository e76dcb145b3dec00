// SPDX-License-Identifier: Apache-2.0
#include "sets/sets_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "netlink/netlink_attr.h"

// Members of one message: the nest that holds them ends at 64 KiB, a member takes 52 bytes at most. Larger messages
// and several of them in one send gain nothing.
enum { MEMBERS_OF_MESSAGE = 1000 };

static void put_address(struct netlink_batch *batch, enum sets_family family, const uint8_t *address)
{
    size_t nest = netlink_batch_nest(batch, IPSET_ATTR_IP);
    netlink_batch_put(
        batch, (uint16_t)((family == SETS_V6 ? IPSET_ATTR_IPADDR_IPV6 : IPSET_ATTR_IPADDR_IPV4) | NLA_F_NET_BYTEORDER),
        address, family == SETS_V6 ? 16 : 4);
    netlink_batch_nest_end(batch, nest);
}

static void put_member(struct netlink_batch *batch, enum sets_family family, enum sets_type type, uint32_t line,
                       const struct sets_member *member)
{
    size_t data = netlink_batch_nest(batch, IPSET_ATTR_DATA);
    put_address(batch, family, member->address);
    if (type == SETS_HASH_NET) {
        netlink_batch_u8(batch, IPSET_ATTR_CIDR, member->length);
        if (member->nomatch) {
            netlink_batch_be32(batch, IPSET_ATTR_CADT_FLAGS, IPSET_FLAG_NOMATCH);
        }
    }
    if (type == SETS_HASH_IP_PORT) {
        netlink_batch_u8(batch, IPSET_ATTR_PROTO, member->protocol);
        netlink_batch_be16(batch, IPSET_ATTR_PORT, member->port);
    }
    netlink_batch_be32(batch, IPSET_ATTR_LINENO, line);
    netlink_batch_nest_end(batch, data);
}

// The kernel writes the number of the member that it refused into the echoed request.
static void read_line(int code, const struct netlink_reply *request, void *arg)
{
    (void)code;
    struct netlink_attr attr[IPSET_ATTR_CMD_MAX + 1];
    uint32_t *line = arg;
    if (request->len <= sizeof(struct nfgenmsg)) {
        return;
    }
    netlink_attr_parse((const uint8_t *)request->payload + sizeof(struct nfgenmsg),
                       request->len - sizeof(struct nfgenmsg), attr, ARRAY_SIZE(attr));
    (void)netlink_attr_u32(&attr[IPSET_ATTR_LINENO], line);
}

static const char *member_text(const struct sets_member *member, enum sets_family family, enum sets_type type,
                               char *buf, size_t size)
{
    char address[INET6_ADDRSTRLEN] = "?";
    (void)inet_ntop(family == SETS_V6 ? AF_INET6 : AF_INET, member->address, address, sizeof(address));
    switch (type) {
    case SETS_HASH_NET:
        (void)snprintf(buf, size, "%s/%u%s", address, member->length, member->nomatch ? " nomatch" : "");
        break;
    case SETS_HASH_IP_PORT:
        (void)snprintf(buf, size, "%s,%u:%u", address, member->protocol, member->port);
        break;
    case SETS_HASH_IP:
    case SETS_OTHER:
        (void)snprintf(buf, size, "%s", address);
        break;
    }
    return buf;
}

static int change_members(struct sets *sets, enum ipset_cmd command, const char *name, enum sets_family family,
                          enum sets_type type, const struct sets_member *members, size_t n, struct err *err)
{
    for (size_t first = 0; first < n; first += MEMBERS_OF_MESSAGE) {
        size_t count = n - first < MEMBERS_OF_MESSAGE ? n - first : MEMBERS_OF_MESSAGE;
        sets_message(sets, command, NLM_F_ACK);
        netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME, name);
        netlink_batch_u32(&sets->batch, IPSET_ATTR_LINENO, 1);
        size_t list = netlink_batch_nest(&sets->batch, IPSET_ATTR_ADT);
        for (size_t i = 0; i < count; i++) {
            put_member(&sets->batch, family, type, (uint32_t)i + 1, &members[first + i]);
        }
        netlink_batch_nest_end(&sets->batch, list);
        uint32_t line = 0;
        const struct netlink_handler handler = {.refused = read_line, .arg = &line};
        int code = netlink_request(sets->netlink, &sets->batch, &handler, err);
        netlink_batch_clear(&sets->batch);
        if (code < 0) {
            return -1;
        }
        if (code) {
            // The kernel hands our number back in whichever order it keeps it.
            line = line > count ? ntohl(line) : line;
            char text[80] = "member";
            if (line >= 1 && line <= count) {
                (void)member_text(&members[first + line - 1], family, type, text, sizeof(text));
            }
            return sets_refused(code, err, "%s %s %s set %s", command == IPSET_CMD_ADD ? "add" : "delete", text,
                                command == IPSET_CMD_ADD ? "to" : "from", name);
        }
    }
    return 0;
}

int sets_add(struct sets *sets, const char *name, enum sets_family family, enum sets_type type,
             const struct sets_member *members, size_t n, struct err *err)
{
    return change_members(sets, IPSET_CMD_ADD, name, family, type, members, n, err);
}

int sets_delete(struct sets *sets, const char *name, enum sets_family family, enum sets_type type,
                const struct sets_member *members, size_t n, struct err *err)
{
    return change_members(sets, IPSET_CMD_DEL, name, family, type, members, n, err);
}

void sets_members_free(struct sets_members *members)
{
    if (!members) {
        return;
    }
    free(members->v);
    free(members);
}

struct dump {
    VEC(struct sets_member) members;
    enum sets_family family;
};

static bool read_member(const void *data, size_t len, enum sets_family family, struct sets_member *ret)
{
    struct netlink_attr attr[IPSET_ATTR_ADT_MAX + 1];
    struct netlink_attr address[IPSET_ATTR_IPADDR_MAX + 1];
    netlink_attr_parse(data, len, attr, ARRAY_SIZE(attr));
    netlink_attr_parse(attr[IPSET_ATTR_IP].data, attr[IPSET_ATTR_IP].len, address, ARRAY_SIZE(address));
    const struct netlink_attr *bytes = &address[family == SETS_V6 ? IPSET_ATTR_IPADDR_IPV6 : IPSET_ATTR_IPADDR_IPV4];
    size_t size = family == SETS_V6 ? 16 : 4;
    if (!bytes->data || bytes->len != size) {
        return false;
    }
    struct sets_member member = {.length = (uint8_t)(size * 8)};
    memcpy(member.address, bytes->data, size);
    (void)netlink_attr_u8(&attr[IPSET_ATTR_CIDR], &member.length);
    (void)netlink_attr_u8(&attr[IPSET_ATTR_PROTO], &member.protocol);
    (void)netlink_attr_be16(&attr[IPSET_ATTR_PORT], &member.port);
    uint32_t flags = 0;
    member.nomatch = netlink_attr_be32(&attr[IPSET_ATTR_CADT_FLAGS], &flags) && (flags & IPSET_FLAG_NOMATCH);
    *ret = member;
    return true;
}

static int read_members(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct dump *dump = arg;
    struct netlink_attr attr[IPSET_ATTR_CMD_MAX + 1];
    if (reply->len < sizeof(struct nfgenmsg)) {
        return 0;
    }
    netlink_attr_parse((const uint8_t *)reply->payload + sizeof(struct nfgenmsg), reply->len - sizeof(struct nfgenmsg),
                       attr, ARRAY_SIZE(attr));
    size_t at = 0;
    uint16_t type = 0;
    struct netlink_attr data = {0};
    while (netlink_attr_next(attr[IPSET_ATTR_ADT].data, attr[IPSET_ATTR_ADT].len, &at, &type, &data)) {
        struct sets_member member;
        if (type != IPSET_ATTR_DATA || !read_member(data.data, data.len, dump->family, &member)) {
            continue;
        }
        if (vec_push(&dump->members, member) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int sets_dump(struct sets *sets, const char *name, enum sets_family family, struct sets_members **ret, struct err *err)
{
    CLEANUP(sets_members_free) struct sets_members *members = calloc(1, sizeof(*members));
    if (!members) {
        return err_oom(err);
    }
    struct dump dump = {.family = family};
    const struct netlink_handler handler = {.reply = read_members, .arg = &dump};
    sets_message(sets, IPSET_CMD_SAVE, NLM_F_DUMP);
    netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME, name);
    int code = netlink_request(sets->netlink, &sets->batch, &handler, err);
    netlink_batch_clear(&sets->batch);
    if (code) {
        vec_free(&dump.members);
        return code > 0 ? sets_refused(code, err, "read set %s", name) : -1;
    }
    members->v = dump.members.v;
    members->n = dump.members.n;
    *ret = TAKE(members);
    return 0;
}
