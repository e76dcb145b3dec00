// SPDX-License-Identifier: Apache-2.0
#include "sets/sets_internal.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink/netlink_attr.h"

enum { ATTR_BITMASK = 12 };  // IPSET_ATTR_BITMASK, since Linux 6.3

void sets_list_free(struct sets_list *list)
{
    if (!list) {
        return;
    }
    free(list->v);
    free(list);
}

struct listing {
    const char *prefix;
    VEC(struct sets_header) headers;
};

static enum sets_type type_of(const struct netlink_attr *name, const struct netlink_attr *data)
{
    char text[SETS_NAME];
    if (!netlink_attr_text(name, text, sizeof(text)) || data[IPSET_ATTR_TIMEOUT].data ||
        data[IPSET_ATTR_NETMASK].data || data[ATTR_BITMASK].data) {
        return SETS_OTHER;
    }
    for (enum sets_type type = SETS_HASH_IP; type < SETS_OTHER; type++) {
        if (strcmp(text, sets_type_name(type)) == 0) {
            return type;
        }
    }
    return SETS_OTHER;
}

static int read_header(const struct netlink_reply *reply, void *arg, struct err *err)
{
    struct listing *listing = arg;
    struct netlink_attr attr[IPSET_ATTR_CMD_MAX + 1];
    struct netlink_attr data[IPSET_ATTR_CREATE_MAX + 1];
    struct sets_header header = {0};
    if (reply->len < sizeof(struct nfgenmsg)) {
        return 0;
    }
    netlink_attr_parse((const uint8_t *)reply->payload + sizeof(struct nfgenmsg), reply->len - sizeof(struct nfgenmsg),
                       attr, ARRAY_SIZE(attr));
    if (!netlink_attr_text(&attr[IPSET_ATTR_SETNAME], header.name, sizeof(header.name)) ||
        strncmp(header.name, listing->prefix, strlen(listing->prefix)) != 0) {
        return 0;
    }
    netlink_attr_parse(attr[IPSET_ATTR_DATA].data, attr[IPSET_ATTR_DATA].len, data, ARRAY_SIZE(data));
    uint8_t family = 0;
    header.type = type_of(&attr[IPSET_ATTR_TYPENAME], data);
    header.family = netlink_attr_u8(&attr[IPSET_ATTR_FAMILY], &family) && family == NFPROTO_IPV6 ? SETS_V6 : SETS_V4;
    (void)netlink_attr_be32(&data[IPSET_ATTR_HASHSIZE], &header.hashsize);
    (void)netlink_attr_be32(&data[IPSET_ATTR_MAXELEM], &header.maxelem);
    (void)netlink_attr_be32(&data[IPSET_ATTR_REFERENCES], &header.references);
    return vec_push(&listing->headers, header) < 0 ? err_oom(err) : 0;
}

int sets_list(struct sets *sets, const char *prefix, struct sets_list **ret, struct err *err)
{
    CLEANUP(sets_list_free) struct sets_list *list = calloc(1, sizeof(*list));
    if (!list) {
        return err_oom(err);
    }
    struct listing listing = {.prefix = prefix};
    const struct netlink_handler handler = {.reply = read_header, .arg = &listing};
    sets_message(sets, IPSET_CMD_LIST, NLM_F_DUMP);
    netlink_batch_be32(&sets->batch, IPSET_ATTR_FLAGS, IPSET_FLAG_LIST_HEADER);
    int code = netlink_request(sets->netlink, &sets->batch, &handler, err);
    netlink_batch_clear(&sets->batch);
    if (code) {
        vec_free(&listing.headers);
        return code > 0 ? sets_refused(code, err, "list sets") : -1;
    }
    list->v = listing.headers.v;
    list->n = listing.headers.n;
    *ret = TAKE(list);
    return 0;
}
