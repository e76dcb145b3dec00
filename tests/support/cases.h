// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7, case by case: each question goes to the evaluator as a query and as packets, and to
// the simulator on the compiled rules (support/build.h), in every family that both ends have. What only a kernel can
// show (fragments, an update under traffic, a restart) is in tests/kernel; docs/CONFORMANCE.md has the whole list.
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "support/build.h"

// Every case starts from the usual cluster with its own documents on top.
extern struct state *cases_world;
void cases_given(const char *yaml);
int cases_teardown(void **unused);
#define CASE(name) cmocka_unit_test_teardown(name, cases_teardown)

// Ends as in build_expect, and "out": 203.0.113.9 and 2001:db8::9, which are nobody's. A named end is asked in each
// family that both ends have, "ICMP" is ICMPv6 in IPv6.
void cases_expect(const char *from, const char *to, const char *protocol, uint16_t port, enum verdict want,
                  const char *file, int line);
#define OK(from, to, protocol, port) cases_expect(from, to, protocol, port, VERDICT_ALLOW, __FILE__, __LINE__)
#define X(from, to, protocol, port) cases_expect(from, to, protocol, port, VERDICT_DENY, __FILE__, __LINE__)
// TCP, UDP, SCTP on two ports, and ICMP.
void cases_expect_all(const char *from, const char *to, enum verdict want, const char *file, int line);
#define OK_ALL(from, to) cases_expect_all(from, to, VERDICT_ALLOW, __FILE__, __LINE__)
#define X_ALL(from, to) cases_expect_all(from, to, VERDICT_DENY, __FILE__, __LINE__)

// One packet on one node, for what is no plain connection. The forwarded first packet of a flow unless changed.
struct packet cases_packet(const char *from, const char *to, uint8_t protocol, uint16_t port);
void cases_judge(const char *node, const struct packet *packet, bool want, const char *file, int line);
#define PASSES(node, packet) cases_judge(node, packet, true, __FILE__, __LINE__)
#define DROPPED(node, packet) cases_judge(node, packet, false, __FILE__, __LINE__)
// What the state gives that node, as text; free() it.
char *cases_rendered(struct state *state, const char *node);

// Policies of one direction, in flow style.
#define INGRESS(ns, name, subject, rules)                                                                              \
    POLICY(ns, name, "{podSelector: " subject ", policyTypes: [Ingress], ingress: " rules "}")
#define EGRESS(ns, name, subject, rules)                                                                               \
    POLICY(ns, name, "{podSelector: " subject ", policyTypes: [Egress], egress: " rules "}")
#define DENY_ALL(ns) POLICY(ns, "deny-all", "{podSelector: {}, policyTypes: [Ingress, Egress]}")
#define LABEL(key, value) "{matchLabels: {" key ": " value "}}"

// A pod of the usual cluster with other labels, ports or status.
#define POD(ns, name, labels, spec, status)                                                                            \
    "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: " ns ", name: " name ", labels: " labels "}, spec: " spec  \
    ", status: " status "}\n"

// A hostNetwork pod on n2 with labels that policies ask for.
#define HOST_POD                                                                                                       \
    POD("y", "host", "{pod: b}", "{nodeName: n2, hostNetwork: true, containers: []}",                                  \
        "{phase: Running, podIP: 192.168.0.2, podIPs: [{ip: 192.168.0.2}, {ip: 'fd00:168::2'}]}")
