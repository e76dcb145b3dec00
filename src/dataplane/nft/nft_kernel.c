// SPDX-License-Identifier: Apache-2.0
#include "dataplane/nft/nft_kernel.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/backend.h"
#include "netlink/netlink.h"
#include "netlink/netlink_attr.h"

static int message_of(int number)
{
    return (NFNL_SUBSYS_NFTABLES << 8) | number;
}

static int ask(uint16_t number, uint16_t flags, const struct netlink_handler *handler, int *ret_code, struct err *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    struct netlink_batch NETLINK_BATCH_CLEANUP batch = {0};
    const struct nfgenmsg header = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
    if (netlink_open(NETLINK_BUS_NETFILTER, &netlink, err) < 0) {
        return -1;
    }
    netlink_batch_message(&batch, (uint16_t)message_of(number), flags, &header, sizeof(header));
    int code = netlink_request(netlink, &batch, handler, err);
    if (code < 0) {
        return -1;
    }
    *ret_code = code;
    return 0;
}

static int explain(int code, struct err *err)
{
    switch (code) {
    case 0:
        return 0;
    case EINVAL:  // of nfnetlink, when nothing serves the subsystem
    case EOPNOTSUPP:
        return err_set(err, ERR_UNSUPPORTED, code, "the kernel has no nf_tables: load it by modprobe nf_tables");
    case EPERM:
    case EACCES:
        return err_set(err, ERR_DENIED, code, "read nf_tables: CAP_NET_ADMIN is missing");
    case EINTR:
    case EAGAIN:
        return err_set(err, ERR_RETRY, code, "nf_tables changed while it was read");
    }
    return err_set(err, ERR_SYSTEM, code, "read nf_tables: %s", strerror(code));
}

static int read_generation(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct netlink_attr attr[NFTA_GEN_ID + 1];
    (void)err;
    if (reply->type == message_of(NFT_MSG_NEWGEN) && reply->len >= sizeof(struct nfgenmsg)) {
        netlink_attr_parse((const struct nfgenmsg *)reply->payload + 1, reply->len - sizeof(struct nfgenmsg), attr,
                           ARRAY_SIZE(attr));
        (void)netlink_attr_be32(&attr[NFTA_GEN_ID], arg);
    }
    return 0;
}

int nft_kernel_generation(uint32_t *ret, struct err *err)
{
    const struct netlink_handler handler = {.reply = read_generation, .arg = ret};
    int code = 0;
    return ask(NFT_MSG_GETGEN, NLM_F_ACK, &handler, &code, err) < 0 ? -1 : explain(code, err);
}

int nft_kernel_probe(struct err *err)
{
    uint32_t generation = 0;
    return nft_kernel_generation(&generation, err);
}

struct table_reader {
    enum family family;
    bool dormant;
};

static int read_table(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct table_reader *reader = arg;
    const struct nfgenmsg *header = reply->payload;
    struct netlink_attr attr[NFTA_TABLE_USE + 1];
    char name[256];
    uint32_t flags = 0;
    (void)err;
    if (reply->type != message_of(NFT_MSG_NEWTABLE) || reply->len < sizeof(*header) ||
        header->nfgen_family != (reader->family == FAMILY_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    if (netlink_attr_text(&attr[NFTA_TABLE_NAME], name, sizeof(name)) && strcmp(name, "filter") == 0 &&
        netlink_attr_be32(&attr[NFTA_TABLE_FLAGS], &flags)) {
        reader->dormant = (flags & NFT_TABLE_F_DORMANT) != 0;
    }
    return 0;
}

int nft_kernel_awake(enum family family, struct err *err)
{
    struct table_reader reader = {.family = family};
    const struct netlink_handler handler = {.reply = read_table, .arg = &reader};
    int code = 0;
    if (ask(NFT_MSG_GETTABLE, NLM_F_DUMP, &handler, &code, err) < 0 || explain(code, err) < 0) {
        return -1;
    }
    const char *name = family == FAMILY_V6 ? "ip6" : "ip";
    return reader.dormant
               ? err_set(err, ERR_SYSTEM, 0,
                         "table %s filter is dormant: no rule in it is asked; another program set that flag: "
                         "nft add table %s filter '{ flags ; }'",
                         name, name)
               : 0;
}

struct chain_reader {
    int (*fn)(const struct nft_kernel_chain *chain, void *arg, struct err *err);
    void *arg;
};

static bool is_iptables(const char *table)
{
    static const char *const tables[] = {"raw", "mangle", "nat", "filter", "security"};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        if (strcmp(tables[i], table) == 0) {
            return true;
        }
    }
    return false;
}

static int read_chain(const struct netlink_reply *reply, void *arg, struct err *err)
{
    const struct chain_reader *reader = arg;
    const struct nfgenmsg *header = reply->payload;
    struct netlink_attr attr[NFTA_CHAIN_USE + 1];
    struct nft_kernel_chain chain = {0};
    char name[256];  // NFT_NAME_MAXLEN
    if (reply->type != message_of(NFT_MSG_NEWCHAIN) || reply->len < sizeof(*header) ||
        (header->nfgen_family != NFPROTO_IPV4 && header->nfgen_family != NFPROTO_IPV6)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    if (!netlink_attr_text(&attr[NFTA_CHAIN_TABLE], chain.table, sizeof(chain.table)) || !is_iptables(chain.table) ||
        !netlink_attr_text(&attr[NFTA_CHAIN_NAME], name, sizeof(name))) {
        return 0;
    }
    (void)snprintf(chain.name, sizeof(chain.name), "%.63s", name);
    chain.family = header->nfgen_family == NFPROTO_IPV6 ? FAMILY_V6 : FAMILY_V4;
    (void)netlink_attr_be32(&attr[NFTA_CHAIN_USE], &chain.uses);
    return reader->fn(&chain, reader->arg, err);
}

int nft_kernel_chains(int (*fn)(const struct nft_kernel_chain *chain, void *arg, struct err *err), void *arg,
                      struct err *err)
{
    struct chain_reader reader = {.fn = fn, .arg = arg};
    const struct netlink_handler handler = {.reply = read_chain, .arg = &reader};
    int code = 0;
    struct err why = {0};
    if (ask(NFT_MSG_GETCHAIN, NLM_F_DUMP, &handler, &code, err) < 0) {
        return -1;
    }
    if (explain(code, &why) < 0 && why.kind != ERR_UNSUPPORTED) {
        return explain(code, err);
    }
    return 0;
}

struct own_counter {
    enum family family;
    size_t n;
};

static int count_own(const struct nft_kernel_chain *chain, void *arg, struct err *err)
{
    struct own_counter *counter = arg;
    (void)err;
    counter->n +=
        chain->family == counter->family && strcmp(chain->table, "filter") == 0 && backend_is_our_chain(chain->name);
    return 0;
}

int nft_kernel_own_chains(enum family family, size_t *ret, struct err *err)
{
    struct own_counter counter = {.family = family};
    if (nft_kernel_chains(count_own, &counter, err) < 0) {
        return -1;
    }
    *ret = counter.n;
    return 0;
}
