// SPDX-License-Identifier: Apache-2.0
#include "sets/sets_internal.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/netlink_attr.h"

// wanted: the lowest revision with all that ours use; a higher one would hide the set from older ipset tools. least:
// hash:net knows nomatch from 2, hash:ip,port knows SCTP from 1.
struct type_info {
    const char *name;
    const char *module;
    uint8_t wanted;
    uint8_t least;
};

static const struct type_info types[SETS_TYPES] = {
    [SETS_HASH_IP] = {"hash:ip", "ip_set_hash_ip", 4, 0},
    [SETS_HASH_NET] = {"hash:net", "ip_set_hash_net", 6, 2},
    [SETS_HASH_IP_PORT] = {"hash:ip,port", "ip_set_hash_ipport", 5, 1},
};

const char *sets_type_name(enum sets_type type)
{
    return type < SETS_OTHER ? types[type].name : "other";
}

uint8_t sets_family_number(enum sets_family family)
{
    return family == SETS_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

void sets_message(struct sets *sets, enum ipset_cmd command, uint16_t flags)
{
    const struct nfgenmsg header = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};
    netlink_batch_message(&sets->batch, (uint16_t)((NFNL_SUBSYS_IPSET << 8) | command), flags, &header, sizeof(header));
    netlink_batch_u8(&sets->batch, IPSET_ATTR_PROTOCOL, sets->protocol);
}

static int read_protocol(const struct netlink_reply *reply, void *arg, struct err *err)
{
    (void)err;
    struct netlink_attr attr[IPSET_ATTR_CMD_MAX + 1];
    if (reply->len < sizeof(struct nfgenmsg)) {
        return 0;
    }
    netlink_attr_parse((const uint8_t *)reply->payload + sizeof(struct nfgenmsg), reply->len - sizeof(struct nfgenmsg),
                       attr, ARRAY_SIZE(attr));
    uint8_t *range = arg;  // least, most
    if (netlink_attr_u8(&attr[IPSET_ATTR_PROTOCOL], &range[1])) {
        range[0] = range[1];
        (void)netlink_attr_u8(&attr[IPSET_ATTR_PROTOCOL_MIN], &range[0]);
    }
    return 0;
}

static int check_protocol(struct sets *sets, struct err *err)
{
    uint8_t range[2] = {0, 0};
    const struct netlink_handler handler = {.reply = read_protocol, .arg = range};
    sets_message(sets, IPSET_CMD_PROTOCOL, NLM_F_ACK);
    int code = netlink_request(sets->netlink, &sets->batch, &handler, err);
    netlink_batch_clear(&sets->batch);
    if (code < 0) {
        return -1;
    }
    // nfnetlink says EINVAL when no module serves the subsystem.
    if (code == EINVAL || code == EOPNOTSUPP) {
        return err_set(err, ERR_UNSUPPORTED, code, "the kernel has no ipset: modprobe ip_set");
    }
    if (code) {
        return sets_refused(code, err, "ask for the ipset protocol");
    }
    if (range[0] > IPSET_PROTOCOL || range[1] < IPSET_PROTOCOL_MIN) {
        return err_set(err, ERR_UNSUPPORTED, 0, "the kernel's ipset speaks protocol %u to %u, this program %d to %d",
                       range[0], range[1], IPSET_PROTOCOL_MIN, IPSET_PROTOCOL);
    }
    sets->protocol = range[1] < IPSET_PROTOCOL ? range[1] : IPSET_PROTOCOL;
    return 0;
}

int sets_open(struct sets **ret, struct err *err)
{
    CLEANUP(sets_close) struct sets *sets = calloc(1, sizeof(*sets));
    if (!sets) {
        return err_oom(err);
    }
    sets->socket = -1;
    sets->protocol = IPSET_PROTOCOL;
    memset(sets->revision, SETS_NO_REVISION, sizeof(sets->revision));
    if (netlink_open(NETLINK_BUS_NETFILTER, &sets->netlink, err) < 0 || check_protocol(sets, err) < 0) {
        return -1;
    }
    *ret = TAKE(sets);
    return 0;
}

void sets_close(struct sets *sets)
{
    if (!sets) {
        return;
    }
    netlink_close(sets->netlink);
    netlink_batch_free(&sets->batch);
    cleanup_fd(&sets->socket);
    free(sets);
}

static int read_revision(const struct netlink_reply *reply, void *arg, struct err *err)
{
    (void)err;
    struct netlink_attr attr[IPSET_ATTR_CMD_MAX + 1];
    if (reply->len < sizeof(struct nfgenmsg)) {
        return 0;
    }
    netlink_attr_parse((const uint8_t *)reply->payload + sizeof(struct nfgenmsg), reply->len - sizeof(struct nfgenmsg),
                       attr, ARRAY_SIZE(attr));
    uint8_t *range = arg;  // least, most
    if (netlink_attr_u8(&attr[IPSET_ATTR_REVISION], &range[1])) {
        range[0] = range[1];
        (void)netlink_attr_u8(&attr[IPSET_ATTR_REVISION_MIN], &range[0]);
    }
    return 0;
}

int sets_probe(struct sets *sets, enum sets_type type, enum sets_family family, struct err *err)
{
    if (type >= SETS_OTHER) {
        return err_set(err, ERR_BUG, 0, "set type %d is none of ours", (int)type);
    }
    if (sets->revision[type][family] != SETS_NO_REVISION) {
        return 0;
    }
    const struct type_info *info = &types[type];
    uint8_t range[2] = {SETS_NO_REVISION, SETS_NO_REVISION};
    const struct netlink_handler handler = {.reply = read_revision, .arg = range};
    sets_message(sets, IPSET_CMD_TYPE, NLM_F_ACK);
    netlink_batch_text(&sets->batch, IPSET_ATTR_TYPENAME, info->name);
    netlink_batch_u8(&sets->batch, IPSET_ATTR_FAMILY, sets_family_number(family));
    int code = netlink_request(sets->netlink, &sets->batch, &handler, err);
    netlink_batch_clear(&sets->batch);
    if (code < 0) {
        return -1;
    }
    if (code == IPSET_ERR_FIND_TYPE || code == ENOENT || (code == 0 && range[1] == SETS_NO_REVISION)) {
        return err_set(err, ERR_UNSUPPORTED, code, "the kernel has no %s sets: modprobe %s", info->name, info->module);
    }
    if (code) {
        return sets_refused(code, err, "ask for set type %s", info->name);
    }
    uint8_t revision = info->wanted;
    revision = revision > range[1] ? range[1] : revision;
    revision = revision < range[0] ? range[0] : revision;
    if (revision < info->least) {
        return err_set(err, ERR_UNSUPPORTED, 0, "the kernel's %s sets are of revision %u, %u is needed", info->name,
                       revision, info->least);
    }
    sets->revision[type][family] = revision;
    return 0;
}

int sets_create(struct sets *sets, const char *name, enum sets_type type, enum sets_family family, uint32_t hashsize,
                uint32_t maxelem, struct err *err)
{
    if (sets_probe(sets, type, family, err) < 0) {
        return -1;
    }
    sets_message(sets, IPSET_CMD_CREATE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME, name);
    netlink_batch_text(&sets->batch, IPSET_ATTR_TYPENAME, types[type].name);
    netlink_batch_u8(&sets->batch, IPSET_ATTR_REVISION, sets->revision[type][family]);
    netlink_batch_u8(&sets->batch, IPSET_ATTR_FAMILY, sets_family_number(family));
    size_t data = netlink_batch_nest(&sets->batch, IPSET_ATTR_DATA);
    netlink_batch_be32(&sets->batch, IPSET_ATTR_HASHSIZE, hashsize);
    netlink_batch_be32(&sets->batch, IPSET_ATTR_MAXELEM, maxelem);
    netlink_batch_nest_end(&sets->batch, data);
    int code = netlink_request(sets->netlink, &sets->batch, NULL, err);
    netlink_batch_clear(&sets->batch);
    if (code < 0) {
        return -1;
    }
    if (code == IPSET_ERR_FIND_TYPE) {
        return err_set(err, ERR_UNSUPPORTED, code, "create set %s: the kernel has no %s sets: modprobe %s", name,
                       types[type].name, types[type].module);
    }
    return code ? sets_refused(code, err, "create set %s", name) : 0;
}

int sets_swap(struct sets *sets, const char *a, const char *b, struct err *err)
{
    sets_message(sets, IPSET_CMD_SWAP, NLM_F_ACK);
    netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME, a);
    netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME2, b);
    int code = netlink_request(sets->netlink, &sets->batch, NULL, err);
    netlink_batch_clear(&sets->batch);
    return code > 0 ? sets_refused(code, err, "swap sets %s and %s", a, b) : code;
}

int sets_destroy(struct sets *sets, const char *name, struct err *err)
{
    sets_message(sets, IPSET_CMD_DESTROY, NLM_F_ACK);
    netlink_batch_text(&sets->batch, IPSET_ATTR_SETNAME, name);
    int code = netlink_request(sets->netlink, &sets->batch, NULL, err);
    netlink_batch_clear(&sets->batch);
    if (code == ENOENT) {
        return 0;
    }
    return code > 0 ? sets_refused(code, err, "destroy set %s", name) : code;
}
