// SPDX-License-Identifier: Apache-2.0
#include "support/ksample_wire.h"

#include <string.h>

#include "model/object.h"
#include "support/probe_packet.h"

enum { HEADER_V4 = 20, HEADER_V6 = 40, TCP_HEADER = 20, UDP_HEADER = 8, SCTP_HEADER = 12, ICMP_HEADER = 8 };
enum { FLAG_FIN = 0x01, FLAG_SYN = 0x02, FLAG_ACK = 0x10 };
enum { ICMPV6_NDP_FIRST = 133, ICMPV6_NDP_LAST = 137, NDP_BODY = 36 };

// The last octets of every packet: the name of this test, and the packet's number.
static const uint8_t tag[] = {'N', 'P', 'k', 's'};
enum { TAIL = sizeof(tag) + sizeof(uint32_t) };

bool ksample_has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static uint8_t icmp_of(enum family family)
{
    return family == FAMILY_V4 ? KSAMPLE_ICMP : KSAMPLE_ICMPV6;
}

bool ksample_is_icmp_error(const struct packet *packet)
{
    static const uint8_t errors_v4[] = {3, 4, 5, 11, 12};
    if (packet->protocol != icmp_of(packet->source.family)) {
        return false;
    }
    return packet->source.family == FAMILY_V6 ? packet->icmp_type >= 1 && packet->icmp_type <= 4
                                              : memchr(errors_v4, packet->icmp_type, sizeof(errors_v4)) != NULL;
}

bool ksample_is_echo(const struct packet *packet)
{
    bool v4 = packet->source.family == FAMILY_V4;
    return packet->protocol == icmp_of(packet->source.family) &&
           (v4 ? packet->icmp_type == 0 || packet->icmp_type == 8
               : packet->icmp_type == 128 || packet->icmp_type == 129);
}

struct address ksample_wire_stranger(enum family family)
{
    struct address address = {0};
    (void)address_parse(family == FAMILY_V4 ? "198.51.100.200" : "2001:db8:ffff::200", &address);
    return address;
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

static size_t put_tail(uint8_t *at, uint32_t id)
{
    memcpy(at, tag, sizeof(tag));
    put32(at + sizeof(tag), id);
    return TAIL;
}

// The header in front of `len` octets.
static size_t put_header(uint8_t *at, const struct address *source, const struct address *destination, uint8_t protocol,
                         uint8_t hop_limit, size_t len)
{
    size_t size = family_bits(source->family) / 8;
    if (source->family == FAMILY_V6) {
        memset(at, 0, HEADER_V6);
        at[0] = 0x60;
        put16(at + 4, (uint16_t)len);
        at[6] = protocol;
        at[7] = hop_limit;
        memcpy(at + 8, source->bytes, size);
        memcpy(at + 24, destination->bytes, size);
        return HEADER_V6;
    }
    memset(at, 0, HEADER_V4);
    at[0] = 0x45;
    put16(at + 2, (uint16_t)(HEADER_V4 + len));
    put16(at + 6, 0x4000);  // do not fragment
    at[8] = hop_limit;
    at[9] = protocol;
    memcpy(at + 12, source->bytes, size);
    memcpy(at + 16, destination->bytes, size);
    uint16_t check = probe_checksum(at, HEADER_V4, 0);
    memcpy(at + 10, &check, sizeof(check));
    return HEADER_V4;
}

// The checksum at `field` over the pseudo header (unless ICMP for IPv4) and the octets.
static void seal(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at, size_t len, size_t field)
{
    uint32_t sum = 0;
    if (packet->protocol != KSAMPLE_ICMP) {
        sum = (uint32_t)packet->protocol + (uint32_t)len;
        for (size_t i = 0; i < sizeof(packet->source.bytes); i++) {
            sum += (uint32_t)(packet->source.bytes[i] + wire->destination.bytes[i]) << (i % 2 ? 0 : 8);
        }
    }
    uint16_t check = probe_checksum(at, len, sum);
    check ^= wire->damaged ? 0x5555 : 0;
    // Zero says that there is none (UDP); it is as good as all ones, and as wrong when the sum is wrong.
    check = check ? check : UINT16_MAX;
    memcpy(at + field, &check, sizeof(check));
}

static size_t put_tcp(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at)
{
    struct ksample_wire sound = *wire;
    sound.damaged = false;
    put16(at, wire->source_port);
    put16(at + 2, packet->port);
    put32(at + 4, wire->id);
    put32(at + 8, wire->middle ? 1 : 0);
    at[12] = TCP_HEADER / 4 << 4;
    at[13] = wire->damaged ? FLAG_SYN | FLAG_FIN : wire->middle ? FLAG_ACK : FLAG_SYN;
    put16(at + 14, UINT16_MAX);
    size_t len = TCP_HEADER + put_tail(at + TCP_HEADER, wire->id);
    seal(packet, &sound, at, len, 16);
    return len;
}

static size_t put_udp(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at)
{
    put16(at, wire->source_port);
    put16(at + 2, packet->port);
    size_t len = UDP_HEADER + put_tail(at + UDP_HEADER, wire->id);
    put16(at + 4, (uint16_t)len);
    seal(packet, wire, at, len, 6);
    return len;
}

static size_t put_sctp(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at)
{
    enum { DATA = 0, DATA_HEADER = 16, INIT = 1, INIT_HEADER = 20, PARAMETER = 4, UNKNOWN_SKIP = 0xc0de };
    uint8_t *chunk = at + SCTP_HEADER;
    size_t len;
    put16(at, wire->source_port);
    put16(at + 2, packet->port);
    if (wire->middle) {
        put32(at + 4, KSAMPLE_SCTP_TAG);
        chunk[0] = DATA;
        chunk[1] = 3;  // first and last fragment
        put32(chunk + 4, 1);
        len = DATA_HEADER + put_tail(chunk + DATA_HEADER, wire->id);
    } else {
        chunk[0] = INIT;
        put32(chunk + 4, 1);
        put32(chunk + 8, UINT16_MAX);
        put16(chunk + 12, 1);
        put16(chunk + 14, 1);
        put32(chunk + 16, 1);
        put16(chunk + INIT_HEADER, UNKNOWN_SKIP);
        put16(chunk + INIT_HEADER + 2, PARAMETER + TAIL);
        len = INIT_HEADER + PARAMETER + put_tail(chunk + INIT_HEADER + PARAMETER, wire->id);
    }
    put16(chunk + 2, (uint16_t)len);
    len += SCTP_HEADER;
    probe_sctp_seal(at, len);
    at[8] ^= wire->damaged ? 0x55 : 0;
    return len;
}

// The start of a packet that its sender would recognise: from the error's destination to a stranger, UDP.
static size_t put_quote(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at)
{
    struct address stranger = ksample_wire_stranger(packet->source.family);
    size_t head = put_header(at, &packet->destination, &stranger, PROTOCOL_UDP, 64, UDP_HEADER);
    put16(at + head, wire->source_port);
    put16(at + head + 2, KSAMPLE_QUOTE_PORT);
    put16(at + head + 4, UDP_HEADER);
    return head + UDP_HEADER;
}

static size_t put_icmp(const struct packet *packet, const struct ksample_wire *wire, uint8_t *at)
{
    size_t len = ICMP_HEADER;
    at[0] = packet->icmp_type;
    put16(at + 4, wire->source_port);
    put16(at + 6, 1);
    if (packet->protocol == KSAMPLE_ICMPV6 && packet->icmp_type >= ICMPV6_NDP_FIRST &&
        packet->icmp_type <= ICMPV6_NDP_LAST) {
        put32(at + 4, 0);
        len += NDP_BODY;
    } else {
        // Translation looks for a quote in whatever is RELATED.
        len += put_quote(packet, wire, at + len);
    }
    len += put_tail(at + len, wire->id);
    seal(packet, wire, at, len, 2);
    return len;
}

size_t ksample_wire_build(const struct packet *packet, const struct ksample_wire *wire, uint8_t *ret)
{
    size_t head = packet->source.family == FAMILY_V4 ? HEADER_V4 : HEADER_V6;
    size_t len;
    memset(ret, 0, KSAMPLE_WIRE_MAX - HEADER_V4);
    switch (packet->protocol) {
    case PROTOCOL_TCP:
        len = put_tcp(packet, wire, ret + head);
        break;
    case PROTOCOL_UDP:
        len = put_udp(packet, wire, ret + head);
        break;
    case PROTOCOL_SCTP:
        len = put_sctp(packet, wire, ret + head);
        break;
    case KSAMPLE_ICMP:
    case KSAMPLE_ICMPV6:
        len = put_icmp(packet, wire, ret + head);
        break;
    default:
        // Eight octets of nothing: a GRE header without key, an ESP header, …
        len = 8 + put_tail(ret + head + 8, wire->id);
        break;
    }
    return put_header(ret, &packet->source, &wire->destination, packet->protocol, wire->hop_limit, len) + len;
}

bool ksample_wire_parse(const uint8_t *bytes, size_t len, struct ksample_seen *ret)
{
    bool v4 = len >= HEADER_V4 && bytes[0] >> 4 == 4;
    size_t head = v4 ? (size_t)(bytes[0] & 0x0f) * 4 : HEADER_V6;
    if ((!v4 && (len < HEADER_V6 || bytes[0] >> 4 != 6)) || len < head) {
        return false;
    }
    // Short frames are padded behind the packet.
    size_t total = v4 ? get16(bytes + 2) : (size_t)HEADER_V6 + get16(bytes + 4);
    if (total > len || total < head + 8 + TAIL || memcmp(bytes + total - TAIL, tag, sizeof(tag)) != 0) {
        return false;
    }
    struct ksample_seen seen = {
        .id = get32(bytes + total - sizeof(uint32_t)),
        .source.family = v4 ? FAMILY_V4 : FAMILY_V6,
        .destination.family = v4 ? FAMILY_V4 : FAMILY_V6,
        .protocol = bytes[v4 ? 9 : 6],
        .hop_limit = bytes[v4 ? 8 : 7],
        .tos = v4 ? bytes[1] : (uint8_t)(get16(bytes) >> 4),
    };
    memcpy(seen.source.bytes, bytes + (v4 ? 12 : 8), v4 ? 4 : 16);
    memcpy(seen.destination.bytes, bytes + (v4 ? 16 : 24), v4 ? 4 : 16);
    if (ksample_has_ports(seen.protocol)) {
        seen.port = get16(bytes + head + 2);
    } else if (seen.protocol == KSAMPLE_ICMP || seen.protocol == KSAMPLE_ICMPV6) {
        seen.icmp_type = bytes[head];
    }
    *ret = seen;
    return true;
}
