// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_value.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/num.h"
#include "ruleset/render_names.h"

bool parse_number(const char *word, unsigned max, unsigned *ret)
{
    uint64_t value = 0;
    if (!num_parse_u64(word, strlen(word), max, &value)) {
        return false;
    }
    *ret = (unsigned)value;
    return true;
}

bool parse_bits(const char *word, size_t len, uint32_t *ret)
{
    enum { DIGITS = 8 };
    uint64_t value = 0;
    bool hex = len > 2 && word[0] == '0' && word[1] == 'x';
    if (!hex) {
        if (!num_parse_u64(word, len, UINT32_MAX, &value)) {
            return false;
        }
        *ret = (uint32_t)value;
        return true;
    }
    if (len > 2 + DIGITS) {
        return false;
    }
    for (size_t i = 2; i < len; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = strchr(digits, word[i]);
        if (!digit || !word[i]) {
            return false;
        }
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *ret = (uint32_t)value;
    return true;
}

bool parse_protocol(const char *word, uint8_t *ret)
{
    static const struct render_word etc_protocols[] = {{"ipencap", 4}, {"ipv6", 41}, {"gre", 47}, {"icmpv6", 58}};
    for (size_t i = 0; i < render_n_protocols; i++) {
        if (strcmp(render_protocols[i].text, word) == 0) {
            *ret = render_protocols[i].value;
            return true;
        }
    }
    // What iptables-save prints where /etc/protocols is installed.
    for (size_t i = 0; i < ARRAY_SIZE(etc_protocols); i++) {
        if (strcmp(etc_protocols[i].text, word) == 0) {
            *ret = etc_protocols[i].value;
            return true;
        }
    }
    unsigned value = 0;
    if (!parse_number(word, UINT8_MAX, &value) || value == 0) {
        return false;
    }
    *ret = (uint8_t)value;
    return true;
}

bool parse_prefix(const char *word, enum family family, struct prefix *ret)
{
    char text[PREFIX_TEXT];
    struct address address = {.family = family};
    unsigned length = family_bits(family);
    const char *slash = strchr(word, '/');
    size_t len = slash ? (size_t)(slash - word) : strlen(word);
    if (len >= sizeof(text) || (slash && !parse_number(slash + 1, length, &length))) {
        return false;
    }
    memcpy(text, word, len);
    text[len] = '\0';
    // Not address_parse: to the tools ::ffff:0:0/96 is an IPv6 prefix like others.
    if (inet_pton(family == FAMILY_V4 ? AF_INET : AF_INET6, text, address.bytes) != 1) {
        return false;
    }
    *ret = prefix_truncate(&address, length);
    return true;
}

bool parse_port_range(const char *word, size_t len, struct port_range *ret)
{
    const char *colon = memchr(word, ':', len);
    uint64_t first = 0;
    uint64_t last = 0;
    if (!num_parse_u64(word, colon ? (size_t)(colon - word) : len, UINT16_MAX, &first)) {
        return false;
    }
    last = first;
    if (colon && !num_parse_u64(colon + 1, len - (size_t)(colon + 1 - word), UINT16_MAX, &last)) {
        return false;
    }
    if (last < first) {
        return false;
    }
    *ret = (struct port_range){.first = (uint16_t)first, .last = (uint16_t)last};
    return true;
}

// "10.0.0.1,tcp:80"
static bool parse_endpoint(const char *word, enum family family, struct set_member *ret)
{
    char part[PREFIX_TEXT];
    struct set_member member = {0};
    const char *comma = strchr(word, ',');
    const char *colon = comma ? strchr(comma, ':') : NULL;
    if (!colon || (size_t)(comma - word) >= sizeof(part) || (size_t)(colon - comma) > sizeof(part)) {
        return false;
    }
    (void)snprintf(part, sizeof(part), "%.*s", (int)(comma - word), word);
    if (!parse_prefix(part, family, &member.prefix) || member.prefix.length != family_bits(family)) {
        return false;
    }
    (void)snprintf(part, sizeof(part), "%.*s", (int)(colon - comma - 1), comma + 1);
    unsigned port = 0;
    if (!parse_protocol(part, &member.protocol) || !parse_number(colon + 1, UINT16_MAX, &port)) {
        return false;
    }
    member.port = (uint16_t)port;
    *ret = member;
    return true;
}

int parse_member(const char *const *words, size_t n, enum family family, enum set_type type, struct set_member *ret,
                 struct err *err)
{
    struct set_member member = {0};
    bool read = false;
    if (n == 0) {
        return err_set(err, ERR_INPUT, 0, "add without an element");
    }
    switch (type) {
    case SET_HASH_IP:
        read = parse_prefix(words[0], family, &member.prefix) && member.prefix.length == family_bits(family);
        break;
    case SET_HASH_NET:
        read = parse_prefix(words[0], family, &member.prefix) && member.prefix.length > 0;
        break;
    case SET_HASH_IP_PORT:
        read = parse_endpoint(words[0], family, &member);
        break;
    }
    if (!read) {
        return err_set(err, ERR_INPUT, 0, "%s: not an element of an %s set (%s)", words[0], set_type_name(type),
                       family_name(family));
    }
    for (size_t i = 1; i < n; i++) {
        if (type != SET_HASH_NET || member.nomatch || strcmp(words[i], "nomatch") != 0) {
            return err_set(err, ERR_INPUT, 0, "%s: an element option that our sets do not use", words[i]);
        }
        member.nomatch = true;
    }
    *ret = member;
    return 0;
}
