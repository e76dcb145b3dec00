// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/facts_tunnel.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>

#include "base/mem.h"
#include "netlink/netlink_batch.h"

enum { ABSENT = -1 };

// What the kernel would say of the device: a port, and whether it is wrapped in UDP.
static bool asked(const char *kind, uint16_t port_type, int port, uint16_t wrap_type, int wrap, uint16_t *ret)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    const uint32_t header = 0;
    netlink_batch_message(&batch, 16, 0, &header, sizeof(header));
    size_t begin = batch.len;
    const uint16_t wire = htons((uint16_t)port);
    const uint16_t type = (uint16_t)wrap;  // in host order, unlike the port
    if (port != ABSENT) {
        netlink_batch_put(&batch, port_type, &wire, sizeof(wire));
    }
    if (wrap != ABSENT) {
        netlink_batch_put(&batch, wrap_type, &type, sizeof(type));
    }
    const struct netlink_attr data = {.data = batch.data + begin, .len = batch.len - begin};
    return facts_tunnel_port(kind, &data, ret);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        uint16_t port_type;
        int port;
        uint16_t wrap_type;
        int wrap;
        uint16_t want;  // 0: none
    } cases[] = {
        {"vxlan", IFLA_VXLAN_PORT, 8472, 0, ABSENT, 8472},
        {"vxlan", IFLA_VXLAN_PORT, ABSENT, 0, ABSENT, 0},
        {"vxlan", IFLA_VXLAN_PORT, 0, 0, ABSENT, 0},
        {"geneve", IFLA_GENEVE_PORT, 6081, 0, ABSENT, 6081},
        {"bareudp", IFLA_BAREUDP_PORT, 6635, 0, ABSENT, 6635},
        {"ipip", IFLA_IPTUN_ENCAP_DPORT, 5555, IFLA_IPTUN_ENCAP_TYPE, TUNNEL_ENCAP_FOU, 5555},
        {"ipip", IFLA_IPTUN_ENCAP_DPORT, 5555, IFLA_IPTUN_ENCAP_TYPE, TUNNEL_ENCAP_NONE, 0},
        {"ipip", IFLA_IPTUN_ENCAP_DPORT, 5555, IFLA_IPTUN_ENCAP_TYPE, ABSENT, 0},
        {"sit", IFLA_IPTUN_ENCAP_DPORT, 5556, IFLA_IPTUN_ENCAP_TYPE, TUNNEL_ENCAP_GUE, 5556},
        {"gre", IFLA_GRE_ENCAP_DPORT, 5557, IFLA_GRE_ENCAP_TYPE, TUNNEL_ENCAP_FOU, 5557},
        {"ip6gretap", IFLA_GRE_ENCAP_DPORT, 5558, IFLA_GRE_ENCAP_TYPE, TUNNEL_ENCAP_GUE, 5558},
        {"veth", IFLA_VXLAN_PORT, 8472, 0, ABSENT, 0},
        {"", IFLA_VXLAN_PORT, 8472, 0, ABSENT, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint16_t got = 0;
        bool found = asked(cases[i].kind, cases[i].port_type, cases[i].port, cases[i].wrap_type, cases[i].wrap, &got);
        assert_int_equal(found, cases[i].want != 0);
        assert_int_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
