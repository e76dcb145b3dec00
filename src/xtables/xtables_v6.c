// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_internal.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libiptc/libip6tc.h>

#include "xtables/xtables_match.h"

#define TC(name) ip6tc_##name
#define ENTRY struct ip6t_entry
#define HEADER ipv6
#define FAMILY XTABLES_V6
#define ADDRESS_SIZE 16
#define FLAG_GOTO IP6T_F_GOTO
#define FLAG_PROTOCOL IP6T_F_PROTO
#define FLAG_OTHER IP6T_F_TOS
#define FLAG_OTHER_TEXT "a traffic class"

#define XTABLES_OPS xtables_v6
#define FAMILY_NAME "IPv6"
#define PROC_NAMES "/proc/net/ip6_tables_names"
#define MODULE "ip6table_filter"
#define SOCKET_FAMILY AF_INET6
#define LEVEL IPPROTO_IPV6
#define REVISION_MATCH IP6T_SO_GET_REVISION_MATCH
#define REVISION_TARGET IP6T_SO_GET_REVISION_TARGET
#define GET_INFO IP6T_SO_GET_INFO
#define INFO struct ip6t_getinfo

#include "xtables/xtables_family.inc"
