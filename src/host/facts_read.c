// SPDX-License-Identifier: Apache-2.0
#include "host/facts_read.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/facts_build.h"
#include "host/facts_tunnel.h"
#include "netlink/netlink.h"
#include "netlink/netlink_attr.h"

enum { READ_ATTEMPTS = 8 };

#define IPVS_DEVICE "kube-ipvs0"

static const char *const bridge_nf_path[FAMILY_COUNT] = {
    [FAMILY_V4] = "/proc/sys/net/bridge/bridge-nf-call-iptables",
    [FAMILY_V6] = "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
};

static const char bridge_nf_vlan_path[] = "/proc/sys/net/bridge/bridge-nf-filter-vlan-tagged";

// What netlink gives by number, facts give by name.
struct link {
    uint32_t index;
    uint32_t master;
    char name[PACKET_IFACE];
};

struct reader {
    VEC(struct link) links;  // sorted by index once all are read
    struct facts_build build;
};

static void cleanup_reader(struct reader *reader)
{
    vec_free(&reader->links);
    facts_build_free(&reader->build);
}

static int link_compare(const void *a, const void *b)
{
    const struct link *left = a;
    const struct link *right = b;
    return (left->index > right->index) - (left->index < right->index);
}

// NULL when the interface appeared since the links were read: the monitor tells of it.
static const struct link *link_of(const struct reader *reader, uint32_t index)
{
    const struct link key = {.index = index};
    return reader->links.n ? bsearch(&key, reader->links.v, reader->links.n, sizeof(key), link_compare) : NULL;
}

static int read_link(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    const struct ifinfomsg *header = reply->payload;
    struct netlink_attr attr[IFLA_LINKINFO + 1];
    struct netlink_attr info[IFLA_INFO_DATA + 1];
    if (reply->type != RTM_NEWLINK || reply->len < sizeof(*header)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    netlink_attr_parse(attr[IFLA_LINKINFO].data, attr[IFLA_LINKINFO].len, info, ARRAY_SIZE(info));
    struct link link = {.index = (uint32_t)header->ifi_index};
    struct facts_interface interface = {0};
    if (!netlink_attr_text(&attr[IFLA_IFNAME], link.name, sizeof(link.name))) {
        return 0;
    }
    (void)netlink_attr_u32(&attr[IFLA_MASTER], &link.master);
    (void)netlink_attr_text(&info[IFLA_INFO_KIND], interface.kind, sizeof(interface.kind));
    memcpy(interface.name, link.name, sizeof(interface.name));
    reader->build.ipvs = reader->build.ipvs || strcmp(link.name, IPVS_DEVICE) == 0;
    uint16_t tunnel = 0;
    if (facts_tunnel_port(interface.kind, &info[IFLA_INFO_DATA], &tunnel) &&
        vec_push(&reader->build.tunnel_ports, tunnel) < 0) {
        return err_oom(err);
    }
    // Both arrays in step: the master's name is put in when all links are known.
    return vec_push(&reader->links, link) < 0 || vec_push(&reader->build.interfaces, interface) < 0 ? err_oom(err) : 0;
}

static bool read_bytes(const struct netlink_attr *attr, uint8_t number, struct address *ret)
{
    size_t size = number == AF_INET6 ? 16 : 4;
    if (!attr->data || attr->len != size || (number != AF_INET && number != AF_INET6)) {
        return false;
    }
    *ret = (struct address){.family = number == AF_INET6 ? FAMILY_V6 : FAMILY_V4};
    memcpy(ret->bytes, attr->data, size);
    return true;
}

static int read_address(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    const struct ifaddrmsg *header = reply->payload;
    struct netlink_attr attr[IFA_LOCAL + 1];
    if (reply->type != RTM_NEWADDR || reply->len < sizeof(*header)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    const struct link *link = link_of(reader, header->ifa_index);
    struct facts_build_address address = {0};
    // On a point-to-point link IFA_ADDRESS is the other end.
    if (!link || (!read_bytes(&attr[IFA_LOCAL], header->ifa_family, &address.address) &&
                  !read_bytes(&attr[IFA_ADDRESS], header->ifa_family, &address.address))) {
        return 0;
    }
    memcpy(address.interface, link->name, sizeof(address.interface));
    return vec_push(&reader->build.addresses, address) < 0 ? err_oom(err) : 0;
}

static int add_route(struct reader *reader, struct facts_build_routes *to, const struct prefix *prefix, uint32_t metric,
                     uint32_t index, struct err *err)
{
    const struct link *link = link_of(reader, index);
    if (!link) {
        return 0;
    }
    struct facts_build_route route = {.route.prefix = *prefix, .metric = metric};
    memcpy(route.route.device, link->name, sizeof(route.route.device));
    return vec_push(to, route) < 0 ? err_oom(err) : 0;
}

// struct rtnexthop, one behind the other.
static int add_hops(struct reader *reader, const struct prefix *prefix, uint32_t metric,
                    const struct netlink_attr *hops, struct err *err)
{
    struct rtnexthop hop;
    for (size_t at = 0; at + sizeof(hop) <= hops->len; at += ((size_t)hop.rtnh_len + 3) & ~(size_t)3) {
        memcpy(&hop, (const uint8_t *)hops->data + at, sizeof(hop));
        if (hop.rtnh_len < sizeof(hop)) {
            break;
        }
        if (add_route(reader, &reader->build.routes, prefix, metric, (uint32_t)hop.rtnh_ifindex, err) < 0) {
            return -1;
        }
    }
    return 0;
}

// Unicast routes of the main table, and of table local those to the node itself and to all of a network; no cached
// ones. NULL: another route. attr has RTA_TABLE + 1 places.
static struct facts_build_routes *list_of(struct facts_build *build, const struct netlink_reply *reply,
                                          struct netlink_attr *attr)
{
    const struct rtmsg *header = reply->payload;
    if (reply->len < sizeof(*header)) {
        return NULL;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, RTA_TABLE + 1);
    uint32_t table = header->rtm_table;
    (void)netlink_attr_u32(&attr[RTA_TABLE], &table);
    if ((header->rtm_flags & RTM_F_CLONED) || (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)) {
        return NULL;
    }
    if (table == RT_TABLE_MAIN) {
        return header->rtm_type == RTN_UNICAST ? &build->routes : NULL;
    }
    bool own = header->rtm_type == RTN_LOCAL || header->rtm_type == RTN_ANYCAST;
    return table != RT_TABLE_LOCAL             ? NULL
           : own                               ? &build->local
           : header->rtm_type == RTN_BROADCAST ? &build->broadcast
                                               : NULL;
}

static int read_route(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct netlink_attr attr[RTA_TABLE + 1];
    struct facts_build_routes *to = reply->type == RTM_NEWROUTE ? list_of(&reader->build, reply, attr) : NULL;
    if (!to) {
        return 0;
    }
    const struct rtmsg *header = reply->payload;
    struct address address = {.family = header->rtm_family == AF_INET6 ? FAMILY_V6 : FAMILY_V4};
    if (header->rtm_dst_len > family_bits(address.family) ||
        (header->rtm_dst_len > 0 && !read_bytes(&attr[RTA_DST], header->rtm_family, &address))) {
        return 0;
    }
    const struct prefix prefix = prefix_truncate(&address, header->rtm_dst_len);
    bool whole = prefix.length == family_bits(FAMILY_V4) && prefix.address.family == FAMILY_V4;
    if ((to != &reader->build.routes && address_is_loopback(&prefix.address)) ||
        (to == &reader->build.broadcast && !whole)) {
        return 0;
    }
    uint32_t metric = 0;
    uint32_t index = 0;
    (void)netlink_attr_u32(&attr[RTA_PRIORITY], &metric);
    if (netlink_attr_u32(&attr[RTA_OIF], &index)) {
        return add_route(reader, to, &prefix, metric, index, err);
    }
    return attr[RTA_MULTIPATH].data && to == &reader->build.routes
               ? add_hops(reader, &prefix, metric, &attr[RTA_MULTIPATH], err)
               : 0;
}

static int dump(struct netlink *netlink, uint16_t type, const void *header, size_t header_len,
                int (*fn)(const struct netlink_reply *reply, void *arg, struct err *err), struct reader *reader,
                const char *what, struct err *err)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    const struct netlink_handler handler = {.reply = fn, .arg = reader};
    netlink_batch_message(&batch, type, NLM_F_DUMP, header, header_len);
    int code = netlink_request(netlink, &batch, &handler, err);
    if (code > 0) {
        return err_set(err, ERR_SYSTEM, code, "read %s: %s", what, strerror(code));
    }
    return code < 0 ? err_wrap(err, "read %s", what) : 0;
}

static int read_links(struct netlink *netlink, struct reader *reader, struct err *err)
{
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    if (dump(netlink, RTM_GETLINK, &header, sizeof(header), read_link, reader, "interfaces", err) < 0) {
        return -1;
    }
    // By index: the arrays are in step no longer, so the masters' numbers go into the names first.
    VEC(uint32_t) masters = {0};
    for (size_t i = 0; i < reader->links.n; i++) {
        if (vec_push(&masters, reader->links.v[i].master) < 0) {
            vec_free(&masters);
            return err_oom(err);
        }
    }
    if (reader->links.n) {
        qsort(reader->links.v, reader->links.n, sizeof(*reader->links.v), link_compare);
    }
    for (size_t i = 0; i < masters.n; i++) {
        const struct link *master = masters.v[i] ? link_of(reader, masters.v[i]) : NULL;
        if (master) {
            memcpy(reader->build.interfaces.v[i].master, master->name, sizeof(master->name));
        }
    }
    vec_free(&masters);
    return 0;
}

static int read_all(struct netlink *netlink, struct reader *reader, struct err *err)
{
    const struct ifaddrmsg address = {.ifa_family = AF_UNSPEC};
    const struct rtmsg route = {.rtm_family = AF_UNSPEC};
    return read_links(netlink, reader, err) < 0 ||
                   dump(netlink, RTM_GETADDR, &address, sizeof(address), read_address, reader, "addresses", err) < 0 ||
                   dump(netlink, RTM_GETROUTE, &route, sizeof(route), read_route, reader, "routes", err) < 0
               ? -1
               : 0;
}

static enum facts_switch read_switch(const char *path)
{
    __attribute__((cleanup(cleanup_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? FACTS_OFF : FACTS_UNKNOWN;
    }
    char value = '\0';
    if (read(fd, &value, 1) != 1) {
        return FACTS_UNKNOWN;
    }
    return value == '0' ? FACTS_OFF : FACTS_ON;
}

void facts_read_bridge_nf(enum facts_switch ret[FAMILY_COUNT], enum facts_switch *ret_vlan)
{
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        ret[family] = read_switch(bridge_nf_path[family]);
    }
    *ret_vlan = read_switch(bridge_nf_vlan_path);
}

int facts_read(struct facts **ret, struct err *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    if (netlink_open(NETLINK_BUS_ROUTE, &netlink, err) < 0) {
        return -1;
    }
    for (unsigned attempt = 1;; attempt++) {
        __attribute__((cleanup(cleanup_reader))) struct reader reader = {0};
        struct err why = {0};
        if (read_all(netlink, &reader, &why) < 0) {
            // A dump says when the kernel's list changed while it was read.
            if (why.kind == ERR_RETRY && attempt < READ_ATTEMPTS) {
                continue;
            }
            if (err) {
                *err = why;
            }
            return -1;
        }
        facts_read_bridge_nf(reader.build.bridge_nf, &reader.build.bridge_nf_vlan);
        return facts_build_finish(&reader.build, ret, err);
    }
}

int facts_monitor_open(int *ret_fd, struct err *err)
{
    static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                      RTNLGRP_IPV6_ROUTE};
    return netlink_monitor_open(NETLINK_BUS_ROUTE, groups, ARRAY_SIZE(groups), ret_fd, err);
}

static void see_change(const struct netlink_reply *message, void *arg)
{
    bool *relevant = arg;
    struct facts_build unused = {0};
    struct netlink_attr attr[RTA_TABLE + 1];
    switch (message->type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWADDR:
    case RTM_DELADDR:
        *relevant = true;
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        *relevant = *relevant || list_of(&unused, message, attr);
        break;
    }
}

bool facts_monitor_drain(int fd)
{
    bool relevant = false;
    bool whole = netlink_monitor_drain(fd, see_change, &relevant);
    return relevant || !whole;
}
