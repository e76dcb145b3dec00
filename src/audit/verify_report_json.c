// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "audit/answer.h"
#include "audit/endpoint.h"
#include "audit/verify_account.h"
#include "audit/verify_report.h"

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

static void json_packet(const struct verify_account *account, struct buf *out)
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
    if (verify_is_icmp(packet)) {
        buf_printf(out, ",\"icmpType\":%u", packet->icmp_type);
    }
    if (packet->hop_limit) {
        buf_printf(out, ",\"hopLimit\":%u", packet->hop_limit);
    }
    buf_printf(out, ",\"state\":\"%s\",\"dnat\":%s,\"sourceIsNode\":%s", verify_state_name(packet->ct),
               packet->dnat ? "true" : "false", packet->source_is_node ? "true" : "false");
    if (*packet->in) {
        json_text("in", packet->in, out);
    }
    if (*packet->out) {
        json_text("out", packet->out, out);
    }
    if (*packet->physdev_in) {
        json_text("portIn", packet->physdev_in, out);
    }
    if (*packet->physdev_out) {
        json_text("portOut", packet->physdev_out, out);
    }
    if (packet->connmark) {
        buf_printf(out, ",\"connmark\":%" PRIu32, packet->connmark);
    }
    buf_putc(out, '}');
}

static int json_walk(const struct verify_account *account, struct buf *out, struct err *err)
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
    struct verify_account VERIFY_ACCOUNT_CLEANUP account = {0};
    if (verify_account_make(input, example, &account, err) < 0) {
        return -1;
    }
    buf_puts(out, "{\"packet\":");
    json_packet(&account, out);
    buf_printf(out, ",\"policies\":\"%s\",\"rules\":\"%s\",\"answer\":{", verify_word(example->wanted),
               verify_word(example->got));
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
    json_findings("jumps", report->jumps, out);
    buf_puts(out, "}\n");
    return out->failed ? err_oom(err) : 0;
}
