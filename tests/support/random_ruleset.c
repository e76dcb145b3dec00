// SPDX-License-Identifier: Apache-2.0
#include "support/random_ruleset.h"

#include <stdio.h>

#include "base/limits.h"
#include "model/object.h"

enum { MAX_CHAINS = 8, MAX_RULES = 6, MAX_SETS = 6, MAX_MEMBERS = 12, MAX_HOOKS = 4, ICMP = 1, ICMPV6 = 58 };

static const char *const interfaces[] = {"eth0", "cni0", "veth1234567890a"};
static const uint16_t ports[] = {0, 1, 53, 80, 81, 443, 8080, 32767, 65534, 65535};

static void *grab(struct ruleset *ruleset, size_t n, size_t size)
{
    void *memory = arena_alloc(&ruleset->arena, n * size);
    if (!memory) {
        abort();
    }
    return memory;
}

static const char *text(struct ruleset *ruleset, const char *from)
{
    const char *copy = arena_strdup(&ruleset->arena, from);
    if (!copy) {
        abort();
    }
    return copy;
}

static void set_interface(char field[PACKET_IFACE], const char *name)
{
    (void)snprintf(field, PACKET_IFACE, "%s", name);
}

static struct address random_ip(struct rng *rng, enum family family)
{
    struct address address = {.family = family};
    unsigned bytes = family_bits(family) / 8;
    address.bytes[0] = family == FAMILY_V4 ? 10 : 0xfd;
    // The middle bytes, too, differ now and then.
    address.bytes[1 + rng_below(rng, bytes - 2)] = (uint8_t)(rng_chance(rng, 30) ? rng_below(rng, 256) : 0);
    address.bytes[bytes - 2] = (uint8_t)rng_below(rng, 4);
    address.bytes[bytes - 1] = (uint8_t)rng_below(rng, 8);
    return address;
}

static struct prefix random_net(struct rng *rng, enum family family, unsigned shortest)
{
    struct address address = random_ip(rng, family);
    unsigned bits = family_bits(family);
    unsigned length = (unsigned)rng_below(rng, bits - shortest + 1) + shortest;
    return prefix_truncate(&address, rng_chance(rng, 50) ? bits - (unsigned)rng_below(rng, 12) : length);
}

static struct port_range random_range(struct rng *rng)
{
    uint16_t a = RNG_PICK(rng, ports);
    uint16_t b = rng_chance(rng, 50) ? a : RNG_PICK(rng, ports);
    return (struct port_range){.first = a < b ? a : b, .last = a < b ? b : a};
}

static uint8_t port_protocol(struct rng *rng)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP};
    return RNG_PICK(rng, protocols);
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

static struct set random_set(struct rng *rng, struct ruleset *ruleset, enum family family, size_t number)
{
    static const enum set_type types[] = {SET_HASH_IP, SET_HASH_NET, SET_HASH_NET, SET_HASH_IP_PORT};
    char name[SET_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "NP%u-%c%zu", family_number(family), (int)('A' + rng_below(rng, 26)), number);
    size_t n = rng_below(rng, MAX_MEMBERS);
    struct set_member *members = grab(ruleset, n, sizeof(*members));
    struct set set = {.name = text(ruleset, name), .type = RNG_PICK(rng, types), .members = members, .describe = ""};
    for (size_t i = 0; i < n; i++) {
        struct address address = random_ip(rng, family);
        struct set_member member = {.prefix = prefix_of(&address)};
        if (set.type == SET_HASH_NET) {
            member.prefix = random_net(rng, family, 1);
            member.nomatch = rng_chance(rng, 40);
        } else if (set.type == SET_HASH_IP_PORT) {
            member.protocol = port_protocol(rng);
            member.port = RNG_PICK(rng, ports);
        }
        bool known = false;
        for (size_t j = 0; j < set.n_members; j++) {
            known |= set_member_same_key(&members[j], &member);
        }
        if (!known) {
            members[set.n_members++] = member;
        }
    }
    qsort(members, set.n_members, sizeof(*members), compare_members);
    return set;
}

static void random_ports(struct rng *rng, struct ruleset *ruleset, struct rule *rule)
{
    rule->protocol = port_protocol(rng);
    size_t n = rng_chance(rng, 50) ? 1 : 1 + rng_below(rng, 7);
    struct port_range *ranges = grab(ruleset, n, sizeof(*ranges));
    for (size_t i = 0; i < n; i++) {
        ranges[i] = random_range(rng);
    }
    rule->ports = ranges;
    rule->n_ports = n;
}

static const char *random_comment(struct rng *rng, struct ruleset *ruleset)
{
    static const char *const comments[] = {
        "", "plain", "x/a", "two words", "it's \"quoted\" \\ here", "-j DROP", "\xc3\xa4", "!", "#", "a\\", "COMMIT"};
    char long_comment[COMMENT_SIZE];
    if (rng_chance(rng, 10)) {
        memset(long_comment, '"', LIMIT_COMMENT);
        long_comment[LIMIT_COMMENT] = '\0';
        return text(ruleset, long_comment);
    }
    return RNG_PICK(rng, comments);
}

static void random_header(struct rng *rng, enum family family, struct rule *rule)
{
    static const uint8_t others[] = {4, 41, 47, 50, ICMP, ICMPV6, PROTOCOL_TCP, PROTOCOL_SCTP, 253};
    if (rng_chance(rng, 40)) {
        rule->has_source = true;
        rule->source = random_net(rng, family, 0);
    }
    if (rng_chance(rng, 40)) {
        rule->has_destination = true;
        rule->destination = random_net(rng, family, 0);
    }
    if (rng_chance(rng, 10)) {
        set_interface(rule->in, RNG_PICK(rng, interfaces));
    }
    if (rng_chance(rng, 10)) {
        set_interface(rule->out, RNG_PICK(rng, interfaces));
    }
    if (rng_chance(rng, 15)) {
        rule->protocol = RNG_PICK(rng, others);
    }
}

static void random_ct(struct rng *rng, struct rule *rule)
{
    rule->ct_states =
        (uint8_t)(1 + rng_below(rng, CT_NEW | CT_ESTABLISHED | CT_RELATED | CT_INVALID | CT_UNTRACKED | RULE_CT_DNAT));
    rule->ct_invert = rng_chance(rng, 50);
}

static void random_matches(struct rng *rng, struct ruleset *ruleset, enum family family, struct rule *rule)
{
    const struct table *table = &ruleset->tables[family];
    if (rng_chance(rng, 30)) {
        random_ports(rng, ruleset, rule);
    } else if (rng_chance(rng, 10)) {
        rule->protocol = family == FAMILY_V4 ? ICMP : ICMPV6;
        rule->icmp_type = (int16_t)rng_below(rng, 4);
    }
    if (family == FAMILY_V6 && rng_chance(rng, 10)) {
        rule->hop_limit = rng_chance(rng, 50) ? 64 : 255;
    }
    if (rng_chance(rng, 15)) {
        random_ct(rng, rule);
    }
    rule->source_local = rng_chance(rng, 5);
    if (rng_chance(rng, 8)) {
        static const char *const bridge_ports[] = {"veth0", "veth1"};
        (void)snprintf(rule->physdev_in, sizeof(rule->physdev_in), "%s", RNG_PICK(rng, bridge_ports));
        // The kernel refuses --physdev-out where OUTPUT leads.
    }
    if (rng_chance(rng, 8)) {
        rule->connmark_mask = rng_chance(rng, 20) ? UINT32_MAX : UINT32_C(1) << rng_below(rng, 32);
        rule->connmark = rng_chance(rng, 70) ? rule->connmark_mask : 0;
    }
    if (table->n_sets && rng_chance(rng, 40)) {
        const struct set *set = &table->sets[rng_below(rng, table->n_sets)];
        rule->set = set->name;
        // The simulator knows no source ports.
        rule->set_direction = set->type == SET_HASH_IP_PORT || rng_chance(rng, 50) ? SET_DST : SET_SRC;
    }
    if (rng_chance(rng, 20)) {
        rule->comment = random_comment(rng, ruleset);
    }
}

// A rule of chain number `chain`: it leads to later chains only.
static struct rule random_rule(struct rng *rng, struct ruleset *ruleset, enum family family, const struct chain *chains,
                               size_t n_chains, size_t chain)
{
    static const enum rule_target verdicts[] = {TARGET_NONE,   TARGET_RETURN, TARGET_RETURN,
                                                TARGET_ACCEPT, TARGET_DROP,   TARGET_REJECT};
    struct rule rule = rule_init();
    random_header(rng, family, &rule);
    random_matches(rng, ruleset, family, &rule);
    rule.target = RNG_PICK(rng, verdicts);
    if (chain + 1 < n_chains && rng_chance(rng, 60)) {
        rule.target = rng_chance(rng, 50) ? TARGET_JUMP : TARGET_GOTO;
        rule.chain = chains[chain + 1 + rng_below(rng, n_chains - chain - 1)].name;
    }
    return rule;
}

static void random_chains(struct rng *rng, struct ruleset *ruleset, enum family family)
{
    struct table *table = &ruleset->tables[family];
    struct chain *chains = grab(ruleset, MAX_CHAINS, sizeof(*chains));
    size_t n = rng_below(rng, MAX_CHAINS) + 1;
    for (size_t i = 0; i < n; i++) {
        char name[CHAIN_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "NETPOL-%c%zu", (int)('A' + i), rng_below(rng, 1000));
        chains[i].name = text(ruleset, name);
    }
    for (size_t i = 0; i < n; i++) {
        struct rule *rules = grab(ruleset, MAX_RULES, sizeof(*rules));
        chains[i].n_rules = rng_below(rng, MAX_RULES);
        chains[i].rules = rules;
        for (size_t j = 0; j < chains[i].n_rules; j++) {
            rules[j] = random_rule(rng, ruleset, family, chains, n, i);
        }
    }
    table->chains = chains;
    table->n_chains = n;
}

static void random_hooks(struct rng *rng, struct ruleset *ruleset, enum family family)
{
    static const char *const builtins[] = {"FORWARD", "FORWARD", "INPUT", "OUTPUT"};
    struct table *table = &ruleset->tables[family];
    struct hook *hooks = grab(ruleset, MAX_HOOKS, sizeof(*hooks));
    table->n_hooks = rng_below(rng, MAX_HOOKS + 1);
    table->hooks = hooks;
    for (size_t i = 0; i < table->n_hooks; i++) {
        hooks[i] = (struct hook){.builtin = RNG_PICK(rng, builtins), .rule = rule_init()};
        hooks[i].rule.target = rng_chance(rng, 80) ? TARGET_JUMP : TARGET_GOTO;
        hooks[i].rule.chain = table->chains[rng_below(rng, table->n_chains)].name;
        if (rng_chance(rng, 50)) {
            random_ct(rng, &hooks[i].rule);
        }
    }
}

static int compare_sets(const void *a, const void *b)
{
    return strcmp(((const struct set *)a)->name, ((const struct set *)b)->name);
}

struct ruleset *random_ruleset(struct rng *rng)
{
    static const enum family families[] = {FAMILY_V4, FAMILY_V6};
    struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
    if (!ruleset) {
        abort();
    }
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        struct table *table = &ruleset->tables[families[i]];
        struct set *sets = grab(ruleset, MAX_SETS, sizeof(*sets));
        table->n_sets = rng_below(rng, MAX_SETS);
        for (size_t j = 0; j < table->n_sets; j++) {
            sets[j] = random_set(rng, ruleset, families[i], j);
        }
        qsort(sets, table->n_sets, sizeof(*sets), compare_sets);
        table->sets = sets;
        random_chains(rng, ruleset, families[i]);
        random_hooks(rng, ruleset, families[i]);
    }
    return ruleset;
}

struct packet random_ruleset_packet(struct rng *rng)
{
    static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP, ICMP, ICMPV6, 47};
    static const enum ct_state states[] = {0, CT_NEW, CT_ESTABLISHED, CT_RELATED, CT_INVALID, CT_UNTRACKED};
    static const enum arrival arrivals[] = {ARRIVAL_FORWARD, ARRIVAL_FORWARD, ARRIVAL_TO_NODE, ARRIVAL_FROM_NODE};
    enum family family = rng_chance(rng, 50) ? FAMILY_V4 : FAMILY_V6;
    struct packet packet = {
        .arrival = RNG_PICK(rng, arrivals),
        .source = random_ip(rng, family),
        .destination = random_ip(rng, family),
        .protocol = RNG_PICK(rng, protocols),
        .hop_limit = (uint8_t)(rng_chance(rng, 50) ? 255 : 0),
        .ct = RNG_PICK(rng, states),
        .dnat = rng_chance(rng, 20),
        .source_is_node = rng_chance(rng, 20),
    };
    if (packet.protocol == PROTOCOL_TCP || packet.protocol == PROTOCOL_UDP || packet.protocol == PROTOCOL_SCTP) {
        packet.port = RNG_PICK(rng, ports);
    } else if (packet.protocol == ICMP || packet.protocol == ICMPV6) {
        packet.icmp_type = (uint8_t)rng_below(rng, 4);
    }
    set_interface(packet.in, rng_chance(rng, 80) ? RNG_PICK(rng, interfaces) : "");
    set_interface(packet.out, rng_chance(rng, 80) ? RNG_PICK(rng, interfaces) : "");
    set_interface(packet.physdev_in, rng_chance(rng, 50) ? "veth0" : rng_chance(rng, 50) ? "veth1" : "");
    packet.connmark = rng_chance(rng, 40) ? (uint32_t)rng_next(rng) : rng_chance(rng, 50) ? UINT32_MAX : 0;
    return packet;
}

// Strings stay in the old ruleset's arena unless copied: take them over.
static struct rule copy_rule(struct ruleset *to, const struct rule *from)
{
    struct rule rule = *from;
    struct port_range *ranges = grab(to, from->n_ports, sizeof(*ranges));
    if (from->n_ports) {
        memcpy(ranges, from->ports, from->n_ports * sizeof(*ranges));
        rule.ports = ranges;
    }
    rule.set = from->set ? text(to, from->set) : NULL;
    rule.chain = from->chain ? text(to, from->chain) : NULL;
    rule.comment = from->comment ? text(to, from->comment) : NULL;
    return rule;
}

static void change_sets(struct rng *rng, struct ruleset *to, const struct table *from, struct table *table)
{
    struct set *sets = grab(to, from->n_sets, sizeof(*sets));
    for (size_t i = 0; i < from->n_sets; i++) {
        const struct set *old = &from->sets[i];
        if (rng_chance(rng, 15)) {
            continue;
        }
        struct set_member *members = grab(to, old->n_members, sizeof(*members));
        struct set *set = &sets[table->n_sets++];
        *set = (struct set){.name = text(to, old->name), .type = old->type, .members = members, .describe = ""};
        bool touch = rng_chance(rng, 50);
        for (size_t j = 0; j < old->n_members; j++) {
            if (touch && rng_chance(rng, 30)) {
                continue;
            }
            members[set->n_members] = old->members[j];
            members[set->n_members++].nomatch ^= set->type == SET_HASH_NET && touch && rng_chance(rng, 20);
        }
    }
    table->sets = sets;
}

struct ruleset *random_ruleset_change(struct rng *rng, const struct ruleset *ruleset)
{
    struct ruleset *to = calloc(1, sizeof(*to));
    if (!to) {
        abort();
    }
    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        const struct table *from = &ruleset->tables[family];
        struct table *table = &to->tables[family];
        struct chain *chains = grab(to, from->n_chains, sizeof(*chains));
        struct hook *hooks = grab(to, from->n_hooks, sizeof(*hooks));
        change_sets(rng, to, from, table);
        for (size_t i = 0; i < from->n_chains; i++) {
            if (rng_chance(rng, 10)) {
                continue;
            }
            struct chain *chain = &chains[table->n_chains++];
            struct rule *rules = grab(to, from->chains[i].n_rules, sizeof(*rules));
            *chain = (struct chain){.name = text(to, from->chains[i].name), .rules = rules};
            for (size_t j = 0; j < from->chains[i].n_rules; j++) {
                if (!rng_chance(rng, 10)) {
                    rules[chain->n_rules++] = copy_rule(to, &from->chains[i].rules[j]);
                }
            }
        }
        for (size_t i = 0; i < from->n_hooks; i++) {
            if (!rng_chance(rng, 10)) {
                hooks[table->n_hooks++] = (struct hook){.builtin = text(to, from->hooks[i].builtin),
                                                        .rule = copy_rule(to, &from->hooks[i].rule)};
            }
        }
        table->chains = chains;
        table->hooks = hooks;
    }
    return to;
}
