// SPDX-License-Identifier: Apache-2.0
//
// Texts about entries that are not in our form: what both families say alike.
#include "xtables/xtables_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool xtables_no(struct buf *why, const char *fmt, ...)
{
    if (why) {
        char text[160];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        buf_puts(why, text);
    }
    return false;
}

bool xtables_interface_tell(const char *name, const unsigned char *mask, char ret[XTABLES_INTERFACE])
{
    size_t masked = 0;
    while (masked < XTABLES_INTERFACE && mask[masked] == 0xff) {
        masked++;
    }
    for (size_t i = masked; i < XTABLES_INTERFACE; i++) {
        if (mask[i]) {
            return false;
        }
    }
    // The whole name with its end; more of it compared would be what no interface's name holds for sure.
    if (masked && strnlen(name, XTABLES_INTERFACE) + 1 != masked) {
        return false;
    }
    memset(ret, 0, XTABLES_INTERFACE);
    memcpy(ret, name, masked);
    return true;
}

void xtables_put_address(struct buf *out, const char *option, bool not, const void *address, const void *mask,
                         size_t size)
{
    int family = size == sizeof(struct in_addr) ? AF_INET : AF_INET6;
    char text[INET6_ADDRSTRLEN] = "?";
    uint8_t length = 0;
    bool is_prefix = xtables_mask_get(mask, size, &length);
    if (is_prefix && length == 0 && !not ) {
        return;
    }
    (void)inet_ntop(family, address, text, sizeof(text));
    buf_printf(out, "%s %s %s", not ? " !" : "", option, text);
    if (is_prefix) {
        buf_printf(out, "/%u", length);
    } else {
        (void)inet_ntop(family, mask, text, sizeof(text));
        buf_printf(out, "/%s", text);
    }
}

void xtables_put_interface(struct buf *out, const char *option, bool not, const char *name, const unsigned char *mask)
{
    char exact[XTABLES_INTERFACE];
    if (xtables_interface_tell(name, mask, exact)) {
        if (*exact || not ) {
            buf_printf(out, "%s %s %s", not ? " !" : "", option, exact);
        }
        return;
    }
    // As far as it is compared.
    size_t len = 0;
    while (len < XTABLES_INTERFACE && mask[len] && name[len]) {
        len++;
    }
    buf_printf(out, "%s %s %.*s+", not ? " !" : "", option, (int)len, name);
}

void xtables_put_protocol(struct buf *out, bool not, unsigned protocol)
{
    static const struct {
        unsigned number;
        const char *name;
    } names[] = {{IPPROTO_ICMP, "icmp"},
                 {IPPROTO_TCP, "tcp"},
                 {IPPROTO_UDP, "udp"},
                 {IPPROTO_ICMPV6, "ipv6-icmp"},
                 {IPPROTO_SCTP, "sctp"}};
    if (protocol == 0 && !not ) {
        return;
    }
    buf_puts(out, not ? " ! -p " : " -p ");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].number == protocol) {
            buf_puts(out, names[i].name);
            return;
        }
    }
    buf_printf(out, "%u", protocol);
}
