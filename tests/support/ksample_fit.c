// SPDX-License-Identifier: Apache-2.0
#include "support/ksample_fit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { HOP_LIMIT_DEFAULT = 64, HOP_LIMIT_MAX = 255, SOURCE_PORT_FIRST = 20000 };

const char *ksample_reason_name(enum ksample_reason reason)
{
    switch (reason) {
    case KSAMPLE_KEPT:
        return "kept";
    case KSAMPLE_NO_INTERFACE:
        return "no such interface on the test node";
    case KSAMPLE_SOURCE:
        return "no kernel takes a packet from that source on that way";
    case KSAMPLE_DESTINATION:
        return "no kernel sends a packet to that destination on that way";
    case KSAMPLE_FLOW_TAKEN:
        return "another packet is of the same flow";
    case KSAMPLE_REASONS:
        break;
    }
    return "";
}

int ksample_interface_find(const struct ksample_interfaces *interfaces, const char *name)
{
    for (size_t i = 0; i < interfaces->n; i++) {
        if (strcmp(interfaces->names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_unspecified(const struct address *address)
{
    static const uint8_t zero[sizeof(address->bytes)];
    return memcmp(address->bytes, zero, sizeof(zero)) == 0;
}

// 0.0.0.0/8 or ::.
static bool is_nowhere(const struct address *address)
{
    return address->family == FAMILY_V4 ? address->bytes[0] == 0 : is_unspecified(address);
}

static bool is_broadcast(const struct address *address)
{
    static const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};
    return address->family == FAMILY_V4 && memcmp(address->bytes, ones, sizeof(ones)) == 0;
}

static bool is_link_local_v6(const struct address *address)
{
    return address->family == FAMILY_V6 && address_is_link_local(address);
}

static bool is_loopback_v6(const struct address *address)
{
    return address->family == FAMILY_V6 && address_is_loopback(address);
}

// Multicast that never leaves an interface, of scope 0 and 1.
static bool is_interface_local(const struct address *address)
{
    return address->family == FAMILY_V6 && address_is_multicast(address) && (address->bytes[1] & 0x0f) <= 1;
}

static bool source_is_taken(const struct packet *packet, enum ksample_way way)
{
    const struct address *source = &packet->source;
    switch (way) {
    case KSAMPLE_BRIDGED:
        return true;
    case KSAMPLE_ROUTED:
        return !address_is_multicast(source) && !is_nowhere(source) && !is_loopback_v6(source) &&
               !is_link_local_v6(source);
    case KSAMPLE_TO_NODE:
        return !address_is_multicast(source) && !is_loopback_v6(source) &&
               (source->family == FAMILY_V6 || !is_nowhere(source) || is_broadcast(&packet->destination));
    case KSAMPLE_FROM_NODE:
        return !is_unspecified(source);
    case KSAMPLE_WAYS:
        break;
    }
    return false;
}

static bool destination_is_reached(const struct packet *packet, enum ksample_way way)
{
    const struct address *destination = &packet->destination;
    switch (way) {
    case KSAMPLE_BRIDGED:
        return true;
    case KSAMPLE_ROUTED:
        return !address_is_multicast(destination) && !is_nowhere(destination) && !is_loopback_v6(destination) &&
               !is_link_local_v6(destination);
    case KSAMPLE_TO_NODE:
        return !is_nowhere(destination) && !is_loopback_v6(destination) && !is_interface_local(destination) &&
               (destination->family == FAMILY_V6 || !address_is_multicast(destination) || is_broadcast(destination));
    case KSAMPLE_FROM_NODE:
        return !is_nowhere(destination) && !address_is_loopback(destination) && !is_interface_local(destination);
    case KSAMPLE_WAYS:
        break;
    }
    return false;
}

static enum ksample_way way_of(const struct packet *packet)
{
    switch (packet->arrival) {
    case ARRIVAL_FORWARD:
        // Translation on a bridge needs a route behind it: such packets go out where they came in, routed.
        return strcmp(packet->in, packet->out) == 0 && !packet->dnat ? KSAMPLE_BRIDGED : KSAMPLE_ROUTED;
    case ARRIVAL_TO_NODE:
        return KSAMPLE_TO_NODE;
    case ARRIVAL_FROM_NODE:
        return KSAMPLE_FROM_NODE;
    }
    return KSAMPLE_WAYS;
}

// False: an interface that is not there.
static bool fit_interfaces(const struct ksample_interfaces *interfaces, struct packet *packet)
{
    char *const names[] = {packet->in, packet->out};
    const bool used[] = {packet->arrival != ARRIVAL_FROM_NODE, packet->arrival != ARRIVAL_TO_NODE};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!used[i]) {
            *names[i] = '\0';
        } else if (!*names[i]) {
            (void)snprintf(names[i], sizeof(packet->in), "%s", interfaces->names[0]);
        } else if (ksample_interface_find(interfaces, names[i]) < 0) {
            return false;
        }
    }
    return true;
}

// Its own virtual address for each flow that is translated.
static struct address virtual_address(enum family family, size_t index)
{
    struct address address = {0};
    (void)address_parse(family == FAMILY_V4 ? "198.18.0.0" : "2001:db8:feed::", &address);
    size_t last = family_bits(family) / 8 - 1;
    address.bytes[last - 1] = (uint8_t)(index >> 8);
    address.bytes[last] = (uint8_t)index;
    return address;
}

static void fit_state(size_t index, struct ksample *ret)
{
    struct packet *packet = &ret->packet;
    switch (packet->ct) {
    case CT_ESTABLISHED:
        ret->flow = KSAMPLE_FLOW_ANSWERED;
        ret->wire.middle = true;
        break;
    case CT_RELATED:
        ret->flow = KSAMPLE_FLOW_EXPECTED;
        break;
    case CT_INVALID:
        // Raw sockets check the sum of ICMPv6 themselves.
        ret->wire.damaged = packet->protocol != KSAMPLE_ICMPV6 || ret->way != KSAMPLE_TO_NODE;
        break;
    case CT_UNTRACKED:
        ret->untracked = true;
        break;
    case CT_NEW:
        break;
    }
    // Errors have no flow of their own: about one that is there they are RELATED, else INVALID.
    if (ksample_is_icmp_error(packet)) {
        ret->flow = packet->ct == CT_RELATED ? KSAMPLE_FLOW_QUOTED : KSAMPLE_FLOW_NONE;
    }
    packet->dnat = packet->dnat && !ret->untracked && !ret->wire.damaged && !ksample_is_icmp_error(packet) &&
                   !is_nowhere(&packet->source);
    if (packet->dnat) {
        ret->wire.destination = virtual_address(packet->source.family, index);
    }
}

static bool takes_own_flow(const struct packet *packet)
{
    return ksample_has_ports(packet->protocol) || ksample_is_echo(packet) || ksample_is_icmp_error(packet);
}

// False: the flow is taken.
static bool take_flow(struct ksample_taken *taken, const struct packet *packet)
{
    bool up = address_compare(&packet->source, &packet->destination) < 0;
    const struct ksample_pair pair = {
        .low = up ? packet->source : packet->destination,
        .high = up ? packet->destination : packet->source,
        .protocol = packet->protocol,
    };
    for (size_t i = 0; i < taken->n; i++) {
        const struct ksample_pair *other = &taken->pairs[i];
        if (other->protocol == pair.protocol && address_equal(&other->low, &pair.low) &&
            address_equal(&other->high, &pair.high)) {
            return false;
        }
    }
    taken->pairs[taken->n++] = pair;
    return true;
}

enum ksample_reason ksample_fit(const struct packet *drawn, size_t index, const struct ksample_interfaces *interfaces,
                                struct ksample_taken *taken, struct ksample *ret)
{
    struct ksample sample = {.packet = *drawn};
    struct packet *packet = &sample.packet;
    if (!fit_interfaces(interfaces, packet)) {
        return KSAMPLE_NO_INTERFACE;
    }
    sample.way = way_of(packet);
    if (!source_is_taken(packet, sample.way)) {
        return KSAMPLE_SOURCE;
    }
    if (!destination_is_reached(packet, sample.way)) {
        return KSAMPLE_DESTINATION;
    }
    bool icmp = packet->protocol == KSAMPLE_ICMP || packet->protocol == KSAMPLE_ICMPV6;
    packet->icmp_type = icmp ? packet->icmp_type : 0;
    packet->port = ksample_has_ports(packet->protocol) ? packet->port : 0;
    packet->hop_limit = packet->hop_limit ? packet->hop_limit : HOP_LIMIT_DEFAULT;
    if (sample.way == KSAMPLE_ROUTED) {
        // A router has taken one off before its rules see it.
        packet->hop_limit = packet->hop_limit == HOP_LIMIT_MAX ? HOP_LIMIT_MAX - 1 : packet->hop_limit;
        sample.wire.hop_limit = (uint8_t)(packet->hop_limit + 1);
    } else {
        sample.wire.hop_limit = packet->hop_limit;
    }
    sample.wire.source_port = (uint16_t)(SOURCE_PORT_FIRST + index);
    sample.wire.destination = packet->destination;
    fit_state(index, &sample);
    if (!takes_own_flow(packet) && !take_flow(taken, packet)) {
        return KSAMPLE_FLOW_TAKEN;
    }
    *ret = sample;
    return KSAMPLE_KEPT;
}
