// SPDX-License-Identifier: Apache-2.0
#include "audit/endpoint.h"

#include <stdio.h>
#include <strings.h>

#include "base/num.h"

static bool runs_as_node(const struct pod *pod)
{
    return pod->host_network && *pod->node && pod->phase != POD_SUCCEEDED && pod->phase != POD_FAILED;
}

// A Node object's addresses; where files hold no Node, those of a hostNetwork pod on it.
static int end_set_node(struct state *state, const char *name, struct audit_end *end, struct err *err)
{
    const struct node *node = state_node(state, name);
    end->node = node ? node->meta.name : name;
    if (end->fixed) {
        return 0;
    }
    if (node && node->n_addresses) {
        end->addresses = node->addresses;
        end->n_addresses = node->n_addresses;
        return 0;
    }
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n && end->n_addresses == 0; i++) {
        if (runs_as_node(pods[i]) && strcmp(pods[i]->node, name) == 0) {
            end->addresses = pods[i]->addresses;
            end->n_addresses = pods[i]->n_addresses;
        }
    }
    return 0;
}

static int end_find_node(struct state *state, const char *name, struct audit_end *end, struct err *err)
{
    if (state_node(state, name)) {
        return end_set_node(state, name, end, err);
    }
    size_t n;
    const struct pod *const *pods = state_pods(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(pods[i]->node, name) == 0) {
            return end_set_node(state, pods[i]->node, end, err);
        }
    }
    return err_set(err, ERR_INPUT, 0, "no Node and no Pod names the node \"%s\"", name);
}

static int end_find_pod(struct state *state, const char *ns, const char *name, struct audit_end *end, struct err *err)
{
    const struct pod *pod = state_pod(state, ns, name);
    if (!pod) {
        return err_set(err, ERR_INPUT, 0, "no pod \"%s/%s\"", ns, name);
    }
    if (pod->phase == POD_SUCCEEDED || pod->phase == POD_FAILED) {
        return err_set(err, ERR_INPUT, 0, "pod \"%s/%s\" has finished; it owns no address", ns, name);
    }
    if (pod->host_network) {
        return end_set_node(state, pod->node, end, err);
    }
    end->pod = pod;
    end->addresses = end->own;
    for (size_t i = 0; i < pod->n_addresses && end->n_addresses < ARRAY_SIZE(end->own); i++) {
        if (state_owner(state, &pod->addresses[i]) == pod) {
            end->own[end->n_addresses++] = pod->addresses[i];
        }
    }
    return 0;
}

// Whose own address it is: a Node's, or that of a hostNetwork pod on a node without a Node object.
static int end_find_node_address(struct state *state, struct audit_end *end, struct err *err)
{
    size_t n;
    const struct node *const *nodes = state_nodes(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < nodes[i]->n_addresses; j++) {
            if (address_equal(&nodes[i]->addresses[j], end->own)) {
                end->node = nodes[i]->meta.name;
                return 0;
            }
        }
    }
    const struct pod *const *pods = state_pods(state, &n);
    if (n == SIZE_MAX) {
        return err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        bool stands_for_node = runs_as_node(pods[i]) && !state_node(state, pods[i]->node);
        for (size_t j = 0; stands_for_node && j < pods[i]->n_addresses; j++) {
            if (address_equal(&pods[i]->addresses[j], end->own)) {
                end->node = pods[i]->node;
                return 0;
            }
        }
    }
    return 0;
}

static int end_find_address(struct state *state, struct audit_end *end, struct err *err)
{
    end->fixed = true;
    end->addresses = end->own;
    end->n_addresses = 1;
    end->pod = state_owner(state, end->own);
    if (end->pod) {
        return 0;
    }
    return end_find_node_address(state, end, err);
}

int audit_end_find(struct state *state, const char *word, const char *default_ns, struct audit_end *ret,
                   struct err *err)
{
    *ret = (struct audit_end){.word = word};
    if (strncmp(word, "node:", 5) == 0) {
        return end_find_node(state, word + 5, ret, err);
    }
    if (address_parse(word, ret->own)) {
        return end_find_address(state, ret, err);
    }
    const char *slash = strchr(word, '/');
    if (slash) {
        char ns[LIMIT_NAME + 1];
        size_t len = (size_t)(slash - word);
        if (len == 0 || len >= sizeof(ns) || slash[1] == '\0' || strchr(slash + 1, '/')) {
            return err_set(err, ERR_INPUT, 0, "\"%.300s\" is not namespace/pod, an address or node:NAME", word);
        }
        memcpy(ns, word, len);
        ns[len] = '\0';
        return end_find_pod(state, ns, slash + 1, ret, err);
    }
    if (default_ns && *word) {
        return end_find_pod(state, default_ns, word, ret, err);
    }
    return err_set(err, ERR_INPUT, 0, "\"%.300s\" is not namespace/pod, an address or node:NAME", word);
}

static const struct address *end_address(const struct audit_end *end, enum family family)
{
    for (size_t i = 0; i < end->n_addresses; i++) {
        if (end->addresses[i].family == family) {
            return &end->addresses[i];
        }
    }
    return NULL;
}

static bool end_has_family(const struct audit_end *end, enum family family)
{
    return end->n_addresses == 0 || end_address(end, family);
}

static struct endpoint end_endpoint(const struct audit_end *end, enum family family)
{
    const struct address *address = end_address(end, family);
    struct endpoint endpoint = {.pod = end->pod, .node = end->pod ? NULL : end->node ? end->node : ""};
    if (address) {
        endpoint.has_address = true;
        endpoint.address = *address;
    } else {
        endpoint.address.family = family;
    }
    return endpoint;
}

int audit_endpoint_at(struct state *state, const struct address *address, struct endpoint *ret, struct err *err)
{
    struct audit_end end = {.own = {*address}};
    if (end_find_address(state, &end, err) < 0) {
        return -1;
    }
    *ret = end_endpoint(&end, address->family);
    ret->family_known = true;
    return 0;
}

static int no_family(const struct audit_end *from, const struct audit_end *to, unsigned wanted, struct err *err)
{
    if (wanted) {
        enum family family = wanted == 6 ? FAMILY_V6 : FAMILY_V4;
        return err_set(err, ERR_INPUT, 0, "\"%s\" has no %s address",
                       end_has_family(from, family) ? to->word : from->word, family_name(family));
    }
    return err_set(err, ERR_INPUT, 0, "\"%s\" and \"%s\" have no address family in common", from->word, to->word);
}

int audit_ends_join(const struct audit_end *from, const struct audit_end *to, unsigned family_wanted,
                    struct query *query, enum family *ret_family, struct err *err)
{
    if (family_wanted != 0 && family_wanted != 4 && family_wanted != 6) {
        return err_set(err, ERR_INPUT, 0, "family: %u is not 4 or 6", family_wanted);
    }
    // The order of the first end that has addresses decides which family is "first".
    const struct audit_end *first = from->n_addresses ? from : to;
    enum family order[FAMILY_COUNT] = {FAMILY_V4, FAMILY_V6};
    if (first->n_addresses && first->addresses[0].family == FAMILY_V6) {
        order[0] = FAMILY_V6;
        order[1] = FAMILY_V4;
    }
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if ((family_wanted && family_number(order[i]) != family_wanted) || !end_has_family(from, order[i]) ||
            !end_has_family(to, order[i])) {
            continue;
        }
        query->from = end_endpoint(from, order[i]);
        query->to = end_endpoint(to, order[i]);
        query->from.family_known = query->to.family_known = family_wanted || first->n_addresses;
        // Loopback is the asking pod itself: such a packet never leaves it (networkpolicy-v1.md 3.6).
        if (from->pod && to->fixed && address_is_loopback(&query->to.address)) {
            query->to.pod = from->pod;
            query->to.node = NULL;
        }
        *ret_family = order[i];
        return 0;
    }
    return no_family(from, to, family_wanted, err);
}

int audit_protocol(const char *text, enum family family, uint8_t *ret, struct err *err)
{
    static const struct {
        const char *name;
        uint8_t number[FAMILY_COUNT];
    } known[] = {{"TCP", {6, 6}}, {"UDP", {17, 17}}, {"SCTP", {132, 132}}, {"ICMP", {1, 58}}, {"ICMPv6", {58, 58}}};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcasecmp(text, known[i].name) == 0) {
            *ret = known[i].number[family];
            return 0;
        }
    }
    uint64_t number;
    if (num_parse_u64(text, strlen(text), 255, &number)) {
        *ret = (uint8_t)number;
        return 0;
    }
    return err_set(err, ERR_INPUT, 0, "protocol \"%.60s\" is not TCP, UDP, SCTP, ICMP or a number up to 255", text);
}

bool audit_protocol_has_ports(uint8_t protocol)
{
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}
