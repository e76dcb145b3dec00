// SPDX-License-Identifier: Apache-2.0
//
// One compile at work: what the compile_*.c files share. What the ruleset will point to is in the ruleset's own arena;
// the rest (scratch arena, maps) ends with the compile.
#pragma once

#include "base/map.h"
#include "policy/compile.h"
#include "policy/index.h"
#include "policy/region.h"
#include "policy/select.h"

struct compile_rules {
    struct rule *v;
    size_t n;
    size_t cap;
};

// An enforced address and its pod's chain of that direction.
struct compile_leaf {
    struct address address;
    const char *chain;
};

struct compile_leaves {
    struct compile_leaf *v;
    size_t n;
    size_t cap;
};

struct compile_table {
    enum family family;
    VEC(struct chain) chains;
    VEC(struct set) sets;
    VEC(struct hook) hooks;
    struct map *chains_taken;   // names given out
    struct map *sets_taken;     // names given out
    struct map *policy_chains;  // content → name
    struct map *set_names;      // identity → name
    struct compile_leaves leaves[DIRECTION_COUNT];
    bool drops;  // a chain leads to NETPOL-DROP
};

struct compile_union;
struct compile_group;

// Where a pod of the node sits, as far as the facts tell.
struct compile_place {
    const struct pod *pod;
    const struct facts_interface *behind;  // the bridge, or the device that the pod is routed by
    const char *port;                      // of the bridge, the pod's alone; NULL: none, not known or shared
    bool bridge;
    bool own;  // whatever comes from there (the port, or the device) is this pod's
    bool isolated[DIRECTION_COUNT];
};

struct compile_places {
    const struct compile_place *v;  // sorted by interface, port and pod; each once
    size_t n;
    // Devices with a default route, or by which other nodes are reached: what comes in there need not be a pod's.
    const struct facts_interface **uplinks;
    size_t n_uplinks;
    size_t n_unguarded;
};

struct compile_interfaces {
    const struct facts_interface **v;  // sorted by name, unique
    size_t n;
    size_t cap;
};
// -1 when memory is out.
NODISCARD int compile_add_interface(struct compile_interfaces *list, const struct facts_interface *interface);

// Where members come from that are known already (engine.h). A compile without one selects them itself.
struct compile_provider {
    void *arg;
    // The members of the set with that identity in the family; NULL: not known. Borrowed while the compile runs.
    struct set_members *(*known)(void *arg, enum family family, const char *text);
    // They were selected just now: kept, or taken as they are. -1 when memory is out.
    int (*made_pods)(void *arg, enum family family, const struct compile_union *u, struct set_members *members);
    int (*made_named)(void *arg, enum family family, const char *text, struct compile_group *const *groups, size_t n,
                      struct set_members *members);
    // The set's name in this ruleset.
    int (*placed)(void *arg, enum family family, const char *text, const char *name);
};

struct compile {
    struct state *state;
    const char *node;
    const struct facts *facts;
    const struct policy_options *options;
    const struct compile_provider *provider;  // NULL: none
    struct index *index;                      // with a provider of the node's pods alone
    struct index *everyone;                   // with a provider: of all pods, made when first needed
    struct index_ids local;                   // live pods of the node
    struct compile_interfaces interfaces;     // that enforced pods are behind, or may be (unknown)
    struct compile_interfaces unknown;        // that pods may be behind whom nobody knows (--unknown-pods=drop)
    struct ruleset *out;
    struct arena scratch;
    struct compile_table tables[FAMILY_COUNT];
    struct map *unions;    // text → struct compile_union
    struct map *programs;  // policies and port names → struct compile_program
    struct compile_places places;
    size_t enforced_pods;
    size_t active_policies;
};

// compile_ruleset, out of what provider knows; pods: the live pods of the node, by namespace and name.
NODISCARD int compile_provided(struct state *state, const char *node, const struct facts *facts,
                               const struct policy_options *options, const struct pod *const *pods, size_t n_pods,
                               const struct compile_provider *provider, struct ruleset **ret,
                               struct compile_stats *ret_stats, struct err *err);
// The index that members are selected with. NULL when memory is out.
struct index *compile_everyone(struct compile *compile, struct err *err);

// The policies that isolate one pod in one direction, sorted by name.
struct compile_policies {
    const struct policy **v;
    size_t n;
    size_t cap;
};

// ---- compile_set.c: sets, one for each distinct content ------------------------------------------------------------

// A union of selector peers. The same union is one set a family, whoever uses it.
struct compile_union {
    const char *text;
    const struct select_peer *peers;
    size_t n;
    bool selected;
    struct index_ids pods;
    const char *sets[FAMILY_COUNT];  // names; NULL until a rule uses them
};
void compile_union_free(struct compile_union *u);
// Sorts the peers and drops doubles; the peers and texts stay where they are.
NODISCARD int compile_union_get(struct compile *compile, const struct select_peer *peers, size_t n,
                                struct compile_union **ret, struct err *err);
NODISCARD int compile_set_pods(struct compile *compile, enum family family, struct compile_union *u, const char **ret,
                               struct err *err);
NODISCARD int compile_set_region(struct compile *compile, enum family family, struct region *region, const char **ret,
                                 struct err *err);
// Plain addresses of the family, named for what they are.
NODISCARD int compile_set_addresses(struct compile *compile, enum family family, const char *what,
                                    const struct address *addresses, size_t n, const char **ret, struct err *err);

// ---- compile_group.c: rules of policies by port list ---------------------------------------------------------------

struct compile_ports {
    struct port_range *v;  // sorted, neither overlapping nor adjacent
    size_t n;
    size_t cap;
};

// All peers of all rules that share one port list of one protocol, or (egress) one port name of it.
struct compile_group {
    uint8_t protocol;  // 0: any protocol and port
    struct compile_ports ports;
    const char *name;  // a named port of the destinations; NULL: ports
    bool any_peer;
    VEC(struct select_peer) pods;
    VEC(const struct peer *) blocks;
    struct compile_union *pod_union;  // of pods; NULL none
};

struct compile_groups {
    VEC(struct compile_group *) list;  // sorted: protocol, ports before names; any protocol last
};
void compile_groups_free(struct compile_groups *groups);
// Named ports of ingress are those of the pod.
NODISCARD int compile_groups_collect(struct compile *compile, enum direction direction, const struct pod *pod,
                                     const struct compile_policies *policies, struct compile_groups *ret,
                                     struct err *err);
bool compile_group_all_ports(const struct compile_group *group);

// The hash:ip,port set of named groups of one protocol (regions: by group, of the family). *ret is NULL when they can
// hold nothing in this family.
NODISCARD int compile_set_named(struct compile *compile, enum family family, struct compile_group *const *groups,
                                struct region *const *regions, size_t n, const char **ret, struct err *err);

// ---- compile_chain.c: policy chains --------------------------------------------------------------------------------

// What a list of policies means for one direction (and, for ingress, one list of named ports).
struct compile_program {
    enum direction direction;
    struct compile_groups groups;
    const char *comment;               // the policies
    const char *chains[FAMILY_COUNT];  // NULL: not built yet
};

// The policy chain of the program in a family, built at first use.
NODISCARD int compile_program_chain(struct compile *compile, struct compile_program *program, enum family family,
                                    const char **ret, struct err *err);

// ---- compile_pod.c -------------------------------------------------------------------------------------------------

void compile_program_free(struct compile_program *program);
// Adds the pod's chains and leaves of the direction in each family that it owns an address of.
NODISCARD int compile_pod(struct compile *compile, uint32_t id, enum direction direction,
                          const struct compile_policies *policies, struct err *err);

// ---- compile_tree.c ------------------------------------------------------------------------------------------------

// The chains of the direction's tree; nothing without leaves.
NODISCARD int compile_tree(struct compile *compile, enum family family, enum direction direction, struct err *err);
// Adds the jump to the tree to `rules`, behind compile_tree; nothing without leaves.
NODISCARD int compile_tree_jump(struct compile *compile, enum family family, enum direction direction,
                                struct compile_rules *rules, struct err *err);
// A tree on the source whose root chain is `root` (NAMES_*); what is at no leaf goes on at the chain `otherwise`. Sorts
// the leaves, of which there must be some.
NODISCARD int compile_tree_of_sources(struct compile *compile, enum family family, const char *root,
                                      const char *otherwise, struct compile_leaves *leaves, struct err *err);

// ---- compile_place.c -----------------------------------------------------------------------------------------------

// Fills compile->places, behind both families' trees.
NODISCARD int compile_places(struct compile *compile, struct err *err);
// Fills compile->unknown and adds it to compile->interfaces, behind compile_places.
NODISCARD int compile_unknown_places(struct compile *compile, struct err *err);
bool compile_place_is_uplink(const struct compile *compile, const struct facts_interface *interface);
// Whether packets of the local pod that owns the address come in by an interface that only pods are behind.
bool compile_place_is_told(const struct compile *compile, const struct address *address);
// Whether the place is one that --source-guard is for and that can be told.
bool compile_place_is_guarded(const struct compile *compile, const struct compile_place *place);
// Whether the addresses of its pod are taken from there alone: each that is guarded, and pods isolated for ingress.
bool compile_place_is_claimed(const struct compile *compile, const struct compile_place *place);
struct compile_addresses {
    struct address *v;
    size_t n;
    size_t cap;
};
// The addresses of the family that live pods of the node own. The caller frees them (vec_free).
NODISCARD int compile_local_addresses(struct compile *compile, enum family family, struct compile_addresses *ret,
                                      struct err *err);
// The same as a set; *ret is NULL when there are none.
NODISCARD int compile_local_set(struct compile *compile, enum family family, const char **ret, struct err *err);

// ---- compile_source.c, compile_tunnels.c, compile_guards.c ---------------------------------------------------------

// The rules that lead to the guards (DESIGN 11), by the arrival of the packets; the chains behind them are added.
struct compile_guards {
    struct compile_rules rules[ARRIVAL_FROM_NODE + 1];
    bool tunnels;  // NETPOL-ENCAP is for established packets as well: FORWARD and INPUT lead there
};
void compile_guards_free(struct compile_guards *guards);
// The networks that pods of the node get their addresses from, as far as told: options, else the Node. Borrowed.
void compile_pod_cidrs(const struct compile *compile, const struct prefix **ret, size_t *ret_n);
NODISCARD int compile_guards(struct compile *compile, enum family family, struct compile_guards *to, struct err *err);
// Of these the source guard.
NODISCARD int compile_source_guard(struct compile *compile, enum family family, struct compile_guards *to,
                                   struct err *err);

// Of these the guard against tunnel packets (--drop-encap).
NODISCARD int compile_tunnel_guard(struct compile *compile, enum family family, struct compile_guards *to,
                                   struct err *err);
// Adds the node's own addresses by the facts; virtual ones of IPVS are services. -1 when memory is out.
NODISCARD int compile_own_addresses(const struct compile *compile, struct compile_addresses *to);
struct compile_prefixes {
    struct prefix *v;
    size_t n;
    size_t cap;
};
// Multicast, and in IPv4 everybody and the broadcast addresses of networks of bridges (enforced_only: that isolated
// pods are behind; else also of the node's own networks); sorted, each once. The caller frees them (vec_free).
NODISCARD int compile_to_many(const struct compile *compile, enum family family, bool enforced_only,
                              struct compile_prefixes *ret, struct err *err);

// ---- compile_hooks.c -----------------------------------------------------------------------------------------------

// The top chains of a family with everything in them, and the jumps to them.
NODISCARD int compile_hooks(struct compile *compile, enum family family, struct err *err);

// ---- compile_rule.c ------------------------------------------------------------------------------------------------

NODISCARD int compile_push(struct compile_rules *rules, struct rule rule, struct err *err);
// A rule for every packet.
struct rule compile_rule_to(enum rule_target target, const char *chain);
void compile_rule_in(struct rule *rule, const char *interface);
void compile_rule_out(struct rule *rule, const char *interface);
// Adds the chain and frees the rules, also on failure; rc < 0: only that.
NODISCARD int compile_close_chain(struct compile *compile, enum family family, const char *name, int rc,
                                  struct compile_rules *rules, struct err *err);

// ---- compile.c -----------------------------------------------------------------------------------------------------

// Copies the rules into the ruleset. name: in the ruleset's arena or static.
NODISCARD int compile_add_chain(struct compile *compile, enum family family, const char *name,
                                const struct compile_rules *rules, struct err *err);
