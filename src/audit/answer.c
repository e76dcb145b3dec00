// SPDX-License-Identifier: Apache-2.0
#include "audit/answer.h"

void answer_end(const struct endpoint *end, struct buf *out)
{
    if (end->pod) {
        buf_printf(out, "%s/%s", end->pod->meta.ns, end->pod->meta.name);
        return;
    }
    if (end->node && *end->node) {
        buf_printf(out, "node:%s", end->node);
        return;
    }
    char text[ADDRESS_TEXT];
    buf_puts(out, address_format(&end->address, text));
}

static const struct policy_rule *deciding_rule(const struct side_verdict *side, enum direction direction)
{
    return side->policy && side->rule >= 0 ? &side->policy->rules[direction][side->rule] : NULL;
}

// "file:line" of the rule, of its policy where rules carry no line, "" for objects of an API server.
static void write_source(const struct side_verdict *side, enum direction direction, struct buf *out)
{
    const struct origin *origin = &side->policy->meta.origin;
    const struct policy_rule *rule = deciding_rule(side, direction);
    unsigned line = rule && rule->line ? rule->line : origin->line;
    if (*origin->file && line) {
        buf_printf(out, "%s:%u", origin->file, line);
    } else {
        buf_puts(out, origin->file);
    }
}

static void json_side(const struct query *query, const struct side_verdict *side, enum direction direction,
                      struct buf *out)
{
    buf_printf(out, "\"%s\":{\"verdict\":\"%s\",\"isolated\":%s,\"policies\":[", direction_name(direction),
               verdict_name(side->verdict), side->isolated ? "true" : "false");
    for (size_t i = 0; i < side->n_policies; i++) {
        struct buf BUF_CLEANUP name = {0};
        buf_printf(&name, "%s/%s", side->policies[i]->meta.ns, side->policies[i]->meta.name);
        buf_puts(out, i ? "," : "");
        buf_json_string(out, name.data ? name.data : "");
    }
    buf_printf(out, "],\"reason\":\"%s\"", reason_name(side->reason));
    if (side->reason == REASON_RULE) {
        struct buf BUF_CLEANUP text = {0};
        buf_printf(&text, "%s/%s", side->policy->meta.ns, side->policy->meta.name);
        buf_puts(out, ",\"policy\":");
        buf_json_string(out, text.data ? text.data : "");
        buf_printf(out, ",\"rule\":%d,\"peer\":", side->rule);
        if (side->peer >= 0) {
            buf_printf(out, "%d", side->peer);
        } else {
            buf_puts(out, "null");
        }
        buf_clear(&text);
        write_source(side, direction, &text);
        buf_puts(out, ",\"source\":");
        buf_json_string(out, text.data ? text.data : "");
    }
    if (side->reason == REASON_UNKNOWN) {
        struct buf BUF_CLEANUP why = {0};
        const struct endpoint *other = direction == DIRECTION_EGRESS ? &query->to : &query->from;
        if (other->pod) {
            buf_printf(&why, "%s/%s", other->pod->meta.ns, other->pod->meta.name);
        } else {
            buf_puts(&why, "the other end");
        }
        buf_puts(&why, " has no address, and an ipBlock would decide");
        buf_puts(out, ",\"why\":");
        buf_json_string(out, why.data ? why.data : "");
    }
    buf_putc(out, '}');
}

void answer_json(const struct query *query, const struct connection_verdict *verdict, struct buf *out)
{
    buf_printf(out, "\"verdict\":\"%s\",", verdict_name(verdict->verdict));
    json_side(query, &verdict->sides[DIRECTION_EGRESS], DIRECTION_EGRESS, out);
    buf_putc(out, ',');
    json_side(query, &verdict->sides[DIRECTION_INGRESS], DIRECTION_INGRESS, out);
}

static void text_policies(const struct side_verdict *side, struct buf *out)
{
    for (size_t i = 0; i < side->n_policies; i++) {
        buf_printf(out, "%s%s/%s", i ? ", " : "", side->policies[i]->meta.ns, side->policies[i]->meta.name);
    }
}

static void text_reason(const struct side_verdict *side, enum direction direction, struct buf *out)
{
    switch (side->reason) {
    case REASON_NO_POD:
        buf_puts(out, "not a pod; no policy applies to this end");
        return;
    case REASON_NOT_ISOLATED:
        buf_printf(out, "no policy isolates it for %s", direction_name(direction));
        return;
    case REASON_RULE:
        buf_printf(out, "%s/%s, %s rule %d", side->policy->meta.ns, side->policy->meta.name, direction_name(direction),
                   side->rule);
        if (side->peer >= 0) {
            buf_printf(out, ", %s[%d]", direction == DIRECTION_INGRESS ? "from" : "to", side->peer);
        }
        buf_puts(out, " allows it");
        if (*side->policy->meta.origin.file) {
            buf_puts(out, " (");
            write_source(side, direction, out);
            buf_putc(out, ')');
        }
        return;
    case REASON_NO_RULE:
        buf_puts(out, "isolated by ");
        text_policies(side, out);
        buf_puts(out, "; no rule of theirs allows it");
        return;
    case REASON_OWN_NODE:
        buf_puts(out, "traffic between a pod and its own node");
        return;
    case REASON_SELF:
        buf_puts(out, "a pod always reaches itself");
        return;
    case REASON_UNKNOWN:
        buf_puts(out, "isolated by ");
        text_policies(side, out);
        buf_puts(out, "; an ipBlock would decide, and an end has no address");
        return;
    }
}

void answer_side_text(const struct side_verdict *side, enum direction direction, struct buf *out)
{
    buf_printf(out, "%-8s%-8s", direction_name(direction), verdict_name(side->verdict));
    text_reason(side, direction, out);
}

void answer_text(const struct query *query, const struct connection_verdict *verdict, bool colour, struct buf *out)
{
    static const char *const colours[] = {"\033[32m", "\033[31m", "\033[33m"};
    static const enum direction order[] = {DIRECTION_EGRESS, DIRECTION_INGRESS};
    buf_printf(out, "%s%s%s: ", colour ? colours[verdict->verdict] : "", verdict_name(verdict->verdict),
               colour ? "\033[0m" : "");
    answer_end(&query->from, out);
    buf_puts(out, " -> ");
    answer_end(&query->to, out);
    const char *protocol = protocol_name(query->protocol);
    if (protocol) {
        buf_printf(out, " %s", protocol);
    } else {
        buf_printf(out, " protocol %u", query->protocol);
    }
    if (query->port) {
        buf_printf(out, " %u", query->port);
    }
    buf_printf(out, " (%s)\n", family_name(query->to.address.family));
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        buf_puts(out, "  ");
        answer_side_text(&verdict->sides[order[i]], order[i], out);
        buf_putc(out, '\n');
    }
}
