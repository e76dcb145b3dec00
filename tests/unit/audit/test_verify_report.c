// SPDX-License-Identifier: Apache-2.0
//
// What `netpolctl verify` prints, from proofs made by hand: every kind of counterexample, as text and as JSON.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "audit/verify_report.h"
#include "decode/decode.h"
#include "policy/compile.h"

static const char cluster[] =
    "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: "
    "172.16.0.1}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x, labels: {app: web}},\n"
    " spec: {nodeName: n1}, status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: shut, namespace: x, labels: {app: shut}},\n"
    " spec: {nodeName: n2}, status: {phase: Running, podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}}\n"
    "---\n"
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: x},\n"
    " spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}}\n"
    "---\n"
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: x},\n"
    " spec: {podSelector: {matchLabels: {app: shut}}, policyTypes: [Egress]}}\n";

static struct state *state;
static struct ruleset *rules;
static const struct policy_options options;

static int put(enum object_kind kind, void *object, void *arg, struct err *err)
{
    (void)arg;
    return state_put(state, kind, object, err) < 0 ? -1 : 0;
}

static int setup(void **unused)
{
    (void)unused;
    struct diagnostics DIAGNOSTICS_CLEANUP diagnostics = {0};
    struct decode_stats stats;
    struct err err = {0};
    if (state_new(&state, &err) < 0 ||
        decode_text(cluster, strlen(cluster), "c.yaml", put, NULL, &diagnostics, &stats, &err) < 0 ||
        compile_ruleset(state, "n1", NULL, &options, &rules, NULL, &err) < 0) {
        return -1;
    }
    return diagnostics.list.n == 0 ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    ruleset_free(rules);
    state_free(state);
    return 0;
}

static struct address at(const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    return address;
}

static struct packet tcp(const char *source, const char *destination, uint16_t port)
{
    return (struct packet){.source = at(source), .destination = at(destination), .protocol = 6, .port = port};
}

// The report of a proof with these counterexamples; caller frees.
static char *write_report(struct verify_report *report, struct verify_example *examples, size_t n, bool json)
{
    struct verify_result result = {
        .classes = 1234, .differing = n, .pods = 2, .pairs = 1, .cells = 17, .examples = examples, .n_examples = n};
    const struct verify_input input = {.state = state, .node = "n1", .options = &options, .ruleset = rules};
    struct buf out = {0};
    struct err err = {0};
    report->input = &input;
    if (!report->result) {
        report->result = &result;
    }
    report->milliseconds = 1230;
    assert_int_equal(json ? verify_report_json(report, &out, &err) : verify_report_text(report, false, &out, &err), 0);
    char *text = buf_take(&out);
    assert_non_null(text);
    return text;
}

static void want_text(struct verify_report *report, struct verify_example *examples, size_t n, const char *want)
{
    CLEANUP(free) char *text = write_report(report, examples, n, false);
    assert_string_equal(text, want);
}

// The text of one counterexample holds every part (a NULL ends them).
static void example_says(struct packet packet, int wanted, ...)
{
    struct verify_example example = {.packet = packet, .wanted = wanted != 0, .got = wanted == 0};
    struct verify_report report = {0};
    CLEANUP(free) char *text = write_report(&report, &example, 1, false);
    assert_false(verify_report_proven(&(struct verify_report){.result = &(struct verify_result){.differing = 1}}));
    va_list parts;
    va_start(parts, wanted);
    for (const char *part = va_arg(parts, const char *); part; part = va_arg(parts, const char *)) {
        if (!strstr(text, part)) {
            fail_msg("%s\n  lacks %s", text, part);
        }
    }
    va_end(parts);
}

static void a_proof_is_one_line(void **unused)
{
    (void)unused;
    struct verify_report report = {0};
    want_text(&report, NULL, 0,
              "proven: 1234 packet classes (2 addresses of local pods, 1 pair of them, both families) in 1.230 s, "
              "0 counterexamples\n");
}

static void a_counterexample_is_told_from_both_sides(void **unused)
{
    (void)unused;
    struct verify_example example = {.packet = tcp("10.0.0.2", "10.0.0.1", 81), .got = true};
    struct verify_report report = {0};
    CLEANUP(free) char *text = write_report(&report, &example, 1, false);
    const char want[] =
        "NOT proven: 1234 packet classes (2 addresses of local pods, 1 pair of them, both families) in 1.230 s, "
        "1 counterexample\n"
        "\n"
        "1. x/shut (10.0.0.2) -> x/web (10.0.0.1), TCP port 81, forwarded\n"
        "   policies: deny\n"
        "     egress  -       on another node, n2: judged there\n"
        "     ingress deny    isolated by x/web; no rule of theirs allows it\n"
        "   rules: allow\n"
        "     FORWARD: -j NETPOL-ENCAP\n"
        "     FORWARD: -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD\n";
    assert_memory_equal(text, want, strlen(want));
    // The last rule walked is the one that decides.
    assert_non_null(strstr(text, "NETPOL-DROP: -j DROP\n"));
}

static void packets_are_described(void **unused)
{
    (void)unused;
    struct packet packet = tcp("fd00::2", "fd00::1", 80);
    packet.ct = CT_INVALID;
    packet.dnat = true;
    memcpy(packet.in, "cni0", 5);
    memcpy(packet.out, "veth1", 6);
    example_says(packet, true,
                 "x/shut (fd00::2) -> x/web (fd00::1), TCP port 80, forwarded, in by cni0, out by veth1, conntrack "
                 "state INVALID, destination translated\n",
                 "ingress allow   x/web, ingress rule 0 allows it (c.yaml:", NULL);
    packet = (struct packet){.source = at("10.0.0.1"),
                             .destination = at("172.16.0.1"),
                             .protocol = 1,
                             .icmp_type = 8,
                             .hop_limit = 3,
                             .arrival = ARRIVAL_TO_NODE};
    example_says(packet, true, "x/web (10.0.0.1) -> node:n1 (172.16.0.1), ICMP type 8, to the node itself, TTL 3\n",
                 NULL);
    packet = (struct packet){.source = at("203.0.113.9"), .destination = at("10.0.0.1"), .protocol = 47};
    example_says(packet, false, "203.0.113.9 -> x/web (10.0.0.1), protocol 47, forwarded\n",
                 "egress  allow   not a pod; no policy applies to this end\n", NULL);
    packet = tcp("172.16.0.1", "10.0.0.1", 80);
    packet.arrival = ARRIVAL_FROM_NODE;
    packet.source_is_node = true;
    example_says(packet, true, "from the node itself, the source is the node's own\n", "between a pod and its own node",
                 "no rule of ours matches it", NULL);
}

static void what_no_policy_decides_is_said(void **unused)
{
    (void)unused;
    // A node's address that is forwarded is forged: it is judged as an address, and named as the node all the same.
    example_says(tcp("172.16.0.1", "10.0.0.1", 81), false, "node:n1 (172.16.0.1) -> x/web", "isolated by x/web", NULL);
    struct packet packet = tcp("10.0.0.2", "10.0.0.1", 81);
    packet.ct = CT_ESTABLISHED;
    example_says(packet, true, "conntrack state ESTABLISHED", "but an established connection passes unjudged", NULL);
    example_says(tcp("10.0.0.1", "10.0.0.1", 81), false, "a pod always reaches itself", "but its source is forged",
                 NULL);
}

static void guards_and_free_passes_are_told(void **unused)
{
    (void)unused;
    example_says(tcp("fe80::1", "fe80::2", 0), false, "but link-local addresses are no way round a policy", NULL);
    struct packet packet = {.source = at("fd00::1"), .destination = at("ff02::1"), .protocol = 58, .icmp_type = 135};
    example_says(packet, false, "ICMPv6 type 135", "but it is no true neighbour discovery", NULL);
    packet = (struct packet){.source = at("10.0.0.2"), .destination = at("10.0.0.1"), .protocol = 1, .ct = CT_RELATED};
    example_says(packet, true, "but an error that belongs to a flow passes unjudged", NULL);
    packet = (struct packet){
        .source = at("fd00::2"), .destination = at("fd00::1"), .protocol = 58, .icmp_type = 135, .hop_limit = 255};
    example_says(packet, true, "hop limit 255", "but neighbour and listener discovery pass unjudged", NULL);
    packet = tcp("10.0.0.2", "10.0.0.1", 81);
    packet.arrival = ARRIVAL_FROM_NODE;
    example_says(packet, true, "but what the node sends passes unjudged", NULL);
    packet = tcp("10.0.0.2", "10.0.0.1", 81);
    packet.arrival = ARRIVAL_TO_NODE;
    example_says(packet, true, "but it passes unjudged on this way", NULL);
}

static void what_is_left_out_of_the_proof_is_named(void **unused)
{
    (void)unused;
    struct finding others[] = {{"IPv4 filter FORWARD rule 1", "-j DOCKER-USER"},
                               {"IPv6 filter INPUT rule 1", "-j ACCEPT"}};
    struct finding odd[] = {{"IPv4 filter NETPOL-X rule 1", "match \"string\" is not known"}};
    const struct findings outside = {.v = others, .n = ARRAY_SIZE(others), .more = 7};
    const struct findings unprovable = {.v = odd, .n = 1};
    struct verify_report report = {.outside = &outside, .foreign_rules = true, .facts = VERIFY_FACTS_UNKNOWN};
    want_text(&report, NULL, 0,
              "proven: 1234 packet classes (2 addresses of local pods, 1 pair of them, both families) in 1.230 s, "
              "0 counterexamples\n"
              "\noutside of this proof, rules of others that may decide before ours:\n"
              "  IPv4 filter FORWARD rule 1: -j DOCKER-USER\n"
              "  IPv6 filter INPUT rule 1: -j ACCEPT\n"
              "  and 7 more\n"
              "\nnote: without host facts, guards that need interface names were judged as absent; "
              "give --facts FILE (netpold --print-facts)\n");
    report = (struct verify_report){.unprovable = &unprovable, .foreign_rules = true, .facts = VERIFY_FACTS_FILE};
    want_text(&report, NULL, 0,
              "NOT proven: 1234 packet classes (2 addresses of local pods, 1 pair of them, both families) in 1.230 s, "
              "0 counterexamples\n"
              "\nours, and not to be judged:\n"
              "  IPv4 filter NETPOL-X rule 1: match \"string\" is not known\n");
}

static void the_rest_is_counted(void **unused)
{
    (void)unused;
    struct verify_example example = {.packet = tcp("10.0.0.2", "10.0.0.1", 81), .got = true};
    const struct verify_result result = {.classes = 9, .differing = 5, .examples = &example, .n_examples = 1};
    struct verify_report report = {.result = &result};
    CLEANUP(free) char *text = write_report(&report, NULL, 0, false);
    assert_non_null(strstr(text, "\n5 classes differ in all; above stand 1, one for each end, "));
}

static void json_has_every_key_in_order(void **unused)
{
    (void)unused;
    struct finding others[] = {{"IPv4 raw PREROUTING rule 1", "-j \"A\""}};
    const struct findings outside = {.v = others, .n = 1, .more = 2};
    struct verify_report report = {.outside = &outside, .facts = VERIFY_FACTS_LIVE};
    CLEANUP(free) char *text = write_report(&report, NULL, 0, true);
    assert_string_equal(text, "{\"node\":\"n1\",\"verdict\":\"proven\",\"classes\":1234,\"differing\":0,\"pods\":2,"
                              "\"pairs\":1,\"cells\":17,\"seconds\":1.230,\"facts\":\"live\",\"counterexamples\":[],"
                              "\"outside\":[{\"where\":\"IPv4 raw PREROUTING rule 1\",\"what\":\"-j \\\"A\\\"\"},"
                              "{\"more\":2}],\"unprovable\":[],\"jumps\":[]}\n");
}

static void json_tells_a_counterexample(void **unused)
{
    (void)unused;
    struct packet packet = tcp("172.16.0.1", "10.0.0.1", 81);
    packet.hop_limit = 255;
    memcpy(packet.in, "cni0", 5);
    struct verify_example examples[] = {{.packet = packet, .got = true},
                                        {.packet = {.source = at("fd00::1"),
                                                    .destination = at("fd00::2"),
                                                    .protocol = 58,
                                                    .icmp_type = 128,
                                                    .ct = CT_RELATED},
                                         .wanted = true}};
    struct verify_report report = {0};
    CLEANUP(free) char *text = write_report(&report, examples, 2, true);
    static const char *const parts[] = {
        "\"counterexamples\":[{\"packet\":{\"arrival\":\"forward\",\"family\":4,\"from\":\"node:n1\",\"to\":\"x/web\","
        "\"source\":\"172.16.0.1\",\"destination\":\"10.0.0.1\",\"protocol\":\"TCP\",\"port\":81,\"hopLimit\":255,"
        "\"state\":\"NEW\",\"dnat\":false,\"sourceIsNode\":false,\"in\":\"cni0\"},\"policies\":\"deny\","
        "\"rules\":\"allow\",\"answer\":{\"verdict\":\"deny\",\"egress\":{\"verdict\":\"allow\",\"isolated\":false,"
        "\"policies\":[],\"reason\":\"no-pod\"},\"ingress\":{\"verdict\":\"deny\",\"isolated\":true,\"policies\":["
        "\"x/web\"],\"reason\":\"no-rule\"}},\"walk\":[\"FORWARD: -j NETPOL-ENCAP\",\"FORWARD: -m conntrack ! "
        "--ctstate ESTABLISHED -j "
        "NETPOL-FORWARD\",",
        "\"NETPOL-DROP: -j DROP\"]},{\"packet\":{\"arrival\":\"forward\",\"family\":6,\"from\":\"x/web\",\"to\":"
        "\"x/shut\",\"source\":\"fd00::1\",\"destination\":\"fd00::2\",\"protocol\":\"ICMPv6\",\"icmpType\":128,"
        "\"state\":\"RELATED\",\"dnat\":false,\"sourceIsNode\":false},\"policies\":\"allow\",\"rules\":\"deny\","
        "\"answer\":{\"verdict\":\"allow\","};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (!strstr(text, parts[i])) {
            fail_msg("%s\n  lacks %s", text, parts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_is_one_line),
        cmocka_unit_test(a_counterexample_is_told_from_both_sides),
        cmocka_unit_test(packets_are_described),
        cmocka_unit_test(what_no_policy_decides_is_said),
        cmocka_unit_test(guards_and_free_passes_are_told),
        cmocka_unit_test(what_is_left_out_of_the_proof_is_named),
        cmocka_unit_test(the_rest_is_counted),
        cmocka_unit_test(json_has_every_key_in_order),
        cmocka_unit_test(json_tells_a_counterexample),
    };
    return cmocka_run_group_tests_name("verify_report", tests, setup, teardown);
}
