// SPDX-License-Identifier: Apache-2.0
#include "xtables/xtables_match.h"

#include <netinet/in.h>  // before the kernel's headers, which then leave its definitions alone

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_physdev.h>
#include <linux/netfilter/xt_set.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <string.h>

#include "xtables/xtables_internal.h"

// The kernel's headers give these two structs only beside all of one family's table.
struct icmp_match {
    uint8_t type;
    uint8_t code[2];
    uint8_t invert;
};
struct hl_match {
    uint8_t mode;
    uint8_t hop_limit;
};

enum {
    HL_EQUAL = 0,
    REVISION_SET = 4,
    REVISION_CONNTRACK = 3,
    REVISION_MULTIPORT = 1,
    REVISION_ADDRTYPE = 1,
    REVISION_CONNMARK = 1,
    ALL_CODES = 0xff,
};

static void *writer_room(struct xtables_writer *writer, size_t size)
{
    if (writer->failed || writer->size - writer->len < size) {
        writer->failed = true;
        return NULL;
    }
    void *at = writer->buf + writer->len;
    writer->len += size;
    return memset(at, 0, size);
}

// Appends a match; its zeroed data, or NULL when the buffer is full.
static void *put_match(struct xtables_writer *writer, const char *name, uint8_t revision, size_t size)
{
    size_t whole = XT_ALIGN(sizeof(struct xt_entry_match)) + XT_ALIGN(size);
    struct xt_entry_match *match = writer_room(writer, whole);
    if (!match) {
        return NULL;
    }
    match->u.match_size = (uint16_t)whole;
    match->u.user.revision = revision;
    memcpy(match->u.user.name, name, strlen(name) + 1);
    return match->data;
}

static void put_one_range(struct xtables_writer *writer, const struct xtables_rule *rule)
{
    const struct xtables_range *range = &rule->ports[0];
    if (rule->protocol == IPPROTO_TCP) {
        struct xt_tcp *tcp = put_match(writer, "tcp", 0, sizeof(*tcp));
        if (tcp) {
            *tcp = (struct xt_tcp){.spts = {0, UINT16_MAX}, .dpts = {range->first, range->last}};
        }
        return;
    }
    struct xt_udp *udp = put_match(writer, "udp", 0, sizeof(*udp));
    if (udp) {
        *udp = (struct xt_udp){.spts = {0, UINT16_MAX}, .dpts = {range->first, range->last}};
    }
}

static int put_multiport(struct xtables_writer *writer, const struct xtables_rule *rule, struct err *err)
{
    struct xt_multiport_v1 *multi = put_match(writer, "multiport", REVISION_MULTIPORT, sizeof(*multi));
    if (!multi) {
        return 0;
    }
    multi->flags = XT_MULTIPORT_DESTINATION;
    size_t slots = 0;
    for (size_t i = 0; i < rule->n_ports; i++) {
        const struct xtables_range *range = &rule->ports[i];
        bool is_range = range->first != range->last;
        if (slots + (is_range ? 2 : 1) > XT_MULTI_PORTS) {
            return err_set(err, ERR_BUG, 0, "a rule has more ports than multiport's %d slots", XT_MULTI_PORTS);
        }
        multi->pflags[slots] = is_range;
        multi->ports[slots++] = range->first;
        if (is_range) {
            multi->ports[slots++] = range->last;
        }
    }
    multi->count = (uint8_t)slots;
    return 0;
}

static int put_ports(struct xtables_writer *writer, const struct xtables_rule *rule, struct err *err)
{
    if (rule->n_ports == 0) {
        return 0;
    }
    bool plain = rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP;
    if (rule->n_ports > XTABLES_PORTS) {
        return err_set(err, ERR_BUG, 0, "a rule has %zu ports, at most %d are possible", rule->n_ports, XTABLES_PORTS);
    }
    if (!plain && rule->protocol != IPPROTO_SCTP && rule->protocol != IPPROTO_UDPLITE &&
        rule->protocol != IPPROTO_DCCP) {
        return err_set(err, ERR_BUG, 0, "a rule has ports of protocol %u, which has none", rule->protocol);
    }
    if (rule->n_ports == 1 && plain) {
        put_one_range(writer, rule);
        return 0;
    }
    return put_multiport(writer, rule, err);
}

static int put_icmp(struct xtables_writer *writer, enum xtables_family family, const struct xtables_rule *rule,
                    struct err *err)
{
    if (rule->icmp_type < 0) {
        return 0;
    }
    bool v6 = family == XTABLES_V6;
    if (rule->protocol != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || rule->icmp_type > UINT8_MAX) {
        return err_set(err, ERR_BUG, 0, "a rule has ICMP type %d and protocol %u", rule->icmp_type, rule->protocol);
    }
    struct icmp_match *icmp = put_match(writer, v6 ? "icmp6" : "icmp", 0, sizeof(*icmp));
    if (icmp) {
        icmp->type = (uint8_t)rule->icmp_type;
        icmp->code[1] = ALL_CODES;
    }
    return 0;
}

static int put_hop_limit(struct xtables_writer *writer, enum xtables_family family, const struct xtables_rule *rule,
                         struct err *err)
{
    if (rule->hop_limit < 0) {
        return 0;
    }
    if (family != XTABLES_V6 || rule->hop_limit > UINT8_MAX) {
        return err_set(err, ERR_BUG, 0, "a rule has hop limit %d", rule->hop_limit);
    }
    struct hl_match *hl = put_match(writer, "hl", 0, sizeof(*hl));
    if (hl) {
        hl->mode = HL_EQUAL;
        hl->hop_limit = (uint8_t)rule->hop_limit;
    }
    return 0;
}

static const struct {
    unsigned state;
    unsigned kernel;
} ct_states[] = {
    {XTABLES_CT_NEW, XT_CONNTRACK_STATE_BIT(IP_CT_NEW)},
    {XTABLES_CT_ESTABLISHED, XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED)},
    {XTABLES_CT_RELATED, XT_CONNTRACK_STATE_BIT(IP_CT_RELATED)},
    {XTABLES_CT_INVALID, XT_CONNTRACK_STATE_INVALID},
    {XTABLES_CT_UNTRACKED, XT_CONNTRACK_STATE_UNTRACKED},
    {XTABLES_CT_DNAT, XT_CONNTRACK_STATE_DNAT},
};

static void put_conntrack(struct xtables_writer *writer, const struct xtables_rule *rule)
{
    struct xt_conntrack_mtinfo3 *conntrack =
        rule->ct_states ? put_match(writer, "conntrack", REVISION_CONNTRACK, sizeof(*conntrack)) : NULL;
    if (!conntrack) {
        return;
    }
    conntrack->match_flags = XT_CONNTRACK_STATE;
    conntrack->invert_flags = rule->ct_invert ? XT_CONNTRACK_STATE : 0;
    for (size_t i = 0; i < ARRAY_SIZE(ct_states); i++) {
        if (rule->ct_states & ct_states[i].state) {
            conntrack->state_mask = (uint16_t)(conntrack->state_mask | ct_states[i].kernel);
        }
    }
}

// As iptables writes an exact name: the mask covers its NUL.
static void put_port_name(const char *name, char to[XTABLES_INTERFACE], char mask[XTABLES_INTERFACE])
{
    size_t len = strnlen(name, XTABLES_INTERFACE - 1);
    memcpy(to, name, len);
    memset(mask, 0xff, len ? len + 1 : 0);
}

static void put_physdev(struct xtables_writer *writer, const struct xtables_rule *rule)
{
    bool used = *rule->physdev_in || *rule->physdev_out;
    struct xt_physdev_info *physdev = used ? put_match(writer, "physdev", 0, sizeof(*physdev)) : NULL;
    if (!physdev) {
        return;
    }
    put_port_name(rule->physdev_in, physdev->physindev, physdev->in_mask);
    put_port_name(rule->physdev_out, physdev->physoutdev, physdev->out_mask);
    physdev->bitmask =
        (uint8_t)((*rule->physdev_in ? XT_PHYSDEV_OP_IN : 0) | (*rule->physdev_out ? XT_PHYSDEV_OP_OUT : 0));
}

static void put_connmark(struct xtables_writer *writer, const struct xtables_rule *rule)
{
    struct xt_connmark_mtinfo1 *connmark =
        rule->connmark_mask ? put_match(writer, "connmark", REVISION_CONNMARK, sizeof(*connmark)) : NULL;
    if (connmark) {
        connmark->mark = rule->connmark;
        connmark->mask = rule->connmark_mask;
    }
}

static void put_set(struct xtables_writer *writer, const struct xtables_rule *rule)
{
    struct xt_set_info_match_v4 *set = rule->has_set ? put_match(writer, "set", REVISION_SET, sizeof(*set)) : NULL;
    if (!set) {
        return;
    }
    set->match_set.index = rule->set_index;
    set->match_set.dim = rule->set_dimensions;
    for (unsigned dimension = 1; rule->set_source && dimension <= rule->set_dimensions; dimension++) {
        set->match_set.flags = (uint8_t)(set->match_set.flags | 1u << dimension);
    }
}

int xtables_match_encode(enum xtables_family family, const struct xtables_rule *rule, struct xtables_writer *writer,
                         struct err *err)
{
    if (put_ports(writer, rule, err) < 0 || put_icmp(writer, family, rule, err) < 0 ||
        put_hop_limit(writer, family, rule, err) < 0) {
        return -1;
    }
    put_physdev(writer, rule);
    put_connmark(writer, rule);
    put_conntrack(writer, rule);
    if (rule->source_local) {
        struct xt_addrtype_info_v1 *type = put_match(writer, "addrtype", REVISION_ADDRTYPE, sizeof(*type));
        if (type) {
            type->source = XT_ADDRTYPE_LOCAL;
        }
    }
    put_set(writer, rule);
    if (rule->has_comment) {
        struct xt_comment_info *comment = put_match(writer, "comment", 0, sizeof(*comment));
        if (comment) {
            memcpy(comment->comment, rule->comment, strnlen(rule->comment, sizeof(rule->comment) - 1));
        }
    }
    return 0;
}

static void get_tcp(const void *data, struct xtables_rule *ret)
{
    const struct xt_tcp *tcp = data;
    ret->n_ports = 1;
    ret->ports[0] = (struct xtables_range){tcp->dpts[0], tcp->dpts[1]};
}

static void get_udp(const void *data, struct xtables_rule *ret)
{
    const struct xt_udp *udp = data;
    ret->n_ports = 1;
    ret->ports[0] = (struct xtables_range){udp->dpts[0], udp->dpts[1]};
}

static void get_multiport(const void *data, struct xtables_rule *ret)
{
    const struct xt_multiport_v1 *multi = data;
    size_t count = multi->count < XT_MULTI_PORTS ? multi->count : XT_MULTI_PORTS;
    ret->n_ports = 0;
    for (size_t i = 0; i < count; i++) {
        struct xtables_range *range = &ret->ports[ret->n_ports++];
        range->first = range->last = multi->ports[i];
        if (multi->pflags[i] && i + 1 < count) {
            range->last = multi->ports[++i];
        }
    }
}

static void get_icmp(const void *data, struct xtables_rule *ret)
{
    ret->icmp_type = ((const struct icmp_match *)data)->type;
}

static void get_hop_limit(const void *data, struct xtables_rule *ret)
{
    ret->hop_limit = ((const struct hl_match *)data)->hop_limit;
}

static void get_conntrack(const void *data, struct xtables_rule *ret)
{
    const struct xt_conntrack_mtinfo3 *conntrack = data;
    ret->ct_invert = conntrack->invert_flags & XT_CONNTRACK_STATE;
    for (size_t i = 0; i < ARRAY_SIZE(ct_states); i++) {
        ret->ct_states |= conntrack->state_mask & ct_states[i].kernel ? ct_states[i].state : 0;
    }
}

static void get_addrtype(const void *data, struct xtables_rule *ret)
{
    (void)data;
    ret->source_local = true;
}

static void get_port_name(const char *name, char to[XTABLES_INTERFACE])
{
    memcpy(to, name, XTABLES_INTERFACE - 1);
    to[XTABLES_INTERFACE - 1] = '\0';
}

static void get_physdev(const void *data, struct xtables_rule *ret)
{
    const struct xt_physdev_info *physdev = data;
    if (physdev->bitmask & XT_PHYSDEV_OP_IN) {
        get_port_name(physdev->physindev, ret->physdev_in);
    }
    if (physdev->bitmask & XT_PHYSDEV_OP_OUT) {
        get_port_name(physdev->physoutdev, ret->physdev_out);
    }
}

static void get_connmark(const void *data, struct xtables_rule *ret)
{
    const struct xt_connmark_mtinfo1 *connmark = data;
    ret->connmark = connmark->mark;
    ret->connmark_mask = connmark->mask;
}

static void get_set(const void *data, struct xtables_rule *ret)
{
    const struct xt_set_info_match_v4 *set = data;
    ret->has_set = true;
    ret->set_index = set->match_set.index;
    ret->set_dimensions = set->match_set.dim;
    ret->set_source = set->match_set.flags & (1u << 1);
}

static void get_comment(const void *data, struct xtables_rule *ret)
{
    const struct xt_comment_info *comment = data;
    ret->has_comment = true;
    memcpy(ret->comment, comment->comment, sizeof(ret->comment) - 1);
}

enum { FOR_V4 = 1, FOR_V6 = 2, FOR_BOTH = 3 };

static const struct match_kind {
    const char *name;
    unsigned families;
    uint8_t revision;
    size_t size;
    const char *module;
    void (*get)(const void *data, struct xtables_rule *ret);
    bool optional;  // few rules need it
} kinds[] = {
    {"tcp", FOR_BOTH, 0, sizeof(struct xt_tcp), "xt_tcpudp", get_tcp, false},
    {"udp", FOR_BOTH, 0, sizeof(struct xt_udp), "xt_tcpudp", get_udp, false},
    {"multiport", FOR_BOTH, REVISION_MULTIPORT, sizeof(struct xt_multiport_v1), "xt_multiport", get_multiport, false},
    {"icmp", FOR_V4, 0, sizeof(struct icmp_match), "ip_tables", get_icmp, false},
    {"icmp6", FOR_V6, 0, sizeof(struct icmp_match), "ip6_tables", get_icmp, false},
    {"hl", FOR_V6, 0, sizeof(struct hl_match), "xt_hl", get_hop_limit, false},
    {"physdev", FOR_BOTH, 0, sizeof(struct xt_physdev_info), "xt_physdev", get_physdev, true},
    {"connmark", FOR_BOTH, REVISION_CONNMARK, sizeof(struct xt_connmark_mtinfo1), "xt_connmark", get_connmark, true},
    {"conntrack", FOR_BOTH, REVISION_CONNTRACK, sizeof(struct xt_conntrack_mtinfo3), "xt_conntrack", get_conntrack,
     false},
    {"addrtype", FOR_BOTH, REVISION_ADDRTYPE, sizeof(struct xt_addrtype_info_v1), "xt_addrtype", get_addrtype, false},
    {"set", FOR_BOTH, REVISION_SET, sizeof(struct xt_set_info_match_v4), "xt_set", get_set, false},
    {"comment", FOR_BOTH, 0, sizeof(struct xt_comment_info), "xt_comment", get_comment, false},
};

static bool is_for(const struct match_kind *kind, enum xtables_family family)
{
    return kind->families & (family == XTABLES_V6 ? FOR_V6 : FOR_V4);
}

bool xtables_match_extension(enum xtables_family family, size_t index, struct xtables_extension *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (is_for(&kinds[i], family) && n++ == index) {
            *ret =
                (struct xtables_extension){kinds[i].name, kinds[i].revision, false, kinds[i].module, kinds[i].optional};
            return true;
        }
    }
    if (n == index) {
        *ret =
            (struct xtables_extension){"REJECT", 0, true, family == XTABLES_V6 ? "ip6t_REJECT" : "ipt_REJECT", false};
    }
    return n == index;
}

// The match at *at, which moves behind it; NULL at the end or where the bytes are none.
static const struct xt_entry_match *next_match(const void *matches, size_t len, size_t *at)
{
    const struct xt_entry_match *match = (const void *)((const uint8_t *)matches + *at);
    if (len - *at < sizeof(*match) || match->u.match_size < sizeof(*match) || match->u.match_size > len - *at) {
        return NULL;
    }
    *at += match->u.match_size;
    return match;
}

static const struct match_kind *kind_of(enum xtables_family family, const struct xt_entry_match *match)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (is_for(&kinds[i], family) && strcmp(match->u.user.name, kinds[i].name) == 0 &&
            match->u.user.revision == kinds[i].revision &&
            match->u.match_size == XT_ALIGN(sizeof(*match)) + XT_ALIGN(kinds[i].size)) {
            return &kinds[i];
        }
    }
    return NULL;
}

bool xtables_match_decode(enum xtables_family family, const void *matches, size_t len, struct xtables_rule *ret)
{
    for (size_t at = 0; at < len;) {
        const struct xt_entry_match *match = next_match(matches, len, &at);
        const struct match_kind *kind = match ? kind_of(family, match) : NULL;
        if (!kind) {
            return false;
        }
        kind->get(match->data, ret);
    }
    return true;
}

// The kernel fills in names up to their NUL and data up to its size: what is between them is whatever the buffer held.
bool xtables_match_same(enum xtables_family family, const void *a, const void *b, size_t len)
{
    for (size_t at_a = 0, at_b = 0; at_a < len || at_b < len;) {
        const struct xt_entry_match *left = next_match(a, len, &at_a);
        const struct xt_entry_match *right = left ? next_match(b, len, &at_b) : NULL;
        const struct match_kind *kind = right ? kind_of(family, left) : NULL;
        if (!kind || kind != kind_of(family, right) || memcmp(left->data, right->data, kind->size) != 0) {
            return false;
        }
    }
    return true;
}

// ---- by meaning ----------------------------------------------------------------------------------------------------

static bool is_port_match(const struct match_kind *kind)
{
    return kind->get == get_tcp || kind->get == get_udp || kind->get == get_multiport;
}

// What one match says is written again: an option or an inversion that struct xtables_rule lacks comes out different.
static bool says_no_more(enum xtables_family family, const struct match_kind *kind, const struct xt_entry_match *match,
                         uint8_t protocol)
{
    _Alignas(16) uint8_t again[512];
    struct xtables_writer writer = {.buf = again, .size = sizeof(again)};
    struct xtables_rule alone = {.protocol = protocol, .icmp_type = -1, .hop_limit = -1};
    kind->get(match->data, &alone);
    // One range is written as a tcp or udp match where there is one.
    int rc = kind->get == get_multiport ? put_multiport(&writer, &alone, NULL)
                                        : xtables_match_encode(family, &alone, &writer, NULL);
    size_t at = 0;
    const struct xt_entry_match *same = rc < 0 || writer.failed ? NULL : next_match(again, writer.len, &at);
    return same && at == writer.len && kind_of(family, same) == kind &&
           memcmp(same->data, match->data, kind->size) == 0;
}

static bool tell_match(enum xtables_family family, const struct xt_entry_match *match, bool blind, unsigned *seen,
                       struct xtables_rule *ret, struct buf *why)
{
    const struct match_kind *kind = kind_of(family, match);
    const char *name = match->u.user.name;
    if (!kind) {
        return xtables_no(why, "-m %.28s, revision %u, which netpold does not use", name, match->u.user.revision);
    }
    bool is_header = is_port_match(kind) || kind->get == get_icmp;
    unsigned bit = is_port_match(kind) ? 1u : 1u << (unsigned)(kind - kinds);
    if (blind && is_header) {
        return xtables_no(why, "-m %.28s without IP6T_F_PROTO: where the kernel looks is not defined", name);
    }
    if (*seen & bit) {
        return xtables_no(why, "-m %.28s, and another of its kind before", name);
    }
    if (!says_no_more(family, kind, match, ret->protocol)) {
        return xtables_no(why, "-m %.28s with an option or an inversion that netpold does not use", name);
    }
    *seen |= bit;
    kind->get(match->data, ret);
    return true;
}

bool xtables_match_tell(enum xtables_family family, const void *matches, size_t len, bool blind,
                        struct xtables_rule *ret, struct buf *why)
{
    unsigned seen = 0;
    for (size_t at = 0; at < len;) {
        const struct xt_entry_match *match = next_match(matches, len, &at);
        if (!match) {
            return xtables_no(why, "bytes that are no match");
        }
        if (!tell_match(family, match, blind, &seen, ret, why)) {
            return false;
        }
    }
    return true;
}

static void put_port_option(struct buf *out, const char *option, bool not, const uint16_t ports[2])
{
    if (ports[0] == 0 && ports[1] == UINT16_MAX && !not ) {
        return;
    }
    buf_printf(out, "%s %s %u", not ? " !" : "", option, ports[0]);
    if (ports[1] != ports[0]) {
        buf_printf(out, ":%u", ports[1]);
    }
}

void xtables_match_describe(enum xtables_family family, const void *matches, size_t len, struct buf *out)
{
    for (size_t at = 0; at < len;) {
        const struct xt_entry_match *match = next_match(matches, len, &at);
        if (!match) {
            return;
        }
        const struct match_kind *kind = kind_of(family, match);
        buf_printf(out, " -m %.28s", match->u.user.name);
        if (kind && kind->get == get_tcp) {
            const struct xt_tcp *tcp = (const void *)match->data;
            put_port_option(out, "--sport", tcp->invflags & XT_TCP_INV_SRCPT, tcp->spts);
            put_port_option(out, "--dport", tcp->invflags & XT_TCP_INV_DSTPT, tcp->dpts);
            buf_puts(out, tcp->flg_mask || tcp->option ? " …" : "");
        } else if (kind && kind->get == get_udp) {
            const struct xt_udp *udp = (const void *)match->data;
            put_port_option(out, "--sport", udp->invflags & XT_UDP_INV_SRCPT, udp->spts);
            put_port_option(out, "--dport", udp->invflags & XT_UDP_INV_DSTPT, udp->dpts);
        } else if (kind && kind->get == get_comment) {
            const struct xt_comment_info *comment = (const void *)match->data;
            buf_printf(out, " --comment \"%.*s\"", (int)strnlen(comment->comment, sizeof(comment->comment)),
                       comment->comment);
        } else {
            buf_puts(out, " …");
        }
    }
}
