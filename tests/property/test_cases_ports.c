// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7: ports, names of ports and other protocols (cases 7 to 9, 16, 29 to 38, 52, 53, 71).
#include "support/cases.h"

static void case_07_empty_port_entry_is_tcp(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{}]}]}"));
    OK("y/a", "x/a", "TCP", 1);
    OK("y/a", "x/a", "TCP", 65535);
    X("y/a", "x/a", "UDP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}"));
    OK("y/a", "x/a", "UDP", 80);
    X("y/a", "x/a", "TCP", 80);
}

static void case_08_port_defaults_to_tcp(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"));
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
    X("y/a", "x/a", "TCP", 81);
}

static void case_09_port_ranges(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: 53, endPort: 80}]}]}"));
    OK("y/a", "x/a", "TCP", 53);
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 52);
    X("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "UDP", 60);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 80}]}]}"));
    OK("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "TCP", 79);
    X("y/a", "x/a", "TCP", 81);
}

static void case_16_unknown_protocol(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{protocol: ICMP, port: 80}, {port: 81}]}]}"));
    OK("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "ICMP", 0);
}

static void case_29_target_port_not_service_port(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"));
    X("x/a", "y/a", "TCP", 8080);
    cases_given(POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}"));
    OK("x/a", "y/a", "TCP", 8080);
}

// y/http1 serves http on 80, y/http2 on 8080.
#define HTTP_POD(name, ip, port)                                                                                       \
    POD("y", name, "{app: web}",                                                                                       \
        "{nodeName: n1, containers: [{name: c, ports: [{containerPort: " port ", name: http}]}]}",                     \
        "{phase: Running, podIP: " ip "}")
#define HTTP_PODS HTTP_POD("http1", "10.0.2.11", "80") HTTP_POD("http2", "10.0.2.12", "8080")

static void case_30_names_differ_by_pod(void **unused)
{
    (void)unused;
    cases_given(
        HTTP_PODS POLICY("y", "p", "{podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: http}]}]}"));
    OK("x/a", "y/http1", "TCP", 80);
    X("x/a", "y/http1", "TCP", 8080);
    OK("x/a", "y/http2", "TCP", 8080);
    X("x/a", "y/http2", "TCP", 80);
    X("x/a", "y/http1", "UDP", 80);
}

static void case_31_name_of_another_protocol(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: serve-80-udp}]}]}"));
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
}

static void case_32_unknown_name(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: nope}]}]}"));
    X("y/a", "x/a", "TCP", 80);
    X("y/a", "x/a", "UDP", 80);
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: nope}, {port: 81}]}]}"));
    OK("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "TCP", 80);
}

static void case_33_two_containers_with_one_name(void **unused)
{
    (void)unused;
    cases_given(POD("x", "m", "{}",
                    "{nodeName: n1, containers: [{name: c, ports: [{containerPort: 9090, name: metrics}]}, "
                    "{name: d, ports: [{containerPort: 9091, name: metrics}]}]}",
                    "{phase: Running, podIP: 10.0.1.9}")
                    POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: metrics}]}]}"));
    OK("y/a", "x/m", "TCP", 9090);
    OK("y/a", "x/m", "TCP", 9091);
    X("y/a", "x/m", "TCP", 9092);
}

static void case_34_names_of_init_containers(void **unused)
{
    (void)unused;
    cases_given(POD("x", "m", "{}",
                    "{nodeName: n1, containers: [{name: c}], initContainers: ["
                    "{name: s, restartPolicy: Always, ports: [{containerPort: 9090, name: side}]}, "
                    "{name: i, ports: [{containerPort: 9091, name: init}]}]}",
                    "{phase: Running, podIP: 10.0.1.9}")
                    POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{port: side}, {port: init}]}]}"));
    OK("y/a", "x/m", "TCP", 9090);
    X("y/a", "x/m", "TCP", 9091);
}

static void case_35_egress_name_without_to(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: serve-80-tcp}]}]}"));
    OK("x/a", "y/a", "TCP", 80);
    OK("x/a", "x/b", "TCP", 80);
    OK("x/a", "fd00::2:1", "TCP", 80);
    X("x/a", "y/a", "TCP", 81);
    X("x/a", "8.8.8.8", "TCP", 80);
    X("x/a", "node:n1", "TCP", 80);
    X("x/a", "node:n2", "TCP", 80);
}

static void case_36_egress_name_to_a_selector(void **unused)
{
    (void)unused;
    cases_given(HTTP_PODS POLICY("x", "p",
                                 "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, "
                                 "podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}]}"));
    OK("x/a", "y/http1", "TCP", 80);
    X("x/a", "y/http2", "TCP", 80);
    OK("x/a", "y/http2", "TCP", 8080);
    X("x/a", "y/http1", "TCP", 8080);
}

static void case_37_ingress_name_from_a_block(void **unused)
{
    (void)unused;
    cases_given(HTTP_PODS POLICY("y", "p",
                                 "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}], "
                                 "ports: [{port: http}]}]}"));
    OK("192.0.2.7", "y/http1", "TCP", 80);
    X("192.0.3.7", "y/http1", "TCP", 80);
    X("192.0.2.7", "y/http1", "TCP", 8080);
}

static void case_38_egress_name_to_a_block(void **unused)
{
    (void)unused;
    cases_given(
        HTTP_PODS POLICY("x", "p",
                         "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}, "
                         "{ipBlock: {cidr: 10.0.2.11/32}}], ports: [{port: http}]}]}"));
    X("x/a", "192.0.2.7", "TCP", 80);
    OK("x/a", "y/http1", "TCP", 80);
    X("x/a", "y/http1", "TCP", 81);
    X("x/a", "y/http2", "TCP", 8080);
}

static void case_52_ping(void **unused)
{
    (void)unused;
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"));
    OK("x/b", "x/a", "ICMP", 0);
    X("x/c", "x/a", "ICMP", 0);
    cases_given(
        POLICY("x", "p",
               "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}], "
               "ports: [{protocol: TCP, port: 80}]}]}"));
    X("x/b", "x/a", "ICMP", 0);
    OK("x/b", "x/a", "TCP", 80);
}

static void case_53_sctp(void **unused)
{
    (void)unused;
    cases_given(POLICY("x", "p", "{podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 81}]}]}"));
    OK("y/a", "x/a", "SCTP", 81);
    X("y/a", "x/a", "SCTP", 80);
    X("y/a", "x/a", "TCP", 81);
    X("y/a", "x/a", "UDP", 81);
}

static void case_71_many_ports_and_peers(void **unused)
{
    (void)unused;
    BUF_CLEANUP struct buf text = {0};
    buf_puts(&text, "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: x, name: p}, "
                    "spec: {podSelector: {}, ingress: [{from: [");
    for (unsigned i = 0; i < 5000; i++) {
        buf_printf(&text, "%s{ipBlock: {cidr: 20.%u.%u.%u/32}}", i ? ", " : "", i / 2500, i % 2500 / 50, i % 50 * 5);
    }
    buf_puts(&text, "], ports: [");
    for (unsigned i = 0; i < 300; i++) {
        buf_printf(&text, i % 3 ? "%s{port: %u}" : "%s{port: %u, endPort: %u}", i ? ", " : "", 1000 + i * 10,
                   1000 + i * 10 + 5);
    }
    buf_puts(&text, "]}]}}\n");
    assert_false(text.failed);
    cases_given(text.data);
    for (unsigned i = 0; i < 300; i += 23) {
        OK("20.1.49.245", "x/a", "TCP", (uint16_t)(1000 + i * 10));
        X("20.1.49.244", "x/a", "TCP", (uint16_t)(1000 + i * 10));
        X("20.1.49.245", "x/a", "TCP", (uint16_t)(1000 + i * 10 + 6));
        if (i % 3) {
            X("20.0.0.0", "x/a", "TCP", (uint16_t)(1000 + i * 10 + 5));
        } else {
            OK("20.0.0.0", "x/a", "TCP", (uint16_t)(1000 + i * 10 + 5));
        }
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
