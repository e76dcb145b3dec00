// SPDX-License-Identifier: Apache-2.0
#include "dataplane/legacy/legacy.h"

_Static_assert((int)CT_NEW == (int)XTABLES_CT_NEW && (int)CT_ESTABLISHED == (int)XTABLES_CT_ESTABLISHED &&
                   (int)CT_RELATED == (int)XTABLES_CT_RELATED && (int)CT_INVALID == (int)XTABLES_CT_INVALID &&
                   (int)CT_UNTRACKED == (int)XTABLES_CT_UNTRACKED && (int)RULE_CT_DNAT == (int)XTABLES_CT_DNAT,
               "the masks are handed over as they are");
_Static_assert((int)PACKET_IFACE == (int)XTABLES_INTERFACE && (int)COMMENT_SIZE == (int)XTABLES_COMMENT,
               "texts are handed over as they are");

enum { PROTOCOL_TCP = 6 };

void legacy_names_free(struct legacy_names *names)
{
    map_free(names->index_of);
    map_free(names->name_of);
    arena_free(&names->arena);
    *names = (struct legacy_names){0};
}

static int names_index(struct legacy *legacy, struct legacy_names *names, const char *name, uint16_t *ret,
                       struct err *err)
{
    uintptr_t known = names->index_of ? (uintptr_t)map_get_str(names->index_of, name) : 0;
    if (known) {
        *ret = (uint16_t)(known - 1);
        return 0;
    }
    if (!names->index_of) {
        names->index_of = map_new();
        if (!names->index_of) {
            return err_oom(err);
        }
    }
    uint16_t index = 0;
    if (kernel_sets_open(&legacy->kernel, err) < 0 || sets_index(legacy->kernel.door, name, &index, err) < 0) {
        return -1;
    }
    // The value is the number itself: maps hold pointers and no set has index NULL.
    if (map_put_str(names->index_of, name, (void *)((uintptr_t)index + 1), NULL) < 0) {
        return err_oom(err);
    }
    *ret = index;
    return 0;
}

// "" when no set has that index.
static int names_name(struct legacy *legacy, struct legacy_names *names, uint16_t index, char ret[SETS_NAME],
                      struct err *err)
{
    const char *known = names->name_of ? map_get(names->name_of, &index, sizeof(index)) : NULL;
    if (!known) {
        char name[SETS_NAME] = "";
        struct err why = {0};
        if (kernel_sets_open(&legacy->kernel, err) < 0) {
            return -1;
        }
        if (sets_name(legacy->kernel.door, index, name, &why) < 0 && why.kind != ERR_NOT_FOUND) {
            return legacy_fail(err, &why);
        }
        char *kept = arena_strdup(&names->arena, name);
        names->name_of = names->name_of ? names->name_of : map_new();
        if (!kept || !names->name_of || map_put(names->name_of, &index, sizeof(index), kept, NULL) < 0) {
            return err_oom(err);
        }
        known = kept;
    }
    memcpy(ret, known, strlen(known) + 1);
    return 0;
}

static enum xtables_verdict verdict_of(const struct rule *rule)
{
    switch (rule->target) {
    case TARGET_NONE:
        return XTABLES_CONTINUE;
    case TARGET_RETURN:
        return XTABLES_RETURN;
    case TARGET_ACCEPT:
        return XTABLES_ACCEPT;
    case TARGET_DROP:
        return XTABLES_DROP;
    case TARGET_REJECT:
        return rule->protocol == PROTOCOL_TCP ? XTABLES_REJECT_RESET : XTABLES_REJECT_UNREACHABLE;
    case TARGET_JUMP:
        return XTABLES_JUMP;
    case TARGET_GOTO:
        return XTABLES_GOTO;
    }
    return XTABLES_DROP;
}

static int encode_text(const char *text, char *ret, size_t size, const char *what, struct err *err)
{
    if (!text) {
        return 0;
    }
    size_t len = strlen(text);
    if (len >= size) {
        return err_set(err, ERR_BUG, 0, "%s \"%.64s…\" is longer than %zu bytes", what, text, size - 1);
    }
    memcpy(ret, text, len + 1);
    return 0;
}

int legacy_rule_encode(struct legacy *legacy, struct legacy_names *names, const struct table *sets,
                       const struct rule *rule, struct xtables_rule *ret, struct err *err)
{
    struct xtables_rule out = {
        .protocol = rule->protocol,
        .icmp_type = rule->icmp_type,
        .hop_limit = rule->hop_limit,
        .ct_states = rule->ct_states,
        .ct_invert = rule->ct_states && rule->ct_invert,
        .source_local = rule->source_local,
        .connmark = rule->connmark,
        .connmark_mask = rule->connmark_mask,
        .n_ports = rule->n_ports,
        .has_comment = rule->comment,
        .verdict = verdict_of(rule),
    };
    if (rule->n_ports > XTABLES_PORTS) {
        return err_set(err, ERR_BUG, 0, "a rule has %zu port ranges, at most %d are possible", rule->n_ports,
                       XTABLES_PORTS);
    }
    for (size_t i = 0; i < rule->n_ports; i++) {
        out.ports[i] = (struct xtables_range){rule->ports[i].first, rule->ports[i].last};
    }
    memcpy(out.physdev_in, rule->physdev_in, sizeof(out.physdev_in));
    memcpy(out.physdev_out, rule->physdev_out, sizeof(out.physdev_out));
    if (rule_has_source(rule)) {
        memcpy(out.source, rule->source.address.bytes, sizeof(out.source));
        out.source_length = rule->source.length;
    }
    if (rule_has_destination(rule)) {
        memcpy(out.destination, rule->destination.address.bytes, sizeof(out.destination));
        out.destination_length = rule->destination.length;
    }
    memcpy(out.in, rule->in, sizeof(out.in));
    memcpy(out.out, rule->out, sizeof(out.out));
    if (encode_text(rule->chain, out.chain, CHAIN_NAME_SIZE, "chain name", err) < 0 ||
        encode_text(rule->comment, out.comment, sizeof(out.comment), "comment", err) < 0) {
        return -1;
    }
    if (rule->set) {
        const struct set *set = table_set(sets, rule->set);
        if (!set) {
            return err_set(err, ERR_BUG, 0, "a rule names set %s, which the ruleset does not hold", rule->set);
        }
        if (names_index(legacy, names, rule->set, &out.set_index, err) < 0) {
            return -1;
        }
        out.has_set = true;
        out.set_dimensions = (uint8_t)set_type_dimensions(set->type);
        out.set_source = rule->set_direction == SET_SRC;
    }
    *ret = out;
    return 0;
}

bool legacy_is_unknown(const struct rule *rule)
{
    return rule->comment && strcmp(rule->comment, BACKEND_UNKNOWN_RULE) == 0;
}

static void decode_prefix(enum family family, const uint8_t *bytes, uint8_t length, bool *ret_has, struct prefix *ret)
{
    struct address address = {.family = family};
    memcpy(address.bytes, bytes, family_bits(family) / 8);
    *ret_has = length > 0;
    *ret = prefix_truncate(&address, length);
}

static void decode_target(const struct xtables_rule *from, struct rule *ret)
{
    switch (from->verdict) {
    case XTABLES_CONTINUE:
        ret->target = TARGET_NONE;
        break;
    case XTABLES_RETURN:
        ret->target = TARGET_RETURN;
        break;
    case XTABLES_ACCEPT:
        ret->target = TARGET_ACCEPT;
        break;
    case XTABLES_DROP:
        ret->target = TARGET_DROP;
        break;
    case XTABLES_REJECT_UNREACHABLE:
    case XTABLES_REJECT_RESET:
        ret->target = TARGET_REJECT;
        break;
    case XTABLES_JUMP:
        ret->target = TARGET_JUMP;
        break;
    case XTABLES_GOTO:
        ret->target = TARGET_GOTO;
        break;
    }
}

int legacy_rule_decode(struct legacy *legacy, struct legacy_names *names, const struct table *sets, enum family family,
                       const struct xtables_view *view, struct legacy_rule_room *room, struct rule *ret,
                       struct err *err)
{
    const struct xtables_rule *from = &view->rule;
    struct rule rule = rule_init();
    *ret = backend_unknown_rule();
    if (!view->known || strlen(from->chain) >= CHAIN_NAME_SIZE) {
        return 0;
    }
    decode_target(from, &rule);
    // The one way in which netpold rejects a protocol.
    if (rule.target == TARGET_REJECT && (from->verdict == XTABLES_REJECT_RESET) != (from->protocol == PROTOCOL_TCP)) {
        return 0;
    }
    if (from->has_set) {
        if (names_name(legacy, names, from->set_index, room->set, err) < 0) {
            return -1;
        }
        const struct set *set = table_set(sets, room->set);
        if (!set || set_type_dimensions(set->type) != from->set_dimensions) {
            return 0;
        }
        rule.set = room->set;
        rule.set_direction = from->set_source ? SET_SRC : SET_DST;
    }
    decode_prefix(family, from->source, from->source_length, &rule.has_source, &rule.source);
    decode_prefix(family, from->destination, from->destination_length, &rule.has_destination, &rule.destination);
    memcpy(rule.in, from->in, sizeof(rule.in));
    memcpy(rule.out, from->out, sizeof(rule.out));
    rule.protocol = from->protocol;
    rule.icmp_type = from->icmp_type;
    rule.hop_limit = from->hop_limit;
    rule.ct_states = (uint8_t)from->ct_states;
    rule.ct_invert = from->ct_invert;
    rule.source_local = from->source_local;
    rule.connmark = from->connmark;
    rule.connmark_mask = from->connmark_mask;
    memcpy(rule.physdev_in, from->physdev_in, sizeof(rule.physdev_in));
    memcpy(rule.physdev_out, from->physdev_out, sizeof(rule.physdev_out));
    for (size_t i = 0; i < from->n_ports; i++) {
        room->ports[i] = (struct port_range){from->ports[i].first, from->ports[i].last};
    }
    rule.ports = from->n_ports ? room->ports : NULL;
    rule.n_ports = from->n_ports;
    if (from->chain[0]) {
        memcpy(room->chain, from->chain, sizeof(room->chain));
        rule.chain = room->chain;
    }
    if (from->has_comment) {
        memcpy(room->comment, from->comment, sizeof(room->comment));
        rule.comment = room->comment;
    }
    *ret = rule;
    return 0;
}
