// SPDX-License-Identifier: Apache-2.0
//
// The settled points of `netpolctl check` (DESIGN 7), one by one, on a small cluster.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "audit/check.h"
#include "decode/decode.h"

static const char cluster[] =
    "{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: "
    "172.16.0.1}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x, labels: {app: web}},\n"
    " spec: {nodeName: n1}, status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: x},\n"
    " spec: {nodeName: n1}, status: {phase: Running, podIPs: [{ip: 'fd00::2'}, {ip: 10.0.0.2}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: four, namespace: x},\n"
    " spec: {nodeName: n2}, status: {phase: Running, podIP: 10.0.0.4}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: file, namespace: x}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: x},\n"
    " spec: {nodeName: n1, hostNetwork: true}, status: {phase: Running, podIP: 172.16.0.1}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: x},\n"
    " spec: {nodeName: n1}, status: {phase: Failed, podIP: 10.0.0.9}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: block, namespace: x, labels: {app: block}},\n"
    " spec: {nodeName: n1}, status: {phase: Running, podIPs: [{ip: 10.0.0.7}, {ip: 'fd00::7'}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: shut, namespace: x, labels: {app: shut}},\n"
    " spec: {nodeName: n9}, status: {phase: Running, podIPs: [{ip: 10.0.0.8}, {ip: 'fd00::8'}]}}\n"
    "---\n"
    "{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: x},\n"
    " spec: {nodeName: n9, hostNetwork: true}, status: {phase: Running, podIP: 172.16.0.9}}\n"
    "---\n"
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: block, namespace: x},\n"
    " spec: {podSelector: {matchLabels: {app: block}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}],\n"
    "   ports: [{port: 90}]}, {from: [{ipBlock: {cidr: 198.51.100.0/24}}], ports: [{port: 91}]}]}}\n"
    "---\n"
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: shut, namespace: x},\n"
    " spec: {podSelector: {matchLabels: {app: shut}}, policyTypes: [Ingress, Egress]}}\n"
    "---\n"
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: x},\n"
    " spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}},\n"
    "   {ipBlock: {cidr: 'fd00::/64'}}], ports: [{port: 80}]}, {ports: [{port: 81}]}]}}\n";

static struct state *state;

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
        decode_text(cluster, strlen(cluster), "c.yaml", put, NULL, &diagnostics, &stats, &err) < 0) {
        return -1;
    }
    return diagnostics.list.n == 0 ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    state_free(state);
    return 0;
}

// Asks one line; the answer must hold every part (a NULL ends them). Returns check_line's code.
static void ask(int want, const char *line, ...)
{
    struct buf BUF_CLEANUP out = {0};
    struct err err = {0};
    const struct policy_options options = {0};
    int rc = check_line(state, &options, "x", line, strlen(line), 5, &out, &err);
    va_list parts;
    va_start(parts, line);
    for (const char *part = va_arg(parts, const char *); part; part = va_arg(parts, const char *)) {
        if (!strstr(out.data, part)) {
            fail_msg("%s\n  answered %s  which lacks %s", line, out.data, part);
        }
    }
    va_end(parts);
    if (rc != want) {
        fail_msg("%s: returned %d, not %d: %s", line, rc, want, out.data);
    }
}
#define ANSWER(line, ...) ask(0, "{" line "}", "{" line ",\"verdict\":", __VA_ARGS__, NULL)
#define REFUSE(line, ...) ask(1, line, "{\"error\":", "\"line\":5}", __VA_ARGS__, NULL)

static void ends_are_found(void **unused)
{
    (void)unused;
    ANSWER("\"from\":\"192.0.2.9\",\"to\":\"x/a\",\"port\":80", "\"verdict\":\"allow\",\"egress\"",
           "\"ingress\":{\"verdict\":\"allow\",\"isolated\":true,\"policies\":[\"x/web\"],\"reason\":\"rule\","
           "\"policy\":\"x/web\",\"rule\":0,\"peer\":0,\"source\":\"c.yaml:");
    ANSWER("\"from\":\"10.0.0.4\",\"to\":\"10.0.0.1\",\"port\":80", "\"verdict\":\"deny\",\"egress\"",
           "\"egress\":{\"verdict\":\"allow\",\"isolated\":false,\"policies\":[],\"reason\":\"not-isolated\"}",
           "\"reason\":\"no-rule\"");
    ANSWER("\"from\":\"203.0.113.1\",\"to\":\"203.0.113.2\",\"port\":1", "\"reason\":\"no-pod\"");
    ANSWER("\"from\":\"four\",\"to\":\"a\",\"port\":81", "\"verdict\":\"allow\"", "\"rule\":1,\"peer\":null");
    REFUSE("{\"from\":\"x/no\",\"to\":\"x/a\",\"port\":80}", "no pod \\\"x/no\\\"");
    REFUSE("{\"from\":\"x/done\",\"to\":\"x/a\",\"port\":80}", "finished");
    REFUSE("{\"from\":\"node:n8\",\"to\":\"x/a\",\"port\":80}", "n8");
    REFUSE("{\"from\":\"a/b/c\",\"to\":\"x/a\",\"port\":80}", "not namespace/pod");
    REFUSE("{\"from\":\"300.1.1.1/x\",\"to\":\"x/a\",\"port\":80}", "no pod");
}

static void host_network_pods_and_node_addresses_are_their_node(void **unused)
{
    (void)unused;
    static const char *const nodes[] = {"x/host", "node:n1", "172.16.0.1"};
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "{\"from\":\"%s\",\"to\":\"x/a\",\"port\":9}", nodes[i]);
        ask(0, line, "\"verdict\":\"allow\",\"egress\"", "\"reason\":\"own-node\"", NULL);
        // n2 has no Node object; x/four lives there, and n1 is another node to it.
        (void)snprintf(line, sizeof(line), "{\"from\":\"%s\",\"to\":\"x/four\",\"port\":9}", nodes[i]);
        ask(0, line, "\"reason\":\"not-isolated\"", NULL);
    }
    ANSWER("\"from\":\"node:n2\",\"to\":\"x/a\",\"port\":80", "\"verdict\":\"unknown\"");
}

static void families(void **unused)
{
    (void)unused;
    ANSWER("\"from\":\"x/six\",\"to\":\"x/a\",\"port\":80", "\"verdict\":\"allow\"", "\"peer\":1");
    ANSWER("\"from\":\"x/six\",\"to\":\"x/a\",\"port\":80,\"family\":4", "\"verdict\":\"deny\"");
    ANSWER("\"from\":\"x/a\",\"to\":\"x/a\",\"port\":80", "\"reason\":\"self\"");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80,\"family\":6}", "x/four\\\" has no IPv6 address");
    REFUSE("{\"from\":\"x/four\",\"to\":\"fd00::1\",\"port\":80}", "no address family in common");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80,\"family\":5}", "4 or 6");
}

static void pods_without_an_address_are_judged_by_selectors(void **unused)
{
    (void)unused;
    ANSWER("\"from\":\"x/file\",\"to\":\"x/a\",\"port\":80", "\"verdict\":\"unknown\"",
           "\"reason\":\"unknown\",\"why\":");
    ANSWER("\"from\":\"x/file\",\"to\":\"x/a\",\"port\":81", "\"verdict\":\"allow\"");
    ANSWER("\"from\":\"x/file\",\"to\":\"x/a\",\"port\":82", "\"verdict\":\"deny\"");
    ANSWER("\"from\":\"x/a\",\"to\":\"x/file\",\"port\":82", "\"verdict\":\"allow\"");
}

static void only_a_block_of_the_family_can_decide(void **unused)
{
    (void)unused;
    // The asking pod has both families; the first, IPv4, is taken: the rule's fd00::/64 cannot match, 192.0.2.0/24
    // might.
    ANSWER("\"from\":\"x/file\",\"to\":\"x/a\",\"port\":80", "\"verdict\":\"unknown\"");
    // x/block lets in 0.0.0.0/0 on 90 and 198.51.100.0/24 on 91, nothing in IPv6.
    ANSWER("\"from\":\"x/file\",\"to\":\"x/block\",\"port\":90", "\"verdict\":\"allow\",\"egress\"");
    ANSWER("\"from\":\"x/file\",\"to\":\"x/block\",\"port\":91", "\"verdict\":\"unknown\",\"egress\"");
    ANSWER("\"from\":\"x/file\",\"to\":\"x/block\",\"port\":90,\"family\":6", "\"verdict\":\"deny\",\"egress\"");
    ANSWER("\"from\":\"x/file\",\"to\":\"x/block\",\"port\":91,\"family\":6", "\"verdict\":\"deny\",\"egress\"");
}

static void loopback_is_the_asking_pod(void **unused)
{
    (void)unused;
    static const char *const addresses[] = {"127.0.0.1", "127.3.4.5", "::1", "::ffff:127.0.0.1"};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "{\"from\":\"x/shut\",\"to\":\"%s\",\"port\":9}", addresses[i]);
        ask(0, line, "\"verdict\":\"allow\",\"egress\"", "\"reason\":\"self\"", NULL);
    }
    ANSWER("\"from\":\"x/shut\",\"to\":\"128.0.0.1\",\"port\":9", "\"verdict\":\"deny\",\"egress\"");
}

static void a_node_without_a_node_object_has_its_host_pods_addresses(void **unused)
{
    (void)unused;
    static const char *const nodes[] = {"x/bare", "node:n9", "172.16.0.9"};
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "{\"from\":\"%s\",\"to\":\"x/shut\",\"port\":9}", nodes[i]);
        ask(0, line, "\"reason\":\"own-node\"", NULL);
        (void)snprintf(line, sizeof(line), "{\"from\":\"%s\",\"to\":\"x/a\",\"port\":80}", nodes[i]);
        ask(0, line, "\"verdict\":\"deny\",\"egress\"", NULL);
    }
}

static void protocols_and_ports(void **unused)
{
    (void)unused;
    ANSWER("\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":\"ICMP\"", "\"verdict\":\"deny\"");
    ANSWER("\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":\"udp\",\"port\":81", "\"verdict\":\"deny\"");
    // A number as JSON writes it is a number.
    ANSWER("\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":47", "\"verdict\":\"deny\"");
    ANSWER("\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":6,\"port\":81", "\"verdict\":\"allow\"");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":6}", "6 needs a");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":256}", "a name or a number from 0 to 255");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":-1}", "a name or a number from 0 to 255");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":4.5}", "a name or a number from 0 to 255");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":[6]}", "a name or a number from 0 to 255");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\"}", "needs a");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"protocol\":\"ICMP\",\"port\":1}", "no ports");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":0}", "1 to 65535");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":65536}", "1 to 65535");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":\"http\"}", "1 to 65535");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80.5}", "1 to 65535");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80,\"protocol\":\"TCPP\"}", "TCPP");
}

static void malformed_lines_get_one_error_each(void **unused)
{
    (void)unused;
    REFUSE("{\"from\":\"x/four\",\"port\":80}", "\\\"to\\\" is missing");
    REFUSE("[]", "one JSON object");
    REFUSE("{\"from\":1,\"to\":\"x/a\",\"port\":80}", "from");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80} {}", "one JSON object");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80", "error");
    REFUSE("", "error");
    REFUSE("{\"from\":\"x/four\",\"to\":\"x/a\",\"port\":80,\"verdict\":\"allow\"}", "belongs to the answer");
    REFUSE("{\"from\":\"x/four\",\"from\":\"x/a\",\"to\":\"x/a\",\"port\":80}", "from");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_found),
        cmocka_unit_test(host_network_pods_and_node_addresses_are_their_node),
        cmocka_unit_test(families),
        cmocka_unit_test(pods_without_an_address_are_judged_by_selectors),
        cmocka_unit_test(only_a_block_of_the_family_can_decide),
        cmocka_unit_test(loopback_is_the_asking_pod),
        cmocka_unit_test(a_node_without_a_node_object_has_its_host_pods_addresses),
        cmocka_unit_test(protocols_and_ports),
        cmocka_unit_test(malformed_lines_get_one_error_each),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
