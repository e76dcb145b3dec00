// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_account.h"

#include "audit/endpoint.h"
#include "ruleset/simulate.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58 };

void verify_account_done(struct verify_account *account)
{
    verdict_done(&account->verdict);
    buf_free(&account->walk);
}
// The question that the policies are asked. A node's address that does not come out of the node itself is forged, and
// so is a pod's own that reaches it untranslated: neither gets what the node or the pod itself would.
static int ask_policies(const struct verify_input *input, struct verify_account *account, struct err *err)
{
    const struct packet *packet = &account->example->packet;
    account->query = (struct query){.from = account->ends[DIRECTION_EGRESS],
                                    .to = account->ends[DIRECTION_INGRESS],
                                    .protocol = packet->protocol,
                                    .port = packet->port};
    struct endpoint *from = &account->query.from;
    if (packet->arrival != ARRIVAL_FROM_NODE && from->node && strcmp(from->node, input->node) == 0) {
        from->node = "";
    }
    return evaluate_query(input->state, input->options, &account->query, &account->verdict, err);
}

int verify_account_make(const struct verify_input *input, const struct verify_example *example,
                        struct verify_account *ret, struct err *err)
{
    const struct packet *packet = &example->packet;
    enum simulate_verdict verdict;
    ret->example = example;
    if (audit_endpoint_at(input->state, &packet->source, &ret->ends[DIRECTION_EGRESS], err) < 0 ||
        audit_endpoint_at(input->state, &packet->destination, &ret->ends[DIRECTION_INGRESS], err) < 0 ||
        ask_policies(input, ret, err) < 0 || simulate_packet(input->ruleset, packet, &verdict, &ret->walk, err) < 0) {
        return -1;
    }
    return ret->walk.failed ? err_oom(err) : 0;
}

const char *verify_state_name(enum ct_state state)
{
    switch (state) {
    case CT_NEW:
        break;
    case CT_ESTABLISHED:
        return "ESTABLISHED";
    case CT_RELATED:
        return "RELATED";
    case CT_INVALID:
        return "INVALID";
    case CT_UNTRACKED:
        return "UNTRACKED";
    }
    return "NEW";
}

bool verify_is_icmp(const struct packet *packet)
{
    return packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6;
}

const char *verify_word(bool allowed)
{
    return allowed ? "allow" : "deny";
}
