// SPDX-License-Identifier: Apache-2.0
#include "host/facts_read_claims.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

#include "netlink/netlink.h"
#include "netlink/netlink_attr.h"

enum { REQUESTS_AT_ONCE = 64, READ_ATTEMPTS = 8 };

struct reader {
    struct netlink *netlink;
    const struct facts *facts;
    VEC(struct facts_link) links;  // sorted by index once all are read
    VEC(struct facts_neighbour) neighbours;
    VEC(struct facts_forward) forwards;
    facts_addresses *addresses;  // of a dump
    int refused;                 // the first refusal that means more than "no such entry"
};

static void cleanup_reader(struct reader *reader)
{
    netlink_close(reader->netlink);
    vec_free(&reader->links);
    vec_free(&reader->neighbours);
    vec_free(&reader->forwards);
}

static int compare_link(const void *a, const void *b)
{
    const struct facts_link *left = a;
    const struct facts_link *right = b;
    return (left->index > right->index) - (left->index < right->index);
}

static int read_link(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    const struct ifinfomsg *header = reply->payload;
    struct netlink_attr attr[IFLA_MASTER + 1];
    if (reply->type != RTM_NEWLINK || reply->len < sizeof(*header)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    struct facts_link link = {.index = (uint32_t)header->ifi_index};
    if (!netlink_attr_text(&attr[IFLA_IFNAME], link.name, sizeof(link.name))) {
        return 0;
    }
    (void)netlink_attr_u32(&attr[IFLA_MASTER], &link.master);
    return vec_push(&reader->links, link) < 0 ? err_oom(err) : 0;
}

// An entry that names a MAC: header and attributes of it. attr has NDA_MASTER + 1 places.
static const struct ndmsg *read_entry(const struct netlink_reply *reply, struct netlink_attr *attr, uint8_t *mac)
{
    const struct ndmsg *header = reply->payload;
    if (reply->type != RTM_NEWNEIGH || reply->len < sizeof(*header)) {
        return NULL;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, NDA_MASTER + 1);
    if (!attr[NDA_LLADDR].data || attr[NDA_LLADDR].len != FACTS_MAC) {
        return NULL;
    }
    memcpy(mac, attr[NDA_LLADDR].data, FACTS_MAC);
    return header;
}

static bool read_destination(const struct ndmsg *header, const struct netlink_attr *attr, struct address *ret)
{
    size_t size = header->ndm_family == AF_INET6 ? 16 : 4;
    if ((header->ndm_family != AF_INET && header->ndm_family != AF_INET6) || !attr->data || attr->len != size) {
        return false;
    }
    *ret = (struct address){.family = header->ndm_family == AF_INET6 ? FAMILY_V6 : FAMILY_V4};
    memcpy(ret->bytes, attr->data, size);
    return true;
}

// What is being resolved, or could not be, has no MAC worth believing.
static int read_neighbour(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct netlink_attr attr[NDA_MASTER + 1];
    struct facts_neighbour neighbour = {0};
    const struct ndmsg *header = read_entry(reply, attr, neighbour.mac);
    if (!header || (header->ndm_state & (NUD_INCOMPLETE | NUD_FAILED)) ||
        !read_destination(header, &attr[NDA_DST], &neighbour.address)) {
        return 0;
    }
    neighbour.bridge = (uint32_t)header->ndm_ifindex;
    return vec_push(&reader->neighbours, neighbour) < 0 ? err_oom(err) : 0;
}

static int read_forward(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct netlink_attr attr[NDA_MASTER + 1];
    struct facts_forward forward = {0};
    const struct ndmsg *header = read_entry(reply, attr, forward.mac);
    if (!header || header->ndm_family != AF_BRIDGE || !netlink_attr_u32(&attr[NDA_MASTER], &forward.bridge)) {
        return 0;
    }
    forward.port = (uint32_t)header->ndm_ifindex;
    forward.local = header->ndm_state & NUD_PERMANENT;
    return vec_push(&reader->forwards, forward) < 0 ? err_oom(err) : 0;
}

static int read_address(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct reader *reader = arg;
    struct netlink_attr attr[NDA_MASTER + 1];
    uint8_t mac[FACTS_MAC];
    struct address address;
    const struct ndmsg *header = read_entry(reply, attr, mac);
    if (!header || !read_destination(header, &attr[NDA_DST], &address) ||
        !facts_ports_bridge(reader->facts, &address)) {
        return 0;
    }
    return vec_push(reader->addresses, address) < 0 ? err_oom(err) : 0;
}

static int dump(struct reader *reader, uint16_t type, const void *header, size_t header_len,
                int (*fn)(const struct netlink_reply *reply, void *arg, struct err *err), const char *what,
                struct err *err)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    const struct netlink_handler handler = {.reply = fn, .arg = reader};
    netlink_batch_message(&batch, type, NLM_F_DUMP, header, header_len);
    if (type == RTM_GETLINK) {
        netlink_batch_u32(&batch, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }
    int code = netlink_request(reader->netlink, &batch, &handler, err);
    if (code > 0) {
        return err_set(err, ERR_SYSTEM, code, "read %s: %s", what, strerror(code));
    }
    return code < 0 ? err_wrap(err, "read %s", what) : 0;
}

static void see_refusal(int code, UNUSED const struct netlink_reply *request, void *arg)
{
    struct reader *reader = arg;
    if (code != ENOENT && reader->refused == 0) {
        reader->refused = code;
    }
}

static int ask(struct reader *reader, struct netlink_batch *batch,
               int (*fn)(const struct netlink_reply *reply, void *arg, struct err *err), struct err *err)
{
    const struct netlink_handler handler = {.reply = fn, .refused = see_refusal, .arg = reader};
    int code = netlink_request(reader->netlink, batch, &handler, err);
    netlink_batch_clear(batch);
    if (code < 0) {
        return -1;
    }
    if (reader->refused == EOPNOTSUPP) {
        return err_set(err, ERR_UNSUPPORTED, EOPNOTSUPP, "this kernel does not tell single neighbours");
    }
    // A bridge may go while it is asked about.
    if (reader->refused && reader->refused != ENODEV && reader->refused != EINVAL) {
        return err_set(err, ERR_SYSTEM, reader->refused, "read neighbours: %s", strerror(reader->refused));
    }
    return 0;
}

static const struct facts_link *link_named(const struct reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->links.n; i++) {
        if (strcmp(reader->links.v[i].name, name) == 0) {
            return &reader->links.v[i];
        }
    }
    return NULL;
}

static int ask_neighbours(struct reader *reader, const struct address *addresses, size_t n, struct err *err)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    const struct facts_link *link = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct facts_interface *bridge = facts_ports_bridge(reader->facts, &addresses[i]);
        if (bridge && (!link || strcmp(link->name, bridge->name) != 0)) {
            link = link_named(reader, bridge->name);
        }
        if (bridge && link) {
            bool v6 = addresses[i].family == FAMILY_V6;
            const struct ndmsg header = {.ndm_family = v6 ? AF_INET6 : AF_INET, .ndm_ifindex = (int)link->index};
            netlink_batch_message(&batch, RTM_GETNEIGH, NLM_F_ACK, &header, sizeof(header));
            netlink_batch_put(&batch, NDA_DST, addresses[i].bytes, v6 ? 16 : 4);
        }
        if ((batch.n_messages == REQUESTS_AT_ONCE || i + 1 == n) && ask(reader, &batch, read_neighbour, err) < 0) {
            return err_wrap(err, "read neighbours");
        }
    }
    return 0;
}

static bool is_asked(const struct reader *reader, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (reader->neighbours.v[j].bridge == reader->neighbours.v[i].bridge &&
            memcmp(reader->neighbours.v[j].mac, reader->neighbours.v[i].mac, FACTS_MAC) == 0) {
            return true;
        }
    }
    return false;
}

static int ask_forwards(struct reader *reader, struct err *err)
{
    NETLINK_BATCH_CLEANUP struct netlink_batch batch = {0};
    for (size_t i = 0; i < reader->neighbours.n; i++) {
        // Two entries would look like two VLANs.
        if (!is_asked(reader, i)) {
            const struct ndmsg header = {.ndm_family = AF_BRIDGE};
            netlink_batch_message(&batch, RTM_GETNEIGH, NLM_F_ACK, &header, sizeof(header));
            netlink_batch_u32(&batch, NDA_MASTER, reader->neighbours.v[i].bridge);
            netlink_batch_put(&batch, NDA_LLADDR, reader->neighbours.v[i].mac, FACTS_MAC);
        }
        if ((batch.n_messages == REQUESTS_AT_ONCE || i + 1 == reader->neighbours.n) &&
            ask(reader, &batch, read_forward, err) < 0) {
            return err_wrap(err, "read bridge tables");
        }
    }
    return 0;
}

static int read_once(const struct facts *facts, const struct address *addresses, size_t n, facts_claims *claims,
                     struct err *err)
{
    __attribute__((cleanup(cleanup_reader))) struct reader reader = {.facts = facts};
    const struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
    if (netlink_open(NETLINK_BUS_ROUTE, &reader.netlink, err) < 0 ||
        dump(&reader, RTM_GETLINK, &header, sizeof(header), read_link, "interfaces", err) < 0) {
        return -1;
    }
    if (reader.links.n) {
        qsort(reader.links.v, reader.links.n, sizeof(*reader.links.v), compare_link);
    }
    return ask_neighbours(&reader, addresses, n, err) < 0 || ask_forwards(&reader, err) < 0
               ? -1
               : facts_ports_join(reader.neighbours.v, reader.neighbours.n, reader.forwards.v, reader.forwards.n,
                                  reader.links.v, reader.links.n, claims, err);
}

int facts_read_claims(const struct facts *facts, const struct address *addresses, size_t n, facts_claims *claims,
                      struct err *err)
{
    for (unsigned attempt = 1;; attempt++) {
        struct err why = {0};
        if (read_once(facts, addresses, n < FACTS_CLAIM_ADDRESSES ? n : FACTS_CLAIM_ADDRESSES, claims, &why) == 0) {
            return 0;
        }
        if (why.kind != ERR_RETRY || attempt == READ_ATTEMPTS) {
            if (err) {
                *err = why;
            }
            return -1;
        }
    }
}

int facts_read_neighbours(const struct facts *facts, facts_addresses *addresses, struct err *err)
{
    __attribute__((cleanup(cleanup_reader))) struct reader reader = {.facts = facts, .addresses = addresses};
    const struct ndmsg header = {.ndm_family = AF_UNSPEC};
    const size_t before = addresses->n;
    if (netlink_open(NETLINK_BUS_ROUTE, &reader.netlink, err) < 0) {
        return -1;
    }
    for (unsigned attempt = 1;; attempt++) {
        struct err why = {0};
        addresses->n = before;
        if (dump(&reader, RTM_GETNEIGH, &header, sizeof(header), read_address, "neighbours", &why) == 0) {
            return 0;
        }
        if (why.kind != ERR_RETRY || attempt == READ_ATTEMPTS) {
            if (err) {
                *err = why;
            }
            return -1;
        }
    }
}

int facts_claims_monitor_open(int *ret_fd, struct err *err)
{
    static const unsigned groups[] = {RTNLGRP_NEIGH};
    return netlink_monitor_open(NETLINK_BUS_ROUTE, groups, ARRAY_SIZE(groups), ret_fd, err);
}
