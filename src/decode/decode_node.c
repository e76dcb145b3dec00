// SPDX-License-Identifier: Apache-2.0
#include "decode/decode_object.h"

static void decode_addresses(struct decode *decode, const struct doc *status, struct node *ret)
{
    struct path up = {.key = "status"};
    struct path path = {.up = &up, .key = "addresses"};
    const struct doc *list = decode_typed(decode, DIAGNOSTIC_PARTIAL, &up, status, "addresses", DOC_LIST);
    struct address *addresses = decode_array(decode, decode_count(list), sizeof(*addresses));
    if (!list || !addresses) {
        return;
    }
    size_t n = 0;
    size_t index = 0;
    for (const struct doc *child = list->child; child; child = child->next, index++) {
        struct path at = {.up = &path, .index = index};
        if (child->type != DOC_MAP) {
            decode_report_type(decode, DIAGNOSTIC_PARTIAL, &at, child, DOC_MAP);
            continue;
        }
        const char *type = decode_string(decode, &at, child, "type");
        if (strcmp(type, "InternalIP") != 0 && strcmp(type, "ExternalIP") != 0) {
            continue;
        }
        const char *text = decode_string(decode, &at, child, "address");
        if (text[0] == '\0') {
            continue;
        }
        if (address_parse(text, &addresses[n])) {
            n++;
        } else {
            struct path field = {.up = &at, .key = "address"};
            decode_report(decode, DIAGNOSTIC_PARTIAL, &field, child->line, "%s is no IP address",
                          decode_quote(decode, text));
        }
    }
    ret->addresses = addresses;
    ret->n_addresses = n;
}

static void add_pod_cidr(struct decode *decode, const struct path *path, const struct doc *doc, struct prefix *ret,
                         size_t *n)
{
    if (doc->type != DOC_STRING) {
        decode_report_type(decode, DIAGNOSTIC_PARTIAL, path, doc, DOC_STRING);
    } else if (doc->text[0] == '\0') {
        return;
    } else if (prefix_parse(doc->text, ret)) {
        (*n)++;
    } else {
        decode_report(decode, DIAGNOSTIC_PARTIAL, path, doc->line, "%s is no CIDR", decode_quote(decode, doc->text));
    }
}

static void decode_pod_cidrs(struct decode *decode, const struct doc *spec, struct node *ret)
{
    struct path up = {.key = "spec"};
    struct path path = {.up = &up, .key = "podCIDRs"};
    const struct doc *list = decode_typed(decode, DIAGNOSTIC_PARTIAL, &up, spec, "podCIDRs", DOC_LIST);
    const struct doc *single = decode_field(spec, "podCIDR");
    struct prefix *prefixes = decode_array(decode, decode_count(list) + 1, sizeof(*prefixes));
    if (!prefixes) {
        return;
    }
    size_t n = 0;
    size_t index = 0;
    for (const struct doc *child = list ? list->child : NULL; child; child = child->next, index++) {
        struct path at = {.up = &path, .index = index};
        add_pod_cidr(decode, &at, child, &prefixes[n], &n);
    }
    if (n == 0 && single) {
        path.key = "podCIDR";
        add_pod_cidr(decode, &path, single, &prefixes[n], &n);
    }
    ret->pod_cidrs = prefixes;
    ret->n_pod_cidrs = n;
}

void decode_node(struct decode *decode, const struct doc *doc, struct node *ret)
{
    *ret = (struct node){0};
    decode_meta(decode, doc, OBJECT_NODE, &ret->meta);
    decode_addresses(decode, decode_typed(decode, DIAGNOSTIC_PARTIAL, NULL, doc, "status", DOC_MAP), ret);
    decode_pod_cidrs(decode, decode_typed(decode, DIAGNOSTIC_PARTIAL, NULL, doc, "spec", DOC_MAP), ret);
}
