// SPDX-License-Identifier: Apache-2.0
//
// The UDP port that a tunnel device of this node speaks to the others on, from what rtnetlink says of the device. Pure.
// Internal to host/.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "netlink/netlink_attr.h"

// kind: IFLA_INFO_KIND; data: IFLA_INFO_DATA. vxlan, geneve and bareudp have a port of their own; ipip, sit, gre and
// their IPv6 kinds have one when they are wrapped in UDP (fou, gue). False: it has none, or one by default that the
// kernel did not tell.
bool facts_tunnel_port(const char *kind, const struct netlink_attr *data, uint16_t *ret);
