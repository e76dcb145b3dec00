// SPDX-License-Identifier: Apache-2.0
//
// One element of from or to. Whatever is not understood makes the peer match nothing, a known selector beside it or
// not: the unknown part may narrow it (networkpolicy-v1.md 1.5).
#include "decode/decode_object.h"

static const char *const peer_keys[] = {"podSelector", "namespaceSelector", "ipBlock", NULL};
static const char *const block_keys[] = {"cidr", "except", NULL};

static bool fail(struct decode *decode, const struct path *up, const char *key, unsigned line, const char *why)
{
    struct path path = {.up = up, .key = key};
    decode_report(decode, DIAGNOSTIC_PARTIAL, key ? &path : up, line, "%s: the peer matches nothing", why);
    return false;
}

static bool fail_type(struct decode *decode, const struct path *path, const struct doc *doc, enum doc_type wanted)
{
    decode_report_type(decode, DIAGNOSTIC_PARTIAL, path, doc, wanted);
    return false;
}

static bool read_except(struct decode *decode, const struct path *path, const struct doc *doc,
                        const struct prefix *cidr, struct prefix *ret)
{
    if (doc->type != DOC_STRING) {
        return fail_type(decode, path, doc, DOC_STRING);
    }
    if (!prefix_parse(doc->text, ret)) {
        return fail(decode, path, NULL, doc->line, "is no CIDR");
    }
    if (!prefix_covers(cidr, ret) || ret->length == cidr->length) {
        return fail(decode, path, NULL, doc->line, "must be a part of cidr and smaller than it");
    }
    return true;
}

static bool read_block(struct decode *decode, const struct path *path, const struct doc *doc, struct peer *ret)
{
    const struct doc *unknown = decode_next_unknown(doc->child, block_keys);
    if (unknown) {
        return fail(decode, path, unknown->key, unknown->line, "unknown field");
    }
    const struct doc *cidr = decode_field(doc, "cidr");
    struct path at_cidr = {.up = path, .key = "cidr"};
    if (!cidr) {
        return fail(decode, path, "cidr", doc->line, "is missing");
    }
    if (cidr->type != DOC_STRING) {
        return fail_type(decode, &at_cidr, cidr, DOC_STRING);
    }
    if (!prefix_parse(cidr->text, &ret->cidr)) {
        return fail(decode, path, "cidr", cidr->line, "is no CIDR");
    }
    const struct doc *list = decode_field(doc, "except");
    struct path at_list = {.up = path, .key = "except"};
    if (list && list->type != DOC_LIST) {
        return fail_type(decode, &at_list, list, DOC_LIST);
    }
    struct prefix *excepts = decode_array(decode, decode_count(list), sizeof(*excepts));
    size_t n = 0;
    for (const struct doc *child = list && excepts ? list->child : NULL; child; child = child->next) {
        struct path at = {.up = &at_list, .index = n};
        if (!read_except(decode, &at, child, &ret->cidr, &excepts[n])) {
            return false;
        }
        n++;
    }
    ret->kind = PEER_BLOCK;
    ret->excepts = excepts;
    ret->n_excepts = n;
    return true;
}

// A selector of the peer, if it is there: presence matters, {} is everything.
static bool read_selector(struct decode *decode, const struct path *up, const struct doc *doc, const char *key,
                          bool *ret_has, struct selector *ret)
{
    const struct doc *child = decode_field(doc, key);
    struct path path = {.up = up, .key = key};
    if (!child) {
        return true;
    }
    if (child->type != DOC_MAP) {
        return fail_type(decode, &path, child, DOC_MAP);
    }
    decode_selector(decode, &path, child, ret);
    *ret_has = true;
    return !ret->unreadable;
}

static bool read_peer(struct decode *decode, const struct path *path, const struct doc *doc, struct peer *ret)
{
    if (doc->type != DOC_MAP) {
        return fail_type(decode, path, doc, DOC_MAP);
    }
    const struct doc *unknown = decode_next_unknown(doc->child, peer_keys);
    if (unknown) {
        return fail(decode, path, unknown->key, unknown->line, "unknown field");
    }
    ret->kind = PEER_PODS;
    if (!read_selector(decode, path, doc, "podSelector", &ret->has_pod_selector, &ret->pod_selector) ||
        !read_selector(decode, path, doc, "namespaceSelector", &ret->has_ns_selector, &ret->ns_selector)) {
        return false;
    }
    const struct doc *block = decode_field(doc, "ipBlock");
    struct path at_block = {.up = path, .key = "ipBlock"};
    if (!block) {
        return ret->has_pod_selector || ret->has_ns_selector ||
               fail(decode, path, NULL, doc->line, "needs podSelector, namespaceSelector or ipBlock");
    }
    if (ret->has_pod_selector || ret->has_ns_selector) {
        return fail(decode, path, "ipBlock", block->line, "cannot stand beside a selector");
    }
    return block->type == DOC_MAP ? read_block(decode, &at_block, block, ret)
                                  : fail_type(decode, &at_block, block, DOC_MAP);
}

void decode_peer(struct decode *decode, const struct path *path, const struct doc *doc, struct peer *ret)
{
    struct peer peer = {0};
    *ret = read_peer(decode, path, doc, &peer) ? peer : (struct peer){.kind = PEER_UNREADABLE};
}
