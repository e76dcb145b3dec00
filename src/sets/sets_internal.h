// SPDX-License-Identifier: Apache-2.0
//
// What the files of this door share.
#pragma once

#include <linux/netfilter/ipset/ip_set.h>

#include "netlink/netlink.h"
#include "sets/sets.h"

enum { SETS_FAMILIES = 2, SETS_TYPES = 3, SETS_NO_REVISION = 255 };

struct sets {
    struct netlink *netlink;
    struct netlink_batch batch;  // scratch of every request
    int socket;                  // for the index of sets; -1 until used
    unsigned index_version;      // protocol of that socket's calls; 0 until asked
    uint8_t protocol;
    uint8_t revision[SETS_TYPES][SETS_FAMILIES];  // SETS_NO_REVISION until probed
};

// Starts a request in sets->batch (emptied before when it is the first).
void sets_message(struct sets *sets, enum ipset_cmd command, uint16_t flags);
uint8_t sets_family_number(enum sets_family family);  // NFPROTO_…
// err from a refused request: doing says what was tried ("add to set X"). Returns -1.
int sets_refused(int code, struct err *err, const char *doing, ...) __attribute__((format(printf, 3, 4)));
