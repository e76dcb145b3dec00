// SPDX-License-Identifier: Apache-2.0
#include "support/probe_packet.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { OPTION_NONCE = 14 };  // RFC 3971 5.3.2: an option that every receiver skips, to carry a payload

bool probe_address_parse(const char *text, struct probe_address *ret)
{
    char copy[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    size_t len = strlen(text);
    if (len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, len + 1);
    char *iface = strchr(copy, '%');
    if (iface) {
        *iface++ = '\0';
    }
    struct probe_address address = {.family = AF_INET};
    if (inet_pton(AF_INET, copy, &address.v4) != 1) {
        address.family = AF_INET6;
        if (inet_pton(AF_INET6, copy, &address.v6) != 1) {
            return false;
        }
    }
    if (iface && (address.scope = if_nametoindex(iface)) == 0) {
        return false;
    }
    *ret = address;
    return true;
}

socklen_t probe_address_sockaddr(const struct probe_address *address, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (address->family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address->v4};
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    *in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address->v6, .sin6_scope_id = address->scope};
    return sizeof(*in6);
}

bool probe_kind_parse(const char *text, enum probe_kind *ret)
{
    static const char *const names[] = {"tcp", "udp", "sctp", "icmp", "nd"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i]) == 0) {
            *ret = (enum probe_kind)i;
            return true;
        }
    }
    return false;
}

int probe_kind_protocol(enum probe_kind kind, int family)
{
    switch (kind) {
    case PROBE_TCP:
        return IPPROTO_TCP;
    case PROBE_UDP:
        return IPPROTO_UDP;
    case PROBE_SCTP:
        return IPPROTO_SCTP;
    case PROBE_ICMP:
    case PROBE_ND:
        break;
    }
    return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

// Internet checksum over bytes, with `start` the sum of what stands before them.
uint16_t probe_checksum(const uint8_t *bytes, size_t len, uint32_t start)
{
    uint64_t sum = start;
    for (size_t i = 0; i < len; i++) {
        sum += (uint64_t)bytes[i] << (i % 2 ? 0 : 8);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static uint32_t pseudo_sum(const struct probe_packet *packet, int protocol, size_t len)
{
    size_t size = packet->src.family == AF_INET ? 4 : 16;
    uint32_t sum = (uint32_t)protocol + (uint32_t)len;
    for (size_t i = 0; i < size; i++) {
        sum += (uint32_t)(packet->src.bytes[i] + packet->dst.bytes[i]) << (i % 2 ? 0 : 8);
    }
    return sum;
}

static uint32_t crc32c(const uint8_t *bytes, size_t len)
{
    uint32_t crc = ~0U;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78U : 0);
        }
    }
    return ~crc;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

void probe_sctp_seal(uint8_t *bytes, size_t len)
{
    memset(bytes + 8, 0, 4);
    uint32_t crc = crc32c(bytes, len);
    for (unsigned i = 0; i < 4; i++) {
        bytes[8 + i] = (uint8_t)(crc >> (8 * i));  // RFC 9260 appendix A: least significant byte first
    }
}

size_t probe_sctp_init(uint16_t sport, uint16_t dport, uint32_t tag, uint8_t ret[PROBE_SCTP_MAX])
{
    memset(ret, 0, PROBE_SCTP_MAX);
    put16(ret, sport);
    put16(ret + 2, dport);
    ret[12] = PROBE_SCTP_INIT;
    put16(ret + 14, 20);
    put32(ret + 16, tag);
    put32(ret + 20, 65536);  // receiver window
    put16(ret + 24, 1);      // outbound streams
    put16(ret + 26, 1);      // inbound streams
    put32(ret + 28, tag);    // initial TSN
    probe_sctp_seal(ret, 32);
    return 32;
}

size_t probe_sctp_abort(uint16_t sport, uint16_t dport, uint32_t tag, uint8_t ret[PROBE_SCTP_MAX])
{
    memset(ret, 0, PROBE_SCTP_MAX);
    put16(ret, sport);
    put16(ret + 2, dport);
    put32(ret + 4, tag);
    ret[12] = PROBE_SCTP_ABORT;
    put16(ret + 14, 4);
    probe_sctp_seal(ret, 16);
    return 16;
}

bool probe_sctp_parse(const uint8_t *bytes, size_t len, struct probe_sctp *ret)
{
    if (len < 16) {
        return false;
    }
    *ret = (struct probe_sctp){
        .sport = get16(bytes),
        .dport = get16(bytes + 2),
        .verification_tag = get32(bytes + 4),
        .chunk = bytes[12],
        .initiate_tag = len >= 20 ? get32(bytes + 16) : 0,
    };
    return true;
}

static size_t build_payload(const struct probe_packet *packet, uint8_t *at)
{
    size_t len = packet->tag ? strlen(packet->tag) : 0;
    memcpy(at, packet->tag ? packet->tag : "", len);
    return len;
}

static size_t build_tcp(const struct probe_packet *packet, uint8_t *at)
{
    struct tcphdr header = {
        .source = htons(packet->sport),
        .dest = htons(packet->dport),
        .seq = htonl(1),
        .doff = 5,
        .syn = 1,
        .window = htons(65535),
    };
    size_t len = sizeof(header) + build_payload(packet, at + sizeof(header));
    memcpy(at, &header, sizeof(header));
    header.check = probe_checksum(at, len, pseudo_sum(packet, IPPROTO_TCP, len));
    memcpy(at, &header, sizeof(header));
    return len;
}

static size_t build_udp(const struct probe_packet *packet, uint8_t *at)
{
    struct udphdr header = {.source = htons(packet->sport), .dest = htons(packet->dport)};
    size_t len = sizeof(header) + build_payload(packet, at + sizeof(header));
    header.len = htons((uint16_t)len);
    memcpy(at, &header, sizeof(header));
    header.check = probe_checksum(at, len, pseudo_sum(packet, IPPROTO_UDP, len));
    memcpy(at, &header, sizeof(header));
    return len;
}

static size_t build_echo(const struct probe_packet *packet, uint8_t *at)
{
    bool v4 = packet->src.family == AF_INET;
    memset(at, 0, 8);
    at[0] = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    put16(at + 4, packet->sport);
    put16(at + 6, 1);
    size_t len = 8 + build_payload(packet, at + 8);
    uint16_t check = probe_checksum(at, len, v4 ? 0 : pseudo_sum(packet, IPPROTO_ICMPV6, len));
    memcpy(at + 2, &check, sizeof(check));
    return len;
}

static size_t build_solicitation(const struct probe_packet *packet, uint8_t *at)
{
    memset(at, 0, 24);
    at[0] = ND_NEIGHBOR_SOLICIT;
    memcpy(at + 8, &packet->target, sizeof(packet->target));
    size_t payload = build_payload(packet, at + 26);
    size_t len = 24;
    if (payload > 0) {
        size_t option = (2 + payload + 7) & ~(size_t)7;
        memset(at + 26 + payload, 0, option - 2 - payload);
        at[24] = OPTION_NONCE;
        at[25] = (uint8_t)(option / 8);
        len += option;
    }
    uint16_t check = probe_checksum(at, len, pseudo_sum(packet, IPPROTO_ICMPV6, len));
    memcpy(at + 2, &check, sizeof(check));
    return len;
}

static size_t build_transport(const struct probe_packet *packet, uint8_t *at)
{
    switch (packet->kind) {
    case PROBE_TCP:
        return build_tcp(packet, at);
    case PROBE_UDP:
        return build_udp(packet, at);
    case PROBE_SCTP:
        return probe_sctp_init(packet->sport, packet->dport, 1, at);
    case PROBE_ICMP:
        return build_echo(packet, at);
    case PROBE_ND:
        return build_solicitation(packet, at);
    }
    return 0;
}

size_t probe_packet_build(const struct probe_packet *packet, uint8_t ret[PROBE_PACKET_MAX])
{
    bool v4 = packet->src.family == AF_INET;
    size_t head = v4 ? sizeof(struct ip) : sizeof(struct ip6_hdr);
    if (packet->src.family != packet->dst.family || (v4 && packet->kind == PROBE_ND) ||
        (packet->tag && strlen(packet->tag) > PROBE_PACKET_MAX - 200)) {
        return 0;
    }
    size_t len = build_transport(packet, ret + head);
    int protocol = probe_kind_protocol(packet->kind, packet->src.family);
    if (v4) {
        struct ip ip = {
            .ip_hl = 5,
            .ip_v = 4,
            .ip_len = htons((uint16_t)(head + len)),
            .ip_ttl = packet->hop_limit,
            .ip_p = (uint8_t)protocol,
            .ip_src = packet->src.v4,
            .ip_dst = packet->dst.v4,
        };
        ip.ip_sum = probe_checksum((const uint8_t *)&ip, sizeof(ip), 0);
        memcpy(ret, &ip, sizeof(ip));
    } else {
        struct ip6_hdr ip6 = {.ip6_src = packet->src.v6, .ip6_dst = packet->dst.v6};
        ip6.ip6_vfc = 0x60;
        ip6.ip6_plen = htons((uint16_t)len);
        ip6.ip6_nxt = (uint8_t)protocol;
        ip6.ip6_hlim = packet->hop_limit;
        memcpy(ret, &ip6, sizeof(ip6));
    }
    return head + len;
}
