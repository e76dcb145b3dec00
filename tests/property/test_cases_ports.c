// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: ports, names of ports and other protocols (cases 7 to 9, 16, 29 to 38, 52, 53, 71).
#include "support/cases.h"

enum { GRE = 47, ICMP = 1 };

static void case_07_empty_port_entry_is_tcp(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{}]}]"));
    OK("y/a", "x/a", "TCP", 1);
    OK("y/a", "x/a", "TCP", 65535);
    OK("out", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
    X("out", "x/a", "UDP", 80);
    X("y/a", "x/a", "SCTP", 80);
    X("y/a", "x/a", "ICMP", 0);
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{protocol: UDP}]}]"));
    OK("y/a", "x/a", "UDP", 1);
    OK("y/a", "x/a", "UDP", 65535);
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "SCTP", 80);
    X("y/a", "x/a", "ICMP", 0);
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{}]}]"));
    OK("x/a", "out", "TCP", 80);
    X("x/a", "y/a", "UDP", 53);
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{protocol: SCTP}]}]"));
    OK("x/a", "y/a", "SCTP", 1);
    X("x/a", "y/a", "TCP", 1);
}

static void case_08_port_defaults_to_tcp(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: 80}]}]"));
    OK("y/a", "x/a", "TCP", 80);
    OK("out", "x/a", "TCP", 80);
    OK("node:n2", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
    X("y/a", "x/a", "SCTP", 80);
    X("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 79);
    X("y/a", "x/a", "ICMP", 0);
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{port: 80}]}]"));
    OK("x/a", "y/a", "TCP", 80);
    X("x/a", "y/a", "UDP", 80);
    X("x/a", "y/a", "TCP", 81);
}

static void case_09_port_ranges(void **unused)
{
    (void)unused;
    for (int egress = 0; egress < 2; egress++) {
        const char *from = egress ? "x/a" : "y/a";
        const char *to = egress ? "y/a" : "x/a";
        cases_given(egress ? EGRESS("x", "p", "{}", "[{ports: [{port: 53, endPort: 80}]}]")
                           : INGRESS("x", "p", "{}", "[{ports: [{port: 53, endPort: 80}]}]"));
        OK(from, to, "TCP", 53);
        OK(from, to, "TCP", 66);
        OK(from, to, "TCP", 80);
        X(from, to, "TCP", 52);
        X(from, to, "TCP", 81);
        X(from, to, "UDP", 60);
        X(from, to, "SCTP", 60);
        cases_given(egress ? EGRESS("x", "p", "{}", "[{ports: [{port: 80, endPort: 80}]}]")
                           : INGRESS("x", "p", "{}", "[{ports: [{port: 80, endPort: 80}]}]"));
        OK(from, to, "TCP", 80);
        X(from, to, "TCP", 79);
        X(from, to, "TCP", 81);
        cases_given(egress ? EGRESS("x", "p", "{}", "[{ports: [{protocol: UDP, port: 1, endPort: 65535}]}]")
                           : INGRESS("x", "p", "{}", "[{ports: [{protocol: UDP, port: 1, endPort: 65535}]}]"));
        OK(from, to, "UDP", 1);
        OK(from, to, "UDP", 65535);
        X(from, to, "TCP", 1);
    }
    // Entries are united and nothing between them is added.
    cases_given(INGRESS("x", "p", "{}",
                        "[{ports: [{port: 86, endPort: 90}, {port: 80}, {port: 82}, {port: 84, endPort: 87}, "
                        "{port: 91}]}]"));
    static const struct {
        uint16_t port;
        bool want;
    } rows[] = {{79, false}, {80, true}, {81, false}, {82, true}, {83, false},
                {84, true},  {87, true}, {90, true},  {91, true}, {92, false}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cases_expect("y/a", "x/a", "TCP", rows[i].port, rows[i].want ? VERDICT_ALLOW : VERDICT_DENY, __FILE__,
                     __LINE__);
    }
}

static void case_16_unknown_protocol(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{protocol: ICMP, port: 80}, {port: 81}]}]"));
    OK("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
    X("y/a", "x/a", "ICMP", 0);
    // Nothing is left of this list, and nothing is open.
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{protocol: ICMP}]}]"));
    X_ALL("y/a", "x/a");
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: 80, futureKey: 1}, {port: 81}]}]"));
    X("y/a", "x/a", "TCP", 80);
    OK("y/a", "x/a", "TCP", 81);
}

static void case_29_target_port_not_service_port(void **unused)
{
    (void)unused;
    // The client dials 80 of the service; what is judged is 8080 of its pod.
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{port: 80}]}]"));
    X("x/a", "y/a", "TCP", 8080);
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{port: 8080}]}]"));
    OK("x/a", "y/a", "TCP", 8080);
    X("x/a", "y/a", "TCP", 80);
}

// y/http1 serves http on 80, y/http2 on 8080; both families.
#define HTTP_POD(name, last, port)                                                                                     \
    POD("y", name, "{app: web}",                                                                                       \
        "{nodeName: n1, containers: [{name: c, ports: [{containerPort: " port ", name: http}]}]}",                     \
        "{phase: Running, podIP: 10.0.2." last ", podIPs: [{ip: 10.0.2." last "}, {ip: 'fd00::2:" last "'}]}")
#define HTTP_PODS HTTP_POD("http1", "11", "80") HTTP_POD("http2", "12", "8080")

static void case_30_names_differ_by_pod(void **unused)
{
    (void)unused;
    static const char *const specs[] = {
        HTTP_PODS INGRESS("y", "p", "{matchLabels: {app: web}}", "[{ports: [{port: http}]}]"),
        HTTP_PODS INGRESS("y", "p", "{matchLabels: {app: web}}",
                          "[{from: [{namespaceSelector: {matchLabels: {ns: x}}}], ports: [{port: http}]}]"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        cases_given(specs[i]);
        OK("x/a", "y/http1", "TCP", 80);
        X("x/a", "y/http1", "TCP", 8080);
        OK("x/a", "y/http2", "TCP", 8080);
        X("x/a", "y/http2", "TCP", 80);
        X("x/a", "y/http1", "UDP", 80);
        X("x/a", "y/http1", "ICMP", 0);
        // The name that the source has says nothing.
        X("y/http2", "y/http1", "TCP", 8080);
    }
}

static void case_31_name_of_another_protocol(void **unused)
{
    (void)unused;
    static const char dns[] = POD("x", "dns", "{app: dns}",
                                  "{nodeName: n1, containers: [{name: c, ports: [{containerPort: 53, name: dns, "
                                  "protocol: UDP}]}]}",
                                  "{phase: Running, podIP: 10.0.1.9, podIPs: [{ip: 10.0.1.9}, {ip: 'fd00::1:9'}]}");
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, dns);
    buf_puts(&text, INGRESS("x", "p", "{}", "[{ports: [{port: dns}]}]"));
    cases_given(text.data);
    X("y/a", "x/dns", "TCP", 53);
    X("y/a", "x/dns", "UDP", 53);
    build_apply(cases_world, INGRESS("x", "p", "{}", "[{ports: [{protocol: UDP, port: dns}]}]"));
    X("y/a", "x/dns", "TCP", 53);
    OK("y/a", "x/dns", "UDP", 53);
    build_apply(cases_world, EGRESS("y", "p", "{}", "[{ports: [{port: dns}]}]"));
    X("y/a", "x/dns", "TCP", 53);
    X("y/a", "x/dns", "UDP", 53);
}

static void case_32_unknown_name(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: nope}]}]"));
    X_ALL("y/a", "x/a");
    X_ALL("out", "x/a");
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{port: nope}, {port: 81}]}]"));
    OK("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 81);
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{port: nope}]}]"));
    X_ALL("x/a", "y/a");
    X_ALL("x/a", "out");
    cases_given(EGRESS("x", "p", "{}", "[{ports: [{port: nope}, {port: 81}]}]"));
    OK("x/a", "y/a", "TCP", 81);
    X("x/a", "y/a", "TCP", 80);
}

static void case_33_two_containers_with_one_name(void **unused)
{
    (void)unused;
#define METRICS                                                                                                        \
    POD("x", "m", "{app: m}",                                                                                          \
        "{nodeName: n1, containers: [{name: c, ports: [{containerPort: 9090, name: metrics}]}, "                       \
        "{name: d, ports: [{containerPort: 9091, name: metrics}]}]}",                                                  \
        "{phase: Running, podIP: 10.0.1.9, podIPs: [{ip: 10.0.1.9}, {ip: 'fd00::1:9'}]}")
    cases_given(METRICS INGRESS("x", "p", "{}", "[{ports: [{port: metrics}]}]"));
    OK("y/a", "x/m", "TCP", 9090);
    OK("y/a", "x/m", "TCP", 9091);
    X("y/a", "x/m", "TCP", 9092);
    cases_given(METRICS EGRESS("y", "p", "{}",
                               "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: m}}}], "
                               "ports: [{port: metrics}]}]"));
    OK("y/a", "x/m", "TCP", 9090);
    OK("y/a", "x/m", "TCP", 9091);
    X("y/a", "x/m", "TCP", 9092);
}

static void case_34_names_of_init_containers(void **unused)
{
    (void)unused;
#define INIT                                                                                                           \
    POD("x", "m", "{}",                                                                                                \
        "{nodeName: n1, containers: [{name: c}], initContainers: ["                                                    \
        "{name: s, restartPolicy: Always, ports: [{containerPort: 9090, name: side}]}, "                               \
        "{name: i, ports: [{containerPort: 9091, name: init}]}]}",                                                     \
        "{phase: Running, podIP: 10.0.1.9, podIPs: [{ip: 10.0.1.9}, {ip: 'fd00::1:9'}]}")
    cases_given(INIT INGRESS("x", "p", "{}", "[{ports: [{port: side}, {port: init}]}]"));
    OK("y/a", "x/m", "TCP", 9090);
    X("y/a", "x/m", "TCP", 9091);
    cases_given(INIT EGRESS("y", "p", "{}", "[{ports: [{port: side}, {port: init}]}]"));
    OK("y/a", "x/m", "TCP", 9090);
    X("y/a", "x/m", "TCP", 9091);
}

static void case_35_egress_name_without_to(void **unused)
{
    (void)unused;
    cases_given(HOST_POD EGRESS("x", "p", "{}", "[{ports: [{port: serve-80-tcp}]}]"));
    OK("x/a", "y/a", "TCP", 80);
    OK("x/a", "z/c", "TCP", 80);
    OK("x/a", "x/b", "TCP", 80);
    X("x/a", "y/a", "TCP", 81);
    X("x/a", "y/a", "UDP", 80);
    X("x/a", "out", "TCP", 80);
    X("x/a", "node:n1", "TCP", 80);
    X("x/a", "node:n2", "TCP", 80);
    X("x/a", "y/host", "TCP", 80);
}

static void case_36_egress_name_to_a_selector(void **unused)
{
    (void)unused;
    cases_given(HTTP_PODS EGRESS("x", "p", "{}",
                                 "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}], "
                                 "ports: [{port: http}]}]"));
    OK("x/a", "y/http1", "TCP", 80);
    X("x/a", "y/http2", "TCP", 80);
    OK("x/a", "y/http2", "TCP", 8080);
    X("x/a", "y/http1", "TCP", 8080);
    X("x/a", "y/a", "TCP", 80);
}

static void case_37_ingress_name_from_a_block(void **unused)
{
    (void)unused;
    cases_given(HTTP_PODS INGRESS("y", "p", "{}",
                                  "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: '2001:db8:2::/48'}}], "
                                  "ports: [{port: http}]}]"));
    OK("192.0.2.7", "y/http1", "TCP", 80);
    X("192.0.3.7", "y/http1", "TCP", 80);
    X("192.0.2.7", "y/http1", "TCP", 8080);
    X("192.0.2.7", "y/http1", "UDP", 80);
    OK("192.0.2.7", "y/http2", "TCP", 8080);
    OK("2001:db8:2::7", "y/http1", "TCP", 80);
    X("2001:db8:3::7", "y/http1", "TCP", 80);
}

static void case_38_egress_name_to_a_block(void **unused)
{
    (void)unused;
    cases_given(HTTP_PODS EGRESS("x", "p", "{}",
                                 "[{to: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: 10.0.2.11/32}}, "
                                 "{ipBlock: {cidr: 'fd00::2:0/112', except: ['fd00::2:12/128']}}], "
                                 "ports: [{port: http}]}]"));
    X("x/a", "192.0.2.7", "TCP", 80);
    OK("x/a", "10.0.2.11", "TCP", 80);
    OK("x/a", "fd00::2:11", "TCP", 80);
    X("x/a", "y/http1", "TCP", 81);
    X("x/a", "y/http2", "TCP", 8080);
    X("x/a", "fd00::2:99", "TCP", 80);
}

static void case_52_ping(void **unused)
{
    (void)unused;
    cases_given(INGRESS("x", "p", LABEL("pod", "a"), "[{from: [{podSelector: {matchLabels: {pod: b}}}]}]"));
    OK("x/b", "x/a", "ICMP", 0);
    X("x/c", "x/a", "ICMP", 0);
    X("out", "x/a", "ICMP", 0);
    // Any other protocol is like ping.
    struct packet gre = cases_packet("10.0.1.2", "10.0.1.1", GRE, 0);
    PASSES("n1", &gre);
    cases_given(INGRESS("x", "p", LABEL("pod", "a"),
                        "[{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{protocol: TCP, port: 80}]}]"));
    X("x/b", "x/a", "ICMP", 0);
    OK("x/b", "x/a", "TCP", 80);
    DROPPED("n1", &gre);
    // All ports of every protocol that has them are no rule for ping.
    cases_given(INGRESS("x", "p", LABEL("pod", "a"), "[{ports: [{}, {protocol: UDP}, {protocol: SCTP}]}]"));
    OK("x/b", "x/a", "TCP", 1);
    X("x/b", "x/a", "ICMP", 0);
    DROPPED("n1", &gre);
    cases_given(EGRESS("x", "p", "{}", "[{to: [{namespaceSelector: {}}]}]"));
    OK("x/a", "y/a", "ICMP", 0);
    X("x/a", "out", "ICMP", 0);
    // Every type is judged, an answer without a question too.
    struct packet reply = cases_packet("10.0.1.1", "203.0.113.9", ICMP, 0);
    DROPPED("n1", &reply);
}

static void case_53_sctp(void **unused)
{
    (void)unused;
    for (int egress = 0; egress < 2; egress++) {
        const char *from = egress ? "x/a" : "y/a";
        const char *to = egress ? "y/a" : "x/a";
        cases_given(egress ? EGRESS("x", "p", "{}", "[{ports: [{protocol: SCTP, port: 81}]}]")
                           : INGRESS("x", "p", "{}", "[{ports: [{protocol: SCTP, port: 81}]}]"));
        OK(from, to, "SCTP", 81);
        X(from, to, "SCTP", 80);
        X(from, to, "TCP", 81);
        X(from, to, "UDP", 81);
        X(from, to, "ICMP", 0);
    }
    cases_given(INGRESS("x", "p", "{}", "[{ports: [{protocol: SCTP, port: serve-81-sctp}]}]"));
    OK("y/a", "x/a", "SCTP", 81);
    X("y/a", "x/a", "TCP", 81);
}

// Every third entry is a range of six, the others are one port; 5,000 peers.
static void many_ports_and_peers(struct buf *text, const char *types, const char *rules, const char *peers)
{
    buf_printf(text,
               "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: x, name: p}, "
               "spec: {podSelector: {}, policyTypes: [%s], %s: [{%s: [",
               types, rules, peers);
    for (unsigned i = 0; i < 5000; i++) {
        buf_printf(text, "%s{ipBlock: {cidr: 20.%u.%u.%u/32}}", i ? ", " : "", i / 2500, i % 2500 / 50, i % 50 * 5);
    }
    buf_puts(text, "], ports: [");
    for (unsigned i = 0; i < 300; i++) {
        buf_printf(text, i % 3 ? "%s{port: %u}" : "%s{port: %u, endPort: %u}", i ? ", " : "", 1000 + i * 10,
                   1000 + i * 10 + 5);
    }
    buf_puts(text, "]}]}}\n");
    assert_false(text->failed);
}

static void case_71_many_ports_and_peers(void **unused)
{
    (void)unused;
    for (int egress = 0; egress < 2; egress++) {
        BUF_CLEANUP struct buf text = {0};
        many_ports_and_peers(&text, egress ? "Egress" : "Ingress", egress ? "egress" : "ingress",
                             egress ? "to" : "from");
        cases_given(text.data);
        // First, last and between; a peer that is no peer; one past a range; within a range.
        for (unsigned i = 0; i < 300; i += i < 276 ? 23 : 1) {
            const char *peers[] = {"20.1.49.245", "20.0.0.0", "20.1.49.244"};
            uint16_t port = (uint16_t)(1000 + i * 10);
            const struct {
                const char *peer;
                uint16_t port;
                bool want;
            } rows[] = {{peers[0], port, true},
                        {peers[1], (uint16_t)(port + 5), i % 3 == 0},
                        {peers[0], (uint16_t)(port + 6), false},
                        {peers[2], port, false}};
            for (size_t j = 0; j < ARRAY_SIZE(rows); j++) {
                cases_expect(egress ? "x/a" : rows[j].peer, egress ? rows[j].peer : "x/a", "TCP", rows[j].port,
                             rows[j].want ? VERDICT_ALLOW : VERDICT_DENY, __FILE__, __LINE__);
            }
        }
        X(egress ? "x/a" : "20.0.0.0", egress ? "20.0.0.0" : "x/a", "UDP", 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_07_empty_port_entry_is_tcp),
        CASE(case_08_port_defaults_to_tcp),
        CASE(case_09_port_ranges),
        CASE(case_16_unknown_protocol),
        CASE(case_29_target_port_not_service_port),
        CASE(case_30_names_differ_by_pod),
        CASE(case_31_name_of_another_protocol),
        CASE(case_32_unknown_name),
        CASE(case_33_two_containers_with_one_name),
        CASE(case_34_names_of_init_containers),
        CASE(case_35_egress_name_without_to),
        CASE(case_36_egress_name_to_a_selector),
        CASE(case_37_ingress_name_from_a_block),
        CASE(case_38_egress_name_to_a_block),
        CASE(case_52_ping),
        CASE(case_53_sctp),
        CASE(case_71_many_ports_and_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
