// SPDX-License-Identifier: Apache-2.0
//
// Packets by hand for the kernel tests: complete IPv4 and IPv6 packets with any source, hop limit and payload, and the
// few SCTP chunks that make reachability visible on a kernel without an SCTP stack.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PROBE_PACKET_MAX = 1500 };

enum probe_kind { PROBE_TCP, PROBE_UDP, PROBE_SCTP, PROBE_ICMP, PROBE_ND };

struct probe_address {
    int family;  // AF_INET or AF_INET6
    union {
        struct in_addr v4;
        struct in6_addr v6;
        uint8_t bytes[16];
    };
    unsigned scope;  // interface index of a link-local address, 0 none
};

// An address, with "%iface" behind a link-local one (looked up in the current network namespace). False: not one.
bool probe_address_parse(const char *text, struct probe_address *ret);
socklen_t probe_address_sockaddr(const struct probe_address *address, uint16_t port, struct sockaddr_storage *ret);
// "tcp", "udp", "sctp", "icmp", "nd" (and in capitals). False: none of them.
bool probe_kind_parse(const char *text, enum probe_kind *ret);
// The IP protocol number of a kind in a family.
int probe_kind_protocol(enum probe_kind kind, int family);

struct probe_packet {
    struct probe_address src, dst;
    enum probe_kind kind;   // PROBE_TCP: a SYN; PROBE_SCTP: an INIT; PROBE_ICMP: an echo request
    uint16_t sport, dport;  // PROBE_ICMP: sport is the identifier
    uint8_t hop_limit;
    struct in6_addr target;  // PROBE_ND: what the neighbour solicitation asks for
    const char *tag;         // payload text, to be counted where it arrives; NULL none
};

// The whole IP packet with valid checksums; its length, or 0 when it does not fit into PROBE_PACKET_MAX.
size_t probe_packet_build(const struct probe_packet *packet, uint8_t ret[PROBE_PACKET_MAX]);

// SCTP packets without the IP header, checksum included; each returns the length.
enum { PROBE_SCTP_MAX = 64 };
enum { PROBE_SCTP_INIT = 1, PROBE_SCTP_INIT_ACK = 2, PROBE_SCTP_ABORT = 6 };
size_t probe_sctp_init(uint16_t sport, uint16_t dport, uint32_t tag, uint8_t ret[PROBE_SCTP_MAX]);
size_t probe_sctp_abort(uint16_t sport, uint16_t dport, uint32_t tag, uint8_t ret[PROBE_SCTP_MAX]);
// Sets the checksum of an SCTP packet of any chunks.
void probe_sctp_seal(uint8_t *bytes, size_t len);

struct probe_sctp {
    uint16_t sport, dport;
    uint32_t verification_tag;
    uint8_t chunk;          // type of the first chunk
    uint32_t initiate_tag;  // of an INIT or INIT ACK
};
// False: too short to be one. The checksum is left to the kernel's connection tracking.
bool probe_sctp_parse(const uint8_t *bytes, size_t len, struct probe_sctp *ret);

uint16_t probe_checksum(const uint8_t *bytes, size_t len, uint32_t start);
