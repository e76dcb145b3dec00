// SPDX-License-Identifier: Apache-2.0
//
// Conntrack entries as ctnetlink writes them (linux/netfilter/nfnetlink_conntrack.h). Private to the module.
#pragma once

#include "flow/flow.h"
#include "netlink/netlink.h"

// IPCTNL_MSG_CT_… with its fixed header.
void flow_message(struct netlink_batch *batch, unsigned type, uint16_t flags, enum family family);
// Whether the kernel can tell less than everything.
bool flow_can_filter(const struct flow_filter *filter);
// The dump request of a filter. filtered: let the kernel filter as far as it can; before 5.8 it ignores CTA_FILTER, and
// others may refuse it.
void flow_put_filter(struct netlink_batch *batch, const struct flow_filter *filter, bool filtered);
bool flow_filter_equal(const struct flow_filter *a, const struct flow_filter *b);
// Names the entry by its original tuple and zone.
void flow_put_key(struct netlink_batch *batch, const struct flow *flow);
// False: no entry of IPv4 or IPv6, or incomplete.
bool flow_parse(const struct netlink_reply *reply, struct flow *ret);
bool flow_matches(const struct flow *flow, const struct flow_filter *filter);
// The zone apart.
bool flow_same_original(const struct flow *a, const struct flow *b);
// Both tuples, the zone apart: a judgement about one holds for the other.
bool flow_same(const struct flow *a, const struct flow *b);
