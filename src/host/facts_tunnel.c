// SPDX-License-Identifier: Apache-2.0
#include "host/facts_tunnel.h"

#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <string.h>

#include "base/mem.h"

enum { ATTRIBUTES = 32 };

// Numbers of linux/if_link.h and linux/if_tunnel.h; those of bareudp and geneve are enum values there too.
static const struct {
    const char *kind;
    uint16_t port;
    uint16_t wrap;  // 0: always in UDP; else the attribute whose value 0 (TUNNEL_ENCAP_NONE) says that it is not
} tunnels[] = {
    {"vxlan", IFLA_VXLAN_PORT, 0},
    {"geneve", IFLA_GENEVE_PORT, 0},
    {"bareudp", IFLA_BAREUDP_PORT, 0},
    {"ipip", IFLA_IPTUN_ENCAP_DPORT, IFLA_IPTUN_ENCAP_TYPE},
    {"sit", IFLA_IPTUN_ENCAP_DPORT, IFLA_IPTUN_ENCAP_TYPE},
    {"ip6tnl", IFLA_IPTUN_ENCAP_DPORT, IFLA_IPTUN_ENCAP_TYPE},
    {"gre", IFLA_GRE_ENCAP_DPORT, IFLA_GRE_ENCAP_TYPE},
    {"gretap", IFLA_GRE_ENCAP_DPORT, IFLA_GRE_ENCAP_TYPE},
    {"ip6gre", IFLA_GRE_ENCAP_DPORT, IFLA_GRE_ENCAP_TYPE},
    {"ip6gretap", IFLA_GRE_ENCAP_DPORT, IFLA_GRE_ENCAP_TYPE},
};

static bool is_wrapped(const struct netlink_attr *type)
{
    uint16_t value = 0;
    return netlink_attr_be16(type, &value) && value != 0;
}

bool facts_tunnel_port(const char *kind, const struct netlink_attr *data, uint16_t *ret)
{
    struct netlink_attr attr[ATTRIBUTES];
    for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++) {
        if (strcmp(kind, tunnels[i].kind) != 0) {
            continue;
        }
        uint16_t port = 0;
        netlink_attr_parse(data->data, data->len, attr, ARRAY_SIZE(attr));
        if ((tunnels[i].wrap && !is_wrapped(&attr[tunnels[i].wrap])) ||
            !netlink_attr_be16(&attr[tunnels[i].port], &port) || port == 0) {
            return false;
        }
        *ret = port;
        return true;
    }
    return false;
}
