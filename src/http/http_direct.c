// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "base/num.h"
#include "http/http_easy.h"

// A server, or one entry of NO_PROXY.
struct place {
    char host[256];  // small letters, no brackets
    unsigned port;   // 0: none
    bool is_address;
    struct in6_addr address;  // IPv4 as ::ffff:a.b.c.d
};

static bool read_address(const char *host, struct in6_addr *ret)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) != 1) {
        return inet_pton(AF_INET6, host, ret) == 1;
    }
    *ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(ret->s6_addr + 12, &v4, sizeof(v4));
    return true;
}

// "host", "host:port", "[address]:port", "address". False on what is none of these.
static bool read_place(const char *text, size_t len, struct place *ret)
{
    struct place place = {0};
    bool bracket = len && *text == '[';
    const char *close = bracket ? memchr(text, ']', len) : NULL;
    if (bracket && !close) {
        return false;
    }
    const char *colon = memchr(close ? close : text, ':', len - (close ? (size_t)(close - text) : 0));
    // More than one without brackets: an address.
    bool with_port = colon && (close || !memchr(colon + 1, ':', len - (size_t)(colon + 1 - text)));
    const char *start = text + bracket;
    size_t n = (size_t)((close ? close : with_port ? colon : text + len) - start);
    uint64_t port = 0;
    size_t digits = with_port ? len - (size_t)(colon + 1 - text) : 0;
    if (n == 0 || n >= sizeof(place.host) ||
        (digits && (!num_parse_u64(colon + 1, digits, UINT16_MAX, &port) || port == 0)) ||
        (close && close + 1 != (with_port ? colon : text + len))) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        place.host[i] = (char)tolower((unsigned char)start[i]);
    }
    place.port = (unsigned)port;
    place.is_address = read_address(place.host, &place.address);
    *ret = place;
    return true;
}

static bool is_loopback(const struct in6_addr *address)
{
    return IN6_IS_ADDR_LOOPBACK(address) || (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

// "10.0.0.0/8", "fd00::/8". Returns false when it is no block; *ret_inside says whether address is in it.
static bool read_block(const char *entry, size_t len, const struct place *server, bool *ret_inside)
{
    struct place block;
    uint64_t bits;
    const char *slash = memchr(entry, '/', len);
    if (!slash || !read_place(entry, (size_t)(slash - entry), &block) || !block.is_address || block.port ||
        *entry == '[' || !num_parse_u64(slash + 1, len - (size_t)(slash + 1 - entry), 128, &bits)) {
        return false;
    }
    bool four = !memchr(entry, ':', (size_t)(slash - entry));
    if (four && bits > 32) {
        return false;
    }
    bits += four ? 96 : 0;
    const uint8_t *a = block.address.s6_addr;
    const uint8_t *b = server->address.s6_addr;
    size_t whole = (size_t)bits / 8;
    unsigned rest = (unsigned)bits % 8;
    *ret_inside = server->is_address &&
                  // ::/0 is every address of IPv6, not of IPv4.
                  IN6_IS_ADDR_V4MAPPED(&block.address) == IN6_IS_ADDR_V4MAPPED(&server->address) &&
                  memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
    return true;
}

// Does name end with what suffix says, ".example.com", or is it all of that behind the dot?
static bool is_under(const char *name, const char *suffix, bool itself)
{
    size_t n = strlen(name);
    size_t len = strlen(suffix);
    return (itself && strcmp(name, suffix + 1) == 0) || (n >= len && strcmp(name + n - len, suffix) == 0);
}

static bool excepts(const char *entry, size_t len, const struct place *server)
{
    struct place place;
    bool inside;
    if (len == 1 && *entry == '*') {
        return true;
    }
    if (read_block(entry, len, server, &inside)) {
        return inside;
    }
    if (!read_place(entry, len, &place) || (place.port && place.port != server->port)) {
        return false;
    }
    if (place.is_address) {
        return server->is_address && IN6_ARE_ADDR_EQUAL(&place.address, &server->address);
    }
    const char *suffix = place.host + (strncmp(place.host, "*.", 2) == 0);
    char dotted[sizeof(place.host) + 1];
    (void)snprintf(dotted, sizeof(dotted), "%s%s", *suffix == '.' ? "" : ".", suffix);
    return is_under(server->host, dotted, *suffix != '.');
}

bool http_goes_direct(const char *authority, unsigned default_port, const char *no_proxy)
{
    static const char blanks[] = " \t\r\n\v\f";
    struct place server;
    if (!read_place(authority, strlen(authority), &server)) {
        return false;
    }
    server.port = server.port ? server.port : default_port;
    if (strcmp(server.host, "localhost") == 0 || (server.is_address && is_loopback(&server.address))) {
        return true;
    }
    for (const char *at = no_proxy; at && *at;) {
        size_t len = strcspn(at, ",");
        const char *next = at + len + (at[len] == ',');
        for (; len && strchr(blanks, *at); len--) {
            at++;
        }
        while (len && strchr(blanks, at[len - 1])) {
            len--;
        }
        if (len && excepts(at, len, &server)) {
            return true;
        }
        at = next;
    }
    return false;
}
