// SPDX-License-Identifier: Apache-2.0
#include "audit/verify_report.h"

#include <inttypes.h>

#include "audit/answer.h"
#include "audit/endpoint.h"
#include "ruleset/simulate.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58, HOP_LIMIT_USUAL = 64 };

// One counterexample, judged again by both so that the reasons can be told.
struct account {
    const struct verify_example *example;
    struct endpoint ends[DIRECTION_COUNT];  // by the side that judges it: egress is the source
    struct query query;
    struct connection_verdict verdict;
    struct buf walk;  // one line a rule
};

static void account_done(struct account *account)
{
    verdict_done(&account->verdict);
    buf_free(&account->walk);
}
#define ACCOUNT_CLEANUP __attribute__((cleanup(account_done)))

// The question that the policies are asked. A node's address that does not come out of the node itself is forged, and
// so is a pod's own that reaches it untranslated: neither gets what the node or the pod itself would.
static int ask_policies(const struct verify_input *input, struct account *account, struct err *err)
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

static int account_make(const struct verify_input *input, const struct verify_example *example, struct account *ret,
                        struct err *err)
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

static bool judged_here(const struct verify_input *input, const struct endpoint *end)
{
    return end->pod && strcmp(end->pod->node, input->node) == 0;
}

static const char *arrival_name(enum arrival arrival)
{
    switch (arrival) {
    case ARRIVAL_FORWARD:
        return "forward";
    case ARRIVAL_TO_NODE:
        return "to-node";
    case ARRIVAL_FROM_NODE:
        return "from-node";
    }
    return "";
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

static const char *state_name(enum ct_state state)
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

static bool is_icmp(const struct packet *packet)
{
    return packet->protocol == PROTOCOL_ICMP || packet->protocol == PROTOCOL_ICMPV6;
}

static const char *word_of(bool allowed)
{
    return allowed ? "allow" : "deny";
}

// ---- text ----------------------------------------------------------------------------------------------------------

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

static void text_packet(const struct account *account, struct buf *out)
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
    if (is_icmp(packet)) {
        buf_printf(out, " type %u", packet->icmp_type);
    }
    buf_printf(out, ", %s", arrival_words(packet->arrival));
    if (*packet->in) {
        buf_printf(out, ", in by %s", packet->in);
    }
    if (*packet->out) {
        buf_printf(out, ", out by %s", packet->out);
    }
    if (packet->ct != 0 && packet->ct != CT_NEW) {
        buf_printf(out, ", conntrack state %s", state_name(packet->ct));
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

// The two ends as the objects say, and a line more where something else than a policy decides.
static void text_policies(const struct verify_input *input, const struct account *account, struct buf *out)
{
    static const enum direction order[] = {DIRECTION_EGRESS, DIRECTION_INGRESS};
    bool allowed = true;
    buf_printf(out, "   policies: %s\n", word_of(account->example->wanted));
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
    if (allowed && !account->example->wanted) {
        buf_puts(out, "     but it is denied as such: a guard of the node stops it, or its source is forged\n");
    } else if (!allowed && account->example->wanted) {
        buf_puts(out, "     but it passes unjudged: established, an error of a flow, neighbour discovery, or no "
                      "policy's concern on this way\n");
    }
}

static void text_walk(const struct account *account, struct buf *out)
{
    const char *line = account->walk.data ? account->walk.data : "";
    buf_printf(out, "   rules: %s\n", word_of(account->example->got));
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
    struct account ACCOUNT_CLEANUP account = {0};
    if (account_make(input, example, &account, err) < 0) {
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

// ---- JSON ----------------------------------------------------------------------------------------------------------

static void json_text(const char *key, const char *text, struct buf *out)
{
    buf_printf(out, ",\"%s\":", key);
    buf_json_string(out, text);
}

static void json_end(const char *key, const struct endpoint *end, struct buf *out)
{
    struct buf BUF_CLEANUP text = {0};
    answer_end(end, &text);
    out->failed = out->failed || text.failed;
    json_text(key, text.data ? text.data : "", out);
}

static void json_packet(const struct account *account, struct buf *out)
{
    const struct packet *packet = &account->example->packet;
    char text[ADDRESS_TEXT];
    buf_printf(out, "{\"arrival\":\"%s\",\"family\":%u", arrival_name(packet->arrival),
               family_number(packet->source.family));
    json_end("from", &account->ends[DIRECTION_EGRESS], out);
    json_end("to", &account->ends[DIRECTION_INGRESS], out);
    json_text("source", address_format(&packet->source, text), out);
    json_text("destination", address_format(&packet->destination, text), out);
    const char *protocol = protocol_name(packet->protocol);
    if (protocol) {
        json_text("protocol", protocol, out);
    } else {
        buf_printf(out, ",\"protocol\":%u", packet->protocol);
    }
    if (audit_protocol_has_ports(packet->protocol)) {
        buf_printf(out, ",\"port\":%u", packet->port);
    }
    if (is_icmp(packet)) {
        buf_printf(out, ",\"icmpType\":%u", packet->icmp_type);
    }
    if (packet->hop_limit) {
        buf_printf(out, ",\"hopLimit\":%u", packet->hop_limit);
    }
    buf_printf(out, ",\"state\":\"%s\",\"dnat\":%s,\"sourceIsNode\":%s", state_name(packet->ct),
               packet->dnat ? "true" : "false", packet->source_is_node ? "true" : "false");
    if (*packet->in) {
        json_text("in", packet->in, out);
    }
    if (*packet->out) {
        json_text("out", packet->out, out);
    }
    buf_putc(out, '}');
}

static int json_walk(const struct account *account, struct buf *out, struct err *err)
{
    const char *line = account->walk.data ? account->walk.data : "";
    struct buf BUF_CLEANUP text = {0};
    for (size_t i = 0; *line; i++) {
        size_t len = strcspn(line, "\n");
        buf_clear(&text);
        buf_add(&text, line, len);
        if (text.failed) {
            return err_oom(err);
        }
        buf_puts(out, i ? "," : "");
        buf_json_string(out, text.data);
        line += len + (line[len] == '\n');
    }
    return 0;
}

static int json_example(const struct verify_input *input, const struct verify_example *example, struct buf *out,
                        struct err *err)
{
    struct account ACCOUNT_CLEANUP account = {0};
    if (account_make(input, example, &account, err) < 0) {
        return -1;
    }
    buf_puts(out, "{\"packet\":");
    json_packet(&account, out);
    buf_printf(out, ",\"policies\":\"%s\",\"rules\":\"%s\",\"answer\":{", word_of(example->wanted),
               word_of(example->got));
    answer_json(&account.query, &account.verdict, out);
    buf_puts(out, "},\"walk\":[");
    if (json_walk(&account, out, err) < 0) {
        return -1;
    }
    buf_puts(out, "]}");
    return 0;
}

static void json_findings(const char *key, const struct findings *findings, struct buf *out)
{
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; findings && i < findings->n; i++) {
        buf_puts(out, i ? ",{\"where\":" : "{\"where\":");
        buf_json_string(out, findings->v[i].where);
        json_text("what", findings->v[i].what, out);
        buf_putc(out, '}');
    }
    if (findings && findings->more) {
        buf_printf(out, ",{\"more\":%zu}", findings->more);
    }
    buf_putc(out, ']');
}

static const char *facts_name(enum verify_facts facts)
{
    switch (facts) {
    case VERIFY_FACTS_UNKNOWN:
        return "unknown";
    case VERIFY_FACTS_FILE:
        return "file";
    case VERIFY_FACTS_LIVE:
        return "live";
    }
    return "";
}

bool verify_report_proven(const struct verify_report *report)
{
    return report->result->differing == 0 && !(report->unprovable && report->unprovable->n);
}

int verify_report_json(const struct verify_report *report, struct buf *out, struct err *err)
{
    const struct verify_result *result = report->result;
    buf_puts(out, "{\"node\":");
    buf_json_string(out, report->input->node);
    buf_printf(out, ",\"verdict\":\"%s\"", verify_report_proven(report) ? "proven" : "not-proven");
    buf_printf(out,
               ",\"classes\":%" PRIu64 ",\"differing\":%" PRIu64 ",\"pods\":%" PRIu64 ",\"pairs\":%" PRIu64
               ",\"cells\":%" PRIu64 ",\"seconds\":%" PRIu64 ".%03" PRIu64 ",\"facts\":\"%s\",\"counterexamples\":[",
               result->classes, result->differing, result->pods, result->pairs, result->cells,
               report->milliseconds / 1000, report->milliseconds % 1000, facts_name(report->facts));
    for (size_t i = 0; i < result->n_examples; i++) {
        buf_puts(out, i ? "," : "");
        if (json_example(report->input, &result->examples[i], out, err) < 0) {
            return -1;
        }
    }
    buf_putc(out, ']');
    json_findings("outside", report->outside, out);
    json_findings("unprovable", report->unprovable, out);
    buf_puts(out, "}\n");
    return out->failed ? err_oom(err) : 0;
}
