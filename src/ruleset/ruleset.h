// SPDX-License-Identifier: Apache-2.0
//
// The ruleset: what one node's kernel shall hold, as plain data (DESIGN 4). Per address family: chains in the filter
// table with ordered rules, sets with sorted members, and the jumps in built-in chains. Everything else (text, kernel,
// memory backend, simulator) is made from this. Deterministic: equal inputs give equal rulesets, byte for byte when
// rendered.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "model/address.h"
#include "model/packet.h"

// Names that are ours (never touched: anything else).
#define RULESET_CHAIN_PREFIX "NETPOL-"
#define RULESET_SET_PREFIX_V4 "NP4-"
#define RULESET_SET_PREFIX_V6 "NP6-"

enum { CHAIN_NAME_SIZE = 29, SET_NAME_SIZE = 32, COMMENT_SIZE = 256 };  // with the NUL

enum rule_target {
    TARGET_NONE,  // counts only
    TARGET_RETURN,
    TARGET_ACCEPT,
    TARGET_DROP,
    TARGET_REJECT,  // tcp-reset for -p tcp, else port-unreachable (icmp-port-unreachable, icmp6-port-unreachable)
    TARGET_JUMP,    // to rule.chain
    TARGET_GOTO,    // to rule.chain
};

enum set_direction { SET_SRC, SET_DST };  // hash:ip,port sets are matched "dst,dst" or "src,src" likewise

struct port_range {
    uint16_t first;
    uint16_t last;
};

// Conntrack states of a rule: a mask of enum ct_state, and DNAT as a state of its own.
enum { RULE_CT_DNAT = 32 };

struct rule {
    bool has_source;
    bool has_destination;
    struct prefix source;
    struct prefix destination;
    char in[PACKET_IFACE];  // exact interface names; "" any
    char out[PACKET_IFACE];
    // Ports of a bridge, exact names; "" any (-m physdev --physdev-in, --physdev-out). Only packets that came in by
    // (are bridged out of) a port have one.
    char physdev_in[PACKET_IFACE];
    char physdev_out[PACKET_IFACE];
    // -m connmark --mark connmark/connmark_mask; mask 0: no such match. connmark has no bit outside the mask.
    uint32_t connmark;
    uint32_t connmark_mask;
    uint8_t protocol;   // 0 any
    int16_t icmp_type;  // -1 any; needs protocol ICMP (1) or ICMPv6 (58)
    int16_t hop_limit;  // -1 any; else "hl-eq" (IPv6 only)
    uint8_t ct_states;  // mask of enum ct_state and RULE_CT_DNAT; 0: no conntrack match
    bool ct_invert;     // "! --ctstate"
    bool source_local;  // -m addrtype --src-type LOCAL
    // Destination ports; one range without multiport, else at most LIMIT_MULTIPORT slots (a range of two ports takes
    // two). SCTP always uses multiport.
    const struct port_range *ports;
    size_t n_ports;
    const char *set;  // name of a set of the same family, or NULL
    enum set_direction set_direction;
    enum rule_target target;
    const char *chain;    // JUMP, GOTO; else NULL
    const char *comment;  // NULL none
};

struct chain {
    const char *name;
    const struct rule *rules;
    size_t n_rules;
};

// A jump in a built-in chain, wanted at `position` (0-based among the first rules of that chain).
struct hook {
    const char *builtin;  // "FORWARD", "INPUT", "OUTPUT"
    struct rule rule;
    // For a backend, all jumps of the built-in chain alike: when they stand in it, once each and in this order, they
    // stay where they are, behind whatever rules of others. Not part of equality.
    bool anywhere;
};

enum set_type { SET_HASH_IP, SET_HASH_NET, SET_HASH_IP_PORT };
const char *set_type_name(enum set_type type);  // "hash:ip", …

struct set_member {
    struct prefix prefix;  // full length for hash:ip and hash:ip,port
    uint8_t protocol;      // hash:ip,port
    uint16_t port;
    bool nomatch;  // hash:net
};

// Members that several rulesets hold: counted, never changed. (A cluster's ruleset has hundreds of thousands, and a
// change touches few.)
struct set_members {
    unsigned references;
    size_t n;
    struct set_member v[];
};
// Room for n members, with one reference, to be filled before anybody else sees it; NULL when memory is out.
struct set_members *set_members_new(size_t n);
void set_members_free(struct set_members *members);  // drops one reference
CLEANUP_DEFINE(struct set_members, set_members_free);

struct set {
    const char *name;
    enum set_type type;
    const struct set_member *members;  // sorted (set_member_compare), unique
    size_t n_members;
    const char *describe;  // what it holds, for people ("pods x: app=web"); "" none. Not part of equality.
};

struct table {
    const struct chain *chains;  // sorted by name
    size_t n_chains;
    const struct set *sets;  // sorted by name
    size_t n_sets;
    const struct hook *hooks;  // in the order wanted at the head of each built-in chain
    size_t n_hooks;
};

// Owns everything it points to through its arena, and references to members that it shares with others. The struct
// itself is heap memory (calloc).
struct ruleset {
    struct table tables[FAMILY_COUNT];
    struct arena arena;
    VEC(struct set_members *) shared;  // ruleset_free drops them
};
// The ruleset takes one more reference, so that its sets may point to members->v. -1 when memory is out.
NODISCARD int ruleset_share(struct ruleset *ruleset, struct set_members *members);
void ruleset_free(struct ruleset *ruleset);
CLEANUP_DEFINE(struct ruleset, ruleset_free);

const struct chain *table_chain(const struct table *table, const char *name);  // NULL when absent
const struct set *table_set(const struct table *table, const char *name);
int set_member_compare(const struct set_member *a, const struct set_member *b);
// The same element to the kernel, which keeps one of each: nomatch is a flag of the element and not part of its key.
bool set_member_same_key(const struct set_member *a, const struct set_member *b);
bool rule_equal(const struct rule *a, const struct rule *b);  // comments included
bool chain_equal(const struct chain *a, const struct chain *b);
bool set_equal(const struct set *a, const struct set *b);  // type and members
bool hook_equal(const struct hook *a, const struct hook *b);
// The same rules in the same order in each built-in chain; how hooks of different built-in chains interleave in the
// array makes no difference.
bool table_hooks_equal(const struct table *a, const struct table *b);
bool ruleset_equal(const struct ruleset *a, const struct ruleset *b);
// The hashsize to create a set with: 64 for small sets, else a power of two >= n/4 (dataplane.md 2.1); and its maxelem.
uint32_t set_hashsize(size_t n_members);
uint32_t set_maxelem(size_t n_members);

// A rule that matches everything and has no target yet (icmp_type and hop_limit -1).
struct rule rule_init(void);
// Dimensions that a set of this type is matched with: "src" or "src,src".
unsigned set_type_dimensions(enum set_type type);
// A prefix of length 0 matches what no prefix at all matches, and the kernel keeps no difference: such a source or
// destination is not rendered and counts as absent in rule_equal.
bool rule_has_source(const struct rule *rule);
bool rule_has_destination(const struct rule *rule);

// How much a table holds, for metrics and summaries. hooks are not among the rules.
struct ruleset_size {
    size_t chains;
    size_t rules;
    size_t hooks;
    size_t sets;
    size_t members;
};
void ruleset_size(const struct ruleset *ruleset, enum family family, struct ruleset_size *ret);
