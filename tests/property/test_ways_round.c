// SPDX-License-Identifier: Apache-2.0
//
// The guards of DESIGN 11, packet by packet, as a person says what is to become of them: the evaluator and the compiled
// rules are both asked. The node is that of tests/golden/ways-round: both (veth2, isolated both ways), free (veth3),
// lost (isolated for ingress, its port is not known), out (veth5, isolated for egress) and in (veth6, isolated for
// ingress) behind the bridge cni0; routed
// (vethr) and two that share veths, isolated for egress.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "policy/compile.h"
#include "policy/evaluate.h"
#include "ruleset/simulate.h"
#include "support/build.h"
#include "support/random_state.h"

#define FOLDER "tests/golden/ways-round/"

static char *read_file(const char *path, size_t *ret_len)
{
    static char text[16384];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    *ret_len = fread(text, 1, sizeof(text) - 1, file);
    assert_int_equal(fclose(file), 0);
    text[*ret_len] = '\0';
    return text;
}

struct world {
    struct state *state;
    struct facts *facts;
};

static struct facts *facts_of(const char *text)
{
    struct facts *facts = NULL;
    struct err err = {0};
    if (facts_parse_json(text, strlen(text), "facts.json", &facts, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    return facts;
}

static struct world world_of_golden(void)
{
    struct world world;
    size_t len;
    world.state = build_state(read_file(FOLDER "in.yaml", &len));
    world.facts = facts_of(read_file(FOLDER "facts.json", &len));
    return world;
}

struct row {
    const char *what;
    enum arrival arrival;
    const char *source;
    const char *destination;
    const char *in;
    const char *port_in;
    const char *out;
    const char *port_out;
    uint8_t protocol;
    uint16_t port;
    uint8_t type;  // of ICMPv6 (protocol 58), with hop limit 255
    uint32_t connmark;
    enum ct_state ct;
    bool want;
};

#define FORWARD(what_, source_, destination_, in_, port_in_, out_, port_out_)                                          \
    .what = (what_), .source = (source_), .destination = (destination_), .in = (in_), .port_in = (port_in_),           \
    .out = (out_), .port_out = (port_out_)
#define TO_NODE(what_, source_, destination_, in_, port_in_)                                                           \
    .arrival = ARRIVAL_TO_NODE, .what = (what_), .source = (source_), .destination = (destination_), .in = (in_),      \
    .port_in = (port_in_)

static struct packet packet_of(const struct row *row)
{
    struct packet packet = {.arrival = row->arrival, .connmark = row->connmark, .ct = row->ct};
    packet.protocol = row->protocol ? row->protocol : PROTOCOL_TCP;
    packet.port = row->protocol ? row->port : 80;
    if (row->type) {
        packet.protocol = 58;
        packet.port = 0;
        packet.icmp_type = row->type;
        packet.hop_limit = 255;
    }
    assert_true(address_parse(row->source, &packet.source) && address_parse(row->destination, &packet.destination));
    (void)snprintf(packet.in, sizeof(packet.in), "%s", row->in ? row->in : "");
    (void)snprintf(packet.out, sizeof(packet.out), "%s", row->out ? row->out : "");
    (void)snprintf(packet.physdev_in, sizeof(packet.physdev_in), "%s", row->port_in ? row->port_in : "");
    (void)snprintf(packet.physdev_out, sizeof(packet.physdev_out), "%s", row->port_out ? row->port_out : "");
    return packet;
}

static void judge_in(struct world world, const struct policy_options *options, const struct row *rows, size_t n)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (compile_ruleset(world.state, "n1", world.facts, options, &ruleset, NULL, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    for (size_t i = 0; i < n; i++) {
        const struct packet packet = packet_of(&rows[i]);
        enum simulate_verdict verdict;
        bool allowed;
        assert_int_equal(evaluate_packet(world.state, "n1", world.facts, options, &packet, &allowed, &err), 0);
        assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, &err), 0);
        if (allowed != rows[i].want || (verdict == SIMULATE_PASS) != rows[i].want) {
            random_packet_print(&packet);
            fail_msg("%s: policies %d, rules %d, wanted %d", rows[i].what, allowed, verdict == SIMULATE_PASS,
                     rows[i].want);
        }
    }
    state_free(world.state);
    facts_free(world.facts);
}

static void judge(const struct policy_options *options, const struct row *rows, size_t n)
{
    judge_in(world_of_golden(), options, rows, n);
}

// To free, which nobody isolates, or to the outside.
static void test_source_guard(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("free, its own", "10.244.1.3", "192.0.2.9", "cni0", "veth3", "eth0", ""), .want = true},
        {FORWARD("free as nobody", "10.9.9.9", "192.0.2.9", "cni0", "veth3", "eth0", ""), .want = true},
        {FORWARD("out as free", "10.244.1.3", "192.0.2.9", "cni0", "veth5", "eth0", "")},
        {FORWARD("out as nobody", "10.9.9.9", "192.0.2.9", "cni0", "veth5", "eth0", "")},
        {FORWARD("out as nobody, bridged", "10.9.9.9", "10.244.1.3", "cni0", "veth5", "cni0", "veth3")},
        {TO_NODE("out as free to the node", "10.244.1.3", "192.0.2.1", "cni0", "veth5")},
        {FORWARD("routed as free", "10.244.1.3", "192.0.2.9", "vethr", "", "eth0", "")},
        {TO_NODE("routed as free to the node", "10.244.1.3", "192.0.2.1", "vethr", "")},
        {FORWARD("routed as nobody, IPv6", "fd00:9::9", "2001:db8::9", "vethr", "", "eth0", "")},
        {FORWARD("both as nobody, IPv6", "fd00:9::9", "2001:db8::9", "cni0", "veth2", "eth0", "")},
        {FORWARD("shared as nobody: not told apart", "10.9.9.9", "192.0.2.9", "veths", "", "eth0", ""), .want = true},
        {FORWARD("from outside", "192.0.2.9", "10.244.1.3", "eth0", "", "cni0", ""), .want = true},
        {FORWARD("an established flow", "10.9.9.9", "192.0.2.9", "vethr", "", "eth0", ""), .ct = CT_ESTABLISHED,
         .want = true},
        {TO_NODE("a DHCP client: a broadcast to the node", "0.0.0.0", "255.255.255.255", "cni0", "veth5"),
         .protocol = PROTOCOL_UDP, .port = 67},
        {FORWARD("a DHCP client that is isolated for egress", "0.0.0.0", "255.255.255.255", "cni0", "veth5", "br9", ""),
         .protocol = PROTOCOL_UDP, .port = 67},
        {FORWARD("free as out, to itself", "10.244.1.5", "10.244.1.3", "cni0", "veth3", "cni0", "veth3")},
        {FORWARD("free as routed", "10.244.1.129", "192.0.2.9", "cni0", "veth3", "eth0", "")},
        {FORWARD("shared as both", "10.244.1.2", "192.0.2.9", "veths", "", "eth0", "")},
        {FORWARD("a port that nobody knows, as both", "10.244.1.2", "192.0.2.9", "cni0", "veth9", "eth0", "")},
        {FORWARD("free as in, to itself", "10.244.1.6", "10.244.1.3", "cni0", "veth3", "cni0", "veth3")},
        {FORWARD("free as in, IPv6", "fd00:244:1::6", "2001:db8::9", "cni0", "veth3", "eth0", "")},
        {FORWARD("routed as in", "10.244.1.6", "192.0.2.9", "vethr", "", "eth0", "")},
        {FORWARD("shared as in", "10.244.1.6", "192.0.2.9", "veths", "", "eth0", "")},
        {TO_NODE("free as in to the node", "10.244.1.6", "192.0.2.1", "cni0", "veth3")},
        {FORWARD("in itself", "10.244.1.6", "192.0.2.9", "cni0", "veth6", "eth0", ""), .want = true},
        {FORWARD("in itself, IPv6", "fd00:244:1::6", "2001:db8::9", "cni0", "veth6", "eth0", ""), .want = true},
        {FORWARD("in as nobody", "10.9.9.9", "192.0.2.9", "cni0", "veth6", "eth0", ""), .want = true},
        {FORWARD("in by the uplink", "10.244.1.6", "192.0.2.9", "eth0", "", "eth0", ""), .want = true},
        {FORWARD("free as lost, whose place is not known", "10.244.1.4", "192.0.2.9", "cni0", "veth3", "eth0", ""),
         .want = true},
        {FORWARD("free as a pod of another node", "10.244.2.3", "192.0.2.9", "cni0", "veth3", "eth0", ""),
         .want = true},
        {FORWARD("free as both, IPv6", "fd00:244:1::2", "2001:db8::9", "cni0", "veth3", "eth0", "")},
        {TO_NODE("free as both to the node", "10.244.1.2", "192.0.2.1", "cni0", "veth3")},
    };
    judge(&(struct policy_options){0}, rows, ARRAY_SIZE(rows));
    static const struct row all[] = {
        {FORWARD("free, its own", "10.244.1.3", "192.0.2.9", "cni0", "veth3", "eth0", ""), .want = true},
        {FORWARD("free as nobody", "10.9.9.9", "192.0.2.9", "cni0", "veth3", "eth0", "")},
        {TO_NODE("free, a DHCP client", "0.0.0.0", "255.255.255.255", "cni0", "veth3"), .protocol = PROTOCOL_UDP,
         .port = 67, .want = true},
        {TO_NODE("free as lost, which is not isolated: its place is not known", "10.244.1.4", "192.0.2.1", "cni0",
                 "veth9"),
         .want = true},
        {FORWARD("out, a DHCP client by another bridge", "0.0.0.0", "255.255.255.255", "cni0", "veth5", "br9", ""),
         .protocol = PROTOCOL_UDP, .port = 67},
        {FORWARD("free, a DHCP client by another bridge", "0.0.0.0", "255.255.255.255", "cni0", "veth3", "br9", ""),
         .protocol = PROTOCOL_UDP, .port = 67, .want = true},
        {TO_NODE("free, port 68", "0.0.0.0", "255.255.255.255", "cni0", "veth3"), .protocol = PROTOCOL_UDP, .port = 68},
        {FORWARD("lost: its port is not known", "10.9.9.9", "192.0.2.9", "cni0", "veth4", "eth0", ""), .want = true},
    };
    judge(&(struct policy_options){.source_guard = SOURCE_GUARD_ALL}, all, ARRAY_SIZE(all));
    static const struct row off[] = {
        {FORWARD("out as free", "10.244.1.3", "192.0.2.9", "cni0", "veth5", "eth0", ""), .want = true},
        {FORWARD("free as in", "10.244.1.6", "192.0.2.9", "cni0", "veth3", "eth0", ""), .want = true},
    };
    judge(&(struct policy_options){.source_guard = SOURCE_GUARD_OFF}, off, ARRAY_SIZE(off));
}

static void test_encap(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("VXLAN to the other node", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""),
         .protocol = PROTOCOL_UDP, .port = 8472},
        {FORWARD("the IANA port", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""), .protocol = PROTOCOL_UDP,
         .port = 4789},
        {FORWARD("the node's own tunnel port", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""),
         .protocol = PROTOCOL_UDP, .port = 51820},
        {FORWARD("another port", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""), .protocol = PROTOCOL_UDP,
         .port = 8473, .want = true},
        {FORWARD("TCP", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""), .protocol = PROTOCOL_TCP, .port = 8472,
         .want = true},
        {TO_NODE("to the own node", "10.244.1.3", "10.244.1.1", "cni0", ""), .protocol = PROTOCOL_UDP, .port = 8472},
        {FORWARD("from a forged source", "10.9.9.9", "192.0.2.2", "veths", "", "eth0", ""), .protocol = 47},
        {FORWARD("IP in IP", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""), .protocol = 4},
        {FORWARD("IPv6 in IP", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""), .protocol = 41},
        {FORWARD("to the gateway of the other node's pods", "10.244.1.3", "10.244.2.1", "cni0", "", "vx0", ""),
         .protocol = PROTOCOL_UDP, .port = 8472},
        {FORWARD("to its tunnel's address", "10.244.1.3", "10.244.2.0", "cni0", "", "vx0", ""), .protocol = 4},
        {FORWARD("to a pod of it", "10.244.1.3", "10.244.2.2", "cni0", "", "vx0", ""), .protocol = PROTOCOL_UDP,
         .port = 8472, .want = true},
        {TO_NODE("to all of the network", "10.244.1.3", "10.244.1.127", "cni0", "veth3"), .protocol = PROTOCOL_UDP,
         .port = 8472},
        {TO_NODE("to everybody", "10.244.1.3", "255.255.255.255", "cni0", "veth3"), .protocol = PROTOCOL_UDP,
         .port = 8472},
        {TO_NODE("to a group", "10.244.1.3", "224.0.0.1", "veths", ""), .protocol = 47},
        {TO_NODE("to a group, IPv6", "fd00:244:1::3", "ff02::1", "veths", ""), .protocol = PROTOCOL_UDP, .port = 4789},
        {TO_NODE("to a group by the uplink", "192.0.2.2", "224.0.0.1", "eth0", ""), .protocol = PROTOCOL_UDP,
         .port = 8472, .want = true},
        {FORWARD("to who is no node", "10.244.1.3", "192.0.2.9", "cni0", "", "eth0", ""), .protocol = 47, .want = true},
        {TO_NODE("from the other node", "192.0.2.2", "192.0.2.1", "eth0", ""), .protocol = PROTOCOL_UDP, .port = 8472,
         .want = true},
    };
    judge(&(struct policy_options){0}, rows, ARRAY_SIZE(rows));
    static const struct row off[] = {
        {FORWARD("VXLAN to the other node", "10.244.1.3", "192.0.2.2", "cni0", "", "eth0", ""),
         .protocol = PROTOCOL_UDP, .port = 8472, .want = true},
    };
    judge(&(struct policy_options){.encap_allowed = true}, off, ARRAY_SIZE(off));
}

// Two nodes whose tunnels talk both ways are an established flow, and a pod that takes one's address is in it.
static void test_encap_of_established_flows(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {TO_NODE("as the other node", "192.0.2.2", "192.0.2.1", "cni0", "veth3"), .protocol = 4, .ct = CT_ESTABLISHED},
        {TO_NODE("by a device of two pods", "192.0.2.2", "192.0.2.1", "veths", ""), .protocol = 47,
         .ct = CT_ESTABLISHED},
        {FORWARD("as the own node", "192.0.2.1", "192.0.2.2", "vethr", "", "eth0", ""), .protocol = 41,
         .ct = CT_ESTABLISHED},
        {TO_NODE("as nobody that is known", "203.0.113.9", "192.0.2.1", "cni0", "veth3"), .protocol = 4,
         .ct = CT_ESTABLISHED},
        {TO_NODE("a tunnel with one port at both ends", "192.0.2.2", "192.0.2.1", "cni0", "veth3"),
         .protocol = PROTOCOL_UDP, .port = 8472, .ct = CT_ESTABLISHED},
        {TO_NODE("as the gateway of the other node's pods", "10.244.2.1", "192.0.2.1", "cni0", "veth3"),
         .protocol = PROTOCOL_UDP, .port = 51820, .ct = CT_ESTABLISHED},
        {FORWARD("an answer to a node that asked from such a port", "10.244.1.3", "192.0.2.2", "cni0", "veth3", "eth0",
                 ""),
         .protocol = PROTOCOL_UDP, .port = 8472, .ct = CT_ESTABLISHED, .want = true},
        {TO_NODE("another port", "192.0.2.2", "192.0.2.1", "cni0", "veth3"), .protocol = PROTOCOL_UDP, .port = 8473,
         .ct = CT_ESTABLISHED, .want = true},
        {FORWARD("to who is no node", "192.0.2.1", "192.0.2.9", "cni0", "veth3", "eth0", ""), .protocol = 47,
         .ct = CT_ESTABLISHED, .want = true},
        {TO_NODE("the other node itself", "192.0.2.2", "192.0.2.1", "eth0", ""), .protocol = 4, .ct = CT_ESTABLISHED,
         .want = true},
        {TO_NODE("the other node itself, by UDP", "192.0.2.2", "192.0.2.1", "eth0", ""), .protocol = PROTOCOL_UDP,
         .port = 8472, .ct = CT_ESTABLISHED, .want = true},
    };
    judge(&(struct policy_options){0}, rows, ARRAY_SIZE(rows));
    static const struct row off[] = {
        {TO_NODE("as the other node", "192.0.2.2", "192.0.2.1", "cni0", "veth3"), .protocol = 4, .ct = CT_ESTABLISHED,
         .want = true},
    };
    judge(&(struct policy_options){.encap_allowed = true}, off, ARRAY_SIZE(off));
}

static void test_groups(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("group towards both", "10.244.1.3", "224.0.0.1", "cni0", "veth3", "cni0", "veth2")},
        {FORWARD("everybody towards both", "10.244.1.3", "255.255.255.255", "cni0", "veth3", "cni0", "veth2")},
        {FORWARD("the network towards both", "10.244.1.3", "10.244.1.127", "cni0", "veth3", "cni0", "veth2")},
        {FORWARD("IPv6 group towards both", "fd00:244:1::3", "ff02::1", "cni0", "veth3", "cni0", "veth2")},
        {FORWARD("lost is behind some port of the bridge", "10.244.1.3", "224.0.0.1", "cni0", "veth3", "cni0",
                 "veth9")},
        {FORWARD("routed from elsewhere", "192.0.2.9", "224.0.0.1", "eth0", "", "cni0", ""), .want = true},
        {FORWARD("one address", "10.244.1.3", "10.244.1.126", "cni0", "veth3", "cni0", "veth9"), .want = true},
        {TO_NODE("out to the node", "10.244.1.5", "224.0.0.251", "cni0", "veth5")},
        {TO_NODE("free to the node", "10.244.1.3", "224.0.0.251", "cni0", "veth3"), .want = true},
        {TO_NODE("routed to the node by link-local", "fe80::5", "ff02::fb", "vethr", "")},
        {TO_NODE("other nodes to this one", "192.0.2.2", "224.0.0.18", "eth0", ""), .want = true},
        {TO_NODE("the first address is the tunnel device's", "10.244.1.3", "10.244.1.0", "cni0", "veth3"),
         .want = true},
    };
    judge(&(struct policy_options){0}, rows, ARRAY_SIZE(rows));
    static const struct row host[] = {
        {TO_NODE("out to the node, which is allowed", "10.244.1.5", "224.0.0.251", "cni0", "veth5"), .want = true},
        {TO_NODE("but not with another's address", "10.244.1.3", "192.0.2.1", "cni0", "veth5")},
    };
    judge(&(struct policy_options){.host_egress_allowed = true}, host, ARRAY_SIZE(host));
}

static void test_false_routers(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("an advertisement to all", "fe80::9", "ff02::1", "cni0", "veth3", "cni0", "veth5"), .type = 134},
        {FORWARD("to one", "fe80::9", "fe80::8", "cni0", "veth3", "cni0", "veth5"), .type = 134},
        {FORWARD("a redirect", "fe80::9", "fd00:244:1::3", "cni0", "veth3", "cni0", "veth3"), .type = 137},
        {FORWARD("a solicitation of routers", "fe80::9", "ff02::2", "cni0", "veth3", "cni0", "veth5"), .type = 133,
         .want = true},
        {FORWARD("a neighbour's", "fe80::9", "fe80::8", "cni0", "veth3", "cni0", "veth5"), .type = 136, .want = true},
        {FORWARD("between other bridges", "fe80::9", "ff02::1", "br9", "", "br9", ""), .type = 134, .want = true},
    };
    judge(&(struct policy_options){0}, rows, ARRAY_SIZE(rows));
}

static void test_unknown_pods(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("from a new pod", "10.244.1.77", "192.0.2.9", "cni0", "", "eth0", "")},
        {FORWARD("to a new pod", "192.0.2.9", "10.244.1.77", "eth0", "", "cni0", "")},
        {TO_NODE("from a new pod to the node", "10.244.1.77", "10.244.1.1", "cni0", "")},
        {TO_NODE("by lo", "10.244.1.77", "10.244.1.1", "lo", ""), .want = true},
        {FORWARD("to a known one", "192.0.2.9", "10.244.1.3", "eth0", "", "cni0", ""), .want = true},
        {FORWARD("from the bridge's own address", "10.244.1.1", "10.244.1.3", "eth0", "", "cni0", ""), .want = true},
        {FORWARD("to a pod of the other node", "10.244.1.3", "10.244.2.77", "cni0", "", "vx0", ""), .want = true},
        {FORWARD("IPv6", "fd00:244:1::77", "2001:db8::9", "cni0", "", "eth0", "")},
        {.arrival = ARRIVAL_FROM_NODE,
         .what = "the node to a new pod",
         .source = "10.244.1.1",
         .destination = "10.244.1.77",
         .out = "cni0",
         .want = true},
    };
    judge(&(struct policy_options){.unknown_pods = UNKNOWN_PODS_DROP}, rows, ARRAY_SIZE(rows));
    struct policy_options given = {.unknown_pods = UNKNOWN_PODS_DROP, .n_pod_cidrs = 1};
    assert_true(prefix_parse("10.244.1.0/26", &given.pod_cidrs[0]));
    static const struct row narrower[] = {
        {FORWARD("outside of the given range", "10.244.1.77", "192.0.2.9", "cni0", "", "eth0", ""), .want = true},
        {FORWARD("inside of it", "10.244.1.60", "192.0.2.9", "cni0", "", "eth0", "")},
        {FORWARD("the node's own range does not count", "fd00:244:1::77", "2001:db8::9", "cni0", "", "eth0", ""),
         .want = true},
    };
    judge(&given, narrower, ARRAY_SIZE(narrower));
}

// No isolated pod is known, so nothing else closes the bridge to a new pod that is: it has a link-local address before
// it has one of the pod CIDR.
static void test_unknown_pods_by_link_local(void **unused)
{
    (void)unused;
    static const char state[] = "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.1.0/24]}}";
    static const char facts[] =
        "{\"interfaces\":[{\"name\":\"br9\",\"kind\":\"bridge\",\"addresses\":[]},"
        "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.244.1.1\"]},"
        "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[]}],\"routes\":[{\"prefix\":\"0.0.0.0/"
        "0\",\"device\":\"eth0\"},"
        "{\"prefix\":\"10.9.0.0/24\",\"device\":\"br9\"},{\"prefix\":\"10.244.1.0/24\",\"device\":\"cni0\"}]}";
    static const struct row closed[] = {
        {FORWARD("to a neighbour", "fe80::77", "fe80::3", "cni0", "veth7", "cni0", "veth3")},
        {FORWARD("to all neighbours", "fe80::77", "ff02::1", "cni0", "veth7", "cni0", "veth3")},
        {TO_NODE("to the node", "fe80::77", "fe80::1", "cni0", "veth7")},
        {TO_NODE("a tunnel packet", "203.0.113.9", "10.244.1.1", "cni0", "veth7"), .protocol = 47},
        {FORWARD("as a router", "fe80::77", "ff02::1", "cni0", "veth7", "cni0", "veth3"), .type = 134},
        {FORWARD("neighbour discovery", "fe80::77", "fe80::3", "cni0", "veth7", "cni0", "veth3"), .type = 135,
         .want = true},
        {FORWARD("another bridge", "fe80::77", "fe80::3", "br9", "", "br9", ""), .want = true},
        {TO_NODE("other nodes", "fe80::77", "fe80::1", "eth0", ""), .want = true},
    };
    static const struct row open[] = {
        {FORWARD("to a neighbour", "fe80::77", "fe80::3", "cni0", "veth7", "cni0", "veth3"), .want = true},
        {TO_NODE("to the node", "fe80::77", "fe80::1", "cni0", "veth7"), .want = true},
    };
    judge_in((struct world){build_state(state), facts_of(facts)},
             &(struct policy_options){.unknown_pods = UNKNOWN_PODS_DROP}, closed, ARRAY_SIZE(closed));
    judge_in((struct world){build_state(state), facts_of(facts)}, &(struct policy_options){0}, open, ARRAY_SIZE(open));
}

// A new pod that is routed: a route to an address of the pod CIDR that nobody is known to have. Beside it one that is
// known, and bridges that only seem to lead to new pods.
static void test_unknown_pods_by_routes(void **unused)
{
    (void)unused;
    static const char state[] =
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.1.0/24]}, status: {addresses: "
        "[{type: InternalIP, address: 192.0.2.1}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: a}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.244.1.3}]}}\n";
    static const char facts[] =
        "{\"interfaces\":[{\"name\":\"br1\",\"kind\":\"bridge\",\"addresses\":[\"172.16.0.1\"]},"
        "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[\"192.0.2.1\"]},"
        "{\"name\":\"veth3\",\"kind\":\"veth\",\"addresses\":[\"fe80::3\"]},"
        "{\"name\":\"veth77\",\"kind\":\"veth\",\"addresses\":[\"fe80::77\"]}],"
        "\"routes\":[{\"prefix\":\"0.0.0.0/0\",\"device\":\"eth0\"},{\"prefix\":\"10.0.0.0/8\",\"device\":\"br1\"},"
        "{\"prefix\":\"10.244.1.3/32\",\"device\":\"veth3\"},{\"prefix\":\"10.244.1.77/32\",\"device\":\"veth77\"}]}";
    static const struct row rows[] = {
        {TO_NODE("the new pod to the node's end", "fe80::1", "fe80::77", "veth77", "")},
        {TO_NODE("and to a group there", "fe80::1", "ff02::fb", "veth77", "")},
        {TO_NODE("neighbour discovery", "fe80::1", "fe80::77", "veth77", ""), .type = 135, .want = true},
        {TO_NODE("a tunnel packet of nobody", "203.0.113.9", "192.0.2.1", "veth77", ""), .protocol = 47},
        {TO_NODE("the known pod to its end", "fe80::1", "fe80::3", "veth3", ""), .want = true},
        {FORWARD("a bridge to other networks", "fe80::5", "fe80::6", "br1", "", "br1", ""), .want = true},
        {FORWARD("and its router", "fe80::5", "ff02::1", "br1", "", "br1", ""), .type = 134, .want = true},
    };
    static const struct row open[] = {
        {TO_NODE("the new pod to the node's end", "fe80::1", "fe80::77", "veth77", ""), .want = true},
        {TO_NODE("a tunnel packet of nobody", "203.0.113.9", "192.0.2.1", "veth77", ""), .protocol = 47, .want = true},
    };
    judge_in((struct world){build_state(state), facts_of(facts)},
             &(struct policy_options){.unknown_pods = UNKNOWN_PODS_DROP}, rows, ARRAY_SIZE(rows));
    judge_in((struct world){build_state(state), facts_of(facts)}, &(struct policy_options){0}, open, ARRAY_SIZE(open));
}

// What table local says: a single address, a network, and broadcast addresses that no mask tells.
static void test_table_local(void **unused)
{
    (void)unused;
    static const char state[] =
        "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: "
        "192.0.2.1}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: a}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.244.1.3}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: shut, labels: {a: b}}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.244.1.4}]}}\n"
        "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: x, name: p}, spec: "
        "{podSelector: {matchLabels: {a: b}}}}\n";
    static const char facts[] =
        "{\"interfaces\":[{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.244.1.1\"]},"
        "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[\"192.0.2.1\"]}],"
        "\"routes\":[{\"prefix\":\"0.0.0.0/0\",\"device\":\"eth0\"},{\"prefix\":\"10.244.1.0/"
        "24\",\"device\":\"cni0\"}],"
        "\"localRoutes\":[{\"prefix\":\"203.0.113.7/32\",\"device\":\"eth0\"},"
        "{\"prefix\":\"198.18.0.0/16\",\"device\":\"lo\"},{\"prefix\":\"2001:db8:5::/48\",\"device\":\"lo\"}],"
        "\"broadcastRoutes\":[{\"prefix\":\"192.0.2.99/32\",\"device\":\"eth0\"},"
        "{\"prefix\":\"10.244.1.88/32\",\"device\":\"cni0\"}],"
        "\"ports\":[{\"address\":\"10.244.1.3\",\"port\":\"veth3\"},{\"address\":\"10.244.1.4\",\"port\":\"veth4\"}],"
        "\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"}}";
    static const struct row rows[] = {
        {TO_NODE("a single address", "10.244.1.3", "203.0.113.7", "cni0", "veth3"), .protocol = 47},
        {TO_NODE("the one beside it", "10.244.1.3", "203.0.113.8", "cni0", "veth3"), .protocol = 47, .want = true},
        {TO_NODE("of a network", "10.244.1.3", "198.18.5.5", "cni0", "veth3"), .protocol = PROTOCOL_UDP, .port = 8472},
        {TO_NODE("of a network, IPv6", "2001:db8::9", "2001:db8:5::9", "cni0", "veth3"), .protocol = 41},
        {TO_NODE("a broadcast address", "10.244.1.3", "192.0.2.99", "cni0", "veth3"), .protocol = PROTOCOL_UDP,
         .port = 8472},
        {FORWARD("a tunnel with one port at both ends", "203.0.113.7", "192.0.2.1", "cni0", "veth3", "eth0", ""),
         .protocol = PROTOCOL_UDP, .port = 8472, .ct = CT_ESTABLISHED},
        {FORWARD("a bridge's own broadcast address, to an isolated pod", "10.244.1.3", "10.244.1.88", "cni0", "veth3",
                 "cni0", "veth4")},
        {FORWARD("that of another device", "10.244.1.3", "192.0.2.99", "cni0", "veth3", "cni0", "veth4"), .want = true},
    };
    judge_in((struct world){build_state(state), facts_of(facts)}, &(struct policy_options){0}, rows, ARRAY_SIZE(rows));
}

// What comes by a port that two pods are behind is told by nothing: neither is guarded there.
static void test_shared_port(void **unused)
{
    (void)unused;
    static const char state[] =
        "{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: a}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.0.0.3}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.0.0.4}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: c}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.0.0.5}]}}\n";
    static const char facts[] =
        "{\"interfaces\":[{\"name\":\"br0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.1\"]}],"
        "\"routes\":[{\"prefix\":\"10.0.0.0/24\",\"device\":\"br0\"}],"
        "\"ports\":[{\"address\":\"10.0.0.3\",\"port\":\"veth3\"},{\"address\":\"10.0.0.4\",\"port\":\"veth3\"},"
        "{\"address\":\"10.0.0.5\",\"port\":\"veth5\"}],\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"}}";
    static const struct row rows[] = {
        {FORWARD("one of them", "10.0.0.3", "192.0.2.9", "br0", "veth3", "eth0", ""), .want = true},
        {FORWARD("the other one", "10.0.0.4", "192.0.2.9", "br0", "veth3", "eth0", ""), .want = true},
        {FORWARD("nobody", "10.0.0.77", "192.0.2.9", "br0", "veth3", "eth0", ""), .want = true},
        {FORWARD("who is alone", "10.0.0.5", "192.0.2.9", "br0", "veth5", "eth0", ""), .want = true},
        {FORWARD("nobody, from there", "10.0.0.77", "192.0.2.9", "br0", "veth5", "eth0", "")},
        {FORWARD("who is alone, from the shared one", "10.0.0.5", "192.0.2.9", "br0", "veth3", "eth0", "")},
    };
    judge_in((struct world){build_state(state), facts_of(facts)},
             &(struct policy_options){.source_guard = SOURCE_GUARD_ALL}, rows, ARRAY_SIZE(rows));
}

// A flat network: the bridge is the uplink too, and only its ports tell who sends.
static void test_tunnels_on_uplink_bridge(void **unused)
{
    (void)unused;
    static const char state[] =
        "{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: "
        "10.0.0.2}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: a}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.0.0.3}]}}\n"
        "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: lost}, spec: {nodeName: n1}, "
        "status: {podIPs: [{ip: 10.0.0.4}]}}\n";
    static const char facts[] =
        "{\"interfaces\":[{\"name\":\"br0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.1\"]}],"
        "\"routes\":[{\"prefix\":\"0.0.0.0/0\",\"device\":\"br0\"},{\"prefix\":\"10.0.0.0/24\",\"device\":\"br0\"}],"
        "\"ports\":[{\"address\":\"10.0.0.3\",\"port\":\"veth3\"}],\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"}}";
    static const struct row rows[] = {
        {FORWARD("by a pod's port, whatever the source", "10.0.0.77", "10.0.0.2", "br0", "veth3", "br0", "eth0"),
         .protocol = PROTOCOL_UDP, .port = 8472},
        {TO_NODE("to its own node", "10.0.0.77", "10.0.0.1", "br0", "veth3"), .protocol = 47},
        {FORWARD("IPv6, of which the pod has no address", "fe80::77", "ff02::1", "br0", "veth3", "br0", "eth0"),
         .protocol = 41},
        {TO_NODE("by a port that is not known, with its address", "10.0.0.4", "10.0.0.1", "br0", "veth9"),
         .protocol = PROTOCOL_UDP, .port = 8472},
        {TO_NODE("of another node", "10.0.0.2", "10.0.0.1", "br0", "eth0"), .protocol = PROTOCOL_UDP, .port = 8472,
         .want = true},
        {TO_NODE("no tunnel", "10.0.0.3", "10.0.0.1", "br0", "veth3"), .protocol = PROTOCOL_UDP, .port = 8473,
         .want = true},
    };
    judge_in((struct world){build_state(state), facts_of(facts)}, &(struct policy_options){0}, rows, ARRAY_SIZE(rows));
}

static void test_revoked(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {FORWARD("established and revoked", "10.244.1.3", "192.0.2.9", "cni0", "", "eth0", ""), .connmark = 1u << 27,
         .ct = CT_ESTABLISHED},
        {FORWARD("with other bits as well", "10.244.1.3", "192.0.2.9", "cni0", "", "eth0", ""), .connmark = UINT32_MAX,
         .ct = CT_ESTABLISHED},
        {FORWARD("other bits alone", "10.244.1.3", "192.0.2.9", "cni0", "", "eth0", ""), .connmark = ~(1u << 27),
         .ct = CT_ESTABLISHED, .want = true},
        {FORWARD("the answer", "192.0.2.9", "10.244.1.3", "eth0", "", "cni0", ""), .connmark = 1u << 27,
         .ct = CT_ESTABLISHED},
        {TO_NODE("to the node", "10.244.1.3", "192.0.2.1", "cni0", ""), .connmark = 1u << 27, .ct = CT_ESTABLISHED},
        {FORWARD("no flow of IPv6 is revoked", "fd00::3", "2001:db8::9", "eth0", "", "eth0", ""), .connmark = 1u << 27,
         .want = true},
    };
    judge(&(struct policy_options){.revoke_mask = 1u << 27}, rows, ARRAY_SIZE(rows));
    static const struct row off[] = {
        {FORWARD("established", "10.244.1.3", "192.0.2.9", "cni0", "", "eth0", ""), .connmark = 1u << 27,
         .ct = CT_ESTABLISHED, .want = true},
    };
    judge(&(struct policy_options){0}, off, ARRAY_SIZE(off));
}

// both, out and routed are guarded; the two that share a device cannot be. With all: lost and the other one as well.
static void test_unguarded_are_counted(void **unused)
{
    (void)unused;
    static const struct {
        enum source_guard guard;
        bool facts;
        size_t want;
    } rows[] = {{SOURCE_GUARD_ENFORCED, true, 1},  {SOURCE_GUARD_ALL, true, 3},  {SOURCE_GUARD_OFF, true, 0},
                {SOURCE_GUARD_ENFORCED, false, 4}, {SOURCE_GUARD_ALL, false, 8}, {SOURCE_GUARD_OFF, false, 0}};
    struct world world = world_of_golden();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
        const struct policy_options options = {.source_guard = rows[i].guard};
        struct compile_stats stats;
        assert_int_equal(
            compile_ruleset(world.state, "n1", rows[i].facts ? world.facts : NULL, &options, &ruleset, &stats, NULL),
            0);
        assert_int_equal(stats.unguarded_pods, rows[i].want);
    }
    state_free(world.state);
    facts_free(world.facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_guard),
        cmocka_unit_test(test_encap),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_false_routers),
        cmocka_unit_test(test_unknown_pods),
        cmocka_unit_test(test_unknown_pods_by_link_local),
        cmocka_unit_test(test_tunnels_on_uplink_bridge),
        cmocka_unit_test(test_encap_of_established_flows),
        cmocka_unit_test(test_unknown_pods_by_routes),
        cmocka_unit_test(test_table_local),
        cmocka_unit_test(test_shared_port),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_unguarded_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
