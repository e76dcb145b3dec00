// SPDX-License-Identifier: Apache-2.0
//
// The clauses of networkpolicy-v1.md (sections 0 to 4) and DESIGN 11 that one state and one packet can express, by
// name, and how often random tests met each of them. Not here, because no single state and packet shows them: 3.3 and
// section 5 (changes in time), 3.13 (fragments), 3.20 (what SNAT did before), 4.8's families and whatever the API
// server refuses.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// X(name, section of the reference, what it says)
#define CLAUSES_OF_MODEL(X)                                                                                            \
    X(NO_POD, "0", "no live pod at either end, policies exist: passes")                                                \
    X(OPEN, "0", "no policy isolates the pod in this direction: passes")                                               \
    X(BOTH_ENDS, "0", "one node judges both ends of a packet")                                                         \
    X(UNION, "0", "one isolating policy allows, another does not: allowed")                                            \
    X(NO_RULE, "0", "isolated and no rule of any policy matches: denied")                                              \
    X(RULE_PORT_MISSES, "0", "peers of a rule match, its ports do not: no match")                                      \
    X(RULE_PEER_MISSES, "0", "ports of a rule match, its peers do not: no match")                                      \
    X(ANY_PEER, "0", "rule without peers: any address")                                                                \
    X(ANY_PEER_FOREIGN, "0", "rule without peers allows what is no pod")                                               \
    X(ANY_PORT, "0", "rule without ports: any protocol and port")                                                      \
    X(PEERS_ORED, "0", "an earlier peer does not match, a later one does")                                             \
    X(PORTS_ORED, "0", "an earlier port entry does not match, a later one does")                                       \
    X(RULES_ORED, "0", "an earlier rule does not match, a later one does")                                             \
    X(REMOTE_END, "0", "the end on another node would deny: not this node's business")                                 \
    X(SUBJECT_ALL, "1.1", "empty podSelector: every pod of the namespace")                                             \
    X(SUBJECT_OTHER_NS, "1.1", "policy of another namespace would select the pod: does not apply")                     \
    X(RULES_NONE, "1.1", "isolating policy without rules: nothing allowed")                                            \
    X(RULE_EMPTY, "1.1", "one empty rule: everything allowed")                                                         \
    X(PORT_NUMBER, "1.1", "port entry with this number and protocol")                                                  \
    X(PORT_NUMBER_OTHER, "1.1", "port entry with another number")                                                      \
    X(PORT_ALL, "1.1", "entry without port: every port of its protocol")                                               \
    X(PORT_ALL_OTHER, "1.1", "entry without port: not another protocol")                                               \
    X(PORT_PROTOCOL, "1.1", "right number, other protocol: no match")                                                  \
    X(RANGE_FIRST, "1.1", "endPort: the first port of a range")                                                        \
    X(RANGE_INSIDE, "1.1", "endPort: a port inside a range")                                                           \
    X(RANGE_LAST, "1.1", "endPort: the last port of a range is in it")                                                 \
    X(RANGE_BELOW, "1.1", "endPort: the port before a range is not in it")                                             \
    X(RANGE_ABOVE, "1.1", "endPort: the port behind a range is not in it")                                             \
    X(PORTS_MANY, "1.1", "the sixteenth or a later entry of a port list matches")                                      \
    X(PEER_POD, "1.1", "podSelector alone matches a pod of the namespace")                                             \
    X(PEER_POD_OTHER_NS, "1.1", "podSelector alone would match, pod of another namespace: no")                         \
    X(PEER_POD_ALL, "1.1", "podSelector {} alone matches")                                                             \
    X(PEER_NS, "1.1", "namespaceSelector alone matches")                                                               \
    X(PEER_NS_ALL, "1.1", "namespaceSelector {} alone matches")                                                        \
    X(PEER_BOTH, "1.1", "both selectors match")                                                                        \
    X(PEER_BOTH_POD_MISSES, "1.1", "both given, namespace matches, pod does not: no")                                  \
    X(PEER_BOTH_NS_MISSES, "1.1", "both given, pod matches, namespace does not: no")                                   \
    X(PEER_NO_POD, "1.1", "selector peer against what is no pod: no")                                                  \
    X(BLOCK_IN, "1.1", "address in the block and in no except")                                                        \
    X(BLOCK_EXCEPT, "1.1", "address in an except of the block")                                                        \
    X(BLOCK_OUT, "1.1", "address outside the block")                                                                   \
    X(TYPES_OTHER, "1.2", "policy selects the pod for the other direction only: not isolated by it")                   \
    X(TYPES_NEITHER, "1.5", "policy of unknown types only selects the pod: not isolated by it")                        \
    X(IN_LISTED, "1.3", "In: value listed")                                                                            \
    X(IN_OTHER, "1.3", "In: value not listed")                                                                         \
    X(IN_ABSENT, "1.3", "In: key absent, no match")                                                                    \
    X(IN_EMPTY, "1.3", "value \"\" and the key has it")                                                                \
    X(IN_EMPTY_ABSENT, "1.3", "value \"\" and the key is absent: no match")                                            \
    X(IN_CASE, "1.3", "value differs in case only: no match")                                                          \
    X(NOT_IN_LISTED, "1.3", "NotIn: value listed, no match")                                                           \
    X(NOT_IN_OTHER, "1.3", "NotIn: another value")                                                                     \
    X(NOT_IN_ABSENT, "1.3", "NotIn: key absent, match")                                                                \
    X(EXISTS, "1.3", "Exists: key present")                                                                            \
    X(EXISTS_EMPTY, "1.3", "Exists: key present with value \"\"")                                                      \
    X(EXISTS_ABSENT, "1.3", "Exists: key absent, no match")                                                            \
    X(NOT_EXISTS, "1.3", "DoesNotExist: key absent")                                                                   \
    X(NOT_EXISTS_PRESENT, "1.3", "DoesNotExist: key present, no match")                                                \
    X(ANDED, "1.3", "one requirement matches, another does not: no match")                                             \
    X(SAME_KEY, "1.3", "a key required several times")                                                                 \
    X(EXCEPTS_OVERLAP, "1.4", "address in several excepts of one block")                                               \
    X(NAMES_ALIKE, "1.4", "policies whose names differ by '.' and '-' isolate one pod")                                \
    X(PEER_UNREADABLE, "1.5", "unreadable peer in a list that is asked")                                               \
    X(PEERS_UNREADABLE, "1.5", "every peer of a list unreadable: never any peer")                                      \
    X(PORT_UNREADABLE, "1.5", "unreadable port entry in a list that is asked")                                         \
    X(PORTS_UNREADABLE, "1.5", "every entry of a port list unreadable: never any port")                                \
    X(RULE_UNREADABLE, "1.5", "unreadable rule of an isolating policy: matches nothing")                               \
    X(SUBJECT_UNREADABLE, "1.5", "unreadable podSelector isolates by its known part, grants nothing")                  \
    X(PEERS_SELECT_NONE, "1.5", "peers that select no pod at all: isolated, not open")                                 \
    X(SUBJECT_V4, "2.1", "IPv4 address of a dual-stack pod is judged")                                                 \
    X(SUBJECT_V6, "2.1", "IPv6 address of a dual-stack pod is judged")                                                 \
    X(PEER_V4, "2.1", "IPv4 address of a dual-stack pod matches a selector")                                           \
    X(PEER_V6, "2.1", "IPv6 address of a dual-stack pod matches a selector")                                           \
    X(NO_ADDRESS, "2.2", "a pod without address is selected beside the judged one")                                    \
    X(PHASE_PENDING, "2.3", "pending pod with an address is judged")                                                   \
    X(PHASE_PENDING_PEER, "2.3", "pending pod with an address is a peer")                                              \
    X(PHASE_UNKNOWN, "2.3", "pod of phase Unknown is judged")                                                          \
    X(FINISHED_SUBJECT, "2.3", "a policy would isolate the finished pod that had the address: no")                     \
    X(FINISHED_PEER, "2.3", "a selector would match the finished pod that had the address: no")                        \
    X(TERMINATING, "2.4", "terminating pod is judged")                                                                 \
    X(TERMINATING_PEER, "2.4", "terminating pod is a peer")                                                            \
    X(REUSED, "2.5", "a finished pod has the address of the judged one")                                               \
    X(CLAIMED_TERMINATING, "2.5", "two live pods claim the address: the one that stays owns it")                       \
    X(CLAIMED_OLDER, "2.5", "two live pods claim the address: the newer owns it")                                      \
    X(HOST_NETWORK_SUBJECT, "2.7", "a policy would isolate the hostNetwork pod with the address: no")                  \
    X(HOST_NETWORK_PEER, "2.7", "a selector would match the hostNetwork pod with the address: no")                     \
    X(HOST_NETWORK_BLOCK, "2.7", "ipBlock matches the address of a hostNetwork pod")                                   \
    X(METADATA_NAME, "2.8", "namespace selected by kubernetes.io/metadata.name")                                       \
    X(UNSEEN_ALL, "2.9", "namespace not seen: namespaceSelector {} matches")                                           \
    X(UNSEEN_NEGATIVE, "2.9", "namespace not seen: NotIn or DoesNotExist does not match")                              \
    X(UNSEEN_OWN, "2.9", "namespace not seen: podSelector alone matches in it")                                        \
    X(POLICY_TERMINATING, "2.10", "terminating policy still isolates")                                                 \
    X(PEER_REMOTE, "2.11", "peer on another node matches")                                                             \
    X(PEER_UNSCHEDULED, "2.11", "peer without node, or of a node that is gone, matches")                               \
    X(EGRESS_ONLY_DENIES, "3.1", "source's egress denies, destination's ingress would allow")                          \
    X(INGRESS_ONLY_DENIES, "3.1", "source's egress allows by a rule, destination's ingress denies")                    \
    X(ESTABLISHED, "3.2", "established packet passes where a new one is denied")                                       \
    X(NODE_TO_POD, "3.4", "node to its own isolated pod: passes")                                                      \
    X(NODE_FORGED, "3.4", "node's address as source in FORWARD: judged like any")                                      \
    X(OTHER_NODE_SOURCE, "3.4", "address of another node as source: judged")                                           \
    X(TO_NODE_DENIED, "3.5", "pod to its own node: egress denies")                                                     \
    X(TO_NODE_ALLOWED, "3.5", "pod to its own node: an egress rule allows")                                            \
    X(TO_NODE_OPTION, "3.5", "host-egress=allow: passes where egress denies")                                          \
    X(TO_OTHER_NODE, "3.5", "pod to another node: egress judged")                                                      \
    X(LOOPBACK, "3.6", "a loopback address at an end of what the node sends to its pod")                               \
    X(HAIRPIN, "3.7", "pod to itself through a service: passes where policies deny")                                   \
    X(FORGED_SELF, "3.7", "source is the pod's own address without DNAT: judged")                                      \
    X(SELF_ADDRESSES, "3.7", "two addresses of one pod as ends of a packet: judged")                                   \
    X(DNATED, "3.8", "DNATed flow is judged by its real destination")                                                  \
    X(IPVS_INPUT, "3.8", "IPVS: virtual address in INPUT passes where egress denies")                                  \
    X(IPVS_OUTPUT_EGRESS, "3.8", "IPVS: foreign source in OUTPUT, source's egress denies")                             \
    X(IPVS_OUTPUT_INGRESS, "3.8", "IPVS: foreign source in OUTPUT, destination's ingress denies")                      \
    X(NO_IPVS_OUTPUT, "3.8", "no IPVS: OUTPUT is not looked at")                                                       \
    X(RELATED_ERROR, "3.10", "ICMP error of a flow passes where echo is denied")                                       \
    X(RELATED_OTHER, "3.10", "RELATED but no ICMP: judged")                                                            \
    X(ICMP_NO_PORTS, "3.10", "ICMP allowed by a rule without ports")                                                   \
    X(ICMP_PORTS, "3.10", "ICMP against a rule with ports: no match")                                                  \
    X(OTHER_NO_PORTS, "3.10", "another protocol allowed by a rule without ports")                                      \
    X(OTHER_PORTS, "3.10", "another protocol against a rule with ports: no match")                                     \
    X(NDP, "3.11", "neighbour discovery with hop limit 255 passes where policies deny")                                \
    X(NDP_FORGED, "3.11", "neighbour discovery with another hop limit to a pod: judged")                               \
    X(NDP_UNSPECIFIED, "3.11", "neighbour discovery from the unspecified address passes")                              \
    X(MLD, "3.11", "MLD with hop limit 1 to a group passes where policies deny")                                       \
    X(MLD_FORGED, "3.11", "MLD with another hop limit, or to no group: judged")                                        \
    X(ECHO_V6, "3.11", "ICMPv6 echo is judged")                                                                        \
    X(MULTICAST_DENIED, "3.12", "multicast or broadcast destination: denied")                                          \
    X(MULTICAST_ALLOWED, "3.12", "multicast or broadcast destination allowed by ipBlock or no peers")                  \
    X(SCTP, "3.14", "SCTP allowed by an SCTP entry")                                                                   \
    X(SCTP_NOT_TCP, "3.14", "TCP against an SCTP entry of the same port: no match")                                    \
    X(BLOCK_POD, "3.15", "ipBlock matches the address of a pod")                                                       \
    X(EXCEPT_NO_DENY, "3.16", "excepted from one block, allowed by something else")                                    \
    X(ALL_V4, "3.17", "0.0.0.0/0 matches an IPv4 address")                                                             \
    X(ALL_V4_NOT_V6, "3.17", "0.0.0.0/0 against an IPv6 address: no match")                                            \
    X(ALL_V6, "3.17", "::/0 matches an IPv6 address")                                                                  \
    X(ALL_V6_NOT_V4, "3.17", "::/0 against an IPv4 address: no match")                                                 \
    X(OTHER_FAMILY_ISOLATED, "3.17", "rules of one family only: the other is isolated all the same")                   \
    X(LINK_LOCAL_V4, "3.19", "169.254.0.0/16 as an end: judged like any address")                                      \
    X(UNTRACKED, "3.18", "UNTRACKED is judged like NEW")                                                               \
    X(INVALID, "3.18", "INVALID is judged like NEW")                                                                   \
    X(NAME, "4.1", "named port: the number that the destination pod gives it")                                         \
    X(NAME_SECOND, "4.3", "a name with several numbers: another than the first")                                       \
    X(NAME_OTHER_NUMBER, "4.4", "the destination pod gives the name another number: no match")                         \
    X(NAME_OTHER_POD, "4.4", "another pod gives the name this number, the destination does not: no match")             \
    X(NAME_SOURCE, "4.4", "the source pod gives the name this number, the destination does not: no match")             \
    X(NAME_BLOCK_INGRESS, "4.4", "ingress by name from an ipBlock")                                                    \
    X(NAME_NO_TO, "4.5", "egress by name without `to`: a pod of another namespace")                                    \
    X(NAME_NO_POD, "4.5", "egress by name to what is no pod: no match")                                                \
    X(NAME_BLOCK_EGRESS, "4.6", "egress by name to an ipBlock: a pod inside with the name")                            \
    X(NAME_BLOCK_NO_POD, "4.6", "egress by name to an ipBlock: no pod there, no match")                                \
    X(NAME_PROTOCOL, "4.7", "right name and number, other protocol: no match")                                         \
    X(NAME_UNKNOWN, "4.7", "the destination pod has no such name: no match")                                           \
    X(NAME_HOST_NETWORK, "4.7", "a hostNetwork pod's name: no match")                                                  \
    X(NUMBER_UNDECLARED, "4.8", "number that the destination pod does not declare")                                    \
    X(GUARD_BRIDGED, "D11", "IPv6 link-local between ports of a guarded bridge: dropped")                              \
    X(GUARD_MIXED, "D11", "only one end link-local between ports of a guarded bridge: dropped")                        \
    X(GUARD_TO_NODE, "D11", "IPv6 link-local from a guarded interface to the node: dropped")                           \
    X(GUARD_DISCOVERY, "D11", "forged neighbour discovery to a group: dropped")                                        \
    X(UNGUARDED_BRIDGE, "D11", "link-local across a bridge that no enforced pod is behind: passes")                    \
    X(UNGUARDED_ROUTED, "D11", "link-local from a guarded bridge to another interface: passes")

// The same meaning in another spelling: only states that were read from text have these (state_yaml.h). They count when
// the policy isolates a judged pod, or the pod is an end that is judged.
#define CLAUSES_OF_TEXT(X)                                                                                             \
    X(T_SUBJECT_ABSENT, "1.1", "text: podSelector absent")                                                             \
    X(T_RULES_ABSENT, "1.1", "text: ingress or egress absent, isolated")                                               \
    X(T_RULES_EMPTY, "1.1", "text: ingress or egress []")                                                              \
    X(T_RULES_NULL, "1.1", "text: ingress or egress null")                                                             \
    X(T_LIST_ABSENT, "1.1", "text: from, to or ports absent")                                                          \
    X(T_LIST_EMPTY, "1.1", "text: from, to or ports []")                                                               \
    X(T_LIST_NULL, "1.1", "text: from, to or ports null")                                                              \
    X(T_PORT_ENTRY_EMPTY, "1.1", "text: ports [{}]")                                                                   \
    X(T_END_PORT_EQUAL, "1.1", "text: endPort equal to port")                                                          \
    X(T_PROTOCOL_ABSENT, "1.2", "text: protocol absent")                                                               \
    X(T_TYPES_ABSENT_INGRESS, "1.2", "text: policyTypes absent, no egress rule")                                       \
    X(T_TYPES_ABSENT_BOTH, "1.2", "text: policyTypes absent, egress rules")                                            \
    X(T_TYPES_EMPTY, "1.2", "text: policyTypes []")                                                                    \
    X(T_RULES_UNLISTED, "1.2", "text: rules of a direction that policyTypes does not list")                            \
    X(T_TYPES_TWICE, "1.4", "text: a policy type listed twice")                                                        \
    X(T_TYPES_UNKNOWN, "1.5", "text: an unknown policy type beside known ones")                                        \
    X(T_MATCH_LABELS, "1.3", "text: matchLabels")                                                                      \
    X(T_MATCH_EXPRESSIONS, "1.3", "text: matchExpressions")                                                            \
    X(T_CIDR_HOST_BITS, "1.4", "text: host bits in a CIDR")                                                            \
    X(T_CIDR_ZEROS, "1.4", "text: leading zeros in a CIDR are decimal")                                                \
    X(T_CIDR_MAPPED, "1.4", "text: IPv4-mapped CIDR")                                                                  \
    X(T_SPEC_KEY, "1.5", "text: unknown key in spec")                                                                  \
    X(T_SUBJECT_OPERATOR, "1.5", "text: unknown operator in podSelector")                                              \
    X(T_SUBJECT_KEY, "1.5", "text: unknown key in podSelector")                                                        \
    X(T_RULE_KEY, "1.5", "text: unknown key in a rule")                                                                \
    X(T_PEER_EMPTY, "1.5", "text: peer without any key")                                                               \
    X(T_PEER_KEY, "1.5", "text: unknown key beside a known selector")                                                  \
    X(T_PEER_SELECTOR_KEY, "1.5", "text: unknown key in a peer's selector")                                            \
    X(T_PEER_OPERATOR, "1.5", "text: unknown operator in a peer's selector")                                           \
    X(T_BLOCK_KEY, "1.5", "text: unknown key in ipBlock")                                                              \
    X(T_BLOCK_CIDR, "1.5", "text: cidr that is none, or except outside of it")                                         \
    X(T_PORT_PROTOCOL, "1.5", "text: unknown protocol in a port entry")                                                \
    X(T_PORT_KEY, "1.5", "text: unknown key in a port entry")                                                          \
    X(T_PORT_VALUE, "1.5", "text: port out of range, digits in quotes, endPort below port or without")                 \
    X(T_POD_IP, "2.1", "text: podIP without podIPs")                                                                   \
    X(T_POD_IP_SPELLING, "2.1", "text: pod address not canonical")                                                     \
    X(T_NOT_READY, "2.3", "text: pod not ready")                                                                       \
    X(T_METADATA_NAME, "2.8", "text: kubernetes.io/metadata.name absent, and asked for")                               \
    X(T_SIDECAR, "4.2", "text: named port of a restartable init container")                                            \
    X(T_INIT, "4.2", "text: named port of a plain init container is not used")                                         \
    X(T_HOST_PORT, "4.1", "text: hostPort plays no part")

#define CLAUSES(X)                                                                                                     \
    CLAUSES_OF_MODEL(X)                                                                                                \
    CLAUSES_OF_TEXT(X)

#define CLAUSE_ENUM(name, id, text) CLAUSE_##name,
enum clause { CLAUSES(CLAUSE_ENUM) CLAUSE_COUNT };
#undef CLAUSE_ENUM

enum { CLAUSE_WORDS = (CLAUSE_COUNT + 63) / 64 };

struct clause_set {
    uint64_t words[CLAUSE_WORDS];
};

static inline void clause_mark(struct clause_set *set, enum clause clause)
{
    set->words[clause / 64] |= (uint64_t)1 << clause % 64;
}

static inline void clause_join(struct clause_set *set, const struct clause_set *other)
{
    for (size_t i = 0; i < CLAUSE_WORDS; i++) {
        set->words[i] |= other->words[i];
    }
}

// What a run met. Zero-initialise.
struct clause_tally {
    struct {
        uint64_t states;
        uint64_t last_state;   // number of the last state counted; 0 none
        uint64_t verdicts[2];  // packets denied, allowed
    } of[CLAUSE_COUNT];
};

// state: a number from 1 that differs between states.
void clause_count(struct clause_tally *tally, uint64_t state, const struct clause_set *met, bool allowed);
// The table, to standard output. Returns how many clauses were never met.
size_t clause_print(const struct clause_tally *tally);
