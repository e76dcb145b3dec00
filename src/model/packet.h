// SPDX-License-Identifier: Apache-2.0
//
// A packet as judged: its tuple after Service DNAT and before SNAT, plus its arrival (DESIGN 2.2).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/address.h"

enum arrival {
    ARRIVAL_FORWARD,    // FORWARD: from one interface to another, bridged packets included
    ARRIVAL_TO_NODE,    // INPUT
    ARRIVAL_FROM_NODE,  // OUTPUT
};

enum ct_state { CT_NEW = 1, CT_ESTABLISHED = 2, CT_RELATED = 4, CT_INVALID = 8, CT_UNTRACKED = 16 };

enum { PACKET_IFACE = 16 };  // IFNAMSIZ

struct packet {
    enum arrival arrival;
    struct address source;
    struct address destination;
    uint8_t protocol;       // IANA number
    uint16_t port;          // destination port (TCP, UDP, SCTP), else 0
    uint8_t icmp_type;      // ICMP, ICMPv6
    uint8_t hop_limit;      // TTL or hop limit; 0: not said, 64 is meant
    enum ct_state ct;       // 0: CT_NEW is meant
    bool dnat;              // the flow's destination was translated
    bool source_is_node;    // the source is an address of this node (addrtype LOCAL)
    char in[PACKET_IFACE];  // "" unknown
    char out[PACKET_IFACE];
    char physdev_in[PACKET_IFACE];   // the bridge port it came in by; "" none or unknown
    char physdev_out[PACKET_IFACE];  // the bridge port it is bridged out of; "" none (it is routed) or unknown
    uint32_t connmark;               // of its flow
};
