// SPDX-License-Identifier: Apache-2.0
#include "support/conntrack_fill.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/netlink.h"

enum { FILL_BATCH = 128, FILL_SECONDS = 3600, STATE_ESTABLISHED = 3 };

static int write_text(const char *path, const char *text)
{
    CLEANUP(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

bool conntrack_fill_enter(void)
{
    if (unshare(CLONE_NEWNET) == 0) {
        return true;
    }
    char map[64];
    (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_text("/proc/self/uid_map", map) == 0;
}

static void put_u16(struct netlink_batch *batch, uint16_t type, uint16_t value)
{
    netlink_batch_put(batch, type, &(uint16_t){htons(value)}, sizeof(value));
}

static void put_tuple(struct netlink_batch *batch, uint16_t type, const struct flow_tuple *tuple)
{
    bool v6 = tuple->source.family == FAMILY_V6;
    size_t len = v6 ? 16 : 4;
    size_t nest = netlink_batch_nest(batch, type);
    size_t ip = netlink_batch_nest(batch, CTA_TUPLE_IP);
    netlink_batch_put(batch, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, tuple->source.bytes, len);
    netlink_batch_put(batch, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, tuple->destination.bytes, len);
    netlink_batch_nest_end(batch, ip);
    size_t protocol = netlink_batch_nest(batch, CTA_TUPLE_PROTO);
    netlink_batch_u8(batch, CTA_PROTO_NUM, tuple->protocol);
    if (tuple->protocol == IPPROTO_ICMP) {
        put_u16(batch, CTA_PROTO_ICMP_ID, tuple->icmp_id);
        netlink_batch_u8(batch, CTA_PROTO_ICMP_TYPE, tuple->icmp_type);
        netlink_batch_u8(batch, CTA_PROTO_ICMP_CODE, tuple->icmp_code);
    } else if (tuple->protocol == IPPROTO_ICMPV6) {
        put_u16(batch, CTA_PROTO_ICMPV6_ID, tuple->icmp_id);
        netlink_batch_u8(batch, CTA_PROTO_ICMPV6_TYPE, tuple->icmp_type);
        netlink_batch_u8(batch, CTA_PROTO_ICMPV6_CODE, tuple->icmp_code);
    } else {
        put_u16(batch, CTA_PROTO_SRC_PORT, tuple->source_port);
        put_u16(batch, CTA_PROTO_DST_PORT, tuple->destination_port);
    }
    netlink_batch_nest_end(batch, protocol);
    netlink_batch_nest_end(batch, nest);
}

static void put_flow(struct netlink_batch *batch, const struct flow *flow)
{
    const struct nfgenmsg header = {.nfgen_family = flow->original.source.family == FAMILY_V6 ? AF_INET6 : AF_INET};
    netlink_batch_message(batch, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
                          &header, sizeof(header));
    put_tuple(batch, CTA_TUPLE_ORIG, &flow->original);
    put_tuple(batch, CTA_TUPLE_REPLY, &flow->reply);
    if (flow->zone) {
        put_u16(batch, CTA_ZONE, flow->zone);
    }
    netlink_batch_put(batch, CTA_TIMEOUT, &(uint32_t){htonl(FILL_SECONDS)}, sizeof(uint32_t));
    netlink_batch_put(batch, CTA_MARK, &(uint32_t){htonl(flow->mark)}, sizeof(uint32_t));
    netlink_batch_put(batch, CTA_STATUS, &(uint32_t){htonl(IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED)},
                      sizeof(uint32_t));
    if (flow->original.protocol == IPPROTO_TCP) {
        size_t info = netlink_batch_nest(batch, CTA_PROTOINFO);
        size_t tcp = netlink_batch_nest(batch, CTA_PROTOINFO_TCP);
        netlink_batch_u8(batch, CTA_PROTOINFO_TCP_STATE, STATE_ESTABLISHED);
        netlink_batch_nest_end(batch, tcp);
        netlink_batch_nest_end(batch, info);
    }
}

int conntrack_fill(const struct flow *list, size_t n, struct err *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    if (netlink_open(NETLINK_BUS_NETFILTER, &netlink, err) < 0) {
        return -1;
    }
    for (size_t at = 0; at < n; at += FILL_BATCH) {
        netlink_batch_clear(&batch);
        for (size_t i = at; i < n && i < at + FILL_BATCH; i++) {
            put_flow(&batch, &list[i]);
        }
        int code = netlink_request(netlink, &batch, NULL, err);
        if (code) {
            return code < 0 ? -1 : err_set(err, ERR_SYSTEM, code, "add conntrack entries: %s", strerror(code));
        }
    }
    return 0;
}

struct flow conntrack_flow(const char *source, const char *destination, uint8_t protocol, uint16_t source_port,
                           uint16_t destination_port)
{
    struct flow flow = {0};
    if (!address_parse(source, &flow.original.source) || !address_parse(destination, &flow.original.destination)) {
        abort();
    }
    flow.original.protocol = flow.reply.protocol = protocol;
    flow.original.source_port = flow.reply.destination_port = source_port;
    flow.original.destination_port = flow.reply.source_port = destination_port;
    flow.reply.source = flow.original.destination;
    flow.reply.destination = flow.original.source;
    return flow;
}
