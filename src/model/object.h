// SPDX-License-Identifier: Apache-2.0
//
// The Kubernetes objects we use, reduced to the fields we use. Each object is one immutable memory block: decode fills
// a scratch object (in an arena), object_*_dup makes the lasting copy, free() ends it. Strings are never NULL unless
// said.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "model/address.h"
#include "model/labels.h"

enum protocol { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_SCTP = 132 };  // IANA numbers; others are plain uint8_t
const char *protocol_name(uint8_t protocol);  // "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", else NULL
// Upper-case names as Kubernetes writes them; TCP, UDP, SCTP only.
bool protocol_parse(const char *text, uint8_t *ret);

// Where an object came from: shown in diagnostics and verdicts, never part of its meaning.
struct origin {
    const char *file;  // "" when it came from the API server
    unsigned line;     // 1-based line of the object; 0 unknown
};

enum object_kind { OBJECT_POD, OBJECT_NAMESPACE, OBJECT_POLICY, OBJECT_NODE };
enum { OBJECT_KIND_COUNT = 4 };
const char *object_kind_name(enum object_kind kind);  // "Pod", "Namespace", "NetworkPolicy", "Node"

struct object_meta {
    const char *ns;  // "" for cluster-scoped kinds
    const char *name;
    const char *uid;               // "" when absent
    const char *resource_version;  // "" when absent
    const char *created;           // creationTimestamp as written (RFC 3339); "" when absent
    bool terminating;              // deletionTimestamp is set
    struct labels labels;
    struct origin origin;
};

enum pod_phase { POD_PENDING, POD_RUNNING, POD_SUCCEEDED, POD_FAILED, POD_UNKNOWN };

struct named_port {
    const char *name;
    uint8_t protocol;
    uint16_t number;
};

struct pod {
    struct object_meta meta;
    const char *node;  // spec.nodeName; "" when not scheduled
    bool host_network;
    // status was absent: a pod of a file that stands for itself in audits (DESIGN 6); counts as running, without
    // address.
    bool no_status;
    enum pod_phase phase;
    const struct address *addresses;  // status.podIPs, else podIP; canonical, without duplicates
    size_t n_addresses;
    // Of state_learn, bit i for addresses[i]; 0 for what a source gives. told: a CNI plugin gave it to the pod.
    // unnamed: so it did, and the status does not name it (yet): such addresses come last.
    uint32_t told;
    uint32_t unnamed;
    const struct named_port *ports;  // of containers and restartable init containers; named ones only
    size_t n_ports;
};

struct ns_object {
    struct object_meta meta;  // labels include kubernetes.io/metadata.name (synthesised when absent)
};

struct node {
    struct object_meta meta;
    const struct address *addresses;  // status.addresses of type InternalIP and ExternalIP
    size_t n_addresses;
    const struct prefix *pod_cidrs;  // spec.podCIDRs, else podCIDR
    size_t n_pod_cidrs;
};

enum port_kind {
    PORT_ALL,    // any port of the protocol
    PORT_RANGE,  // first..last
    PORT_NAME,
    PORT_UNREADABLE,  // matches nothing
};

struct policy_port {
    enum port_kind kind;
    uint8_t protocol;
    uint16_t first;
    uint16_t last;
    const char *name;  // PORT_NAME, else NULL
};

enum peer_kind {
    PEER_PODS,        // pod_selector and/or ns_selector
    PEER_BLOCK,       // cidr minus excepts
    PEER_UNREADABLE,  // matches nothing: unknown keys, no known key, unreadable parts (1.5)
};

struct peer {
    enum peer_kind kind;
    bool has_pod_selector;
    bool has_ns_selector;  // absent: the policy's own namespace
    struct selector pod_selector;
    struct selector ns_selector;
    struct prefix cidr;
    const struct prefix *excepts;
    size_t n_excepts;
};

struct policy_rule {
    // Matches nothing, whatever the lists hold.
    bool unreadable;
    // "from"/"to" was absent or empty: any peer. A list that had elements keeps any_peer false, come what may.
    bool any_peer;
    bool any_port;
    const struct peer *peers;
    size_t n_peers;
    const struct policy_port *ports;
    size_t n_ports;
    unsigned line;  // of the rule in its file; 0 unknown
};

enum direction { DIRECTION_INGRESS, DIRECTION_EGRESS };  // also an index
enum { DIRECTION_COUNT = 2 };
const char *direction_name(enum direction direction);  // "ingress" | "egress"

struct policy {
    struct object_meta meta;
    struct selector subject;         // spec.podSelector
    bool isolates[DIRECTION_COUNT];  // effective policyTypes
    // By direction; rules of a direction that does not isolate are kept out (n = 0).
    const struct policy_rule *rules[DIRECTION_COUNT];
    size_t n_rules[DIRECTION_COUNT];
    // Nothing in this policy allows anything (its subject selector could only be read in part).
    bool grants_nothing;
    // Some part was unreadable and is not enforced as written: counted as unenforceable and reported.
    bool unenforceable;
};

// Deep copies as one block each (free with free()); NULL when memory is out.
struct pod *pod_dup(const struct pod *pod);
struct ns_object *ns_object_dup(const struct ns_object *ns);
struct node *node_dup(const struct node *node);
struct policy *policy_dup(const struct policy *policy);

// Equal in everything that can change a verdict, a rule or a message about them (uid and labels included,
// resourceVersion and line numbers not): an upsert of an equal object is no change.
bool pod_equal(const struct pod *a, const struct pod *b);
bool ns_object_equal(const struct ns_object *a, const struct ns_object *b);
bool node_equal(const struct node *a, const struct node *b);
bool policy_equal(const struct policy *a, const struct policy *b);

// Liveness, shared by evaluator and compiler (table test of its own): a pod-network pod that can own its addresses: not
// hostNetwork, not Succeeded or Failed (networkpolicy-v1.md 0, 2.3, 2.4). It may have no address yet.
bool pod_is_live(const struct pod *pod);
// Numbers that `name` has on the pod for the protocol (4.1): fills up to max, returns how many there are in all.
size_t pod_named_ports(const struct pod *pod, const char *name, uint8_t protocol, uint16_t *ret, size_t max);
