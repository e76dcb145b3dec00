// SPDX-License-Identifier: Apache-2.0
#include "ruleset/parse_rule.h"

#include "base/limits.h"
#include "model/object.h"
#include "ruleset/parse_value.h"
#include "ruleset/render_names.h"

// The matches ("-m NAME") that rules use.
enum match {
    MATCH_HEADER,  // no -m needed
    MATCH_TCP,
    MATCH_UDP,
    MATCH_MULTIPORT,
    MATCH_ICMP,
    MATCH_ICMP6,
    MATCH_HL,
    MATCH_CONNTRACK,
    MATCH_ADDRTYPE,
    MATCH_PHYSDEV,
    MATCH_CONNMARK,
    MATCH_SET,
    MATCH_COMMENT,
    MATCH_COUNT,
};
static const char *const match_names[MATCH_COUNT] = {
    [MATCH_HEADER] = "",
    [MATCH_TCP] = "tcp",
    [MATCH_UDP] = "udp",
    [MATCH_MULTIPORT] = "multiport",
    [MATCH_ICMP] = "icmp",
    [MATCH_ICMP6] = "icmp6",
    [MATCH_HL] = "hl",
    [MATCH_CONNTRACK] = "conntrack",
    [MATCH_ADDRTYPE] = "addrtype",
    [MATCH_PHYSDEV] = "physdev",
    [MATCH_CONNMARK] = "connmark",
    [MATCH_SET] = "set",
    [MATCH_COMMENT] = "comment",
};

struct reader {
    const char *const *words;
    size_t n;
    size_t at;  // the next word
    enum family family;
    struct arena *arena;
    struct parsed_rule *parsed;
    const char *option;  // being read
    const char *reject_with;
    bool negated;
    unsigned matches;  // bits of enum match: "-m" seen
    unsigned seen;     // bits of options[]
    struct err *err;
};

static int bad_value(const struct reader *reader, const char *value)
{
    return err_set(reader->err, ERR_INPUT, 0, "%s %s: not understood", reader->option, value);
}

static int set_ports(struct reader *reader, const struct port_range *ranges, size_t n)
{
    struct port_range *copy = arena_alloc(reader->arena, n * sizeof(*copy));
    if (!copy) {
        return err_oom(reader->err);
    }
    memcpy(copy, ranges, n * sizeof(*copy));
    reader->parsed->rule.ports = copy;
    reader->parsed->rule.n_ports = n;
    return 0;
}

static int copy_word(const struct reader *reader, const char *word, const char **ret)
{
    const char *copy = arena_strdup(reader->arena, word);
    if (!copy) {
        return err_oom(reader->err);
    }
    *ret = copy;
    return 0;
}

// ---- options: each reads its value from args[0…]
// ---------------------------------------------------------------------

static int read_source(struct reader *reader, const char *const *args)
{
    struct rule *rule = &reader->parsed->rule;
    rule->has_source = true;
    return parse_prefix(args[0], reader->family, &rule->source) ? 0 : bad_value(reader, args[0]);
}

static int read_destination(struct reader *reader, const char *const *args)
{
    struct rule *rule = &reader->parsed->rule;
    rule->has_destination = true;
    return parse_prefix(args[0], reader->family, &rule->destination) ? 0 : bad_value(reader, args[0]);
}

static int read_iface(struct reader *reader, const char *word, char ret[PACKET_IFACE])
{
    size_t len = strlen(word);
    if (len == 0 || len >= PACKET_IFACE) {
        return bad_value(reader, word);
    }
    if (word[len - 1] == '+') {
        return err_set(reader->err, ERR_INPUT, 0, "%s %s: our rules match whole interface names", reader->option, word);
    }
    memcpy(ret, word, len + 1);
    return 0;
}

static int read_in(struct reader *reader, const char *const *args)
{
    return read_iface(reader, args[0], reader->parsed->rule.in);
}

static int read_out(struct reader *reader, const char *const *args)
{
    return read_iface(reader, args[0], reader->parsed->rule.out);
}

static int read_physdev_in(struct reader *reader, const char *const *args)
{
    return read_iface(reader, args[0], reader->parsed->rule.physdev_in);
}

static int read_physdev_out(struct reader *reader, const char *const *args)
{
    return read_iface(reader, args[0], reader->parsed->rule.physdev_out);
}

// "0x1/0xff"; without a mask every bit counts.
static int read_mark(struct reader *reader, const char *const *args)
{
    struct rule *rule = &reader->parsed->rule;
    const char *slash = strchr(args[0], '/');
    uint32_t mask = UINT32_MAX;
    uint32_t mark = 0;
    if (!parse_bits(args[0], slash ? (size_t)(slash - args[0]) : strlen(args[0]), &mark) ||
        (slash && !parse_bits(slash + 1, strlen(slash + 1), &mask)) || mask == 0 || (mark & ~mask)) {
        return bad_value(reader, args[0]);
    }
    rule->connmark = mark;
    rule->connmark_mask = mask;
    return 0;
}

static int read_protocol(struct reader *reader, const char *const *args)
{
    return parse_protocol(args[0], &reader->parsed->rule.protocol) ? 0 : bad_value(reader, args[0]);
}

static int read_match(struct reader *reader, const char *const *args)
{
    for (unsigned i = MATCH_HEADER + 1; i < MATCH_COUNT; i++) {
        if (strcmp(match_names[i], args[0]) == 0) {
            if (reader->matches & 1u << i) {
                return err_set(reader->err, ERR_INPUT, 0, "-m %s twice in one rule", args[0]);
            }
            reader->matches |= 1u << i;
            return 0;
        }
    }
    return err_set(reader->err, ERR_INPUT, 0, "-m %s: a match that our rules do not use", args[0]);
}

static int read_dport(struct reader *reader, const char *const *args)
{
    struct port_range range;
    if (!parse_port_range(args[0], strlen(args[0]), &range)) {
        return bad_value(reader, args[0]);
    }
    return set_ports(reader, &range, 1);
}

static int read_dports(struct reader *reader, const char *const *args)
{
    struct port_range ranges[LIMIT_MULTIPORT];
    size_t n = 0;
    size_t slots = 0;
    for (const char *at = args[0]; at;) {
        const char *comma = strchr(at, ',');
        size_t len = comma ? (size_t)(comma - at) : strlen(at);
        if (n == LIMIT_MULTIPORT || !parse_port_range(at, len, &ranges[n])) {
            return bad_value(reader, args[0]);
        }
        slots += ranges[n].first == ranges[n].last ? 1 : 2;
        n++;
        at = comma ? comma + 1 : NULL;
    }
    return slots <= LIMIT_MULTIPORT ? set_ports(reader, ranges, n) : bad_value(reader, args[0]);
}

static int read_icmp_type(struct reader *reader, const char *const *args)
{
    // iptables prints IPv4's 255 as what it does.
    unsigned type = UINT8_MAX;
    bool any = reader->family == FAMILY_V4 && strcmp(args[0], "any") == 0;
    if (!any && !parse_number(args[0], UINT8_MAX, &type)) {
        return bad_value(reader, args[0]);
    }
    reader->parsed->rule.icmp_type = (int16_t)type;
    return 0;
}

static int read_hl(struct reader *reader, const char *const *args)
{
    unsigned limit = 0;
    if (!parse_number(args[0], UINT8_MAX, &limit)) {
        return bad_value(reader, args[0]);
    }
    reader->parsed->rule.hop_limit = (int16_t)limit;
    return 0;
}

static int read_ct_state(struct reader *reader, const char *const *args)
{
    struct rule *rule = &reader->parsed->rule;
    for (const char *at = args[0]; at;) {
        const char *comma = strchr(at, ',');
        size_t len = comma ? (size_t)(comma - at) : strlen(at);
        size_t i = 0;
        while (i < render_n_ct_states &&
               (strlen(render_ct_states[i].text) != len || strncmp(render_ct_states[i].text, at, len) != 0)) {
            i++;
        }
        if (i == render_n_ct_states) {
            return bad_value(reader, args[0]);
        }
        rule->ct_states |= render_ct_states[i].value;
        at = comma ? comma + 1 : NULL;
    }
    rule->ct_invert = reader->negated;
    return 0;
}

static int read_src_type(struct reader *reader, const char *const *args)
{
    reader->parsed->rule.source_local = true;
    return strcmp(args[0], "LOCAL") == 0 ? 0 : bad_value(reader, args[0]);
}

static int read_match_set(struct reader *reader, const char *const *args)
{
    static const struct {
        const char *text;
        enum set_direction direction;
        unsigned dimensions;
    } directions[] = {{"src", SET_SRC, 1}, {"dst", SET_DST, 1}, {"src,src", SET_SRC, 2}, {"dst,dst", SET_DST, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(directions); i++) {
        if (strcmp(directions[i].text, args[1]) == 0) {
            reader->parsed->rule.set_direction = directions[i].direction;
            reader->parsed->set_dimensions = directions[i].dimensions;
            return copy_word(reader, args[0], &reader->parsed->rule.set);
        }
    }
    return bad_value(reader, args[1]);
}

static int read_comment(struct reader *reader, const char *const *args)
{
    return copy_word(reader, args[0], &reader->parsed->rule.comment);
}

static int read_jump(struct reader *reader, const char *const *args)
{
    static const struct {
        const char *name;
        enum rule_target target;
    } targets[] = {
        {"RETURN", TARGET_RETURN}, {"ACCEPT", TARGET_ACCEPT}, {"DROP", TARGET_DROP}, {"REJECT", TARGET_REJECT}};
    struct rule *rule = &reader->parsed->rule;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        if (strcmp(targets[i].name, args[0]) == 0) {
            rule->target = targets[i].target;
            return 0;
        }
    }
    if (strncmp(args[0], RULESET_CHAIN_PREFIX, strlen(RULESET_CHAIN_PREFIX)) != 0) {
        return err_set(reader->err, ERR_INPUT, 0, "-j %s: a target that our rules do not use", args[0]);
    }
    rule->target = TARGET_JUMP;
    return copy_word(reader, args[0], &rule->chain);
}

static int read_goto(struct reader *reader, const char *const *args)
{
    struct rule *rule = &reader->parsed->rule;
    if (strncmp(args[0], RULESET_CHAIN_PREFIX, strlen(RULESET_CHAIN_PREFIX)) != 0) {
        return err_set(reader->err, ERR_INPUT, 0, "-g %s: not a chain of ours", args[0]);
    }
    rule->target = TARGET_GOTO;
    return copy_word(reader, args[0], &rule->chain);
}

static int read_reject_with(struct reader *reader, const char *const *args)
{
    reader->reject_with = args[0];
    return 0;
}

static const struct {
    const char *name;
    size_t n_args;
    unsigned matches;  // one of these must have been named by -m; MATCH_HEADER's bit: none
    bool negatable;
    bool repeatable;
    int (*read)(struct reader *reader, const char *const *args);
} options[] = {
    {"-s", 1, 1u << MATCH_HEADER, false, false, read_source},
    {"-d", 1, 1u << MATCH_HEADER, false, false, read_destination},
    {"-i", 1, 1u << MATCH_HEADER, false, false, read_in},
    {"-o", 1, 1u << MATCH_HEADER, false, false, read_out},
    {"-p", 1, 1u << MATCH_HEADER, false, false, read_protocol},
    {"-m", 1, 1u << MATCH_HEADER, false, true, read_match},
    {"--dport", 1, 1u << MATCH_TCP | 1u << MATCH_UDP, false, false, read_dport},
    {"--dports", 1, 1u << MATCH_MULTIPORT, false, false, read_dports},
    {"--icmp-type", 1, 1u << MATCH_ICMP, false, false, read_icmp_type},
    {"--icmpv6-type", 1, 1u << MATCH_ICMP6, false, false, read_icmp_type},
    {"--hl-eq", 1, 1u << MATCH_HL, false, false, read_hl},
    {"--ctstate", 1, 1u << MATCH_CONNTRACK, true, false, read_ct_state},
    {"--src-type", 1, 1u << MATCH_ADDRTYPE, false, false, read_src_type},
    {"--physdev-in", 1, 1u << MATCH_PHYSDEV, false, false, read_physdev_in},
    {"--physdev-out", 1, 1u << MATCH_PHYSDEV, false, false, read_physdev_out},
    {"--mark", 1, 1u << MATCH_CONNMARK, false, false, read_mark},
    {"--match-set", 2, 1u << MATCH_SET, false, false, read_match_set},
    {"--comment", 1, 1u << MATCH_COMMENT, false, false, read_comment},
    {"-j", 1, 1u << MATCH_HEADER, false, false, read_jump},
    {"-g", 1, 1u << MATCH_HEADER, false, false, read_goto},
    {"--reject-with", 1, 1u << MATCH_HEADER, false, false, read_reject_with},
};

static int read_option(struct reader *reader)
{
    reader->negated = strcmp(reader->words[reader->at], "!") == 0;
    reader->at += reader->negated;
    if (reader->at == reader->n) {
        return err_set(reader->err, ERR_INPUT, 0, "the rule ends behind '!'");
    }
    reader->option = reader->words[reader->at++];
    size_t i = 0;
    while (i < ARRAY_SIZE(options) && strcmp(options[i].name, reader->option) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(options)) {
        return err_set(reader->err, ERR_INPUT, 0, "%s: an option that our rules do not use", reader->option);
    }
    if (reader->negated && !options[i].negatable) {
        return err_set(reader->err, ERR_INPUT, 0, "! %s: our rules do not negate it", reader->option);
    }
    if ((reader->seen & 1u << i) && !options[i].repeatable) {
        return err_set(reader->err, ERR_INPUT, 0, "%s twice in one rule", reader->option);
    }
    if (!(options[i].matches & (reader->matches | 1u << MATCH_HEADER))) {
        return err_set(reader->err, ERR_INPUT, 0, "%s without its -m", reader->option);
    }
    if (reader->n - reader->at < options[i].n_args) {
        return err_set(reader->err, ERR_INPUT, 0, "%s without a value", reader->option);
    }
    const char *const *args = reader->words + reader->at;
    reader->at += options[i].n_args;
    reader->seen |= 1u << i;
    return options[i].read(reader, args);
}

static bool matched(const struct reader *reader, enum match match)
{
    return reader->matches & 1u << match;
}

// A match that was named but got no option, or options that cannot stand together.
static int check_ports(struct reader *reader)
{
    static const struct port_range every_port = {.first = 0, .last = UINT16_MAX};
    const struct rule *rule = &reader->parsed->rule;
    bool tcp = matched(reader, MATCH_TCP);
    bool udp = matched(reader, MATCH_UDP);
    bool multiport = matched(reader, MATCH_MULTIPORT);
    if (tcp + udp + multiport == 0) {
        return 0;
    }
    bool fits =
        multiport ? rule->protocol == PROTOCOL_TCP || rule->protocol == PROTOCOL_UDP || rule->protocol == PROTOCOL_SCTP
                  : rule->protocol == (tcp ? PROTOCOL_TCP : PROTOCOL_UDP);
    if (tcp + udp + multiport != 1 || !fits) {
        return err_set(reader->err, ERR_INPUT, 0, "the port match does not fit the protocol");
    }
    if (rule->n_ports > 0) {
        return 0;
    }
    // iptables-save leaves out a range that holds every port.
    return multiport ? err_set(reader->err, ERR_INPUT, 0, "-m multiport without ports")
                     : set_ports(reader, &every_port, 1);
}

static int check_matches(const struct reader *reader)
{
    const struct rule *rule = &reader->parsed->rule;
    const struct {
        enum match match;
        bool used;
    } uses[] = {
        {MATCH_ICMP, rule->icmp_type >= 0 && reader->family == FAMILY_V4 && rule->protocol == 1},
        {MATCH_ICMP6, rule->icmp_type >= 0 && reader->family == FAMILY_V6 && rule->protocol == 58},
        {MATCH_HL, rule->hop_limit >= 0 && reader->family == FAMILY_V6},
        {MATCH_CONNTRACK, rule->ct_states != 0},
        {MATCH_ADDRTYPE, rule->source_local},
        {MATCH_PHYSDEV, *rule->physdev_in || *rule->physdev_out},
        {MATCH_CONNMARK, rule->connmark_mask != 0},
        {MATCH_SET, rule->set != NULL},
        {MATCH_COMMENT, rule->comment != NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
        if (matched(reader, uses[i].match) && !uses[i].used) {
            return err_set(reader->err, ERR_INPUT, 0, "-m %s does not fit the rule", match_names[uses[i].match]);
        }
    }
    return 0;
}

static int check_target(const struct reader *reader)
{
    const struct rule *rule = &reader->parsed->rule;
    if (rule->target != TARGET_REJECT) {
        return reader->reject_with ? err_set(reader->err, ERR_INPUT, 0, "--reject-with without -j REJECT") : 0;
    }
    const char *want = render_reject_with(reader->family, rule);
    if (!reader->reject_with || strcmp(reader->reject_with, want) != 0) {
        return err_set(reader->err, ERR_INPUT, 0, "-j REJECT needs --reject-with %s", want);
    }
    return 0;
}

int parse_rule(const char *const *words, size_t n, enum family family, struct arena *arena, struct parsed_rule *ret,
               struct err *err)
{
    struct parsed_rule parsed = {.rule = rule_init()};
    struct reader reader = {.words = words, .n = n, .family = family, .arena = arena, .parsed = &parsed, .err = err};
    while (reader.at < n) {
        if (read_option(&reader) < 0) {
            return -1;
        }
    }
    if (check_ports(&reader) < 0 || check_matches(&reader) < 0 || check_target(&reader) < 0) {
        return -1;
    }
    *ret = parsed;
    return 0;
}
