// SPDX-License-Identifier: Apache-2.0
//
// The door to libip4tc and libip6tc: the legacy filter table of one family, read, edited in memory and committed whole.
// Rules are plain values (struct xtables_rule); their kernel form is built here from the structs of the kernel's
// headers, without extension libraries. Not for several threads: libiptc keeps its last error in a static.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

enum xtables_family { XTABLES_V4, XTABLES_V6 };

enum {
    XTABLES_CHAIN = 32,     // with the NUL; what libiptc takes (iptables itself allows 28 characters)
    XTABLES_COMMENT = 256,  // with the NUL
    XTABLES_PORTS = 15,     // slots of a multiport match; a range of two ports takes two
    XTABLES_INTERFACE = 16,
};

enum xtables_ct {
    XTABLES_CT_NEW = 1,
    XTABLES_CT_ESTABLISHED = 2,
    XTABLES_CT_RELATED = 4,
    XTABLES_CT_INVALID = 8,
    XTABLES_CT_UNTRACKED = 16,
    XTABLES_CT_DNAT = 32,
};

enum xtables_verdict {
    XTABLES_CONTINUE,  // no target
    XTABLES_RETURN,
    XTABLES_ACCEPT,
    XTABLES_DROP,
    XTABLES_REJECT_UNREACHABLE,  // icmp-port-unreachable, icmp6-port-unreachable
    XTABLES_REJECT_RESET,        // tcp-reset; needs protocol 6
    XTABLES_JUMP,
    XTABLES_GOTO,
};

struct xtables_range {
    uint16_t first;
    uint16_t last;
};

struct xtables_rule {
    uint8_t source[16];  // network order, host bits zero; IPv4 uses the first 4
    uint8_t destination[16];
    uint8_t source_length;  // 0: any
    uint8_t destination_length;
    char in[XTABLES_INTERFACE];  // exact names; "" any
    char out[XTABLES_INTERFACE];
    uint8_t protocol;                    // 0: any
    int16_t icmp_type;                   // -1: any; needs protocol 1 (IPv4) or 58 (IPv6)
    int16_t hop_limit;                   // -1: any; IPv6 only
    unsigned ct_states;                  // mask of enum xtables_ct; 0: no conntrack match
    bool ct_invert;                      // "! --ctstate"
    bool source_local;                   // addrtype --src-type LOCAL
    char physdev_in[XTABLES_INTERFACE];  // exact names of bridge ports; "" any
    char physdev_out[XTABLES_INTERFACE];
    uint32_t connmark;
    uint32_t connmark_mask;  // 0: no connmark match
    size_t n_ports;          // destination ports: 0 any; 1 by the tcp or udp match, else by multiport
    struct xtables_range ports[XTABLES_PORTS];
    bool has_set;
    uint16_t set_index;
    uint8_t set_dimensions;
    bool set_source;  // every dimension is of the source; else of the destination
    enum xtables_verdict verdict;
    char chain[XTABLES_CHAIN];  // of XTABLES_JUMP and XTABLES_GOTO
    bool has_comment;
    char comment[XTABLES_COMMENT];
};

struct xtables_ops;

// A rule as the table holds it; valid while its reader runs.
struct xtables_view {
    // The chain it jumps to, "RETURN", "ACCEPT", …, or the name of a target; "" none.
    const char *target;
    bool known;  // it is, to the byte, what xtables_append would write for `rule`
    // `rule` says what the kernel does by it, whatever a tool prints of it: matches in another order, a protocol that
    // the flags of an IPv6 entry leave unlooked at. True when known is; else `rule` is empty.
    bool told;
    bool is_goto;  // the flag, which means something where target is a chain
    struct xtables_rule rule;
    const struct xtables_ops *ops;
    const void *entry;
};

// About what `iptables -S` prints behind the chain's name; options of matches that are not ours are left out ("…").
void xtables_describe(const struct xtables_view *view, struct buf *out);
// Why the rule is not told: the first thing of it that struct xtables_rule cannot say.
void xtables_untold(const struct xtables_view *view, struct buf *out);

enum xtables_presence {
    XTABLES_NO_FAMILY,    // the kernel speaks no IPv6 (ipv6.disable=1, or not built): there is nothing to filter
    XTABLES_UNSUPPORTED,  // the kernel offers no legacy tables of this family (module not loaded, or not built)
    XTABLES_ABSENT,       // it does, but this network namespace has no filter table: xtables_open would make one
    XTABLES_PRESENT,
};

// Whether there is a filter table, without making one.
NODISCARD int xtables_presence(enum xtables_family family, enum xtables_presence *ret, struct err *err);
// The same of another table: "raw", "mangle", "nat".
NODISCARD int xtables_presence_of(enum xtables_family family, const char *table, enum xtables_presence *ret,
                                  struct err *err);
// A number that another one follows, nearly always, when rules of the filter table are added or removed; 0 where there
// is no such table. A rule in place of another of its size leaves it. Some microseconds; no rule is read, and no table
// made.
NODISCARD int xtables_measure(enum xtables_family family, uint64_t *ret, struct err *err);
// Whether the kernel has every match and target revision that rules here are built of; ERR_UNSUPPORTED names modules.
NODISCARD int xtables_probe(enum xtables_family family, struct err *err);

// The same of one match, which only some rules need and xtables_probe does not ask for: "physdev", "connmark".
NODISCARD int xtables_probe_match(enum xtables_family family, const char *match, struct err *err);

struct xtables;

// Reads the filter table (and makes it when it is not there). Hold the lock from before this until after the commit.
NODISCARD int xtables_open(enum xtables_family family, struct xtables **ret, struct err *err);
// The same of another table, to be read.
NODISCARD int xtables_open_table(enum xtables_family family, const char *name, struct xtables **ret, struct err *err);
void xtables_close(struct xtables *table);
CLEANUP_DEFINE(struct xtables, xtables_close);
// Writes what was edited. ERR_RETRY: another program changed the table meanwhile, open it again. Close the table after
// either result.
NODISCARD int xtables_commit(struct xtables *table, struct err *err);

bool xtables_has_chain(struct xtables *table, const char *chain);
bool xtables_is_builtin(struct xtables *table, const char *chain);
// Chain names one after the other, NULL at the end; valid until the table is edited.
const char *xtables_first_chain(struct xtables *table);
const char *xtables_next_chain(struct xtables *table);
// "ACCEPT" or "DROP"; NULL for a chain without a policy. Valid until the table is edited.
const char *xtables_policy(struct xtables *table, const char *chain);
// Every rule of a chain in order. fn: -1 with err stops it. The table must not be edited meanwhile.
NODISCARD int xtables_read(struct xtables *table, const char *chain,
                           int (*fn)(const struct xtables_view *view, void *arg, struct err *err), void *arg,
                           struct err *err);

NODISCARD int xtables_create_chain(struct xtables *table, const char *chain, struct err *err);
NODISCARD int xtables_flush_chain(struct xtables *table, const char *chain, struct err *err);
// ERR_RETRY with num EMLINK while a rule jumps to it. The chain must be empty.
NODISCARD int xtables_delete_chain(struct xtables *table, const char *chain, struct err *err);
NODISCARD int xtables_append(struct xtables *table, const char *chain, const struct xtables_rule *rule,
                             struct err *err);
// position: 0-based.
NODISCARD int xtables_insert(struct xtables *table, const char *chain, unsigned position,
                             const struct xtables_rule *rule, struct err *err);
NODISCARD int xtables_delete(struct xtables *table, const char *chain, unsigned position, struct err *err);
