// SPDX-License-Identifier: Apache-2.0
//
// Terse states and questions for tests: YAML in, verdicts out. Each question is put to the evaluator as a query and as
// packets, and to the simulator on the compiled rules; all must agree. Failures fail the running cmocka test.
#pragma once

#include "policy/compile.h"
#include "policy/evaluate.h"

// Decode into a new state / into one that is there. A document that is lost fails the test.
struct state *build_state(const char *yaml);
void build_apply(struct state *state, const char *yaml);

// A NetworkPolicy as one YAML document; spec in flow style. Joins with others and with further YAML.
#define POLICY(ns, name, spec)                                                                                         \
    "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: " ns ", name: " name           \
    "}, spec: " spec "}\n"

// The cluster of networkpolicy-v1.md section 6: namespaces x, y, z (label ns=<name>) with pods a, b (on node n1) and c
// (on n2), label pod=<name>, ports serve-80-tcp, serve-81-tcp, serve-80-udp, serve-81-udp, serve-81-sctp. x/a is
// 10.0.1.1 and fd00::1:1, z/c is 10.0.3.3 and fd00::3:3; nodes are 192.168.0.1 and .2, fd00:168::1 and ::2. yaml is
// applied on top.
struct state *build_world(const char *yaml);

// Ends: "ns/pod", an address (a live pod's is that pod), "node:NAME". Protocol: "TCP", "UDP", "SCTP", "ICMP", "ICMPv6".
void build_expect(struct state *state, const char *from, const char *to, const char *protocol, uint16_t port,
                  enum verdict want, const char *file, int line);
#define expect_allow(state, from, to, protocol, port)                                                                  \
    build_expect(state, from, to, protocol, port, VERDICT_ALLOW, __FILE__, __LINE__)
#define expect_deny(state, from, to, protocol, port)                                                                   \
    build_expect(state, from, to, protocol, port, VERDICT_DENY, __FILE__, __LINE__)
#define expect_unknown(state, from, to, protocol, port)                                                                \
    build_expect(state, from, to, protocol, port, VERDICT_UNKNOWN, __FILE__, __LINE__)

// One packet on one node (facts may be NULL), by evaluator and simulator; false in *ret_allowed when it is dropped.
// Returns false when the two disagree, after printing the packet, both verdicts, the simulator's trace and where the
// ruleset was written.
bool build_prove(struct state *state, const char *node, const struct facts *facts, const struct policy_options *options,
                 const struct ruleset *ruleset, const struct packet *packet, bool *ret_allowed);
