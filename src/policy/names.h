// SPDX-License-Identifier: Apache-2.0
//
// Names of chains and sets, and comments, of a compiled ruleset. Nothing that a tenant writes stands in a name raw.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

#define NAMES_FORWARD "NETPOL-FORWARD"
#define NAMES_INPUT "NETPOL-INPUT"
#define NAMES_OUTPUT "NETPOL-OUTPUT"
#define NAMES_DROP "NETPOL-DROP"
#define NAMES_ACCEPT "NETPOL-ACCEPT"            // --allowed-verdict=accept: traffic of local pods
#define NAMES_EGRESS_TREE "NETPOL-FE"           // and "NETPOL-FE-…" below the root
#define NAMES_INGRESS_TREE "NETPOL-FI"          // and "NETPOL-FI-…"
#define NAMES_EGRESS_POD "NETPOL-E-"            // + digest
#define NAMES_INGRESS_POD "NETPOL-I-"           // + digest
#define NAMES_POLICY "NETPOL-P-"                // + digest of the content
#define NAMES_LINK_LOCAL_BRIDGED "NETPOL-LLF"   // link-local packets between the ports of a bridge
#define NAMES_ROUTERS "NETPOL-RA"               // router advertisements and redirects
#define NAMES_LINK_LOCAL_TO_NODE "NETPOL-LLI"   // link-local packets from pods to their node
#define NAMES_SOURCE "NETPOL-GUARD"             // source guard: packets that a guarded pod may have sent
#define NAMES_SOURCE_TREE "NETPOL-GA"           // … by source, and "NETPOL-GA-…" below the root
#define NAMES_SOURCE_POD "NETPOL-G-"            // … + digest: the source is this pod's
#define NAMES_SOURCE_FORGED "NETPOL-GL"         // … it is nobody's who sits where the packet came from
#define NAMES_SOURCE_ELSEWHERE "NETPOL-GX"      // … it is a pod's, and the packet came from another place
#define NAMES_SOURCE_CLIENTS "NETPOL-GD"        // … it is that of a DHCP client
#define NAMES_SOURCE_PORTS "NETPOL-GB-"         // … + digest: the guarded ports of a bridge
#define NAMES_ENCAP "NETPOL-ENCAP"              // tunnel packets
#define NAMES_ENCAP_PODS "NETPOL-ENCAP-PODS"    // … from local pods
#define NAMES_ENCAP_NODES "NETPOL-ENCAP-NODES"  // … of these to where they end
#define NAMES_GROUPS_BRIDGED "NETPOL-MCF"       // multicast and broadcast between the ports of a bridge
#define NAMES_GROUPS_TO_NODE "NETPOL-MCI"       // … from pods to their node
#define NAMES_UNKNOWN_SOURCE "NETPOL-US"        // from an address of the pod CIDRs
#define NAMES_UNKNOWN_DESTINATION "NETPOL-UD"   // to one

// prefix + 16 base32 digits of the text's digest, in the arena. taken (name → anything) remembers what was given out:
// should two texts have one digest, the second gets the name of another text, so nobody's chain or set is replaced.
NODISCARD int names_take(struct map *taken, struct arena *arena, const char *prefix, const char *text, size_t len,
                         const char **ret, struct err *err);

// A list for a comment, in the arena: "<head><item>,<item>,+<n> more", at most LIMIT_COMMENT bytes; what is no
// printable ASCII, quotes and backslashes become '?'.
NODISCARD int names_comment(struct arena *arena, const char *head, const char *const *items, size_t n, const char **ret,
                            struct err *err);

// What is no printable ASCII, quotes and backslashes become '?': text of a tenant that is printed into rules.
void names_plain(char *text);
