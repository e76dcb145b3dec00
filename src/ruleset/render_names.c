// SPDX-License-Identifier: Apache-2.0
#include "ruleset/render_names.h"

#include "model/object.h"

enum { IPPROTO_ICMP_V4 = 1, IPPROTO_ICMP_V6 = 58 };

const struct render_word render_ct_states[] = {
    {"INVALID", CT_INVALID},     {"NEW", CT_NEW},        {"RELATED", CT_RELATED}, {"ESTABLISHED", CT_ESTABLISHED},
    {"UNTRACKED", CT_UNTRACKED}, {"DNAT", RULE_CT_DNAT},
};
const size_t render_n_ct_states = ARRAY_SIZE(render_ct_states);

const struct render_word render_protocols[] = {
    {"icmp", IPPROTO_ICMP_V4},      {"tcp", PROTOCOL_TCP},   {"udp", PROTOCOL_UDP}, {"esp", 50}, {"ah", 51},
    {"ipv6-icmp", IPPROTO_ICMP_V6}, {"sctp", PROTOCOL_SCTP}, {"udplite", 136},
};
const size_t render_n_protocols = ARRAY_SIZE(render_protocols);

const char *render_protocol(uint8_t protocol)
{
    for (size_t i = 0; i < render_n_protocols; i++) {
        if (render_protocols[i].value == protocol) {
            return render_protocols[i].text;
        }
    }
    return NULL;
}

const char *render_reject_with(enum family family, const struct rule *rule)
{
    if (rule->protocol == PROTOCOL_TCP) {
        return "tcp-reset";
    }
    return family == FAMILY_V4 ? "icmp-port-unreachable" : "icmp6-port-unreachable";
}
