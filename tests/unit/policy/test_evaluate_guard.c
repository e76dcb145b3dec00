// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "policy/evaluate.h"

// What facts change in the verdict about a packet (DESIGN 11, networkpolicy-v1.md 3.8). Node n1: pods behind the bridge
// cni0 (10.0.0.0/24) and behind veth7 (10.0.7.7); x is isolated, y is not.

static const struct policy_options defaults;
static const struct policy_options host_egress = {.host_egress_allowed = true};

static const char facts_text[] =
    "{\"interfaces\":["
    "{\"name\":\"br9\",\"kind\":\"bridge\",\"addresses\":[]},"
    "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.254\"]},"
    "{\"name\":\"kube-ipvs0\",\"kind\":\"dummy\",\"addresses\":[\"10.96.0.1\"]},"
    "{\"name\":\"veth7\",\"kind\":\"veth\",\"addresses\":[]}],"
    "\"routes\":[{\"prefix\":\"10.0.0.0/24\",\"device\":\"cni0\"},{\"prefix\":\"10.0.7.7/32\",\"device\":\"veth7\"},"
    "{\"prefix\":\"10.0.9.0/24\",\"device\":\"br9\"}],"
    "\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"},\"ipvs\":%s}";

static struct facts *some_facts(bool ipvs)
{
    char text[sizeof(facts_text) + 8];
    int n = snprintf(text, sizeof(text), facts_text, ipvs ? "true" : "false");
    struct facts *facts;
    struct err err = {0};
    if (facts_parse_json(text, (size_t)n, "facts", &facts, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return facts;
}

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

static struct object_meta meta(const char *ns, const char *name)
{
    return (struct object_meta){
        .ns = ns, .name = name, .uid = "", .resource_version = "", .created = "", .origin.file = ""};
}

static void add_pod(struct state *state, const char *ns, const char *name, const char *node, const char *ip,
                    enum pod_phase phase)
{
    struct address a = address(ip);
    const struct pod pod = {.meta = meta(ns, name), .node = node, .phase = phase, .addresses = &a, .n_addresses = 1};
    assert_true(state_put_pod(state, pod_dup(&pod), NULL) >= 0);
}

// Isolates every pod of x in the direction.
static void isolate(struct state *state, enum direction direction)
{
    struct policy policy = {.meta = meta("x", direction_name(direction))};
    policy.isolates[direction] = true;
    assert_true(state_put_policy(state, policy_dup(&policy), NULL) >= 0);
}

// ns/pod at the address.
static struct state *state_with(const char *ns, const char *node, const char *ip)
{
    struct state *state;
    assert_int_equal(state_new(&state, NULL), 0);
    add_pod(state, ns, "p", node, ip, POD_RUNNING);
    isolate(state, DIRECTION_INGRESS);
    return state;
}

static struct packet packet(enum arrival arrival, const char *source, const char *destination, const char *in,
                            const char *out)
{
    struct packet ret = {.arrival = arrival,
                         .source = address(source),
                         .destination = address(destination),
                         .protocol = PROTOCOL_TCP,
                         .port = 80};
    (void)snprintf(ret.in, sizeof(ret.in), "%s", in);
    (void)snprintf(ret.out, sizeof(ret.out), "%s", out);
    return ret;
}

static bool passes(struct state *state, const struct facts *facts, const struct policy_options *options,
                   const struct packet *packet)
{
    bool allowed;
    assert_int_equal(evaluate_packet(state, "n1", facts, options, packet, &allowed, NULL), 0);
    return allowed;
}

static void test_link_local_bridged(void **unused)
{
    (void)unused;
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    CLEANUP(state_free) struct state *state = state_with("x", "n1", "10.0.0.1");
    static const struct {
        const char *source;
        const char *destination;
        const char *in;
        const char *out;
        bool want;
    } rows[] = {
        {"fe80::1", "fe80::2", "cni0", "cni0", false},
        {"fe80::1", "2001:db8::1", "cni0", "cni0", false},
        {"2001:db8::1", "febf::1", "cni0", "cni0", false},
        {"fec0::1", "fe7f::1", "cni0", "cni0", true},
        {"fe80::1", "fe80::2", "cni0", "eth0", true},
        {"fe80::1", "fe80::2", "", "cni0", true},
        {"fe80::1", "fe80::2", "", "", true},
        {"fe80::1", "fe80::2", "br9", "br9", true},
        {"fe80::1", "fe80::2", "veth7", "veth7", true},
        {"169.254.0.1", "169.254.0.2", "cni0", "cni0", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct packet p = packet(ARRIVAL_FORWARD, rows[i].source, rows[i].destination, rows[i].in, rows[i].out);
        if (passes(state, facts, &defaults, &p) != rows[i].want ||
            passes(state, facts, &host_egress, &p) != rows[i].want) {
            fail_msg("row %zu", i);
        }
        assert_true(passes(state, NULL, &defaults, &p));
        p.ct = CT_ESTABLISHED;
        assert_true(passes(state, facts, &defaults, &p));
    }
    // A service's hairpin is no way round it.
    struct packet p = packet(ARRIVAL_FORWARD, "fe80::1", "fe80::1", "cni0", "cni0");
    p.dnat = true;
    assert_false(passes(state, facts, &defaults, &p));
}

static void test_link_local_to_node(void **unused)
{
    (void)unused;
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    CLEANUP(state_free) struct state *state = state_with("x", "n1", "10.0.0.1");
    add_pod(state, "x", "routed", "n1", "10.0.7.7", POD_RUNNING);
    static const struct {
        const char *in;
        bool want;
    } rows[] = {{"cni0", false}, {"veth7", false}, {"br9", true}, {"eth0", true}, {"", true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct packet p = packet(ARRIVAL_TO_NODE, "fe80::1", "fd00::1", rows[i].in, "");
        if (passes(state, facts, &defaults, &p) != rows[i].want || !passes(state, facts, &host_egress, &p)) {
            fail_msg("row %zu", i);
        }
        p.protocol = 58;
        p.icmp_type = 135;
        p.hop_limit = 255;
        assert_true(passes(state, facts, &defaults, &p));
    }
}

// Who makes an interface guarded: a live pod of the node that some policy isolates and that owns an address there.
static void test_guarded_by(void **unused)
{
    (void)unused;
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    const struct packet p = packet(ARRIVAL_FORWARD, "fe80::1", "fe80::2", "cni0", "cni0");
    CLEANUP(state_free) struct state *open = state_with("y", "n1", "10.0.0.1");
    assert_true(passes(open, facts, &defaults, &p));
    CLEANUP(state_free) struct state *remote = state_with("x", "n2", "10.0.0.1");
    assert_true(passes(remote, facts, &defaults, &p));
    CLEANUP(state_free) struct state *unscheduled = state_with("x", "", "10.0.0.1");
    bool allowed;
    assert_int_equal(evaluate_packet(unscheduled, "", facts, &defaults, &p, &allowed, NULL), 0);
    assert_true(allowed);
    CLEANUP(state_free) struct state *elsewhere = state_with("x", "n1", "10.1.0.1");
    assert_true(passes(elsewhere, facts, &defaults, &p));
    add_pod(elsewhere, "x", "done", "n1", "10.0.0.1", POD_SUCCEEDED);
    assert_true(passes(elsewhere, facts, &defaults, &p));
    add_pod(elsewhere, "y", "z", "n1", "10.0.0.2", POD_RUNNING);
    assert_true(passes(elsewhere, facts, &defaults, &p));
    // y/z is the greater name, so x/late does not own what both claim.
    add_pod(elsewhere, "x", "late", "n1", "10.0.0.2", POD_RUNNING);
    assert_true(passes(elsewhere, facts, &defaults, &p));
    add_pod(elsewhere, "x", "own", "n1", "10.0.0.3", POD_RUNNING);
    assert_false(passes(elsewhere, facts, &defaults, &p));
}

static void test_forged_discovery(void **unused)
{
    (void)unused;
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    CLEANUP(state_free) struct state *four = state_with("x", "n1", "10.1.0.1");
    CLEANUP(state_free) struct state *bridged = state_with("x", "n1", "10.0.0.1");
    CLEANUP(state_free) struct state *six = state_with("x", "n1", "fd00::6");
    for (unsigned type = 132; type <= 138; type++) {
        struct packet p = packet(ARRIVAL_FORWARD, "2001:db8::1", "ff02::1", "eth0", "eth1");
        p.protocol = 58;
        p.icmp_type = (uint8_t)type;
        p.hop_limit = 64;
        bool other = type < 133 || type > 137;
        assert_true(passes(four, facts, &defaults, &p));
        assert_int_equal(passes(bridged, facts, &defaults, &p), other);
        assert_true(passes(bridged, NULL, &defaults, &p));
        assert_int_equal(passes(six, facts, &defaults, &p), other);
        assert_int_equal(passes(six, NULL, &defaults, &p), other);
        p.arrival = ARRIVAL_TO_NODE;
        assert_true(passes(six, facts, &defaults, &p));
        p.arrival = ARRIVAL_FORWARD;
        p.destination = address("2001:db8::9");
        assert_true(passes(six, facts, &defaults, &p));
        p.destination = address("ff02::1");
        p.hop_limit = 255;
        assert_true(passes(six, facts, &defaults, &p));
        p.hop_limit = 64;
        p.protocol = PROTOCOL_TCP;
        assert_true(passes(six, facts, &defaults, &p));
    }
}

static void test_ipvs(void **unused)
{
    (void)unused;
    CLEANUP(facts_free) struct facts *with = some_facts(true);
    CLEANUP(facts_free) struct facts *none = some_facts(false);
    CLEANUP(state_free) struct state *state = state_with("x", "n1", "10.0.0.1");
    isolate(state, DIRECTION_EGRESS);
    add_pod(state, "y", "q", "n1", "10.0.0.2", POD_RUNNING);
    struct packet p = packet(ARRIVAL_TO_NODE, "10.0.0.1", "10.96.0.1", "cni0", "");
    assert_true(passes(state, with, &defaults, &p));
    assert_false(passes(state, none, &defaults, &p));
    assert_false(passes(state, NULL, &defaults, &p));
    p.destination = address("10.0.0.254");
    assert_false(passes(state, with, &defaults, &p));
    // In OUTPUT: from an isolated pod, to one, and what is the node's own.
    static const struct {
        const char *source;
        const char *destination;
        bool node;
        bool want;
    } rows[] = {
        {"10.0.0.1", "10.0.0.2", false, false},    {"10.0.0.2", "10.0.0.1", false, false},
        {"203.0.113.7", "10.0.0.1", false, false}, {"10.0.0.254", "10.0.0.1", true, true},
        {"10.0.0.2", "203.0.113.7", false, true},  {"10.0.0.1", "203.0.113.7", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        p = packet(ARRIVAL_FROM_NODE, rows[i].source, rows[i].destination, "", "eth0");
        p.source_is_node = rows[i].node;
        if (passes(state, with, &defaults, &p) != rows[i].want) {
            fail_msg("row %zu", i);
        }
        assert_true(passes(state, none, &defaults, &p));
        assert_true(passes(state, NULL, &defaults, &p));
        p.ct = CT_ESTABLISHED;
        assert_true(passes(state, with, &defaults, &p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_local_bridged),
        cmocka_unit_test(test_link_local_to_node),
        cmocka_unit_test(test_guarded_by),
        cmocka_unit_test(test_forged_discovery),
        cmocka_unit_test(test_ipvs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
