// SPDX-License-Identifier: Apache-2.0
#include "dataplane/live_nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "netlink/netlink.h"
#include "netlink/netlink_attr.h"

enum { NAME = 256, KEY = 2 * NAME + 8, HOOK_ATTRS = NFTA_HOOK_PRIORITY + 1 };

struct nft_chain {
    uint8_t family;
    char table[NAME];
    char name[NAME];
    uint32_t hook;
    int32_t priority;
    bool drops;       // by policy
    bool translates;  // of type nat
};

struct nft_reader {
    VEC(struct nft_chain) chains;
    struct map *rules;     // "family table chain" → how many
    struct map *droppers;  // "family table " → one of its rules drops
};

static void cleanup_nft_reader(struct nft_reader *reader)
{
    vec_free(&reader->chains);
    map_free(reader->rules);
    map_free(reader->droppers);
}

static void chain_key(uint8_t family, const char *table, const char *chain, char ret[KEY])
{
    (void)snprintf(ret, KEY, "%u %s %s", family, table, chain);
}

static int read_chain(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct nft_reader *reader = arg;
    const struct nfgenmsg *header = reply->payload;
    struct netlink_attr attr[NFTA_CHAIN_TYPE + 1];
    struct netlink_attr hook[HOOK_ATTRS];
    uint32_t priority = 0;
    uint32_t policy = NF_ACCEPT;
    if (reply->type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN) || reply->len < sizeof(*header)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    netlink_attr_parse(attr[NFTA_CHAIN_HOOK].data, attr[NFTA_CHAIN_HOOK].len, hook, ARRAY_SIZE(hook));
    struct nft_chain chain = {.family = header->nfgen_family};
    if (!attr[NFTA_CHAIN_HOOK].data || !netlink_attr_be32(&hook[NFTA_HOOK_HOOKNUM], &chain.hook) ||
        !netlink_attr_be32(&hook[NFTA_HOOK_PRIORITY], &priority) ||
        !netlink_attr_text(&attr[NFTA_CHAIN_TABLE], chain.table, sizeof(chain.table)) ||
        !netlink_attr_text(&attr[NFTA_CHAIN_NAME], chain.name, sizeof(chain.name))) {
        return 0;
    }
    (void)netlink_attr_be32(&attr[NFTA_CHAIN_POLICY], &policy);
    chain.priority = (int32_t)priority;
    chain.drops = policy == NF_DROP;
    char type[16] = "";
    chain.translates = netlink_attr_text(&attr[NFTA_CHAIN_TYPE], type, sizeof(type)) && strcmp(type, "nat") == 0;
    return vec_push(&reader->chains, chain) < 0 ? err_oom(err) : 0;
}

// An immediate verdict that ends the packet or hands it to a program.
static bool is_end(const struct netlink_attr *data)
{
    struct netlink_attr immediate[NFTA_IMMEDIATE_DATA + 1];
    struct netlink_attr value[NFTA_DATA_VERDICT + 1];
    struct netlink_attr verdict[NFTA_VERDICT_CODE + 1];
    uint32_t code = NF_ACCEPT;
    netlink_attr_parse(data->data, data->len, immediate, ARRAY_SIZE(immediate));
    netlink_attr_parse(immediate[NFTA_IMMEDIATE_DATA].data, immediate[NFTA_IMMEDIATE_DATA].len, value,
                       ARRAY_SIZE(value));
    netlink_attr_parse(value[NFTA_DATA_VERDICT].data, value[NFTA_DATA_VERDICT].len, verdict, ARRAY_SIZE(verdict));
    return netlink_attr_be32(&verdict[NFTA_VERDICT_CODE], &code) &&
           (code == NF_DROP || (code & NF_VERDICT_MASK) == NF_QUEUE);
}

static bool drops(const struct netlink_attr *expressions)
{
    size_t at = 0;
    uint16_t type = 0;
    struct netlink_attr element = {0};
    while (netlink_attr_next(expressions->data, expressions->len, &at, &type, &element)) {
        struct netlink_attr part[NFTA_EXPR_DATA + 1];
        char name[16] = "";
        netlink_attr_parse(element.data, element.len, part, ARRAY_SIZE(part));
        if (!netlink_attr_text(&part[NFTA_EXPR_NAME], name, sizeof(name))) {
            continue;
        }
        if (strcmp(name, "reject") == 0 || strcmp(name, "queue") == 0 ||
            (strcmp(name, "immediate") == 0 && is_end(&part[NFTA_EXPR_DATA]))) {
            return true;
        }
    }
    return false;
}

static int read_rule(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct nft_reader *reader = arg;
    const struct nfgenmsg *header = reply->payload;
    struct netlink_attr attr[NFTA_RULE_EXPRESSIONS + 1];
    char table[NAME];
    char chain[NAME];
    char key[KEY];
    if (reply->type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE) || reply->len < sizeof(*header)) {
        return 0;
    }
    netlink_attr_parse(header + 1, reply->len - sizeof(*header), attr, ARRAY_SIZE(attr));
    if (!netlink_attr_text(&attr[NFTA_RULE_TABLE], table, sizeof(table)) ||
        !netlink_attr_text(&attr[NFTA_RULE_CHAIN], chain, sizeof(chain))) {
        return 0;
    }
    if (drops(&attr[NFTA_RULE_EXPRESSIONS])) {
        chain_key(header->nfgen_family, table, "", key);
        if (map_put_str(reader->droppers, key, reader, NULL) < 0) {
            return err_oom(err);
        }
    }
    chain_key(header->nfgen_family, table, chain, key);
    uintptr_t n = (uintptr_t)map_get_str(reader->rules, key);
    return map_put_str(reader->rules, key, (void *)(n + 1), NULL) < 0 ? err_oom(err) : 0;
}

// 0 also when the kernel has no nf_tables.
static int dump(struct netlink *netlink, uint16_t message,
                int (*reply)(const struct netlink_reply *reply, void *arg, struct err *err), struct nft_reader *reader,
                struct err *err)
{
    struct netlink_batch NETLINK_BATCH_CLEANUP batch = {0};
    const struct nfgenmsg header = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
    const struct netlink_handler handler = {.reply = reply, .arg = reader};
    netlink_batch_message(&batch, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | message), NLM_F_DUMP, &header,
                          sizeof(header));
    int code = netlink_request(netlink, &batch, &handler, err);
    switch (code) {
    case 0:
    case -1:
        return code;
    case EINVAL:  // of nfnetlink, when nothing serves the subsystem
    case EOPNOTSUPP:
        return 0;
    case EPERM:
    case EACCES:
        return err_set(err, ERR_DENIED, code, "read nf_tables: CAP_NET_ADMIN is missing");
    case EINTR:
    case EAGAIN:
        return err_set(err, ERR_RETRY, code, "nf_tables changed while it was read");
    }
    return err_set(err, ERR_SYSTEM, code, "read nf_tables: %s", strerror(code));
}

static const char *family_text(uint8_t family)
{
    switch (family) {
    case NFPROTO_IPV4:
        return "ip";
    case NFPROTO_IPV6:
        return "ip6";
    case NFPROTO_INET:
        return "inet";
    case NFPROTO_BRIDGE:
        return "bridge";
    case NFPROTO_NETDEV:
        return "netdev";
    case NFPROTO_ARP:
        return "arp";
    }
    return "?";
}

// NULL: nothing that comes before us.
static const char *hook_text(const struct nft_chain *chain)
{
    static const char *const hooks[] = {[NF_INET_PRE_ROUTING] = "prerouting",
                                        [NF_INET_LOCAL_IN] = "input",
                                        [NF_INET_FORWARD] = "forward",
                                        [NF_INET_LOCAL_OUT] = "output"};
    if (chain->family == NFPROTO_ARP) {
        return NULL;
    }
    if (chain->family == NFPROTO_NETDEV) {
        return chain->hook == NF_NETDEV_INGRESS ? "ingress" : NULL;
    }
    if (chain->family == NFPROTO_INET && chain->hook == NF_INET_INGRESS) {
        return "ingress";
    }
    bool filters = chain->hook != NF_INET_PRE_ROUTING && chain->family != NFPROTO_BRIDGE;
    // NF_IP_PRI_FILTER is 0: of one priority, who registered first comes first, and that is not said.
    return chain->hook < ARRAY_SIZE(hooks) && !(filters && chain->priority > 0) ? hooks[chain->hook] : NULL;
}

static int note_chain(const struct nft_reader *reader, const struct nft_chain *chain, struct findings *to,
                      struct err *err)
{
    char key[KEY];
    char where[FINDING_WHERE];
    char what[FINDING_WHAT];
    const char *hook = hook_text(chain);
    chain_key(chain->family, chain->table, chain->name, key);
    size_t rules = (uintptr_t)map_get_str(reader->rules, key);
    chain_key(chain->family, chain->table, "", key);
    // Our rules are asked about translated packets: a translation is nothing that comes before them.
    bool tame = chain->translates && !chain->drops && !map_get_str(reader->droppers, key);
    if (!hook || tame || (rules == 0 && !chain->drops)) {
        return 0;
    }
    (void)snprintf(where, sizeof(where), "nf_tables %s %.32s %.32s", family_text(chain->family), chain->table,
                   chain->name);
    (void)snprintf(what, sizeof(what), "hook %s, priority %d: %zu rule%s%s", hook, chain->priority, rules,
                   rules == 1 ? "" : "s", chain->drops ? ", policy drop" : "");
    return findings_add(to, where, what, err);
}

static bool is_of_iptables(const struct nft_chain *chain)
{
    static const char *const tables[] = {"raw", "mangle", "nat", "filter"};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        if ((chain->family == NFPROTO_IPV4 || chain->family == NFPROTO_IPV6) && strcmp(tables[i], chain->table) == 0) {
            return true;
        }
    }
    return false;
}

int live_nft_read(bool but_iptables, struct findings *to, struct err *err)
{
    __attribute__((cleanup(cleanup_nft_reader))) struct nft_reader reader = {.rules = map_new(), .droppers = map_new()};
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    if (!reader.rules || !reader.droppers) {
        return err_oom(err);
    }
    if (netlink_open(NETLINK_BUS_NETFILTER, &netlink, err) < 0 ||
        dump(netlink, NFT_MSG_GETCHAIN, read_chain, &reader, err) < 0 ||
        dump(netlink, NFT_MSG_GETRULE, read_rule, &reader, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < reader.chains.n; i++) {
        bool told = but_iptables && is_of_iptables(&reader.chains.v[i]);
        if (!told && note_chain(&reader, &reader.chains.v[i], to, err) < 0) {
            return -1;
        }
    }
    return 0;
}
