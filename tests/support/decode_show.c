// SPDX-License-Identifier: Apache-2.0
#include "support/decode_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode/decode.h"

static void show_labels(const struct labels *labels, struct buf *out)
{
    for (size_t i = 0; i < labels->n; i++) {
        buf_printf(out, " %s=%s", labels->v[i].key, labels->v[i].value);
    }
}

static void show_addresses(const struct address *v, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char text[ADDRESS_TEXT];
        buf_printf(out, " [%s]", address_format(&v[i], text));
    }
}

static void show_pod(const struct pod *pod, struct buf *out)
{
    static const char *const phases[] = {"Pending", "Running", "Succeeded", "Failed", "Unknown"};
    buf_printf(out, " phase=%s", phases[pod->phase]);
    if (pod->node[0]) {
        buf_printf(out, " node=%s", pod->node);
    }
    buf_puts(out, pod->host_network ? " host" : "");
    buf_puts(out, pod->no_status ? " no-status" : "");
    show_addresses(pod->addresses, pod->n_addresses, out);
    for (size_t i = 0; i < pod->n_ports; i++) {
        buf_printf(out, " %s/%s=%u", pod->ports[i].name, protocol_name(pod->ports[i].protocol), pod->ports[i].number);
    }
}

static void show_node(const struct node *node, struct buf *out)
{
    show_addresses(node->addresses, node->n_addresses, out);
    for (size_t i = 0; i < node->n_pod_cidrs; i++) {
        char text[PREFIX_TEXT];
        buf_printf(out, " %s", prefix_format(&node->pod_cidrs[i], text));
    }
}

static void show_selector(const char *name, const struct selector *selector, struct buf *out)
{
    buf_printf(out, "%s=<", name);
    selector_describe(selector, out);
    buf_putc(out, '>');
}

static void show_peer(const struct peer *peer, struct buf *out)
{
    char text[PREFIX_TEXT];
    switch (peer->kind) {
    case PEER_UNREADABLE:
        buf_puts(out, "unreadable");
        break;
    case PEER_PODS:
        if (peer->has_pod_selector) {
            show_selector("pods", &peer->pod_selector, out);
        }
        if (peer->has_ns_selector) {
            show_selector("namespaces", &peer->ns_selector, out);
        }
        break;
    case PEER_BLOCK:
        buf_puts(out, prefix_format(&peer->cidr, text));
        for (size_t i = 0; i < peer->n_excepts; i++) {
            buf_printf(out, "-%s", prefix_format(&peer->excepts[i], text));
        }
        break;
    }
}

static void show_port(const struct policy_port *port, struct buf *out)
{
    switch (port->kind) {
    case PORT_UNREADABLE:
        buf_puts(out, "unreadable");
        return;
    case PORT_ALL:
        buf_printf(out, "%s", protocol_name(port->protocol));
        return;
    case PORT_RANGE:
        buf_printf(out, "%s:%u", protocol_name(port->protocol), port->first);
        if (port->last != port->first) {
            buf_printf(out, "-%u", port->last);
        }
        return;
    case PORT_NAME:
        buf_printf(out, "%s:%s", protocol_name(port->protocol), port->name);
        return;
    }
}

static void show_rule(const struct policy_rule *rule, struct buf *out)
{
    buf_printf(out, " {%u:%s", rule->line, rule->unreadable ? " unreadable" : "");
    buf_puts(out, rule->any_peer ? " any" : " peers");
    for (size_t i = 0; i < rule->n_peers; i++) {
        buf_putc(out, ' ');
        show_peer(&rule->peers[i], out);
    }
    buf_puts(out, rule->any_port ? " any" : " ports");
    for (size_t i = 0; i < rule->n_ports; i++) {
        buf_putc(out, ' ');
        show_port(&rule->ports[i], out);
    }
    buf_putc(out, '}');
}

static void show_policy(const struct policy *policy, struct buf *out)
{
    buf_putc(out, ' ');
    show_selector("subject", &policy->subject, out);
    buf_puts(out, policy->grants_nothing ? " grants-nothing" : "");
    buf_puts(out, policy->unenforceable ? " unenforceable" : "");
    for (int d = 0; d < DIRECTION_COUNT; d++) {
        if (policy->isolates[d] || policy->n_rules[d]) {
            buf_printf(out, " %s%s", policy->isolates[d] ? "" : "!", direction_name((enum direction)d));
        }
        for (size_t i = 0; i < policy->n_rules[d]; i++) {
            show_rule(&policy->rules[d][i], out);
        }
    }
}

static int show_object(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)err;
    struct buf *out = arg;
    const struct object_meta *meta = object;
    buf_printf(out, "%s %s%s%s@%u", object_kind_name(kind), meta->ns, meta->ns[0] ? "/" : "", meta->name,
               meta->origin.line);
    buf_printf(out, "%s%s", meta->uid[0] ? " uid=" : "", meta->uid);
    buf_puts(out, meta->terminating ? " terminating" : "");
    show_labels(&meta->labels, out);
    switch (kind) {
    case OBJECT_POD:
        show_pod(object, out);
        break;
    case OBJECT_NAMESPACE:
        break;
    case OBJECT_NODE:
        show_node(object, out);
        break;
    case OBJECT_POLICY:
        show_policy(object, out);
        break;
    }
    buf_putc(out, '\n');
    free(object);
    return 0;
}

void decode_show(const char *text, size_t len, struct buf *out)
{
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct decode_stats stats = {0};
    struct err err = {0};
    if (decode_text(text, len, "f", show_object, out, &diagnostics, &stats, &err) < 0) {
        buf_printf(out, "failed: %s\n", err.msg);
        return;
    }
    if (stats.ignored) {
        buf_printf(out, "ignored %zu\n", stats.ignored);
    }
    for (size_t i = 0; i < diagnostics.list.n; i++) {
        const struct diagnostic *d = &diagnostics.list.v[i];
        assert_string_equal(d->file, "f");
        buf_printf(out, "%s ", diagnostic_level_name(d->level));
        struct diagnostic shown = *d;
        shown.file = "";
        diagnostic_format(&shown, out);
        buf_putc(out, '\n');
    }
}
