// SPDX-License-Identifier: Apache-2.0
#include "support/state_yaml.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "decode/decode.h"
#include "support/yaml_writer.h"

// ---- words ---------------------------------------------------------------------------------------------------------

bool yaml_chance(const struct yaml_writer *writer, unsigned percent)
{
    return writer->rng && rng_chance(writer->rng, percent);
}

size_t yaml_pick(const struct yaml_writer *writer, size_t n)
{
    return writer->rng ? rng_below(writer->rng, n) : 0;
}

void yaml_says(const struct yaml_writer *writer, enum clause clause)
{
    clause_mark(writer->text, clause);
}

// Of lower-case letters, digits and '-', starting with a letter, and long enough to be no YAML 1.1 boolean or null.
static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"true", "false", "null", "yes", "no", "on", "off"};
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (n < 2 || text[n] || text[0] < 'a') {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (strcmp(text, reserved[i]) == 0) {
            return false;
        }
    }
    return true;
}

void yaml_string(const struct yaml_writer *writer, const char *text)
{
    if (is_plain(text) && !yaml_chance(writer, 20)) {
        buf_puts(writer->out, text);
    } else {
        buf_json_string(writer->out, text);
    }
}

// An IPv6 address in full and in capitals, an IPv4 address with leading zeros.
static void sloppy_address(const struct address *address, char ret[ADDRESS_TEXT])
{
    const uint8_t *b = address->bytes;
    if (address->family == FAMILY_V4) {
        (void)snprintf(ret, ADDRESS_TEXT, "%03u.%02u.%u.%03u", b[0], b[1], b[2], b[3]);
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < 16; i += 2) {
        n += (size_t)snprintf(ret + n, ADDRESS_TEXT - n, "%s%02X%02X", i ? ":" : "", b[i], b[i + 1]);
    }
}

void yaml_address(const struct yaml_writer *writer, const struct address *address)
{
    char text[ADDRESS_TEXT];
    if (yaml_chance(writer, 20)) {
        sloppy_address(address, text);
        yaml_says(writer, CLAUSE_T_POD_IP_SPELLING);
    } else {
        (void)address_format(address, text);
    }
    buf_json_string(writer->out, text);
}

void yaml_prefix(const struct yaml_writer *writer, const struct prefix *prefix)
{
    struct address address = prefix->address;
    char text[ADDRESS_TEXT];
    unsigned length = prefix->length;
    bool mapped = false;
    if (length < family_bits(address.family) && yaml_chance(writer, 15)) {
        address.bytes[length / 8] |= (uint8_t)(0x80u >> length % 8);
        yaml_says(writer, CLAUSE_T_CIDR_HOST_BITS);
    }
    if (address.family == FAMILY_V4 && yaml_chance(writer, 12)) {
        mapped = true;
        length += 96;
        yaml_says(writer, CLAUSE_T_CIDR_MAPPED);
    }
    if (!mapped && yaml_chance(writer, 12)) {
        sloppy_address(&address, text);
        yaml_says(writer, CLAUSE_T_CIDR_ZEROS);
    } else {
        (void)address_format(&address, text);
    }
    buf_printf(writer->out, "\"%s%s/%u\"", mapped ? "::ffff:" : "", text, length);
}

// ---- metadata ------------------------------------------------------------------------------------------------------

static void write_labels(const struct yaml_writer *writer, const struct labels *labels, const char *without)
{
    bool any = false;
    for (size_t i = 0; i < labels->n; i++) {
        if (without && strcmp(labels->v[i].key, without) == 0) {
            continue;
        }
        buf_puts(writer->out, any ? ", " : ", labels: {");
        yaml_string(writer, labels->v[i].key);
        buf_puts(writer->out, ": ");
        yaml_string(writer, labels->v[i].value);
        any = true;
    }
    if (any) {
        buf_putc(writer->out, '}');
    }
}

static void write_text(const struct yaml_writer *writer, const char *key, const char *value)
{
    if (*value) {
        buf_printf(writer->out, ", %s: ", key);
        buf_json_string(writer->out, value);
    }
}

// Namespaces have the label of their name whether it is written or not.
static const char *implied_label(const struct yaml_writer *writer, enum object_kind kind,
                                 const struct object_meta *meta)
{
    static const char key[] = "kubernetes.io/metadata.name";
    const char *value = kind == OBJECT_NAMESPACE ? labels_get(&meta->labels, key) : NULL;
    if (!value || strcmp(value, meta->name) != 0 || (writer->rng && !yaml_chance(writer, 40))) {
        return NULL;
    }
    yaml_says(writer, CLAUSE_T_METADATA_NAME);
    return key;
}

static void write_meta(const struct yaml_writer *writer, enum object_kind kind, const struct object_meta *meta)
{
    static const char *const versions[] = {
        [OBJECT_POD] = "v1", [OBJECT_NAMESPACE] = "v1", [OBJECT_POLICY] = "networking.k8s.io/v1", [OBJECT_NODE] = "v1"};
    buf_printf(writer->out, "---\napiVersion: %s\nkind: %s\nmetadata: {", versions[kind], object_kind_name(kind));
    if (*meta->ns) {
        buf_puts(writer->out, "namespace: ");
        yaml_string(writer, meta->ns);
        buf_puts(writer->out, ", ");
    }
    buf_puts(writer->out, "name: ");
    yaml_string(writer, meta->name);
    write_text(writer, "uid", meta->uid);
    write_text(writer, "creationTimestamp", meta->created);
    if (meta->terminating) {
        buf_puts(writer->out, ", deletionTimestamp: \"2026-01-01T00:00:00Z\"");
    }
    write_labels(writer, &meta->labels, implied_label(writer, kind, meta));
    buf_puts(writer->out, "}\n");
}

// ---- nodes ---------------------------------------------------------------------------------------------------------

static void write_node(const struct yaml_writer *writer, const struct node *node)
{
    char text[PREFIX_TEXT];
    buf_puts(writer->out, "spec: {podCIDRs: [");
    for (size_t i = 0; i < node->n_pod_cidrs; i++) {
        buf_printf(writer->out, "%s\"%s\"", i ? ", " : "", prefix_format(&node->pod_cidrs[i], text));
    }
    buf_puts(writer->out, "]}\nstatus: {addresses: [");
    for (size_t i = 0; i < node->n_addresses; i++) {
        buf_printf(writer->out, "%s{type: InternalIP, address: \"%s\"}", i ? ", " : "",
                   address_format(&node->addresses[i], text));
    }
    buf_puts(writer->out, "]}\n");
}

// ---- whole objects -------------------------------------------------------------------------------------------------

void state_yaml_object(const struct random_object *object, struct rng *rng, struct clause_set *ret_text,
                       struct buf *out)
{
    struct clause_set unused = {0};
    const struct yaml_writer writer = {.out = out, .rng = rng, .text = ret_text ? ret_text : &unused};
    write_meta(&writer, object->kind, random_object_meta(object));
    switch (object->kind) {
    case OBJECT_POD:
        yaml_pod(&writer, object->object);
        break;
    case OBJECT_NAMESPACE:
        break;
    case OBJECT_POLICY:
        yaml_policy(&writer, object->object);
        break;
    case OBJECT_NODE:
        write_node(&writer, object->object);
        break;
    }
}

static int put(enum object_kind kind, void *object, void *arg, struct err *err)
{
    return state_put(arg, kind, object, err) < 0 ? -1 : 0;
}

struct state *state_yaml_read(const struct buf *text)
{
    DIAGNOSTICS_CLEANUP struct diagnostics diagnostics = {0};
    struct err err = {0};
    struct state *state;
    if (text->failed || state_new(&state, &err) < 0) {
        fail_msg("out of memory");
        return NULL;
    }
    if (text->len && decode_text(text->data, text->len, "", put, state, &diagnostics, NULL, &err) < 0) {
        fail_msg("%s\n%s", err.msg, text->data);
    }
    if (diagnostics.counts[DIAGNOSTIC_LOST]) {
        BUF_CLEANUP struct buf finding = {0};
        diagnostic_format(&diagnostics.list.v[0], &finding);
        fail_msg("%s\n%s", finding.data, text->data);
    }
    return state;
}

bool state_yaml_holds(struct state *state, const struct random_object *object)
{
    const struct object_meta *meta = random_object_meta(object);
    switch (object->kind) {
    case OBJECT_POD: {
        const struct pod *pod = state_pod(state, meta->ns, meta->name);
        return pod && pod_equal(pod, object->object);
    }
    case OBJECT_NAMESPACE: {
        const struct ns_object *ns = state_namespace(state, meta->name);
        return ns && ns_object_equal(ns, object->object);
    }
    case OBJECT_POLICY: {
        const struct policy *policy = state_policy(state, meta->ns, meta->name);
        return policy && policy_equal(policy, object->object);
    }
    case OBJECT_NODE: {
        const struct node *node = state_node(state, meta->name);
        return node && node_equal(node, object->object);
    }
    }
    return false;
}
