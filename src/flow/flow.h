// SPDX-License-Identifier: Apache-2.0
//
// The kernel's conntrack entries as plain values: listed, and marked as revoked, over ctnetlink (src/netlink). Listing
// is asynchronous: a table of 250,000 entries takes the kernel 60 ms to walk, and the agent's loop goes on meanwhile.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/mem.h"
#include "model/address.h"

struct flow_tuple {
    struct address source;
    struct address destination;
    uint8_t protocol;
    uint16_t source_port;       // TCP, UDP, SCTP, UDP-Lite, DCCP (GRE: its keys); else 0
    uint16_t destination_port;  // likewise
    uint8_t icmp_type;          // ICMP, ICMPv6
    uint8_t icmp_code;
    uint16_t icmp_id;
};

struct flow {
    struct flow_tuple original;
    struct flow_tuple reply;
    uint32_t mark;
    uint32_t status;  // IPS_… of linux/netfilter/nf_conntrack_common.h
    uint32_t id;
    uint16_t zone;
    bool zone_of_original;  // the zone holds for the original direction alone
};

struct flows;

NODISCARD int flows_open(struct loop *loop, struct flows **ret, struct err *err);
void flows_close(struct flows *flows);
CLEANUP_DEFINE(struct flows, flows_close);

// What is asked for. All given conditions hold at once. The kernel filters by IPv4 addresses and by marks; by IPv6
// addresses it cannot, and tells everything of the family.
struct flow_filter {
    enum family family;
    bool has_original_source;  // exact addresses
    bool has_original_destination;
    bool has_reply_source;
    bool has_reply_destination;
    struct address original_source;
    struct address original_destination;
    struct address reply_source;
    struct address reply_destination;
    uint32_t mark;  // with mark_mask != 0
    uint32_t mark_mask;
};

struct flow_reader {
    void (*flow)(const struct flow *flow, void *arg);
    void (*done)(const struct err *err, void *arg);  // err NULL: everything was told
    void *arg;
};
// One list at a time; -1 (ERR_RETRY) while one runs. The reader is told from the loop.
NODISCARD int flows_list(struct flows *flows, const struct flow_filter *filter, const struct flow_reader *reader,
                         struct err *err);
// Lets the kernel begin with the list that comes next, while one runs: two cores go through the table at once. The next
// flows_list that asks for the same takes it; any other drops it. It tells of a moment before that call.
void flows_list_ahead(struct flows *flows, const struct flow_filter *filter);
void flows_cancel(struct flows *flows);
// Sets (on) or clears the bits of mask in the entry's mark, and no other bit of it; blocks, 6 us an entry. The kernel
// finds entries by their original tuple and zone alone. One that was made anew meanwhile with other ends (another
// backend of a service, or the other direction) is not the one that was meant: it is left as it was. An entry that is
// gone is no error. ret_found (may be NULL): how many were there.
NODISCARD int flows_mark(struct flows *flows, const struct flow *list, size_t n, uint32_t mask, bool on,
                         size_t *ret_found, struct err *err);
// Whether these very entries are there, and have bits of the mask; blocks, some us an entry. ret has n items.
enum flow_presence { FLOW_GONE, FLOW_MARKED, FLOW_UNMARKED };
NODISCARD int flows_look(struct flows *flows, const struct flow *list, size_t n, uint32_t mask, enum flow_presence *ret,
                         struct err *err);
// What the other end began between the same ends as the replies of these, since they are gone: a server's answer that
// was on its way begins a connection of its own. ret has room for n; blocks, some us an entry.
NODISCARD int flows_find_turned(struct flows *flows, const struct flow *list, size_t n, struct flow *ret, size_t *ret_n,
                                struct err *err);
// Takes these very entries out of the table (one that was made anew meanwhile has another id, and stays); blocks, some
// us an entry. What is gone already is no error.
NODISCARD int flows_delete(struct flows *flows, const struct flow *list, size_t n, struct err *err);
