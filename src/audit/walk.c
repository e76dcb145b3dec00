// SPDX-License-Identifier: Apache-2.0
#include "audit/walk.h"

#include "policy/compile.h"
#include "ruleset/simulate.h"

static const char *end_node(const struct endpoint *end)
{
    return end->pod ? end->pod->node : end->node ? end->node : "";
}

static int walk_node(struct state *state, const char *node, const struct policy_options *options,
                     const struct query *query, struct buf *out, struct err *err)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    if (compile_ruleset(state, node, NULL, options, &ruleset, NULL, err) < 0) {
        return -1;
    }
    struct packet packet = {.source = query->from.address,
                            .destination = query->to.address,
                            .protocol = query->protocol,
                            .port = query->port};
    // A pod reaching itself through its Service is translated; plainly, it never leaves its namespace.
    packet.dnat = address_equal(&packet.source, &packet.destination);
    if (!query->to.pod && strcmp(end_node(&query->to), node) == 0) {
        packet.arrival = ARRIVAL_TO_NODE;
    } else if (!query->from.pod && strcmp(end_node(&query->from), node) == 0) {
        packet.arrival = ARRIVAL_FROM_NODE;
        packet.source_is_node = true;
    }
    // Echo request, where ICMP is asked for.
    packet.icmp_type = packet.protocol == 1 ? 8 : packet.protocol == 58 ? 128 : 0;
    enum simulate_verdict verdict;
    struct buf BUF_CLEANUP trace = {0};
    if (simulate_packet(ruleset, &packet, &verdict, &trace, err) < 0) {
        return -1;
    }
    bool allowed = verdict == SIMULATE_PASS || verdict == SIMULATE_ACCEPT;
    buf_printf(out, "  rules on node %s (%s): %s\n", node,
               packet.arrival == ARRIVAL_FORWARD   ? "FORWARD"
               : packet.arrival == ARRIVAL_TO_NODE ? "INPUT"
                                                   : "OUTPUT",
               allowed ? "pass" : "denied");
    const char *line = trace.data ? trace.data : "";
    while (*line) {
        size_t len = strcspn(line, "\n");
        buf_printf(out, "    %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    return 0;
}

int walk_rules(struct state *state, const struct policy_options *options, const struct query *query, struct buf *out,
               struct err *err)
{
    if (!query->from.has_address || !query->to.has_address) {
        buf_puts(out, "  rules: an end has no address, so no packet can be walked\n");
        return 0;
    }
    const char *from = end_node(&query->from);
    const char *to = end_node(&query->to);
    if (*from && walk_node(state, from, options, query, out, err) < 0) {
        return -1;
    }
    if (*to && strcmp(from, to) != 0 && walk_node(state, to, options, query, out, err) < 0) {
        return -1;
    }
    if (!*from && !*to) {
        buf_puts(out, "  rules: no end is on a node, so no rule is walked\n");
    }
    return 0;
}
