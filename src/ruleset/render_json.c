// SPDX-License-Identifier: Apache-2.0
//
// The JSON form of a ruleset: everything that the structs say, and of each rule the text too.
#include "ruleset/render.h"
#include "ruleset/render_names.h"

// Comma bookkeeping of one object or array.
struct list {
    struct buf *out;
    bool begun;
};

static void list_next(struct list *list, const char *indent)
{
    buf_puts(list->out, list->begun ? "," : "");
    buf_puts(list->out, indent);
    list->begun = true;
}

static void put_key(struct list *object, const char *key)
{
    list_next(object, "");
    buf_json_string(object->out, key);
    buf_putc(object->out, ':');
}

static void put_text(struct list *object, const char *key, const char *value)
{
    put_key(object, key);
    buf_json_string(object->out, value);
}

static void put_number(struct list *object, const char *key, unsigned long value)
{
    put_key(object, key);
    buf_printf(object->out, "%lu", value);
}

static void put_true(struct list *object, const char *key)
{
    put_key(object, key);
    buf_puts(object->out, "true");
}

static void put_prefix(struct list *object, const char *key, const struct prefix *prefix)
{
    char text[PREFIX_TEXT];
    put_text(object, key, prefix_format(prefix, text));
}

static void put_protocol(struct list *object, uint8_t protocol)
{
    const char *name = render_protocol(protocol);
    if (name) {
        put_text(object, "protocol", name);
    } else {
        put_number(object, "protocol", protocol);
    }
}

static const char *target_name(enum rule_target target)
{
    switch (target) {
    case TARGET_NONE:
        return "none";
    case TARGET_RETURN:
        return "return";
    case TARGET_ACCEPT:
        return "accept";
    case TARGET_DROP:
        return "drop";
    case TARGET_REJECT:
        return "reject";
    case TARGET_JUMP:
        return "jump";
    case TARGET_GOTO:
        return "goto";
    }
    return "?";
}

static void put_ports(struct list *object, const struct rule *rule)
{
    struct buf *out = object->out;
    put_key(object, "ports");
    buf_putc(out, '[');
    for (size_t i = 0; i < rule->n_ports; i++) {
        buf_printf(out, "%s{\"first\":%u,\"last\":%u}", i ? "," : "", rule->ports[i].first, rule->ports[i].last);
    }
    buf_putc(out, ']');
}

static void put_ct_states(struct list *object, const struct rule *rule)
{
    put_key(object, rule->ct_invert ? "ctStatesNot" : "ctStates");
    buf_putc(object->out, '[');
    struct list states = {.out = object->out};
    for (size_t i = 0; i < render_n_ct_states; i++) {
        if (rule->ct_states & render_ct_states[i].value) {
            list_next(&states, "");
            buf_json_string(object->out, render_ct_states[i].text);
        }
    }
    buf_putc(object->out, ']');
}

static void put_header(struct list *object, const struct rule *rule)
{
    if (rule_has_source(rule)) {
        put_prefix(object, "source", &rule->source);
    }
    if (rule_has_destination(rule)) {
        put_prefix(object, "destination", &rule->destination);
    }
    if (*rule->in) {
        put_text(object, "in", rule->in);
    }
    if (*rule->out) {
        put_text(object, "out", rule->out);
    }
    if (rule->protocol) {
        put_protocol(object, rule->protocol);
    }
}

static void put_matches(struct list *object, const struct rule *rule)
{
    if (rule->n_ports) {
        put_ports(object, rule);
    }
    if (rule->icmp_type >= 0) {
        put_number(object, "icmpType", (unsigned long)rule->icmp_type);
    }
    if (rule->hop_limit >= 0) {
        put_number(object, "hopLimit", (unsigned long)rule->hop_limit);
    }
    if (*rule->physdev_in) {
        put_text(object, "physdevIn", rule->physdev_in);
    }
    if (*rule->physdev_out) {
        put_text(object, "physdevOut", rule->physdev_out);
    }
    if (rule->connmark_mask) {
        put_number(object, "connmark", rule->connmark);
        put_number(object, "connmarkMask", rule->connmark_mask);
    }
    if (rule->ct_states) {
        put_ct_states(object, rule);
    }
    if (rule->source_local) {
        put_true(object, "sourceLocal");
    }
    if (rule->set) {
        put_text(object, "set", rule->set);
        put_text(object, "setDirection", rule->set_direction == SET_SRC ? "src" : "dst");
    }
}

static void put_rule(enum family family, const struct table *table, const struct rule *rule, struct list *object)
{
    put_header(object, rule);
    put_matches(object, rule);
    put_text(object, "target", target_name(rule->target));
    if (rule->chain) {
        put_text(object, "to", rule->chain);
    }
    if (rule->comment) {
        put_text(object, "comment", rule->comment);
    }
    BUF_CLEANUP struct buf text = {0};
    render_rule(family, table, NULL, rule, &text);
    object->out->failed |= text.failed;
    put_text(object, "text", text.len ? text.data : "");
}

static void put_member(const struct set *set, const struct set_member *member, struct buf *out)
{
    struct list object = {.out = out};
    char text[PREFIX_TEXT];
    buf_putc(out, '{');
    switch (set->type) {
    case SET_HASH_IP:
        put_text(&object, "address", address_format(&member->prefix.address, text));
        break;
    case SET_HASH_NET:
        put_prefix(&object, "prefix", &member->prefix);
        if (member->nomatch) {
            put_true(&object, "nomatch");
        }
        break;
    case SET_HASH_IP_PORT:
        put_text(&object, "address", address_format(&member->prefix.address, text));
        put_protocol(&object, member->protocol);
        put_number(&object, "port", member->port);
        break;
    }
    buf_putc(out, '}');
}

static void put_sets(const struct table *table, struct buf *out)
{
    struct list sets = {.out = out};
    buf_puts(out, "\"sets\":[");
    for (size_t i = 0; i < table->n_sets; i++) {
        const struct set *set = &table->sets[i];
        struct list object = {.out = out};
        list_next(&sets, "\n{");
        put_text(&object, "name", set->name);
        put_text(&object, "type", set_type_name(set->type));
        put_number(&object, "hashsize", set_hashsize(set->n_members));
        put_number(&object, "maxelem", set_maxelem(set->n_members));
        if (set->describe && *set->describe) {
            put_text(&object, "describe", set->describe);
        }
        put_key(&object, "members");
        buf_putc(out, '[');
        struct list members = {.out = out};
        for (size_t j = 0; j < set->n_members; j++) {
            list_next(&members, "");
            put_member(set, &set->members[j], out);
        }
        buf_puts(out, "]}");
    }
    buf_putc(out, ']');
}

static void put_chains(enum family family, const struct table *table, struct buf *out)
{
    struct list chains = {.out = out};
    buf_puts(out, "\"chains\":[");
    for (size_t i = 0; i < table->n_chains; i++) {
        const struct chain *chain = &table->chains[i];
        struct list object = {.out = out};
        list_next(&chains, "\n{");
        put_text(&object, "name", chain->name);
        put_key(&object, "rules");
        buf_putc(out, '[');
        struct list rules = {.out = out};
        for (size_t j = 0; j < chain->n_rules; j++) {
            struct list rule = {.out = out};
            list_next(&rules, "\n {");
            put_rule(family, table, &chain->rules[j], &rule);
            buf_putc(out, '}');
        }
        buf_puts(out, "]}");
    }
    buf_putc(out, ']');
}

static void put_hooks(enum family family, const struct table *table, struct buf *out)
{
    struct list hooks = {.out = out};
    buf_puts(out, "\"hooks\":[");
    for (size_t i = 0; i < table->n_hooks; i++) {
        struct list object = {.out = out};
        list_next(&hooks, "\n{");
        put_text(&object, "builtin", table->hooks[i].builtin);
        put_rule(family, table, &table->hooks[i].rule, &object);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

void render_json(const struct ruleset *ruleset, struct buf *out)
{
    static const enum family families[] = {FAMILY_V4, FAMILY_V6};
    buf_putc(out, '{');
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        const struct table *table = &ruleset->tables[families[i]];
        buf_printf(out, "%s\"ipv%u\":{", i ? ",\n" : "", family_number(families[i]));
        put_sets(table, out);
        buf_puts(out, ",\n");
        put_chains(families[i], table, out);
        buf_puts(out, ",\n");
        put_hooks(families[i], table, out);
        buf_putc(out, '}');
    }
    buf_puts(out, "}\n");
}
