// SPDX-License-Identifier: Apache-2.0
#include "flow/flow_wire.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#include "netlink/netlink_attr.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };

// Flag bits of CTA_FILTER_ORIG_FLAGS and _REPLY_FLAGS (net/netfilter/nf_conntrack_netlink.c, no public header).
enum { FILTER_SOURCE = 1 << 0, FILTER_DESTINATION = 1 << 1 };

static uint8_t family_wire(enum family family)
{
    return family == FAMILY_V6 ? AF_INET6 : AF_INET;
}

void flow_message(struct netlink_batch *batch, unsigned type, uint16_t flags, enum family family)
{
    const struct nfgenmsg header = {.nfgen_family = family_wire(family), .version = NFNETLINK_V0};
    netlink_batch_message(batch, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), flags, &header, sizeof(header));
}

static void put_address(struct netlink_batch *batch, const struct address *address, bool source)
{
    if (address->family == FAMILY_V6) {
        netlink_batch_put(batch, source ? CTA_IP_V6_SRC : CTA_IP_V6_DST, address->bytes, sizeof(address->bytes));
    } else {
        netlink_batch_put(batch, source ? CTA_IP_V4_SRC : CTA_IP_V4_DST, address->bytes, sizeof(struct in_addr));
    }
}

static void put_filter_tuple(struct netlink_batch *batch, uint16_t type, const struct address *source,
                             const struct address *destination)
{
    if (!source && !destination) {
        return;
    }
    size_t tuple = netlink_batch_nest(batch, type);
    size_t ip = netlink_batch_nest(batch, CTA_TUPLE_IP);
    if (source) {
        put_address(batch, source, true);
    }
    if (destination) {
        put_address(batch, destination, false);
    }
    netlink_batch_nest_end(batch, ip);
    netlink_batch_nest_end(batch, tuple);
}

static uint32_t filter_flags(const struct address *source, const struct address *destination)
{
    return (source ? FILTER_SOURCE : 0u) | (destination ? FILTER_DESTINATION : 0u);
}

bool flow_can_filter(const struct flow_filter *filter)
{
    // IPv6 addresses are compared the wrong way round by ctnetlink_filter_match_tuple (Linux 5.8 to 6.18 at least): the
    // kernel tells all but those asked for.
    bool addresses = filter->has_original_source || filter->has_original_destination || filter->has_reply_source ||
                     filter->has_reply_destination;
    return filter->mark_mask || (addresses && filter->family == FAMILY_V4);
}

static void put_addresses(struct netlink_batch *batch, const struct flow_filter *filter)
{
    const struct address *original_source = filter->has_original_source ? &filter->original_source : NULL;
    const struct address *original_destination =
        filter->has_original_destination ? &filter->original_destination : NULL;
    const struct address *reply_source = filter->has_reply_source ? &filter->reply_source : NULL;
    const struct address *reply_destination = filter->has_reply_destination ? &filter->reply_destination : NULL;
    uint32_t original = filter_flags(original_source, original_destination);
    uint32_t reply = filter_flags(reply_source, reply_destination);
    if (!(original | reply)) {
        return;
    }
    put_filter_tuple(batch, CTA_TUPLE_ORIG, original_source, original_destination);
    put_filter_tuple(batch, CTA_TUPLE_REPLY, reply_source, reply_destination);
    size_t nest = netlink_batch_nest(batch, CTA_FILTER);
    netlink_batch_u32(batch, CTA_FILTER_ORIG_FLAGS, original);
    netlink_batch_u32(batch, CTA_FILTER_REPLY_FLAGS, reply);
    netlink_batch_nest_end(batch, nest);
}

void flow_put_filter(struct netlink_batch *batch, const struct flow_filter *filter, bool filtered)
{
    flow_message(batch, IPCTNL_MSG_CT_GET, NLM_F_DUMP, filter->family);
    if (filtered && filter->mark_mask) {
        netlink_batch_be32(batch, CTA_MARK, filter->mark);
        netlink_batch_be32(batch, CTA_MARK_MASK, filter->mark_mask);
    }
    if (filtered && filter->family == FAMILY_V4) {
        put_addresses(batch, filter);
    }
}

static void put_zone(struct netlink_batch *batch, uint16_t type, uint16_t zone)
{
    if (zone) {
        netlink_batch_be16(batch, type, zone);
    }
}

void flow_put_key(struct netlink_batch *batch, const struct flow *flow)
{
    const struct flow_tuple *tuple = &flow->original;
    put_zone(batch, CTA_ZONE, flow->zone_of_original ? 0 : flow->zone);
    size_t nest = netlink_batch_nest(batch, CTA_TUPLE_ORIG);
    size_t ip = netlink_batch_nest(batch, CTA_TUPLE_IP);
    put_address(batch, &tuple->source, true);
    put_address(batch, &tuple->destination, false);
    netlink_batch_nest_end(batch, ip);
    size_t protocol = netlink_batch_nest(batch, CTA_TUPLE_PROTO);
    netlink_batch_u8(batch, CTA_PROTO_NUM, tuple->protocol);
    if (tuple->protocol == PROTOCOL_ICMP || tuple->protocol == PROTOCOL_ICMPV6) {
        bool v6 = tuple->protocol == PROTOCOL_ICMPV6;
        netlink_batch_be16(batch, v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID, tuple->icmp_id);
        netlink_batch_u8(batch, v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE, tuple->icmp_type);
        netlink_batch_u8(batch, v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE, tuple->icmp_code);
    } else {
        netlink_batch_be16(batch, CTA_PROTO_SRC_PORT, tuple->source_port);
        netlink_batch_be16(batch, CTA_PROTO_DST_PORT, tuple->destination_port);
    }
    netlink_batch_nest_end(batch, protocol);
    put_zone(batch, CTA_TUPLE_ZONE, flow->zone_of_original ? flow->zone : 0);
    netlink_batch_nest_end(batch, nest);
}

// ---- reading -------------------------------------------------------------------------------------------------------

static bool parse_address(const struct netlink_attr *attr, enum family family, struct address *ret)
{
    size_t len = family_bits(family) / 8;
    if (!attr->data || attr->len != len) {
        return false;
    }
    ret->family = family;
    memcpy(ret->bytes, attr->data, len);
    return true;
}

static bool parse_tuple(const struct netlink_attr *nest, enum family family, struct flow_tuple *ret, uint16_t *ret_zone)
{
    struct netlink_attr tuple[CTA_TUPLE_MAX + 1];
    struct netlink_attr ip[CTA_IP_MAX + 1];
    struct netlink_attr protocol[CTA_PROTO_MAX + 1];
    netlink_attr_parse(nest->data, nest->len, tuple, CTA_TUPLE_MAX + 1);
    netlink_attr_parse(tuple[CTA_TUPLE_IP].data, tuple[CTA_TUPLE_IP].len, ip, CTA_IP_MAX + 1);
    netlink_attr_parse(tuple[CTA_TUPLE_PROTO].data, tuple[CTA_TUPLE_PROTO].len, protocol, CTA_PROTO_MAX + 1);
    bool v6 = family == FAMILY_V6;
    if (!parse_address(&ip[v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC], family, &ret->source) ||
        !parse_address(&ip[v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST], family, &ret->destination) ||
        !netlink_attr_u8(&protocol[CTA_PROTO_NUM], &ret->protocol)) {
        return false;
    }
    (void)netlink_attr_be16(&tuple[CTA_TUPLE_ZONE], ret_zone);
    if (ret->protocol == PROTOCOL_ICMP || ret->protocol == PROTOCOL_ICMPV6) {
        v6 = ret->protocol == PROTOCOL_ICMPV6;
        return netlink_attr_be16(&protocol[v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID], &ret->icmp_id) &&
               netlink_attr_u8(&protocol[v6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE], &ret->icmp_type) &&
               netlink_attr_u8(&protocol[v6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE], &ret->icmp_code);
    }
    (void)netlink_attr_be16(&protocol[CTA_PROTO_SRC_PORT], &ret->source_port);
    (void)netlink_attr_be16(&protocol[CTA_PROTO_DST_PORT], &ret->destination_port);
    return true;
}

bool flow_parse(const struct netlink_reply *reply, struct flow *ret)
{
    struct nfgenmsg header;
    if (reply->type >> 8 != NFNL_SUBSYS_CTNETLINK || reply->len < sizeof(header)) {
        return false;
    }
    memcpy(&header, reply->payload, sizeof(header));
    if (header.nfgen_family != AF_INET && header.nfgen_family != AF_INET6) {
        return false;
    }
    enum family family = header.nfgen_family == AF_INET6 ? FAMILY_V6 : FAMILY_V4;
    struct netlink_attr attrs[CTA_MAX + 1];
    netlink_attr_parse((const uint8_t *)reply->payload + sizeof(header), reply->len - sizeof(header), attrs,
                       CTA_MAX + 1);
    struct flow flow = {0};
    uint16_t original_zone = 0;
    uint16_t reply_zone = 0;
    if (!parse_tuple(&attrs[CTA_TUPLE_ORIG], family, &flow.original, &original_zone) ||
        !parse_tuple(&attrs[CTA_TUPLE_REPLY], family, &flow.reply, &reply_zone)) {
        return false;
    }
    // A zone of the replies alone does not take part in the name of an entry.
    if (!netlink_attr_be16(&attrs[CTA_ZONE], &flow.zone)) {
        flow.zone = original_zone;
        flow.zone_of_original = original_zone != 0;
    }
    (void)netlink_attr_be32(&attrs[CTA_MARK], &flow.mark);
    (void)netlink_attr_be32(&attrs[CTA_STATUS], &flow.status);
    (void)netlink_attr_be32(&attrs[CTA_ID], &flow.id);
    *ret = flow;
    return true;
}

bool flow_matches(const struct flow *flow, const struct flow_filter *filter)
{
    return flow->original.source.family == filter->family &&
           (!filter->has_original_source || address_equal(&flow->original.source, &filter->original_source)) &&
           (!filter->has_original_destination ||
            address_equal(&flow->original.destination, &filter->original_destination)) &&
           (!filter->has_reply_source || address_equal(&flow->reply.source, &filter->reply_source)) &&
           (!filter->has_reply_destination || address_equal(&flow->reply.destination, &filter->reply_destination)) &&
           (flow->mark & filter->mark_mask) == (filter->mark & filter->mark_mask);
}

static bool same_end(bool has_a, const struct address *a, bool has_b, const struct address *b)
{
    return has_a == has_b && (!has_a || address_equal(a, b));
}

bool flow_filter_equal(const struct flow_filter *a, const struct flow_filter *b)
{
    return a->family == b->family && a->mark == b->mark && a->mark_mask == b->mark_mask &&
           same_end(a->has_original_source, &a->original_source, b->has_original_source, &b->original_source) &&
           same_end(a->has_original_destination, &a->original_destination, b->has_original_destination,
                    &b->original_destination) &&
           same_end(a->has_reply_source, &a->reply_source, b->has_reply_source, &b->reply_source) &&
           same_end(a->has_reply_destination, &a->reply_destination, b->has_reply_destination, &b->reply_destination);
}

static bool same_tuple(const struct flow_tuple *a, const struct flow_tuple *b)
{
    return address_equal(&a->source, &b->source) && address_equal(&a->destination, &b->destination) &&
           a->protocol == b->protocol && a->source_port == b->source_port &&
           a->destination_port == b->destination_port && a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code &&
           a->icmp_id == b->icmp_id;
}

bool flow_same_original(const struct flow *a, const struct flow *b)
{
    return same_tuple(&a->original, &b->original);
}

bool flow_same(const struct flow *a, const struct flow *b)
{
    return same_tuple(&a->original, &b->original) && same_tuple(&a->reply, &b->reply);
}
