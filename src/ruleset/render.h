// SPDX-License-Identifier: Apache-2.0
//
// Text of a ruleset (DESIGN 4): one `ipset restore` part and one `iptables-restore --noflush` part a family, in one
// stream with marker lines, or JSON.
//
// A rule is written exactly as iptables-save 1.8.9 prints it back, with the matches in this order, which is the order
// in which a backend has to build them: addresses, interfaces and protocol in the header; ports (tcp, udp, multiport);
// icmp or icmp6 type; hl; conntrack; addrtype; set; comment. Cheap before dear, and the comment behind all that can
// fail. One difference from iptables-save is meant: a protocol that iptables does not know by itself (4, 41, 47) is
// written as a number, since its name would load only where /etc/protocols is installed. (`ipset restore` takes even
// the names tcp, udp and sctp of named-port members from that file, and prints them so: there the names stay.)
#pragma once

#include "base/buf.h"
#include "ruleset/ruleset.h"

// The marker lines of render_restore. Each section starts with its marker line and ends before the next one; `ipset
// restore`, `iptables-restore` and `ip6tables-restore` ignore every line that starts with '#'. To split a stream:
//   sed -n '/^# iptables-restore/,/^# ip6tables-restore/p'
#define RENDER_MARK_IPSET "# ipset restore"
#define RENDER_MARK_IPTABLES "# iptables-restore --noflush"
#define RENDER_MARK_IP6TABLES "# ip6tables-restore --noflush"

enum render_section { RENDER_IPSET, RENDER_IPTABLES, RENDER_IP6TABLES };
enum { RENDER_SECTION_COUNT = 3 };
const char *render_section_name(enum render_section section);           // "ipset", "iptables", "ip6tables"
bool render_section_parse(const char *name, enum render_section *ret);  // inverse of render_section_name
const char *render_section_mark(enum render_section section);           // its marker line, without newline

// "-A CHAIN …" as iptables-save prints it, without newline; chain NULL: the matches and target alone. table (may be
// NULL) tells how many dimensions the rule's set has; a set that it does not hold is matched in one.
void render_rule(enum family family, const struct table *table, const char *chain, const struct rule *rule,
                 struct buf *out);
// "10.0.0.1", "10.0.0.0/8 nomatch", "10.0.0.1,tcp:80": what stands behind "add NAME ".
void render_member(const struct set *set, const struct set_member *member, struct buf *out);
// "create NAME hash:ip family inet hashsize 64 maxelem 65536", without newline.
void render_set_create(enum family family, const struct set *set, struct buf *out);
// `create …` and `add …` lines for `ipset restore`.
void render_sets(enum family family, const struct table *table, struct buf *out);
// "*filter", ":CHAIN - [0:0]", rules, hooks as "-I FORWARD 1 …", "-I FORWARD 2 …", "COMMIT". Loading it again flushes
// and refills the chains, and doubles the hooks.
void render_table(enum family family, const struct table *table, struct buf *out);
// One section with its marker line, for both families (sets) or its own.
void render_section(const struct ruleset *ruleset, enum render_section section, struct buf *out);
// Everything: the three sections in order.
void render_restore(const struct ruleset *ruleset, struct buf *out);
// {"ipv4":{"sets":[…],"chains":[…],"hooks":[…]},"ipv6":{…}}, one set member list, rule or hook a line. Fields that a
// rule does not use are left out.
void render_json(const struct ruleset *ruleset, struct buf *out);
