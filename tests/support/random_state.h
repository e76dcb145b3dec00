// SPDX-License-Identifier: Apache-2.0
//
// Random clusters for property tests: few names, labels, addresses and ports, so that they meet; every clause of
// networkpolicy-v1.md is reached by some seed.
#pragma once

#include "base/mem.h"
#include "host/facts.h"
#include "model/packet.h"
#include "model/state.h"
#include "policy/options.h"
#include "support/rng.h"

struct random_object {
    enum object_kind kind;
    const void *object;  // struct pod, ns_object, policy or node; lives in the cluster's arena
};

struct random_cluster {
    struct rng rng;
    struct arena arena;
    // One object of each name.
    VEC(struct random_object) objects;
    // Prefixes and ports that some policy mentions: packets like their edges.
    VEC(struct prefix) edges;
    VEC(uint16_t) ports;
    // Holds what no decoder gives but the model can: empty In lists, lists without elements, unreadable selectors
    // inside readable peers, unspecified pod addresses. Otherwise each object equals its own YAML (state_yaml.h).
    bool wild;
};

// The nodes that every cluster has; pods may also name others.
enum { RANDOM_NODES = 3 };
extern const char *const random_nodes[RANDOM_NODES];

// Ends the process when memory is out: a test cannot go on.
void random_cluster_make(struct random_cluster *cluster, uint64_t seed);
void random_cluster_free(struct random_cluster *cluster);
static inline void cleanup_random_cluster(struct random_cluster *cluster)
{
    random_cluster_free(cluster);
}
#define RANDOM_CLUSTER_CLEANUP __attribute__((cleanup(cleanup_random_cluster)))

// A new state with every object.
struct state *random_cluster_state(const struct random_cluster *cluster);
// Another object of that kind and name, otherwise random.
struct random_object random_cluster_variant(struct random_cluster *cluster, enum object_kind kind, const char *ns,
                                            const char *name);
// Puts a copy; the result of state_put_*.
int random_object_put(struct state *state, const struct random_object *object);
const struct object_meta *random_object_meta(const struct random_object *object);

// A packet as `node` may see it, biased towards pod addresses, edges of blocks and ends of port ranges. No IPv6
// link-local, multicast or loopback addresses, and none of the node's interfaces matters: for callers without facts.
void random_packet(struct random_cluster *cluster, const char *node, struct packet *ret);
// The same with those addresses, and with interfaces and virtual addresses of the facts (may be NULL).
void random_packet_wide(struct random_cluster *cluster, const char *node, const struct facts *facts,
                        struct packet *ret);
// Facts of a node with bridges, pod-facing interfaces and routes to pods, sometimes with IPVS. facts_free ends them.
struct facts *random_facts(struct rng *rng);
// The ports of bridges that facts and packets name.
enum { RANDOM_BRIDGE_PORTS = 6 };
extern const char *const random_bridge_ports[RANDOM_BRIDGE_PORTS];
// Options that can be combined, all of them; revoke_mask is one of two bits, or none.
struct policy_options random_options(struct rng *rng);
// In words: "forwarded cni0 -> eth0: TCP 10.0.0.1 -> 10.0.0.2 port 80, NEW".
void random_packet_describe(const struct packet *packet, struct buf *out);
void random_packet_print(const struct packet *packet);

// Shared by the parts of the generator.
void *random_alloc(struct random_cluster *cluster, size_t n, size_t size);
extern const uint16_t random_ports[];
extern const size_t random_ports_n;
extern const char *const random_port_names[];
extern const size_t random_port_names_n;
uint8_t random_protocol(struct rng *rng);  // TCP, UDP or SCTP
struct address random_address(struct rng *rng, enum family family);
// Link-local, multicast, broadcast, loopback or unspecified.
struct address random_special_address(struct rng *rng, enum family family);
struct policy *random_policy(struct random_cluster *cluster, const struct object_meta *meta);
