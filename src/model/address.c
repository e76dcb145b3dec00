// SPDX-License-Identifier: Apache-2.0
#include "model/address.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

enum { V4_BYTES = 4, V6_BYTES = 16, V6_GROUPS = 8, MAPPED_BITS = 96 };

unsigned family_bits(enum family family)
{
    return family == FAMILY_V4 ? 32 : 128;
}

unsigned family_number(enum family family)
{
    return family == FAMILY_V4 ? 4 : 6;
}

const char *family_name(enum family family)
{
    return family == FAMILY_V4 ? "IPv4" : "IPv6";
}

static bool parse_v4(const char *text, size_t len, uint8_t ret[V4_BYTES])
{
    uint8_t bytes[V4_BYTES];
    for (size_t i = 0; i < V4_BYTES; i++) {
        const char *dot = memchr(text, '.', len);
        size_t part = dot ? (size_t)(dot - text) : len;
        uint64_t value;
        if ((dot != NULL) != (i < V4_BYTES - 1) || !num_parse_u64(text, part, UINT8_MAX, &value)) {
            return false;
        }
        bytes[i] = (uint8_t)value;
        text += part + (dot ? 1 : 0);
        len -= part + (dot ? 1 : 0);
    }
    memcpy(ret, bytes, sizeof(bytes));
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Hex digits at text; returns how many, 0 when there is none or the group is too large.
static size_t parse_group(const char *text, size_t len, uint16_t *ret)
{
    unsigned value = 0;
    size_t n = 0;
    for (; n < len && hex_digit(text[n]) >= 0; n++) {
        value = value * 16 + (unsigned)hex_digit(text[n]);
        if (value > UINT16_MAX) {
            return 0;
        }
    }
    *ret = (uint16_t)value;
    return n;
}

// Move the bytes behind "::" to the end; "::" stands for at least one group.
static bool expand(uint8_t bytes[V6_BYTES], size_t used, size_t gap, bool has_gap)
{
    if (!has_gap) {
        return used == V6_BYTES;
    }
    if (used == V6_BYTES) {
        return false;
    }
    size_t tail = used - gap;
    memmove(bytes + V6_BYTES - tail, bytes + gap, tail);
    memset(bytes + gap, 0, V6_BYTES - tail - gap);
    return true;
}

static bool parse_v6(const char *text, size_t len, uint8_t ret[V6_BYTES])
{
    uint8_t bytes[V6_BYTES] = {0};
    size_t used = 0;
    size_t gap = 0;
    bool has_gap = false;
    if (len >= 2 && text[0] == ':' && text[1] == ':') {
        has_gap = true;
        text += 2;
        len -= 2;
    }
    bool more = len > 0 || !has_gap;
    while (more) {
        uint16_t group;
        size_t digits = parse_group(text, len, &group);
        if (digits == 0 || used == V6_BYTES) {
            return false;
        }
        if (digits < len && text[digits] == '.') {
            if (used > V6_BYTES - V4_BYTES || !parse_v4(text, len, bytes + used)) {
                return false;
            }
            used += V4_BYTES;
            break;
        }
        bytes[used++] = (uint8_t)(group >> 8);
        bytes[used++] = (uint8_t)(group & 0xff);
        text += digits;
        len -= digits;
        if (len == 0) {
            break;
        }
        if (*text != ':') {
            return false;
        }
        text++;
        len--;
        if (len > 0 && *text == ':') {
            if (has_gap) {
                return false;
            }
            has_gap = true;
            gap = used;
            text++;
            len--;
            more = len > 0;
        }
    }
    if (!expand(bytes, used, gap, has_gap)) {
        return false;
    }
    memcpy(ret, bytes, sizeof(bytes));
    return true;
}

// As written: IPv4-mapped IPv6 stays IPv6 here.
static bool parse_raw(const char *text, size_t len, struct address *ret)
{
    struct address address = {.family = memchr(text, ':', len) ? FAMILY_V6 : FAMILY_V4};
    bool ok = address.family == FAMILY_V6 ? parse_v6(text, len, address.bytes) : parse_v4(text, len, address.bytes);
    if (ok) {
        *ret = address;
    }
    return ok;
}

static bool is_mapped(const struct address *address)
{
    static const uint8_t lead[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};
    return address->family == FAMILY_V6 && memcmp(address->bytes, lead, sizeof(lead)) == 0;
}

static struct address unmap(const struct address *address)
{
    struct address v4 = {.family = FAMILY_V4};
    memcpy(v4.bytes, address->bytes + MAPPED_BITS / 8, V4_BYTES);
    return v4;
}

bool address_parse(const char *text, struct address *ret)
{
    struct address address;
    if (!parse_raw(text, strlen(text), &address)) {
        return false;
    }
    *ret = is_mapped(&address) ? unmap(&address) : address;
    return true;
}

// The longest run of at least two zero groups, the first of equals (RFC 5952 4.2).
static void longest_zeros(const uint16_t groups[V6_GROUPS], size_t *ret_start, size_t *ret_len)
{
    *ret_start = V6_GROUPS;
    *ret_len = 1;
    for (size_t i = 0; i < V6_GROUPS; i++) {
        size_t n = 0;
        while (i + n < V6_GROUPS && groups[i + n] == 0) {
            n++;
        }
        if (n > *ret_len) {
            *ret_start = i;
            *ret_len = n;
        }
    }
}

static void format_v6(const uint8_t bytes[V6_BYTES], char *buf, size_t size)
{
    uint16_t groups[V6_GROUPS];
    for (size_t i = 0; i < V6_GROUPS; i++) {
        groups[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
    size_t start;
    size_t run;
    longest_zeros(groups, &start, &run);
    size_t used = 0;
    for (size_t i = 0; i < V6_GROUPS;) {
        int n;
        if (i == start) {
            n = snprintf(buf + used, size - used, "::");
            i += run;
        } else {
            const char *colon = i > 0 && i != start + run ? ":" : "";
            n = snprintf(buf + used, size - used, "%s%x", colon, groups[i]);
            i++;
        }
        used += (size_t)n;
    }
}

const char *address_format(const struct address *address, char buf[ADDRESS_TEXT])
{
    const uint8_t *b = address->bytes;
    if (address->family == FAMILY_V4) {
        (void)snprintf(buf, ADDRESS_TEXT, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    } else {
        format_v6(b, buf, ADDRESS_TEXT);
    }
    return buf;
}

int address_compare(const struct address *a, const struct address *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }
    return memcmp(a->bytes, b->bytes, family_bits(a->family) / 8);
}

int address_compare_void(const void *a, const void *b)
{
    return address_compare(a, b);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return address_compare(a, b) == 0;
}

unsigned address_bit(const struct address *address, unsigned bit)
{
    return (unsigned)address->bytes[bit / 8] >> (7 - bit % 8) & 1u;
}

bool address_is_link_local(const struct address *address)
{
    const uint8_t *b = address->bytes;
    return address->family == FAMILY_V4 ? b[0] == 169 && b[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool address_is_loopback(const struct address *address)
{
    if (address->family == FAMILY_V4) {
        return address->bytes[0] == 127;
    }
    static const uint8_t loopback[16] = {[15] = 1};
    return memcmp(address->bytes, loopback, sizeof(loopback)) == 0;
}

bool address_is_multicast(const struct address *address)
{
    const uint8_t *b = address->bytes;
    if (address->family == FAMILY_V6) {
        return b[0] == 0xff;
    }
    return (b[0] & 0xf0) == 0xe0 || (b[0] == 255 && b[1] == 255 && b[2] == 255 && b[3] == 255);
}

bool prefix_parse(const char *text, struct prefix *ret)
{
    const char *slash = strchr(text, '/');
    struct address address;
    uint64_t length;
    if (!slash || !parse_raw(text, (size_t)(slash - text), &address) ||
        !num_parse_u64(slash + 1, strlen(slash + 1), family_bits(address.family), &length)) {
        return false;
    }
    if (is_mapped(&address) && length >= MAPPED_BITS) {
        address = unmap(&address);
        length -= MAPPED_BITS;
    }
    *ret = prefix_truncate(&address, (unsigned)length);
    return true;
}

const char *prefix_format(const struct prefix *prefix, char buf[PREFIX_TEXT])
{
    char address[ADDRESS_TEXT];
    (void)snprintf(buf, PREFIX_TEXT, "%.47s/%u", address_format(&prefix->address, address), prefix->length);
    return buf;
}

struct prefix prefix_of(const struct address *address)
{
    return prefix_truncate(address, family_bits(address->family));
}

struct prefix prefix_truncate(const struct address *address, unsigned length)
{
    struct prefix prefix = {.address = {.family = address->family}, .length = (uint8_t)length};
    size_t whole = length / 8;
    memcpy(prefix.address.bytes, address->bytes, whole);
    if (length % 8) {
        prefix.address.bytes[whole] = address->bytes[whole] & (uint8_t)(0xff00u >> length % 8);
    }
    return prefix;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    return bits % 8 == 0 || ((a[whole] ^ b[whole]) & (0xff00u >> bits % 8) & 0xffu) == 0;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
    return prefix->address.family == address->family &&
           same_bits(prefix->address.bytes, address->bytes, prefix->length);
}

bool prefix_covers(const struct prefix *outer, const struct prefix *inner)
{
    return outer->length <= inner->length && prefix_contains(outer, &inner->address);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
    int order = address_compare(&a->address, &b->address);
    return order ? order : (int)a->length - (int)b->length;
}

struct prefix prefix_common(const struct prefix *a, const struct prefix *b)
{
    unsigned max = a->length < b->length ? a->length : b->length;
    unsigned bits = 0;
    while (bits < max && address_bit(&a->address, bits) == address_bit(&b->address, bits)) {
        bits++;
    }
    return prefix_truncate(&a->address, bits);
}
