// SPDX-License-Identifier: Apache-2.0
#include "support/ksample_flow.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#include "model/object.h"
#include "netlink/netlink.h"

enum { TIMEOUT_S = 300, TCP_ESTABLISHED_STATE = 3, SCTP_ESTABLISHED_STATE = 4, MASTER_PORT = 19999, GRE = 47 };

struct ksample_flows {
    struct netlink *netlink;
    struct netlink_batch batch;
};

// One direction of a flow.
struct tuple {
    const struct address *source, *destination;
    uint8_t protocol;
    uint16_t source_port, port;  // source_port: the identifier of an echo
    uint8_t icmp_type;
};

int ksample_flows_open(struct ksample_flows **ret, struct err *err)
{
    struct ksample_flows *flows = calloc(1, sizeof(*flows));
    if (!flows) {
        return err_oom(err);
    }
    if (netlink_open(NETLINK_BUS_NETFILTER, &flows->netlink, err) < 0) {
        free(flows);
        return -1;
    }
    *ret = flows;
    return 0;
}

void ksample_flows_close(struct ksample_flows *flows)
{
    if (flows) {
        netlink_close(flows->netlink);
        netlink_batch_free(&flows->batch);
        free(flows);
    }
}

static void message(struct netlink_batch *batch, uint16_t type, uint16_t flags, uint8_t family)
{
    const struct nfgenmsg header = {.nfgen_family = family, .version = NFNETLINK_V0};
    netlink_batch_message(batch, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), (uint16_t)(flags | NLM_F_ACK), &header,
                          sizeof(header));
}

static void put_port(struct netlink_batch *batch, uint16_t type, uint16_t port)
{
    uint16_t wire = htons(port);
    netlink_batch_put(batch, type, &wire, sizeof(wire));
}

static void put_number(struct netlink_batch *batch, uint16_t type, uint32_t number)
{
    uint32_t wire = htonl(number);
    netlink_batch_put(batch, type, &wire, sizeof(wire));
}

static void put_tuple(struct netlink_batch *batch, uint16_t type, const struct tuple *tuple)
{
    bool v4 = tuple->source->family == FAMILY_V4;
    size_t size = family_bits(tuple->source->family) / 8;
    size_t nest = netlink_batch_nest(batch, type);
    size_t ip = netlink_batch_nest(batch, CTA_TUPLE_IP);
    netlink_batch_put(batch, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, tuple->source->bytes, size);
    netlink_batch_put(batch, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, tuple->destination->bytes, size);
    netlink_batch_nest_end(batch, ip);
    size_t proto = netlink_batch_nest(batch, CTA_TUPLE_PROTO);
    netlink_batch_u8(batch, CTA_PROTO_NUM, tuple->protocol);
    if (ksample_has_ports(tuple->protocol) || tuple->protocol == GRE) {
        put_port(batch, CTA_PROTO_SRC_PORT, tuple->source_port);
        put_port(batch, CTA_PROTO_DST_PORT, tuple->port);
    } else if (tuple->protocol == KSAMPLE_ICMP) {
        put_port(batch, CTA_PROTO_ICMP_ID, tuple->source_port);
        netlink_batch_u8(batch, CTA_PROTO_ICMP_TYPE, tuple->icmp_type);
        netlink_batch_u8(batch, CTA_PROTO_ICMP_CODE, 0);
    } else if (tuple->protocol == KSAMPLE_ICMPV6) {
        put_port(batch, CTA_PROTO_ICMPV6_ID, tuple->source_port);
        netlink_batch_u8(batch, CTA_PROTO_ICMPV6_TYPE, tuple->icmp_type);
        netlink_batch_u8(batch, CTA_PROTO_ICMPV6_CODE, 0);
    }
    netlink_batch_nest_end(batch, proto);
    netlink_batch_nest_end(batch, nest);
}

// Both directions of a flow, as before any translation.
static void put_tuples(struct netlink_batch *batch, const struct tuple *tuple)
{
    static const uint8_t answers[256] = {[8] = 0, [0] = 8, [128] = 129, [129] = 128};
    const struct tuple back = {
        .source = tuple->destination,
        .destination = tuple->source,
        .protocol = tuple->protocol,
        .source_port = ksample_has_ports(tuple->protocol) ? tuple->port : tuple->source_port,
        .port = tuple->source_port,
        .icmp_type = answers[tuple->icmp_type],
    };
    put_tuple(batch, CTA_TUPLE_ORIG, tuple);
    put_tuple(batch, CTA_TUPLE_REPLY, &back);
    put_number(batch, CTA_TIMEOUT, TIMEOUT_S);
}

static uint8_t socket_family(enum family family)
{
    return family == FAMILY_V4 ? AF_INET : AF_INET6;
}

static void begin_flow(struct netlink_batch *batch, const struct tuple *tuple)
{
    message(batch, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, socket_family(tuple->source->family));
    put_tuples(batch, tuple);
}

// Flows that connection tracking follows closely need a state of their own.
static void put_answered(struct netlink_batch *batch, uint8_t protocol)
{
    put_number(batch, CTA_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
    size_t info = netlink_batch_nest(batch, CTA_PROTOINFO);
    if (protocol == PROTOCOL_TCP) {
        const struct nf_ct_tcp_flags liberal = {.flags = IP_CT_TCP_FLAG_BE_LIBERAL, .mask = IP_CT_TCP_FLAG_BE_LIBERAL};
        size_t tcp = netlink_batch_nest(batch, CTA_PROTOINFO_TCP);
        netlink_batch_u8(batch, CTA_PROTOINFO_TCP_STATE, TCP_ESTABLISHED_STATE);
        netlink_batch_put(batch, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &liberal, sizeof(liberal));
        netlink_batch_put(batch, CTA_PROTOINFO_TCP_FLAGS_REPLY, &liberal, sizeof(liberal));
        netlink_batch_nest_end(batch, tcp);
    } else if (protocol == PROTOCOL_SCTP) {
        size_t sctp = netlink_batch_nest(batch, CTA_PROTOINFO_SCTP);
        netlink_batch_u8(batch, CTA_PROTOINFO_SCTP_STATE, SCTP_ESTABLISHED_STATE);
        put_number(batch, CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, KSAMPLE_SCTP_TAG);
        put_number(batch, CTA_PROTOINFO_SCTP_VTAG_REPLY, KSAMPLE_SCTP_TAG);
        netlink_batch_nest_end(batch, sctp);
    }
    netlink_batch_nest_end(batch, info);
}

// The flow that announces others, one a family, between strangers.
static struct tuple master_of(const struct address *stranger)
{
    return (struct tuple){.source = stranger,
                          .destination = stranger,
                          .protocol = PROTOCOL_UDP,
                          .source_port = MASTER_PORT,
                          .port = MASTER_PORT + 1};
}

static void put_translation(struct netlink_batch *batch, const struct packet *packet)
{
    bool v4 = packet->destination.family == FAMILY_V4;
    size_t nest = netlink_batch_nest(batch, CTA_NAT_DST);
    netlink_batch_put(batch, v4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP, packet->destination.bytes,
                      family_bits(packet->destination.family) / 8);
    netlink_batch_nest_end(batch, nest);
}

static void add_flow(struct netlink_batch *batch, const struct ksample *sample)
{
    const struct packet *packet = &sample->packet;
    struct address stranger = ksample_wire_stranger(packet->source.family);
    bool ports = ksample_has_ports(packet->protocol);
    const struct tuple own = {
        .source = &packet->source,
        .destination = &sample->wire.destination,
        .protocol = packet->protocol,
        .source_port = ports || ksample_is_echo(packet) ? sample->wire.source_port : 0,
        .port = packet->port,
        .icmp_type = packet->icmp_type,
    };
    const struct tuple quoted = {
        .source = &packet->destination,
        .destination = &stranger,
        .protocol = PROTOCOL_UDP,
        .source_port = sample->wire.source_port,
        .port = KSAMPLE_QUOTE_PORT,
    };
    if (sample->flow == KSAMPLE_FLOW_NONE && !packet->dnat) {
        return;
    }
    begin_flow(batch, sample->flow == KSAMPLE_FLOW_QUOTED ? &quoted : &own);
    if (sample->flow == KSAMPLE_FLOW_ANSWERED) {
        put_answered(batch, packet->protocol);
    } else if (sample->flow == KSAMPLE_FLOW_EXPECTED) {
        const struct tuple master = master_of(&stranger);
        put_tuple(batch, CTA_TUPLE_MASTER, &master);
    }
    if (packet->dnat) {
        put_translation(batch, packet);
    }
}

static void count_refused(int code, const struct netlink_reply *request, void *arg)
{
    (void)code;
    (void)request;
    *(size_t *)arg += 1;
}

int ksample_flows_reset(struct ksample_flows *flows, const struct ksample *samples, size_t n, size_t *ret_refused,
                        struct err *err)
{
    size_t refused = 0;
    const struct netlink_handler handler = {.refused = count_refused, .arg = &refused};
    netlink_batch_clear(&flows->batch);
    message(&flows->batch, IPCTNL_MSG_CT_DELETE, 0, AF_UNSPEC);
    int code = netlink_request(flows->netlink, &flows->batch, NULL, err);
    if (code != 0) {
        return code < 0 ? -1
                        : err_set(err, ERR_SYSTEM, code, "connection tracking cannot be emptied: %s", strerror(code));
    }
    netlink_batch_clear(&flows->batch);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        struct address stranger = ksample_wire_stranger((enum family)i);
        const struct tuple master = master_of(&stranger);
        begin_flow(&flows->batch, &master);
    }
    for (size_t i = 0; i < n; i++) {
        add_flow(&flows->batch, &samples[i]);
    }
    if (netlink_request(flows->netlink, &flows->batch, &handler, err) < 0) {
        return -1;
    }
    if (ret_refused) {
        *ret_refused = refused;
    }
    return 0;
}
