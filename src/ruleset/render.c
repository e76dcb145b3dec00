// SPDX-License-Identifier: Apache-2.0
#include "ruleset/render.h"

#include "model/object.h"
#include "ruleset/render_names.h"

static const struct {
    const char *name;
    const char *mark;
} sections[] = {
    [RENDER_IPSET] = {"ipset", RENDER_MARK_IPSET},
    [RENDER_IPTABLES] = {"iptables", RENDER_MARK_IPTABLES},
    [RENDER_IP6TABLES] = {"ip6tables", RENDER_MARK_IP6TABLES},
};

const char *render_section_name(enum render_section section)
{
    return sections[section].name;
}

const char *render_section_mark(enum render_section section)
{
    return sections[section].mark;
}

bool render_section_parse(const char *name, enum render_section *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        if (strcmp(sections[i].name, name) == 0) {
            *ret = (enum render_section)i;
            return true;
        }
    }
    return false;
}

// A word as libxtables saves it: bare when it is made of letters, digits, '_' and '-' only, else quoted. Control
// characters would end the line of a restore file: they cannot be written at all.
static void put_word(const char *text, struct buf *out)
{
    static const char bare[] = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (*text && text[strspn(text, bare)] == '\0') {
        buf_puts(out, text);
        return;
    }
    buf_putc(out, '"');
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            buf_putc(out, '?');
            continue;
        }
        if (strchr("\"\\'", *c)) {
            buf_putc(out, '\\');
        }
        buf_putc(out, *c);
    }
    buf_putc(out, '"');
}

static void put_prefix(const char *option, const struct prefix *prefix, struct buf *out)
{
    char text[PREFIX_TEXT];
    buf_printf(out, " %s %s", option, prefix_format(prefix, text));
}

static void put_header(const struct rule *rule, struct buf *out)
{
    if (rule_has_source(rule)) {
        put_prefix("-s", &rule->source, out);
    }
    if (rule_has_destination(rule)) {
        put_prefix("-d", &rule->destination, out);
    }
    if (*rule->in) {
        buf_printf(out, " -i %s", rule->in);
    }
    if (*rule->out) {
        buf_printf(out, " -o %s", rule->out);
    }
    if (rule->protocol) {
        const char *name = render_protocol(rule->protocol);
        if (name) {
            buf_printf(out, " -p %s", name);
        } else {
            buf_printf(out, " -p %u", rule->protocol);
        }
    }
}

static void put_range(const struct port_range *range, struct buf *out)
{
    buf_printf(out, "%u", range->first);
    if (range->last != range->first) {
        buf_printf(out, ":%u", range->last);
    }
}

static void put_ports(const struct rule *rule, struct buf *out)
{
    if (rule->n_ports == 0) {
        return;
    }
    if (rule->n_ports > 1 || (rule->protocol != PROTOCOL_TCP && rule->protocol != PROTOCOL_UDP)) {
        buf_puts(out, " -m multiport --dports ");
        for (size_t i = 0; i < rule->n_ports; i++) {
            buf_puts(out, i ? "," : "");
            put_range(&rule->ports[i], out);
        }
        return;
    }
    buf_printf(out, " -m %s", render_protocol(rule->protocol));
    // iptables-save prints no range that holds every port.
    if (rule->ports[0].first != 0 || rule->ports[0].last != UINT16_MAX) {
        buf_puts(out, " --dport ");
        put_range(&rule->ports[0], out);
    }
}

static void put_ct_states(const struct rule *rule, struct buf *out)
{
    buf_printf(out, " -m conntrack%s --ctstate ", rule->ct_invert ? " !" : "");
    bool first = true;
    for (size_t i = 0; i < render_n_ct_states; i++) {
        if (rule->ct_states & render_ct_states[i].value) {
            buf_printf(out, "%s%s", first ? "" : ",", render_ct_states[i].text);
            first = false;
        }
    }
}

static void put_matches(enum family family, const struct table *table, const struct rule *rule, struct buf *out)
{
    put_ports(rule, out);
    if (rule->icmp_type >= 0) {
        buf_printf(out, family == FAMILY_V4 ? " -m icmp --icmp-type %d" : " -m icmp6 --icmpv6-type %d",
                   rule->icmp_type);
    }
    if (rule->hop_limit >= 0) {
        buf_printf(out, " -m hl --hl-eq %d", rule->hop_limit);
    }
    if (*rule->physdev_in || *rule->physdev_out) {
        buf_puts(out, " -m physdev");
        if (*rule->physdev_in) {
            buf_printf(out, " --physdev-in %s", rule->physdev_in);
        }
        if (*rule->physdev_out) {
            buf_printf(out, " --physdev-out %s", rule->physdev_out);
        }
    }
    if (rule->connmark_mask) {
        buf_printf(out, " -m connmark --mark 0x%x", rule->connmark);
        // As iptables-save prints it.
        if (rule->connmark_mask != UINT32_MAX) {
            buf_printf(out, "/0x%x", rule->connmark_mask);
        }
    }
    if (rule->ct_states) {
        put_ct_states(rule, out);
    }
    if (rule->source_local) {
        buf_puts(out, " -m addrtype --src-type LOCAL");
    }
    if (rule->set) {
        const struct set *set = table ? table_set(table, rule->set) : NULL;
        const char *direction = rule->set_direction == SET_SRC ? "src" : "dst";
        buf_printf(out, " -m set --match-set %s %s", rule->set, direction);
        for (unsigned i = 1; set && i < set_type_dimensions(set->type); i++) {
            buf_printf(out, ",%s", direction);
        }
    }
    if (rule->comment) {
        buf_puts(out, " -m comment --comment ");
        put_word(rule->comment, out);
    }
}

static void put_target(enum family family, const struct rule *rule, struct buf *out)
{
    switch (rule->target) {
    case TARGET_NONE:
        break;
    case TARGET_RETURN:
        buf_puts(out, " -j RETURN");
        break;
    case TARGET_ACCEPT:
        buf_puts(out, " -j ACCEPT");
        break;
    case TARGET_DROP:
        buf_puts(out, " -j DROP");
        break;
    case TARGET_REJECT:
        buf_printf(out, " -j REJECT --reject-with %s", render_reject_with(family, rule));
        break;
    case TARGET_JUMP:
        buf_printf(out, " -j %s", rule->chain);
        break;
    case TARGET_GOTO:
        buf_printf(out, " -g %s", rule->chain);
        break;
    }
}

void render_rule(enum family family, const struct table *table, const char *chain, const struct rule *rule,
                 struct buf *out)
{
    BUF_CLEANUP struct buf text = {0};
    if (chain) {
        buf_printf(&text, " -A %s", chain);
    }
    put_header(rule, &text);
    put_matches(family, table, rule, &text);
    put_target(family, rule, &text);
    // Every part brings its own blank in front.
    if (text.failed) {
        out->failed = true;
    } else if (text.len > 0) {
        buf_add(out, text.data + 1, text.len - 1);
    }
}

void render_member(const struct set *set, const struct set_member *member, struct buf *out)
{
    char text[PREFIX_TEXT];
    bool whole = member->prefix.length == family_bits(member->prefix.address.family);
    buf_puts(out, whole ? address_format(&member->prefix.address, text) : prefix_format(&member->prefix, text));
    if (set->type == SET_HASH_IP_PORT) {
        const char *protocol = render_protocol(member->protocol);
        if (protocol) {
            buf_printf(out, ",%s:%u", protocol, member->port);
        } else {
            buf_printf(out, ",%u:%u", member->protocol, member->port);
        }
    }
    if (member->nomatch) {
        buf_puts(out, " nomatch");
    }
}

void render_set_create(enum family family, const struct set *set, struct buf *out)
{
    buf_printf(out, "create %s %s family %s hashsize %u maxelem %u", set->name, set_type_name(set->type),
               family == FAMILY_V4 ? "inet" : "inet6", set_hashsize(set->n_members), set_maxelem(set->n_members));
}

void render_sets(enum family family, const struct table *table, struct buf *out)
{
    for (size_t i = 0; i < table->n_sets; i++) {
        const struct set *set = &table->sets[i];
        render_set_create(family, set, out);
        buf_putc(out, '\n');
        for (size_t j = 0; j < set->n_members; j++) {
            buf_printf(out, "add %s ", set->name);
            render_member(set, &set->members[j], out);
            buf_putc(out, '\n');
        }
    }
}

// Inserting each hook at its final position leaves them in the order wanted.
static void put_hooks(enum family family, const struct table *table, struct buf *out)
{
    for (size_t i = 0; i < table->n_hooks; i++) {
        const struct hook *hook = &table->hooks[i];
        size_t position = 1;
        for (size_t j = 0; j < i; j++) {
            position += strcmp(table->hooks[j].builtin, hook->builtin) == 0;
        }
        buf_printf(out, "-I %s %zu ", hook->builtin, position);
        render_rule(family, table, NULL, &hook->rule, out);
        buf_putc(out, '\n');
    }
}

void render_table(enum family family, const struct table *table, struct buf *out)
{
    buf_puts(out, "*filter\n");
    for (size_t i = 0; i < table->n_chains; i++) {
        buf_printf(out, ":%s - [0:0]\n", table->chains[i].name);
    }
    for (size_t i = 0; i < table->n_chains; i++) {
        const struct chain *chain = &table->chains[i];
        for (size_t j = 0; j < chain->n_rules; j++) {
            render_rule(family, table, chain->name, &chain->rules[j], out);
            buf_putc(out, '\n');
        }
    }
    put_hooks(family, table, out);
    buf_puts(out, "COMMIT\n");
}

void render_section(const struct ruleset *ruleset, enum render_section section, struct buf *out)
{
    buf_printf(out, "%s\n", render_section_mark(section));
    switch (section) {
    case RENDER_IPSET:
        render_sets(FAMILY_V4, &ruleset->tables[FAMILY_V4], out);
        render_sets(FAMILY_V6, &ruleset->tables[FAMILY_V6], out);
        break;
    case RENDER_IPTABLES:
        render_table(FAMILY_V4, &ruleset->tables[FAMILY_V4], out);
        break;
    case RENDER_IP6TABLES:
        render_table(FAMILY_V6, &ruleset->tables[FAMILY_V6], out);
        break;
    }
}

void render_restore(const struct ruleset *ruleset, struct buf *out)
{
    render_section(ruleset, RENDER_IPSET, out);
    render_section(ruleset, RENDER_IPTABLES, out);
    render_section(ruleset, RENDER_IP6TABLES, out);
}
