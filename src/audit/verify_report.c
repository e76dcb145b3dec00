// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_report.h"

#include <inttypes.h>

#include "audit/answer.h"
#include "audit/endpoint.h"
#include "audit/verify_account.h"

enum { HOP_LIMIT_USUAL = 64 };

bool verify_report_proven(const struct verify_report *report)
{
    return report->result->differing == 0 && !(report->unprovable && report->unprovable->n);
}

static bool judged_here(const struct verify_input *input, const struct endpoint *end)
{
    return end->pod && strcmp(end->pod->node, input->node) == 0;
}

static const char *arrival_words(enum arrival arrival)
{
    switch (arrival) {
    case ARRIVAL_FORWARD:
        return "forwarded";
    case ARRIVAL_TO_NODE:
        return "to the node itself";
    case ARRIVAL_FROM_NODE:
        return "from the node itself";
    }
    return "";
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

// "shop/web (10.244.1.10)", "node:worker-1 (192.0.2.11)", "203.0.113.1"
static void text_end(const struct endpoint *end, struct buf *out)
{
    char text[ADDRESS_TEXT];
    answer_end(end, out);
    if (end->pod || (end->node && *end->node)) {
        buf_printf(out, " (%s)", address_format(&end->address, text));
    }
}

static void text_packet(const struct verify_account *account, struct buf *out)
{
    const struct packet *packet = &account->example->packet;
    text_end(&account->ends[DIRECTION_EGRESS], out);
    buf_puts(out, " -> ");
    text_end(&account->ends[DIRECTION_INGRESS], out);
    const char *protocol = protocol_name(packet->protocol);
    if (protocol) {
        buf_printf(out, ", %s", protocol);
    } else {
        buf_printf(out, ", protocol %u", packet->protocol);
    }
    if (audit_protocol_has_ports(packet->protocol)) {
        buf_printf(out, " port %u", packet->port);
    }
    if (verify_is_icmp(packet)) {
        buf_printf(out, " type %u", packet->icmp_type);
    }
    buf_printf(out, ", %s", arrival_words(packet->arrival));
    if (*packet->in) {
        buf_printf(out, ", in by %s", packet->in);
    }
    if (*packet->out) {
        buf_printf(out, ", out by %s", packet->out);
    }
    if (*packet->physdev_in) {
        buf_printf(out, ", from bridge port %s", packet->physdev_in);
    }
    if (*packet->physdev_out) {
        buf_printf(out, ", to bridge port %s", packet->physdev_out);
    }
    if (packet->connmark) {
        buf_printf(out, ", connmark 0x%" PRIx32, packet->connmark);
    }
    if (packet->ct != 0 && packet->ct != CT_NEW) {
        buf_printf(out, ", conntrack state %s", verify_state_name(packet->ct));
    }
    if (packet->dnat) {
        buf_puts(out, ", destination translated");
    }
    if (packet->hop_limit && packet->hop_limit != HOP_LIMIT_USUAL) {
        buf_printf(out, ", %s %u", packet->source.family == FAMILY_V4 ? "TTL" : "hop limit", packet->hop_limit);
    }
    if (packet->source_is_node) {
        buf_puts(out, ", the source is the node's own");
    }
    buf_putc(out, '\n');
}

// Why a packet is denied that no policy denies (DESIGN 11).
static const char *why_denied(const struct packet *packet)
{
    if (packet->source.family == FAMILY_V6 &&
        (address_is_link_local(&packet->source) || address_is_link_local(&packet->destination))) {
        return "link-local addresses are no way round a policy: a guard of the node stops it";
    }
    if (verify_is_icmp(packet) && address_is_multicast(&packet->destination)) {
        return "it is no true neighbour discovery: a guard of the node stops it";
    }
    bool vxlan = packet->protocol == PROTOCOL_UDP && (packet->port == 8472 || packet->port == 4789);
    if (packet->protocol == 4 || packet->protocol == 41 || packet->protocol == 47 || vxlan) {
        return "tunnel packets to nodes could forge the overlay: a guard of the node stops it";
    }
    if (address_is_multicast(&packet->destination)) {
        return "packets to many are no way round a policy: a guard of the node stops it";
    }
    if (packet->connmark) {
        return "its flow is revoked";
    }
    if (*packet->in && !address_equal(&packet->source, &packet->destination)) {
        return "its source is forged, or nobody is known to have it: a guard of the node stops it";
    }
    return "its source is forged";
}

// Why a packet passes that a policy would deny.
static const char *why_passed(const struct packet *packet)
{
    if (packet->ct == CT_ESTABLISHED) {
        return "an established connection passes unjudged";
    }
    if (packet->arrival == ARRIVAL_FROM_NODE) {
        return "what the node sends passes unjudged";
    }
    if (verify_is_icmp(packet)) {
        return packet->ct == CT_RELATED ? "an error that belongs to a flow passes unjudged"
                                        : "neighbour and listener discovery pass unjudged";
    }
    return "it passes unjudged on this way";
}

// The two ends as the objects say, and a line more where something else than a policy decides.
static void text_policies(const struct verify_input *input, const struct verify_account *account, struct buf *out)
{
    static const enum direction order[] = {DIRECTION_EGRESS, DIRECTION_INGRESS};
    bool allowed = true;
    buf_printf(out, "   policies: %s\n", verify_word(account->example->wanted));
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        const struct endpoint *end = &account->ends[order[i]];
        const struct side_verdict *side = &account->verdict.sides[order[i]];
        buf_puts(out, "     ");
        if (end->pod && !judged_here(input, end)) {
            buf_printf(out, "%-8s%-8son another node%s%s: judged there", direction_name(order[i]), "-",
                       *end->pod->node ? ", " : "", end->pod->node);
        } else {
            answer_side_text(side, order[i], out);
            allowed = allowed && side->verdict == VERDICT_ALLOW;
        }
        buf_putc(out, '\n');
    }
    if (allowed != account->example->wanted) {
        buf_printf(out, "     but %s\n",
                   allowed ? why_denied(&account->example->packet) : why_passed(&account->example->packet));
    }
}

static void text_walk(const struct verify_account *account, struct buf *out)
{
    const char *line = account->walk.data ? account->walk.data : "";
    buf_printf(out, "   rules: %s\n", verify_word(account->example->got));
    if (!*line) {
        buf_puts(out, "     no rule of ours matches it\n");
    }
    while (*line) {
        size_t len = strcspn(line, "\n");
        buf_printf(out, "     %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static void text_summary(const struct verify_report *report, bool colour, struct buf *out)
{
    const struct verify_result *result = report->result;
    bool proven = verify_report_proven(report);
    buf_printf(out, "%s%s%s: ", colour ? (proven ? "\033[32m" : "\033[31m") : "", proven ? "proven" : "NOT proven",
               colour ? "\033[0m" : "");
    buf_printf(out,
               "%" PRIu64 " packet classes (%" PRIu64 " address%s of local pods, %" PRIu64
               " pair%s of them, both families) in %" PRIu64 ".%03" PRIu64 " s, %" PRIu64 " counterexample%s\n",
               result->classes, result->pods, result->pods == 1 ? "" : "es", result->pairs, plural(result->pairs),
               report->milliseconds / 1000, report->milliseconds % 1000, result->differing, plural(result->differing));
}

static void text_findings(const char *title, const struct findings *findings, struct buf *out)
{
    if (!findings || !findings->n) {
        return;
    }
    buf_printf(out, "\n%s:\n", title);
    for (size_t i = 0; i < findings->n; i++) {
        buf_printf(out, "  %s: %s\n", findings->v[i].where, findings->v[i].what);
    }
    if (findings->more) {
        buf_printf(out, "  and %zu more\n", findings->more);
    }
}

static void text_notes(const struct verify_report *report, struct buf *out)
{
    const struct verify_result *result = report->result;
    if (result->differing > result->n_examples) {
        buf_printf(out,
                   "\n%" PRIu64 " classes differ in all; above stand %zu, one for each end, direction, protocol and "
                   "verdict at most (--max-counterexamples)\n",
                   result->differing, result->n_examples);
    }
    text_findings("our jumps", report->jumps, out);
    text_findings("ours, and not to be judged", report->unprovable, out);
    text_findings("outside of this proof, rules of others that may decide before ours", report->outside, out);
    if (report->facts == VERIFY_FACTS_UNKNOWN && report->foreign_rules) {
        buf_puts(out, "\nnote: without host facts, guards that need interface names were judged as absent; "
                      "give --facts FILE (netpold --print-facts)\n");
    }
}

static int text_example(const struct verify_input *input, const struct verify_example *example, size_t number,
                        struct buf *out, struct err *err)
{
    struct verify_account VERIFY_ACCOUNT_CLEANUP account = {0};
    if (verify_account_make(input, example, &account, err) < 0) {
        return -1;
    }
    buf_printf(out, "\n%zu. ", number);
    text_packet(&account, out);
    text_policies(input, &account, out);
    text_walk(&account, out);
    return 0;
}

int verify_report_text(const struct verify_report *report, bool colour, struct buf *out, struct err *err)
{
    text_summary(report, colour, out);
    for (size_t i = 0; i < report->result->n_examples; i++) {
        if (text_example(report->input, &report->result->examples[i], i + 1, out, err) < 0) {
            return -1;
        }
    }
    text_notes(report, out);
    return out->failed ? err_oom(err) : 0;
}
