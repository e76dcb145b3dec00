// SPDX-License-Identifier: Apache-2.0
//
// One rule of a policy. A list that had elements never degrades to "absent, so anything" (networkpolicy-v1.md 1.5).
#include "decode/decode_object.h"

#include "base/limits.h"

static const struct {
    const char *peers;
    const char *keys[3];
} rule_fields[DIRECTION_COUNT] = {
    [DIRECTION_INGRESS] = {.peers = "from", .keys = {"from", "ports", NULL}},
    [DIRECTION_EGRESS] = {.peers = "to", .keys = {"to", "ports", NULL}},
};

static bool fail(struct decode *decode, const struct path *path, unsigned line, const char *why)
{
    decode_report(decode, DIAGNOSTIC_PARTIAL, path, line, "%s: the rule matches nothing", why);
    return false;
}

// The list there; *ret NULL when it is absent or empty. False when it cannot be used.
static bool read_list(struct decode *decode, const struct path *up, const struct doc *rule, const char *key,
                      size_t limit, const struct doc **ret)
{
    struct path path = {.up = up, .key = key};
    const struct doc *list = decode_field(rule, key);
    *ret = NULL;
    if (!list) {
        return true;
    }
    if (list->type != DOC_LIST) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, &path, list, DOC_LIST);
        return false;
    }
    if (decode_count(list) > limit) {
        decode_report(decode, DIAGNOSTIC_PARTIAL, &path, list->line, "more than %zu elements: the rule matches nothing",
                      limit);
        return false;
    }
    *ret = list->child ? list : NULL;
    return true;
}

static void read_peers(struct decode *decode, const struct path *up, const char *key, const struct doc *list,
                       struct policy_rule *ret, bool *ret_unreadable)
{
    struct path path = {.up = up, .key = key};
    struct peer *peers = decode_array(decode, decode_count(list), sizeof(*peers));
    size_t n = 0;
    for (const struct doc *child = peers ? list->child : NULL; child; child = child->next) {
        struct path at = {.up = &path, .index = n};
        decode_peer(decode, &at, child, &peers[n]);
        *ret_unreadable = *ret_unreadable || peers[n].kind == PEER_UNREADABLE;
        n++;
    }
    ret->peers = peers;
    ret->n_peers = n;
}

static void read_ports(struct decode *decode, const struct path *up, const struct doc *list, struct policy_rule *ret,
                       bool *ret_unreadable)
{
    struct path path = {.up = up, .key = "ports"};
    struct policy_port *ports = decode_array(decode, decode_count(list), sizeof(*ports));
    size_t n = 0;
    for (const struct doc *child = ports ? list->child : NULL; child; child = child->next) {
        struct path at = {.up = &path, .index = n};
        decode_port(decode, &at, child, &ports[n]);
        *ret_unreadable = *ret_unreadable || ports[n].kind == PORT_UNREADABLE;
        n++;
    }
    ret->ports = ports;
    ret->n_ports = n;
}

static bool read_rule(struct decode *decode, const struct path *path, const struct doc *doc, enum direction direction,
                      struct policy_rule *ret, bool *ret_unreadable)
{
    if (doc->type != DOC_MAP) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, path, doc, DOC_MAP);
        return false;
    }
    const struct doc *unknown = decode_next_unknown(doc->child, rule_fields[direction].keys);
    if (unknown) {
        struct path at = {.up = path, .key = unknown->key};
        return fail(decode, &at, unknown->line, "unknown field");
    }
    const char *peers_key = rule_fields[direction].peers;
    const struct doc *peers;
    const struct doc *ports;
    if (!read_list(decode, path, doc, peers_key, LIMIT_RULE_PEERS, &peers) ||
        !read_list(decode, path, doc, "ports", LIMIT_RULE_PORTS, &ports)) {
        return false;
    }
    ret->any_peer = !peers;
    ret->any_port = !ports;
    if (peers) {
        read_peers(decode, path, peers_key, peers, ret, ret_unreadable);
    }
    if (ports) {
        read_ports(decode, path, ports, ret, ret_unreadable);
    }
    return true;
}

void decode_rule(struct decode *decode, const struct path *path, const struct doc *doc, enum direction direction,
                 struct policy_rule *ret, bool *ret_unreadable)
{
    struct policy_rule rule = {.line = doc->line};
    if (read_rule(decode, path, doc, direction, &rule, ret_unreadable)) {
        *ret = rule;
        return;
    }
    *ret = (struct policy_rule){.unreadable = true, .line = doc->line};
    *ret_unreadable = true;
}
