// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_internal.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libiptc/libiptc.h>

#include "xtables/xtables_match.h"

#define TC(name) iptc_##name
#define ENTRY struct ipt_entry
#define HEADER ip
#define FAMILY XTABLES_V4
#define ADDRESS_SIZE 4
#define FLAG_GOTO IPT_F_GOTO
#define FLAG_PROTOCOL 0
#define FLAG_OTHER IPT_F_FRAG
#define FLAG_OTHER_TEXT "-f: fragments only"

#define XTABLES_OPS xtables_v4
#define FAMILY_NAME "IPv4"
#define PROC_NAMES "/proc/net/ip_tables_names"
#define MODULE "iptable_filter"
#define SOCKET_FAMILY AF_INET
#define LEVEL IPPROTO_IP
#define REVISION_MATCH IPT_SO_GET_REVISION_MATCH
#define REVISION_TARGET IPT_SO_GET_REVISION_TARGET
#define GET_INFO IPT_SO_GET_INFO
#define INFO struct ipt_getinfo

#include "xtables/xtables_family.inc"
