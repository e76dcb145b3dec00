// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <string.h>

#include "flow/revoke.h"
#include "support/build.h"
#include "support/conntrack_fill.h"

// Which flows the policies deny, judged on node n1 of the world of build.h: x/a 10.0.1.1, x/b 10.0.1.2 and y/a 10.0.2.1
// are its pods, x/c 10.0.1.3 and z/c 10.0.3.3 are not. Its own addresses: 192.168.0.1, and the bridge's 10.0.0.254.

static const char facts_text[] = "{\"interfaces\":["
                                 "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.254\"]},"
                                 "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[\"192.168.0.1\",\"fd00:168::1\"]}%s],"
                                 "\"routes\":[{\"prefix\":\"10.0.0.0/16\",\"device\":\"cni0\"}],"
                                 "\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"},\"ipvs\":%s}";

static struct facts *facts_of(const char *text)
{
    struct facts *facts;
    struct err err = {0};
    if (facts_parse_json(text, strlen(text), "facts", &facts, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    return facts;
}

static struct facts *some_facts(bool ipvs)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), facts_text,
                     ipvs ? ",{\"name\":\"kube-ipvs0\",\"kind\":\"dummy\",\"addresses\":[\"10.96.0.1\"]}" : "",
                     ipvs ? "true" : "false");
    assert_in_range(n, 1, sizeof(text) - 1);
    return facts_of(text);
}

static const char policies[] =
    POLICY("x", "web",
           "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: "
           "{matchLabels: {ns: y}}}], ports: [{port: 80}, {port: 80, protocol: UDP}, {port: 80, protocol: SCTP}]}]}")
        POLICY("x", "out",
               "{podSelector: {matchLabels: {pod: b}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "
               "10.0.3.0/24}}]}]}");

struct row {
    const char *source;
    const char *destination;
    const char *translated;  // the answers' source; NULL: the destination
    uint8_t protocol;
    uint16_t port;
    uint16_t target;  // after translation
    uint32_t status;
    bool denied;
};

static struct flow flow_of(const struct row *row)
{
    struct flow flow = conntrack_flow(row->source, row->destination, row->protocol, 40000, row->port);
    if (row->translated) {
        assert_true(address_parse(row->translated, &flow.reply.source));
        flow.reply.source_port = row->target;
    }
    flow.status = row->status;
    return flow;
}

static enum revoke_verdict judge(struct state *state, const struct facts *facts, const struct policy_options *options,
                                 const struct flow *flow)
{
    enum revoke_verdict verdict;
    enum revoke_verdict cached;
    struct revoke_cache *cache;
    struct err err = {0};
    if (revoke_judge(state, "n1", facts, options, flow, &verdict, &err) < 0 || revoke_cache_new(&cache, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(revoke_judge_cached(cache, state, "n1", facts, options, flow, &cached, &err), 0);
        assert_int_equal(cached, verdict);
    }
    revoke_cache_free(cache);
    return verdict;
}

static void prove(const struct row *rows, size_t n, bool ipvs, const struct policy_options *options)
{
    CLEANUP(state_free) struct state *state = build_world(policies);
    CLEANUP(facts_free) struct facts *facts = some_facts(ipvs);
    for (size_t i = 0; i < n; i++) {
        const struct flow flow = flow_of(&rows[i]);
        if ((judge(state, facts, options, &flow) == REVOKE_DENIED) != rows[i].denied) {
            fail_msg("row %zu: %s > %s", i, rows[i].source, rows[i].destination);
        }
    }
}

static void test_ends(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {"10.0.2.1", "10.0.1.1", NULL, 6, 80, 0, 0, false},
        {"10.0.2.1", "10.0.1.1", NULL, 6, 81, 0, 0, true},
        {"10.0.2.1", "10.0.1.1", NULL, 17, 80, 0, 0, false},
        {"10.0.2.1", "10.0.1.1", NULL, 132, 80, 0, 0, false},
        {"10.0.2.1", "10.0.1.1", NULL, 132, 81, 0, 0, true},
        {"10.0.2.1", "10.0.1.1", NULL, 47, 0, 0, 0, true},
        {"10.0.3.3", "10.0.1.1", NULL, 6, 80, 0, 0, true},
        {"203.0.113.1", "10.0.1.1", NULL, 6, 80, 0, 0, true},
        {"fd00::2:1", "fd00::1:1", NULL, 6, 80, 0, 0, false},
        {"fd00::3:1", "fd00::1:1", NULL, 6, 80, 0, 0, true},
        // An answer is of the entry's direction: what x/a began is not its ingress.
        {"10.0.1.1", "10.0.3.3", NULL, 6, 80, 0, 0, false},
        // Egress of x/b.
        {"10.0.1.2", "10.0.3.3", NULL, 6, 443, 0, 0, false},
        {"10.0.1.2", "10.0.2.1", NULL, 6, 443, 0, 0, true},
        {"10.0.1.2", "203.0.113.1", NULL, 17, 53, 0, 0, true},
        // Pods elsewhere, and nobody's addresses.
        {"10.0.3.3", "10.0.1.3", NULL, 6, 80, 0, 0, false},
        {"203.0.113.1", "203.0.113.2", NULL, 6, 80, 0, 0, false},
        {"192.168.0.1", "203.0.113.2", NULL, 6, 80, 0, 0, false},
    };
    static const struct policy_options defaults = {.revoke_mask = 1u << 27};
    prove(rows, ARRAY_SIZE(rows), false, &defaults);
}

static void test_services(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        // To x/a, port 80, behind a service's address and port.
        {"10.0.2.1", "10.96.0.1", "10.0.1.1", 6, 8080, 80, IPS_DST_NAT, false},
        {"10.0.2.1", "10.96.0.1", "10.0.1.1", 6, 80, 8080, IPS_DST_NAT, true},
        {"10.0.3.3", "10.96.0.1", "10.0.1.1", 6, 8080, 80, IPS_DST_NAT, true},
        // By a port of the node.
        {"203.0.113.1", "192.168.0.1", "10.0.1.1", 6, 30080, 80, IPS_DST_NAT, true},
        // x/b may reach 10.0.3.0/24 only, whatever the service is called.
        {"10.0.1.2", "10.96.0.1", "10.0.3.3", 6, 80, 80, IPS_DST_NAT, false},
        {"10.0.1.2", "10.0.3.9", "10.0.2.1", 6, 80, 80, IPS_DST_NAT, true},
        // To itself: only through a service.
        {"10.0.1.1", "10.96.0.1", "10.0.1.1", 6, 80, 80, IPS_DST_NAT, false},
        {"10.0.1.1", "10.0.1.1", NULL, 6, 80, 0, 0, true},
    };
    static const struct policy_options defaults = {.revoke_mask = 1u << 27};
    prove(rows, ARRAY_SIZE(rows), false, &defaults);
}

static void test_node(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        // The node reaches its pods; they reach it as their egress says.
        {"192.168.0.1", "10.0.1.1", NULL, 6, 443, 0, 0, false},
        {"10.0.0.254", "10.0.1.1", NULL, 6, 443, 0, 0, false},
        {"10.0.1.2", "192.168.0.1", NULL, 6, 443, 0, 0, true},
        {"10.0.1.2", "10.96.0.1", "192.168.0.1", 6, 443, 6443, IPS_DST_NAT, true},
        {"10.0.1.1", "192.168.0.1", NULL, 6, 443, 0, 0, false},
        // Another node is somebody else.
        {"192.168.0.2", "10.0.1.1", NULL, 6, 443, 0, 0, true},
    };
    static const struct policy_options defaults = {.revoke_mask = 1u << 27};
    prove(rows, ARRAY_SIZE(rows), false, &defaults);
    static const struct row allowed[] = {{"10.0.1.2", "192.168.0.1", NULL, 6, 443, 0, 0, false}};
    static const struct policy_options host_egress = {.revoke_mask = 1u << 27, .host_egress_allowed = true};
    prove(allowed, ARRAY_SIZE(allowed), false, &host_egress);
}

static void test_ipvs(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        // The first half, to the virtual address, and the same flow with its real server.
        {"10.0.1.2", "10.96.0.1", NULL, 6, 80, 0, 0, false},
        {"10.0.1.2", "10.96.0.1", "10.0.3.3", 6, 80, 80, IPS_DST_NAT, false},
        {"10.0.1.2", "10.96.0.1", "10.0.2.1", 6, 80, 80, IPS_DST_NAT, true},
        {"10.0.3.3", "10.96.0.1", "10.0.1.1", 6, 80, 80, 0, true},
        {"192.168.0.1", "10.96.0.1", "10.0.1.1", 6, 80, 80, IPS_DST_NAT, false},
        {"10.0.1.2", "192.168.0.1", NULL, 6, 443, 0, 0, true},
    };
    static const struct policy_options defaults = {.revoke_mask = 1u << 27};
    prove(rows, ARRAY_SIZE(rows), true, &defaults);
}

static void test_unknown_pods(void **unused)
{
    (void)unused;
    struct policy_options options = {.unknown_pods = UNKNOWN_PODS_DROP, .n_pod_cidrs = 1};
    assert_true(prefix_parse("10.0.0.0/16", &options.pod_cidrs[0]));
    static const struct row rows[] = {
        {"203.0.113.1", "10.0.7.7", NULL, 6, 80, 0, 0, true},     {"10.0.7.7", "203.0.113.1", NULL, 6, 80, 0, 0, true},
        {"203.0.113.1", "10.0.0.254", NULL, 6, 80, 0, 0, false},  {"203.0.113.1", "10.0.2.1", NULL, 6, 80, 0, 0, false},
        {"203.0.113.1", "203.0.113.2", NULL, 6, 80, 0, 0, false},
    };
    prove(rows, ARRAY_SIZE(rows), false, &options);
}

// A tunnel that a guard drops, begun before its end was known as a node.
static void test_tunnels(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = build_world(policies);
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    static const struct policy_options defaults;
    static const struct policy_options open = {.encap_allowed = true};
    const struct flow tunnel = conntrack_flow("10.0.2.1", "203.0.113.20", 17, 40000, 4789);
    const struct flow other_port = conntrack_flow("10.0.2.1", "203.0.113.20", 17, 40000, 4790);
    const struct flow elsewhere = conntrack_flow("10.0.2.1", "203.0.113.21", 17, 40000, 4789);
    const struct flow of_node = conntrack_flow("192.168.0.1", "203.0.113.20", 17, 40000, 4789);
    assert_int_equal(judge(state, facts, &defaults, &tunnel), REVOKE_PASS);
    build_apply(state, "---\n{apiVersion: v1, kind: Node, metadata: {name: n2}, spec: {}, status: {addresses: "
                       "[{type: InternalIP, address: 203.0.113.20}]}}\n");
    assert_int_equal(judge(state, facts, &defaults, &tunnel), REVOKE_DENIED);
    assert_int_equal(judge(state, facts, &defaults, &other_port), REVOKE_PASS);
    assert_int_equal(judge(state, facts, &defaults, &elsewhere), REVOKE_PASS);
    assert_int_equal(judge(state, facts, &defaults, &of_node), REVOKE_PASS);
    assert_int_equal(judge(state, facts, &open, &tunnel), REVOKE_PASS);
}

// An entry does not tell the port that its flow came by: a pod of whose addresses one has a known port and one has not
// is no forger of itself.
static void test_port_of_one_family(void **unused)
{
    (void)unused;
    static const char text[] = "{\"interfaces\":["
                               "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.254\"]},"
                               "{\"name\":\"veth2\",\"kind\":\"veth\",\"master\":\"cni0\",\"addresses\":[]},"
                               "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[\"192.168.0.1\"]}],"
                               "\"routes\":[{\"prefix\":\"10.0.0.0/16\",\"device\":\"cni0\"},"
                               "{\"prefix\":\"fd00::/64\",\"device\":\"cni0\"}],"
                               "\"ports\":[{\"address\":\"fd00::1:2\",\"port\":\"veth2\"}],"
                               "\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"},\"ipvs\":false}";
    CLEANUP(facts_free) struct facts *facts = facts_of(text);
    CLEANUP(state_free) struct state *state = build_world(policies);
    build_apply(state, "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: b, labels: {pod: b}}, spec: "
                       "{nodeName: n1}, status: {phase: Running, podIPs: [{ip: 10.0.1.2}, {ip: 'fd00::1:2'}]}}\n");
    static const struct policy_options enforced = {.source_guard = SOURCE_GUARD_ENFORCED};
    static const struct policy_options all = {.source_guard = SOURCE_GUARD_ALL};
    const struct flow allowed = conntrack_flow("10.0.1.2", "10.0.3.3", 17, 40000, 80);
    const struct flow denied = conntrack_flow("10.0.1.2", "10.0.2.1", 17, 40000, 80);
    assert_int_equal(judge(state, facts, &enforced, &allowed), REVOKE_PASS);
    assert_int_equal(judge(state, facts, &all, &allowed), REVOKE_PASS);
    assert_int_equal(judge(state, facts, &enforced, &denied), REVOKE_DENIED);
}

// Between link-local addresses: of the pods of a bridge, of a pod and the node's end of it, and of the node's uplink.
static void test_on_link(void **unused)
{
    (void)unused;
    static const char text[] = "{\"interfaces\":["
                               "{\"name\":\"cni0\",\"kind\":\"bridge\",\"addresses\":[\"10.0.0.254\",\"fe80::c\"]},"
                               "{\"name\":\"virbr0\",\"kind\":\"bridge\",\"addresses\":[\"fe80::d\"]},"
                               "{\"name\":\"eth0\",\"kind\":\"\",\"addresses\":[\"192.168.0.1\",\"fe80::e\"]}],"
                               "\"routes\":[{\"prefix\":\"10.0.0.0/16\",\"device\":\"cni0\"}],"
                               "\"bridgeNf\":{\"ipv4\":\"on\",\"ipv6\":\"on\"},\"ipvs\":false}";
    CLEANUP(facts_free) struct facts *facts = facts_of(text);
    CLEANUP(state_free) struct state *isolated = build_world(policies);
    CLEANUP(state_free) struct state *open = build_world("");
    static const struct policy_options defaults;
    static const struct policy_options host = {.host_egress_allowed = true};
    const struct flow pods = conntrack_flow("fe80::1", "fe80::2", 17, 40000, 80);
    const struct flow to_bridge = conntrack_flow("fe80::1", "fe80::c", 17, 40000, 80);
    const struct flow to_uplink = conntrack_flow("fe80::1", "fe80::e", 17, 40000, 80);
    const struct flow to_other = conntrack_flow("fe80::1", "fe80::d", 17, 40000, 80);
    const struct flow of_node = conntrack_flow("fe80::e", "fe80::1", 17, 40000, 80);
    assert_int_equal(judge(open, facts, &defaults, &pods), REVOKE_PASS);
    assert_int_equal(judge(open, facts, &defaults, &to_bridge), REVOKE_PASS);
    assert_int_equal(judge(isolated, facts, &defaults, &pods), REVOKE_DENIED);
    assert_int_equal(judge(isolated, facts, &defaults, &to_bridge), REVOKE_DENIED);
    assert_int_equal(judge(isolated, facts, &host, &to_bridge), REVOKE_PASS);
    assert_int_equal(judge(isolated, facts, &defaults, &to_uplink), REVOKE_PASS);
    assert_int_equal(judge(isolated, facts, &defaults, &to_other), REVOKE_PASS);
    assert_int_equal(judge(isolated, facts, &defaults, &of_node), REVOKE_PASS);
    // IPv4 has nothing of the kind: x/b may not go there, y/a may.
    const struct flow closed = conntrack_flow("10.0.1.2", "169.254.169.254", 6, 40000, 80);
    const struct flow metadata = conntrack_flow("10.0.2.1", "169.254.169.254", 6, 40000, 80);
    assert_int_equal(judge(isolated, facts, &defaults, &closed), REVOKE_DENIED);
    assert_int_equal(judge(isolated, facts, &defaults, &metadata), REVOKE_PASS);
}

static void test_icmp(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = build_world(policies);
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    static const struct policy_options defaults;
    struct flow flow = conntrack_flow("10.0.2.1", "10.0.1.1", 1, 0, 0);
    flow.original.icmp_type = 8;
    assert_int_equal(judge(state, facts, &defaults, &flow), REVOKE_DENIED);
    flow = conntrack_flow("10.0.1.2", "10.0.3.3", 1, 0, 0);
    flow.original.icmp_type = 8;
    assert_int_equal(judge(state, facts, &defaults, &flow), REVOKE_PASS);
    // A mark that is there already says nothing.
    facts->revoked[FAMILY_V4] = true;
    flow.mark = UINT32_MAX;
    static const struct policy_options revoking = {.revoke_mask = 1u << 27};
    assert_int_equal(judge(state, facts, &revoking, &flow), REVOKE_PASS);
}

// The address is judged by who has it now.
static void test_reused_address(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = build_world(policies);
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    static const struct policy_options defaults;
    struct flow to_a = conntrack_flow("10.0.3.3", "10.0.2.1", 6, 40000, 80);
    assert_int_equal(judge(state, facts, &defaults, &to_a), REVOKE_PASS);
    assert_int_equal(state_remove(state, OBJECT_POD, "y", "a", ""), STATE_REMOVED);
    assert_int_equal(judge(state, facts, &defaults, &to_a), REVOKE_PASS);
    build_apply(state, "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: x, name: new, labels: {pod: a}}, spec: "
                       "{nodeName: n1}, status: {phase: Running, podIP: 10.0.2.1}}\n");
    assert_int_equal(judge(state, facts, &defaults, &to_a), REVOKE_DENIED);
    // What the pod that is gone had begun with a pod that is there.
    struct flow from_a = conntrack_flow("10.0.2.1", "10.0.1.1", 6, 40000, 80);
    assert_int_equal(judge(state, facts, &defaults, &from_a), REVOKE_DENIED);
}

static void test_cache(void **unused)
{
    (void)unused;
    CLEANUP(state_free) struct state *state = build_world(policies);
    CLEANUP(facts_free) struct facts *facts = some_facts(false);
    static const struct policy_options defaults;
    struct err err = {0};
    struct revoke_cache *cache;
    assert_int_equal(revoke_cache_new(&cache, &err), 0);
    enum revoke_verdict verdict;
    // The source port takes no part; the rest does.
    const struct row allowed = {"10.0.2.1", "10.0.1.1", NULL, 6, 80, 0, 0, false};
    struct flow flow = flow_of(&allowed);
    assert_int_equal(revoke_judge_cached(cache, state, "n1", facts, &defaults, &flow, &verdict, &err), 0);
    assert_int_equal(verdict, REVOKE_PASS);
    assert_int_equal(state_remove(state, OBJECT_POLICY, "x", "web", ""), STATE_REMOVED);
    build_apply(state, POLICY("x", "none", "{podSelector: {}, policyTypes: [Ingress]}"));
    flow.original.source_port = flow.reply.destination_port = 40001;
    assert_int_equal(revoke_judge_cached(cache, state, "n1", facts, &defaults, &flow, &verdict, &err), 0);
    assert_int_equal(verdict, REVOKE_PASS);
    flow.reply.source_port = 81;
    assert_int_equal(revoke_judge_cached(cache, state, "n1", facts, &defaults, &flow, &verdict, &err), 0);
    assert_int_equal(verdict, REVOKE_DENIED);
    flow.reply.source_port = 80;
    revoke_cache_clear(cache);
    assert_int_equal(revoke_judge_cached(cache, state, "n1", facts, &defaults, &flow, &verdict, &err), 0);
    assert_int_equal(verdict, REVOKE_DENIED);
    revoke_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_node),
        cmocka_unit_test(test_ipvs),
        cmocka_unit_test(test_unknown_pods),
        cmocka_unit_test(test_tunnels),
        cmocka_unit_test(test_port_of_one_family),
        cmocka_unit_test(test_on_link),
        cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_reused_address),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
