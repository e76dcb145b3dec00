// SPDX-License-Identifier: Apache-2.0
//
// The door to libmnl: request and answer over a netlink socket (rtnetlink, nfnetlink: ipset, conntrack), and a socket
// that listens to changes. Messages are written with netlink_batch.h and read with netlink_attr.h.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "netlink/netlink_batch.h"

enum netlink_bus { NETLINK_BUS_ROUTE, NETLINK_BUS_NETFILTER };

struct netlink;

// A blocking socket for requests. Use one per purpose.
NODISCARD int netlink_open(enum netlink_bus bus, struct netlink **ret, struct err *err);
void netlink_close(struct netlink *netlink);
CLEANUP_DEFINE(struct netlink, netlink_close);

struct netlink_reply {
    uint16_t type;
    uint16_t flags;
    size_t index;         // of the message of the batch that it answers
    const void *payload;  // behind struct nlmsghdr
    size_t len;
};

struct netlink_handler {
    // One answer (a dump gives many). -1 with err: the rest is read and dropped, and netlink_request fails with it.
    int (*reply)(const struct netlink_reply *reply, void *arg, struct err *err);
    // A message was refused: the code (errno, or 4096 and more: ipset's own), and what the kernel echoed of it (at
    // least the header; request.payload is behind struct nlmsghdr). May be NULL.
    void (*refused)(int code, const struct netlink_reply *request, void *arg);
    void *arg;
};

// Sends the batch and reads every answer: the last message needs NLM_F_ACK or NLM_F_DUMP. handler may be NULL. The
// kernel goes on behind a message that it refused. Returns 0; the code of the first message refused, as above; or -1
// with err when the exchange itself failed (ERR_RETRY: a dump was interrupted by a change, or answers were lost).
NODISCARD int netlink_request(struct netlink *netlink, struct netlink_batch *batch,
                              const struct netlink_handler *handler, struct err *err);

// A non-blocking socket that hears the multicast groups (numbers, not masks). The caller closes the fd.
NODISCARD int netlink_monitor_open(enum netlink_bus bus, const unsigned *groups, size_t n, int *ret_fd,
                                   struct err *err);
// Reads everything pending; fn (may be NULL) sees each message. False when messages were lost.
bool netlink_monitor_drain(int fd, void (*fn)(const struct netlink_reply *message, void *arg), void *arg);
