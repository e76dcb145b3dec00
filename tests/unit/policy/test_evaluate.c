// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "policy/evaluate.h"

// The clauses of networkpolicy-v1.md section 7 stand in tests/property/test_cases.c; here: what a verdict reports, and
// what a packet's arrival changes.

static const struct policy_options defaults;
static const struct policy_options host_egress = {.host_egress_allowed = true};

static struct state *fresh(void)
{
    struct state *state;
    assert_int_equal(state_new(&state, NULL), 0);
    return state;
}

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

static struct object_meta meta(const char *ns, const char *name, const char *app)
{
    static struct label label;
    label = (struct label){"app", app};
    return (struct object_meta){.ns = ns,
                                .name = name,
                                .uid = "",
                                .resource_version = "",
                                .created = "",
                                .labels = {app ? &label : NULL, app ? 1 : 0},
                                .origin.file = ""};
}

// A running pod of the node; ip NULL: without address.
static void add_pod(struct state *state, const char *ns, const char *name, const char *node, const char *ip)
{
    static const struct named_port http = {"http", PROTOCOL_TCP, 80};
    struct address a = address(ip ? ip : "0.0.0.0");
    const struct pod pod = {.meta = meta(ns, name, name),
                            .node = node,
                            .phase = POD_RUNNING,
                            .addresses = &a,
                            .n_addresses = ip ? 1 : 0,
                            .ports = &http,
                            .n_ports = 1};
    assert_true(state_put_pod(state, pod_dup(&pod), NULL) >= 0);
}

static void add_policy(struct state *state, const char *ns, const char *name, enum direction direction,
                       const struct policy_rule *rules, size_t n)
{
    struct policy policy = {.meta = meta(ns, name, NULL)};
    policy.isolates[direction] = true;
    policy.rules[direction] = rules;
    policy.n_rules[direction] = n;
    assert_true(state_put_policy(state, policy_dup(&policy), NULL) >= 0);
}

static struct endpoint pod_end(struct state *state, const char *ns, const char *name)
{
    struct endpoint end = {.pod = state_pod(state, ns, name), .node = ""};
    assert_non_null(end.pod);
    if (end.pod->n_addresses) {
        end.has_address = true;
        end.address = end.pod->addresses[0];
    }
    return end;
}

static struct endpoint address_end(const char *text)
{
    return (struct endpoint){.node = "", .has_address = true, .address = address(text)};
}

static struct endpoint node_end(const char *node, const char *text)
{
    return (struct endpoint){.node = node, .has_address = true, .address = address(text)};
}

static struct connection_verdict ask_with(struct state *state, const struct policy_options *options,
                                          struct endpoint from, struct endpoint to, uint8_t protocol, uint16_t port)
{
    struct query query = {.from = from, .to = to, .protocol = protocol, .port = port};
    struct connection_verdict verdict;
    assert_int_equal(evaluate_query(state, options, &query, &verdict, NULL), 0);
    return verdict;
}

static struct connection_verdict ask(struct state *state, struct endpoint from, struct endpoint to)
{
    return ask_with(state, &defaults, from, to, PROTOCOL_TCP, 80);
}

#define EXPECT_SIDE(V, DIRECTION, VERDICT, REASON)                                                                     \
    do {                                                                                                               \
        assert_string_equal(verdict_name((V).sides[DIRECTION].verdict), verdict_name(VERDICT));                        \
        assert_string_equal(reason_name((V).sides[DIRECTION].reason), reason_name(REASON));                            \
    } while (0)

// Usual pods: x/a and x/b on n1, y/c on n2, x/new without address on n1.
static struct state *usual(void)
{
    struct state *state = fresh();
    add_pod(state, "x", "a", "n1", "10.0.0.1");
    add_pod(state, "x", "b", "n1", "10.0.0.2");
    add_pod(state, "y", "c", "n2", "10.0.1.3");
    add_pod(state, "x", "new", "n1", NULL);
    return state;
}

static const struct policy_rule anything = {.any_peer = true, .any_port = true};
static const struct peer own_pods = {.kind = PEER_PODS, .has_pod_selector = true};
static const struct peer every_pod = {.kind = PEER_PODS, .has_ns_selector = true};
static const struct peer unreadable_peer = {.kind = PEER_UNREADABLE};

static void test_names(void **unused)
{
    (void)unused;
    assert_string_equal(verdict_name(VERDICT_ALLOW), "allow");
    assert_string_equal(verdict_name(VERDICT_DENY), "deny");
    assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
    static const char *const reasons[] = {"no-pod", "not-isolated", "rule", "no-rule", "own-node", "self", "unknown"};
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        assert_string_equal(reason_name((enum reason)i), reasons[i]);
    }
}

static void test_open_and_no_pod(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    struct connection_verdict v = ask(state, pod_end(state, "x", "a"), pod_end(state, "y", "c"));
    assert_int_equal(v.verdict, VERDICT_ALLOW);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_ALLOW, REASON_NOT_ISOLATED);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_NOT_ISOLATED);
    verdict_done(&v);
    v = ask(state, address_end("8.8.8.8"), address_end("9.9.9.9"));
    assert_int_equal(v.verdict, VERDICT_ALLOW);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_ALLOW, REASON_NO_POD);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_NO_POD);
    verdict_done(&v);
}

static void test_first_rule_is_reported(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    const struct peer peers[] = {unreadable_peer, own_pods, every_pod};
    const struct policy_port udp = {.kind = PORT_ALL, .protocol = PROTOCOL_UDP};
    const struct policy_rule rules[] = {
        {.any_peer = true, .ports = &udp, .n_ports = 1},
        {.peers = peers, .n_peers = ARRAY_SIZE(peers), .any_port = true, .line = 7},
        anything,
    };
    add_policy(state, "x", "p3", DIRECTION_INGRESS, &anything, 1);
    add_policy(state, "x", "p2", DIRECTION_INGRESS, rules, ARRAY_SIZE(rules));
    add_policy(state, "x", "p1", DIRECTION_INGRESS, NULL, 0);
    add_policy(state, "y", "p0", DIRECTION_INGRESS, NULL, 0);
    add_policy(state, "x", "p4", DIRECTION_EGRESS, &anything, 1);

    struct connection_verdict v = ask(state, pod_end(state, "x", "b"), pod_end(state, "x", "a"));
    const struct side_verdict *side = &v.sides[DIRECTION_INGRESS];
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_RULE);
    assert_true(side->isolated);
    assert_int_equal(side->n_policies, 3);
    assert_string_equal(side->policies[0]->meta.name, "p1");
    assert_string_equal(side->policies[1]->meta.name, "p2");
    assert_string_equal(side->policies[2]->meta.name, "p3");
    assert_string_equal(side->policy->meta.name, "p2");
    assert_int_equal(side->rule, 1);
    assert_int_equal(side->peer, 1);
    assert_string_equal(v.sides[DIRECTION_EGRESS].policy->meta.name, "p4");
    assert_int_equal(v.sides[DIRECTION_EGRESS].rule, 0);
    assert_int_equal(v.sides[DIRECTION_EGRESS].peer, -1);
    verdict_done(&v);

    v = ask(state, pod_end(state, "y", "c"), pod_end(state, "x", "a"));
    assert_int_equal(v.sides[DIRECTION_INGRESS].peer, 2);
    verdict_done(&v);
    v = ask(state, address_end("8.8.8.8"), pod_end(state, "x", "a"));
    assert_int_equal(v.sides[DIRECTION_INGRESS].rule, 2);
    assert_int_equal(v.sides[DIRECTION_INGRESS].peer, -1);
    verdict_done(&v);
}

static void test_denied_side(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    add_policy(state, "x", "deny", DIRECTION_EGRESS, NULL, 0);
    struct connection_verdict v = ask(state, pod_end(state, "x", "a"), pod_end(state, "y", "c"));
    assert_int_equal(v.verdict, VERDICT_DENY);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_DENY, REASON_NO_RULE);
    assert_true(v.sides[DIRECTION_EGRESS].isolated);
    assert_null(v.sides[DIRECTION_EGRESS].policy);
    assert_int_equal(v.sides[DIRECTION_EGRESS].rule, -1);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_NOT_ISOLATED);
    assert_false(v.sides[DIRECTION_INGRESS].isolated);
    assert_int_equal(v.sides[DIRECTION_INGRESS].n_policies, 0);
    verdict_done(&v);
    v = ask(state, pod_end(state, "y", "c"), pod_end(state, "x", "a"));
    assert_int_equal(v.verdict, VERDICT_ALLOW);
    verdict_done(&v);
}

// Only where an ipBlock would decide about a pod without address.
static void test_unknown(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    const struct peer block = {.kind = PEER_BLOCK, .cidr = {.address = address("10.0.0.0"), .length = 8}};
    const struct peer mixed[] = {block, own_pods};
    const struct policy_port udp = {.kind = PORT_ALL, .protocol = PROTOCOL_UDP};
    const struct policy_rule by_block = {.peers = &block, .n_peers = 1, .any_port = true};
    const struct policy_rule by_block_udp = {.peers = &block, .n_peers = 1, .ports = &udp, .n_ports = 1};
    const struct policy_rule by_both = {.peers = mixed, .n_peers = 2, .any_port = true};

    add_policy(state, "x", "p", DIRECTION_INGRESS, &by_block, 1);
    struct connection_verdict v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    assert_int_equal(v.verdict, VERDICT_UNKNOWN);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_UNKNOWN, REASON_UNKNOWN);
    verdict_done(&v);
    // The address of the pod that is judged plays no part.
    v = ask(state, pod_end(state, "x", "a"), pod_end(state, "x", "new"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_RULE);
    verdict_done(&v);

    add_policy(state, "x", "p", DIRECTION_INGRESS, &by_block_udp, 1);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);

    add_policy(state, "x", "p", DIRECTION_INGRESS, &by_both, 1);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_RULE);
    assert_int_equal(v.sides[DIRECTION_INGRESS].peer, 1);
    verdict_done(&v);

    add_policy(state, "x", "p", DIRECTION_INGRESS, &by_block, 1);
    add_policy(state, "x", "q", DIRECTION_INGRESS, &anything, 1);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_RULE);
    assert_string_equal(v.sides[DIRECTION_INGRESS].policy->meta.name, "q");
    verdict_done(&v);
    // What is allowed stays so, whatever the last policy would leave open, and the first that allows is told.
    add_policy(state, "x", "r", DIRECTION_INGRESS, &by_block, 1);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_RULE);
    assert_string_equal(v.sides[DIRECTION_INGRESS].policy->meta.name, "q");
    verdict_done(&v);
    add_policy(state, "x", "r", DIRECTION_INGRESS, &anything, 1);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    assert_string_equal(v.sides[DIRECTION_INGRESS].policy->meta.name, "q");
    verdict_done(&v);
}

static void test_deny_wins_over_unknown(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    const struct peer block = {.kind = PEER_BLOCK, .cidr = {.address = address("10.0.0.0"), .length = 8}};
    const struct policy_rule by_block = {.peers = &block, .n_peers = 1, .any_port = true};
    add_policy(state, "x", "in", DIRECTION_INGRESS, &by_block, 1);
    add_policy(state, "x", "out", DIRECTION_EGRESS, NULL, 0);
    struct connection_verdict v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_UNKNOWN, REASON_UNKNOWN);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_DENY, REASON_NO_RULE);
    assert_int_equal(v.verdict, VERDICT_DENY);
    verdict_done(&v);
}

static void test_own_node_and_self(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    add_policy(state, "x", "in", DIRECTION_INGRESS, NULL, 0);
    add_policy(state, "x", "out", DIRECTION_EGRESS, NULL, 0);
    struct endpoint a = pod_end(state, "x", "a");
    struct connection_verdict v = ask(state, node_end("n1", "192.168.0.1"), a);
    assert_int_equal(v.verdict, VERDICT_ALLOW);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_OWN_NODE);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_ALLOW, REASON_NO_POD);
    assert_true(v.sides[DIRECTION_INGRESS].isolated);
    assert_int_equal(v.sides[DIRECTION_INGRESS].n_policies, 1);
    verdict_done(&v);
    v = ask(state, node_end("n2", "192.168.0.2"), a);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);
    v = ask(state, a, node_end("n1", "192.168.0.1"));
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_DENY, REASON_NO_RULE);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_NO_POD);
    verdict_done(&v);
    v = ask_with(state, &host_egress, a, node_end("n1", "192.168.0.1"), PROTOCOL_TCP, 80);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_ALLOW, REASON_OWN_NODE);
    verdict_done(&v);
    v = ask_with(state, &host_egress, a, node_end("n2", "192.168.0.2"), PROTOCOL_TCP, 80);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);
    v = ask(state, a, a);
    assert_int_equal(v.verdict, VERDICT_ALLOW);
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_SELF);
    EXPECT_SIDE(v, DIRECTION_EGRESS, VERDICT_ALLOW, REASON_SELF);
    verdict_done(&v);
    v = ask(state, pod_end(state, "x", "new"), pod_end(state, "x", "new"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_ALLOW, REASON_SELF);
    verdict_done(&v);
    // A pod that no node is known of has no own node.
    add_pod(state, "x", "nowhere", "", "10.0.0.8");
    v = ask(state, address_end("192.168.0.1"), pod_end(state, "x", "nowhere"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);
}

static void test_ports(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    const struct policy_port ports[] = {
        {.kind = PORT_RANGE, .protocol = PROTOCOL_TCP, .first = 53, .last = 79},
        {.kind = PORT_NAME, .protocol = PROTOCOL_TCP, .name = "http"},
        {.kind = PORT_ALL, .protocol = PROTOCOL_SCTP},
        {.kind = PORT_UNREADABLE, .protocol = PROTOCOL_UDP},
    };
    const struct policy_rule rule = {.any_peer = true, .ports = ports, .n_ports = ARRAY_SIZE(ports)};
    add_policy(state, "x", "p", DIRECTION_EGRESS, &rule, 1);
    static const struct {
        const char *to;  // NULL: y/c
        uint8_t protocol;
        uint16_t port;
        enum verdict want;
    } rows[] = {
        {NULL, PROTOCOL_TCP, 52, VERDICT_DENY},
        {NULL, PROTOCOL_TCP, 53, VERDICT_ALLOW},
        {NULL, PROTOCOL_TCP, 79, VERDICT_ALLOW},
        {NULL, PROTOCOL_TCP, 80, VERDICT_ALLOW},
        {NULL, PROTOCOL_TCP, 81, VERDICT_DENY},
        {NULL, PROTOCOL_UDP, 60, VERDICT_DENY},
        {NULL, PROTOCOL_SCTP, 0, VERDICT_ALLOW},
        {NULL, PROTOCOL_SCTP, 65535, VERDICT_ALLOW},
        {NULL, 1, 0, VERDICT_DENY},
        {"8.8.8.8", PROTOCOL_TCP, 80, VERDICT_DENY},
        {"8.8.8.8", PROTOCOL_TCP, 53, VERDICT_ALLOW},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct endpoint to = rows[i].to ? address_end(rows[i].to) : pod_end(state, "y", "c");
        struct connection_verdict v =
            ask_with(state, &defaults, pod_end(state, "x", "a"), to, rows[i].protocol, rows[i].port);
        if (v.verdict != rows[i].want) {
            fail_msg("row %zu: %s", i, verdict_name(v.verdict));
        }
        verdict_done(&v);
    }
}

// Parts that could not be read grant nothing, and isolate all the same.
static void test_unreadable_parts(void **unused)
{
    (void)unused;
    const struct requirement known = {.key = "app", .op = SELECTOR_EXISTS};
    const struct requirement alien = {.key = "app", .op = SELECTOR_UNKNOWN};
    const struct peer halves = {
        .kind = PEER_PODS, .has_pod_selector = true, .pod_selector = {.v = &known, .n = 1, .unreadable = true}};
    const struct peer empty = {.kind = PEER_PODS};
    const struct peer ns_half = {.kind = PEER_PODS, .has_ns_selector = true, .ns_selector.unreadable = true};
    const struct policy_port port = {.kind = PORT_UNREADABLE};
    const struct policy_rule rules[] = {
        {.unreadable = true, .any_peer = true, .any_port = true},
        {.peers = &halves, .n_peers = 1, .any_port = true},
        {.peers = &empty, .n_peers = 1, .any_port = true},
        {.peers = &ns_half, .n_peers = 1, .any_port = true},
        {.peers = &unreadable_peer, .n_peers = 1, .any_port = true},
        {.any_peer = true, .ports = &port, .n_ports = 1},
        {.any_peer = true},  // a list of ports of which nothing is left
        {.any_port = true},  // a list of peers of which nothing is left
    };
    CLEANUP(state_free) struct state *state = usual();
    add_policy(state, "x", "p", DIRECTION_INGRESS, rules, ARRAY_SIZE(rules));
    struct connection_verdict v = ask(state, pod_end(state, "x", "b"), pod_end(state, "x", "a"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);
    // An unknown operator in the subject: the known requirements select, nothing is granted.
    const struct requirement both[] = {known, alien};
    struct policy policy = {.meta = meta("y", "q", NULL),
                            .subject = {.v = both, .n = 2, .unreadable = true},
                            .isolates = {[DIRECTION_INGRESS] = true},
                            .rules = {[DIRECTION_INGRESS] = &anything},
                            .n_rules = {[DIRECTION_INGRESS] = 1},
                            .grants_nothing = true};
    assert_true(state_put_policy(state, policy_dup(&policy), NULL) >= 0);
    v = ask(state, pod_end(state, "x", "b"), pod_end(state, "y", "c"));
    EXPECT_SIDE(v, DIRECTION_INGRESS, VERDICT_DENY, REASON_NO_RULE);
    verdict_done(&v);
}

static bool passes(struct state *state, const struct policy_options *options, const struct packet *packet)
{
    bool allowed;
    assert_int_equal(evaluate_packet(state, "n1", NULL, options, packet, &allowed, NULL), 0);
    return allowed;
}

static struct packet packet(const char *source, const char *destination)
{
    return (struct packet){
        .source = address(source), .destination = address(destination), .protocol = PROTOCOL_TCP, .port = 80};
}

// x is closed both ways; n1 enforces x/a and x/b only.
static struct state *closed(void)
{
    struct state *state = usual();
    add_policy(state, "x", "in", DIRECTION_INGRESS, NULL, 0);
    add_policy(state, "x", "out", DIRECTION_EGRESS, NULL, 0);
    add_policy(state, "y", "in", DIRECTION_INGRESS, NULL, 0);
    add_policy(state, "y", "out", DIRECTION_EGRESS, NULL, 0);
    return state;
}

static void test_packet_ends(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = closed();
    struct packet p = packet("10.0.0.1", "8.8.8.8");
    assert_false(passes(state, &defaults, &p));
    p = packet("8.8.8.8", "10.0.0.1");
    assert_false(passes(state, &defaults, &p));
    // y/c lives on another node, which judges it.
    p = packet("10.0.1.3", "8.8.8.8");
    assert_true(passes(state, &defaults, &p));
    p = packet("8.8.8.8", "10.0.1.3");
    assert_true(passes(state, &defaults, &p));
    p = packet("8.8.8.8", "9.9.9.9");
    assert_true(passes(state, &defaults, &p));
    // A node's address as source in FORWARD is forged.
    p = packet("192.168.0.1", "10.0.0.1");
    p.source_is_node = true;
    assert_false(passes(state, &defaults, &p));
}

static void test_packet_arrivals(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = closed();
    struct packet p = packet("10.0.0.1", "192.168.0.1");
    p.arrival = ARRIVAL_TO_NODE;
    assert_false(passes(state, &defaults, &p));
    assert_true(passes(state, &host_egress, &p));
    p.arrival = ARRIVAL_FORWARD;
    assert_false(passes(state, &host_egress, &p));
    p = packet("192.168.0.1", "10.0.0.1");
    p.arrival = ARRIVAL_FROM_NODE;
    p.source_is_node = true;
    assert_true(passes(state, &defaults, &p));
    p = packet("8.8.8.8", "192.168.0.1");
    p.arrival = ARRIVAL_TO_NODE;
    assert_true(passes(state, &defaults, &p));
    // What ends at the node has no receiving pod.
    p = packet("8.8.8.8", "10.0.0.1");
    p.arrival = ARRIVAL_TO_NODE;
    assert_true(passes(state, &defaults, &p));
}

static void test_packet_self(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = closed();
    struct packet p = packet("10.0.0.1", "10.0.0.1");
    assert_false(passes(state, &defaults, &p));
    p.dnat = true;
    assert_true(passes(state, &defaults, &p));
    p = packet("10.0.0.1", "10.0.0.2");
    p.dnat = true;
    assert_false(passes(state, &defaults, &p));
}

static void test_packet_conntrack(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = closed();
    static const struct {
        enum ct_state ct;
        uint8_t protocol;
        bool want;
    } rows[] = {
        {(enum ct_state)0, PROTOCOL_TCP, false},
        {CT_NEW, PROTOCOL_TCP, false},
        {CT_ESTABLISHED, PROTOCOL_TCP, true},
        {CT_RELATED, PROTOCOL_TCP, false},
        {CT_RELATED, 1, true},
        {CT_RELATED, 58, false},
        {CT_INVALID, PROTOCOL_TCP, false},
        {CT_UNTRACKED, PROTOCOL_TCP, false},
        {CT_UNTRACKED, 1, false},
        {CT_NEW, 1, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct packet p = packet("10.0.0.1", "8.8.8.8");
        p.ct = rows[i].ct;
        p.protocol = rows[i].protocol;
        if (passes(state, &defaults, &p) != rows[i].want) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_packet_neighbour_discovery(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = closed();
    add_pod(state, "x", "six", "n1", "fd00::6");
    static const struct {
        uint8_t type;
        uint8_t hop_limit;
        bool want;
    } rows[] = {
        {132, 255, false}, {133, 255, true}, {135, 255, true}, {137, 255, true},  {138, 255, false}, {135, 254, false},
        {135, 64, false},  {135, 0, false},  {135, 1, false},  {130, 1, true},    {131, 1, true},    {132, 1, true},
        {143, 1, true},    {143, 2, false},  {129, 1, false},  {128, 255, false}, {144, 1, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int arrival = ARRIVAL_FORWARD; arrival <= ARRIVAL_TO_NODE; arrival++) {
            // MLD is multicast; sent to one address it is a carrier (a router hands it on with hop limit 1).
            bool mld = rows[i].want && rows[i].hop_limit == 1;
            struct packet p = packet("fd00::6", mld ? "ff02::16" : "fd00::7");
            p.arrival = (enum arrival)arrival;
            p.protocol = 58;
            p.port = 0;
            p.icmp_type = rows[i].type;
            p.hop_limit = rows[i].hop_limit;
            if (passes(state, &defaults, &p) != rows[i].want) {
                fail_msg("row %zu", i);
            }
            p.destination = packet("fd00::6", "fd00::7").destination;
            if (passes(state, &defaults, &p) != (rows[i].want && !mld)) {
                fail_msg("row %zu to one address", i);
            }
        }
    }
    struct packet p = packet("10.0.0.1", "8.8.8.8");
    p.protocol = 58;
    p.icmp_type = 135;
    p.hop_limit = 255;
    assert_false(passes(state, &defaults, &p));
}

// Two pods claim one address: only the owner is judged and matched by it (2.5).
static void test_packet_ownership(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = usual();
    add_pod(state, "w", "old", "n1", "10.0.0.1");
    add_policy(state, "w", "out", DIRECTION_EGRESS, NULL, 0);
    struct packet p = packet("10.0.0.1", "8.8.8.8");
    assert_true(passes(state, &defaults, &p));
    assert_int_equal(state_remove(state, OBJECT_POD, "x", "a", ""), STATE_REMOVED);
    assert_false(passes(state, &defaults, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_open_and_no_pod),
        cmocka_unit_test(test_first_rule_is_reported),
        cmocka_unit_test(test_denied_side),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_deny_wins_over_unknown),
        cmocka_unit_test(test_own_node_and_self),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_unreadable_parts),
        cmocka_unit_test(test_packet_ends),
        cmocka_unit_test(test_packet_arrivals),
        cmocka_unit_test(test_packet_self),
        cmocka_unit_test(test_packet_conntrack),
        cmocka_unit_test(test_packet_neighbour_discovery),
        cmocka_unit_test(test_packet_ownership),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
