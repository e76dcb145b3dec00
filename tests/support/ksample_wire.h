// SPDX-License-Identifier: Apache-2.0
//
// Judged packets (model/packet.h) as bytes on a wire, and back: any address, protocol, ICMP type and hop limit,
// openings and middles of flows, damaged ones, errors about another flow. Each carries a number, so that it is known
// again wherever it arrives and whatever was changed on its way.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/packet.h"

enum { KSAMPLE_ICMP = 1, KSAMPLE_ICMPV6 = 58 };
enum { KSAMPLE_QUOTE_PORT = 9, KSAMPLE_SCTP_TAG = 1 };  // of the flows that errors quote; of SCTP flows
enum { KSAMPLE_WIRE_MAX = 256 };                        // octets of the longest one, link header included

// How a packet is sent to be judged as wanted.
struct ksample_wire {
    uint32_t id;
    uint8_t hop_limit;
    uint16_t source_port;        // or identifier of an echo request
    struct address destination;  // before it is translated: another one than the packet's when the flow is DNATed
    bool middle;                 // not the opening of a flow: TCP ACK, SCTP DATA
    bool damaged;                // what connection tracking calls INVALID: wrong flags (TCP) or checksum
};

// Does the protocol have ports (TCP, UDP, SCTP)?
bool ksample_has_ports(uint8_t protocol);
// An ICMP message that is about another packet, which it quotes.
bool ksample_is_icmp_error(const struct packet *packet);
// An echo request or reply, which connection tracking tells apart by its identifier.
bool ksample_is_echo(const struct packet *packet);
// The far end of flows that ICMP errors quote: no pod, no node, no block of any policy needs to know it.
struct address ksample_wire_stranger(enum family family);

// The IP packet; its length. Never more than KSAMPLE_WIRE_MAX less a link header.
size_t ksample_wire_build(const struct packet *packet, const struct ksample_wire *wire, uint8_t *ret);

// What arrived.
struct ksample_seen {
    uint32_t id;
    struct address source, destination;
    uint8_t protocol;
    uint16_t port;
    uint8_t icmp_type;
    uint8_t hop_limit;
    uint8_t tos;  // traffic class in IPv6
};
// Reads an IP packet. False when it is not one of ours.
bool ksample_wire_parse(const uint8_t *bytes, size_t len, struct ksample_seen *ret);
