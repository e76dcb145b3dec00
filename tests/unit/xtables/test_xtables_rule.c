// SPDX-License-Identifier: Apache-2.0
//
// Rules to the kernel's form and back, both families, without a kernel. That the kernel and the stock tools agree is
// tests/kernel/test_backend_contract.sh.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "support/rng.h"
#include "xtables/xtables_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "xtables/xtables_lock.h"

static const struct xtables_ops *const families[] = {&xtables_v4, &xtables_v6};

static struct xtables_rule plain_rule(void)
{
    return (struct xtables_rule){.icmp_type = -1, .hop_limit = -1, .verdict = XTABLES_DROP};
}

// What libiptc calls the target of a rule that was just encoded.
static const char *target_name(const struct xtables_rule *rule)
{
    static const char *const names[] = {"", "RETURN", "ACCEPT", "DROP", "REJECT", "REJECT"};
    return rule->verdict >= XTABLES_JUMP ? rule->chain : names[rule->verdict];
}

// The kernel gives standard targets no name.
static void as_kernel(int family, uint8_t *entry, const struct xtables_rule *rule)
{
    uint16_t offset = family ? ((struct ip6t_entry *)(void *)entry)->target_offset
                             : ((struct ipt_entry *)(void *)entry)->target_offset;
    if (rule->verdict != XTABLES_REJECT_RESET && rule->verdict != XTABLES_REJECT_UNREACHABLE) {
        struct xt_entry_target *target = (struct xt_entry_target *)(void *)(entry + offset);
        memset(target->u.user.name, 0, sizeof(target->u.user.name));
    }
}

static bool decode(int family, const struct xtables_rule *rule, uint8_t *entry, struct xtables_rule *ret)
{
    memset(entry, 0xa5, XTABLES_ENTRY);  // the encoder must not count on zeroes
    struct err err = {0};
    if (families[family]->encode(rule, entry, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    as_kernel(family, entry, rule);
    return families[family]->decode(entry, target_name(rule), ret);
}

static void random_address(struct rng *rng, int family, uint8_t *address, uint8_t *length)
{
    unsigned size = family ? 16 : 4;
    *length = (uint8_t)rng_below(rng, size * 8 + 1);
    for (unsigned i = 0; i < *length; i++) {
        if (rng_chance(rng, 50)) {
            address[i / 8] = (uint8_t)(address[i / 8] | 0x80u >> i % 8);
        }
    }
}

static struct xtables_rule random_rule(struct rng *rng, int family)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
    struct xtables_rule rule = plain_rule();
    random_address(rng, family, rule.source, &rule.source_length);
    random_address(rng, family, rule.destination, &rule.destination_length);
    if (rng_chance(rng, 50)) {
        memcpy(rule.in, "eth0", 5);
    }
    if (rng_chance(rng, 50)) {
        memcpy(rule.out, "fifteen-chars-x", 16);
    }
    rule.ct_states = (unsigned)rng_below(rng, 64);
    rule.ct_invert = rule.ct_states && rng_chance(rng, 50);
    rule.source_local = rng_chance(rng, 30);
    if (rng_chance(rng, 30)) {
        memcpy(rule.physdev_in, "veth0", 6);
    }
    if (rng_chance(rng, 30)) {
        memcpy(rule.physdev_out, "fifteen-chars-y", 16);
    }
    if (rng_chance(rng, 30)) {
        rule.connmark_mask = UINT32_C(1) << rng_below(rng, 32);
        rule.connmark = rng_chance(rng, 70) ? rule.connmark_mask : 0;
    }
    if (rng_chance(rng, 60)) {
        rule.protocol = RNG_PICK(rng, protocols);
        rule.n_ports = rng_below(rng, 8);
        for (size_t i = 0; i < rule.n_ports; i++) {
            uint16_t first = (uint16_t)rng_below(rng, 60000);
            rule.ports[i] = (struct xtables_range){first, (uint16_t)(first + rng_below(rng, 3))};
        }
    } else if (rng_chance(rng, 50)) {
        rule.protocol = family ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        rule.icmp_type = (int16_t)rng_below(rng, 256);
    }
    if (family && rng_chance(rng, 30)) {
        rule.hop_limit = (int16_t)rng_below(rng, 256);
    }
    if (rng_chance(rng, 50)) {
        rule.has_set = true;
        rule.set_index = (uint16_t)rng_below(rng, 65535);
        rule.set_dimensions = (uint8_t)(1 + rng_below(rng, 2));
        rule.set_source = rng_chance(rng, 50);
    }
    if (rng_chance(rng, 50)) {
        rule.has_comment = true;
        memset(rule.comment, 'x', rng_below(rng, 256));
    }
    rule.verdict = (enum xtables_verdict)rng_below(rng, XTABLES_GOTO + 1);
    if (rule.verdict == XTABLES_REJECT_RESET && rule.protocol != IPPROTO_TCP) {
        rule.verdict = XTABLES_REJECT_UNREACHABLE;
    }
    if (rule.verdict >= XTABLES_JUMP) {
        memcpy(rule.chain, "NETPOL-TARGET", 14);
    }
    return rule;
}

static bool same(const struct xtables_rule *a, const struct xtables_rule *b)
{
    return memcmp(a->source, b->source, 16) == 0 && memcmp(a->destination, b->destination, 16) == 0 &&
           a->source_length == b->source_length && a->destination_length == b->destination_length &&
           strcmp(a->in, b->in) == 0 && strcmp(a->out, b->out) == 0 && a->protocol == b->protocol &&
           a->icmp_type == b->icmp_type && a->hop_limit == b->hop_limit && a->ct_states == b->ct_states &&
           a->ct_invert == b->ct_invert && a->source_local == b->source_local &&
           strcmp(a->physdev_in, b->physdev_in) == 0 && strcmp(a->physdev_out, b->physdev_out) == 0 &&
           a->connmark == b->connmark && a->connmark_mask == b->connmark_mask && a->n_ports == b->n_ports &&
           memcmp(a->ports, b->ports, a->n_ports * sizeof(a->ports[0])) == 0 && a->has_set == b->has_set &&
           a->set_index == b->set_index && a->set_dimensions == b->set_dimensions && a->set_source == b->set_source &&
           a->verdict == b->verdict && strcmp(a->chain, b->chain) == 0 && a->has_comment == b->has_comment &&
           strcmp(a->comment, b->comment) == 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("test_round_trip")};
    size_t rounds = rng_iterations(5000);
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    for (size_t i = 0; i < rounds; i++) {
        int family = (int)rng_below(&rng, 2);
        struct xtables_rule rule = random_rule(&rng, family);
        struct xtables_rule back = {0};
        assert_true(decode(family, &rule, entry, &back));
        assert_true(same(&rule, &back));
    }
}

// Whatever an entry says beyond struct xtables_rule makes it unknown, never a rule that says less.
static void test_unknown(void **state)
{
    (void)state;
    struct xtables_rule rule = plain_rule();
    struct xtables_rule back = {0};
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    struct ipt_entry *v4 = (struct ipt_entry *)(void *)entry;
    struct ip6t_entry *v6 = (struct ip6t_entry *)(void *)entry;
    rule.protocol = IPPROTO_TCP;
    assert_true(decode(0, &rule, entry, &back));
    v4->ip.invflags = IPT_INV_SRCIP;
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    v4->ip.invflags = 0;
    v4->ip.flags = IPT_F_FRAG;
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    v4->ip.flags = 0;
    v4->ip.smsk.s_addr = htonl(0xff00ff00);
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    v4->ip.smsk.s_addr = 0;
    memcpy(v4->ip.iniface, "eth", 3);
    memset(v4->ip.iniface_mask, 0xff, 3);  // "eth+"
    assert_false(xtables_v4.decode(entry, "DROP", &back));

    // Without this flag ip6_tables looks at neither protocol nor ports.
    assert_true(decode(1, &rule, entry, &back));
    assert_true(v6->ipv6.flags & IP6T_F_PROTO);
    v6->ipv6.flags = 0;
    assert_false(xtables_v6.decode(entry, "DROP", &back));

    // Every byte of every match's data but its padding matters.
    rule.n_ports = 1;
    rule.ports[0] = (struct xtables_range){80, 80};
    assert_true(decode(0, &rule, entry, &back));
    for (size_t i = 0; i < 12; i++) {
        uint8_t *data = v4->elems + sizeof(struct xt_entry_match);
        data[i] ^= 0x40;
        assert_true(!xtables_v4.decode(entry, "DROP", &back) || back.ports[0].first != 80 || back.ports[0].last != 80);
        data[i] ^= 0x40;
    }
    // A name that is not ours, another revision.
    struct xt_entry_match *match = (struct xt_entry_match *)(void *)v4->elems;
    match->u.user.revision = 1;
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    match->u.user.revision = 0;
    memcpy(match->u.user.name, "mark", 5);
    assert_false(xtables_v4.decode(entry, "DROP", &back));
}

// An entry of our own making, as far as it says more or says it in another way: told or not, and why not.
static void expect_told(int family, const uint8_t *entry, const char *target, const struct xtables_rule *want)
{
    struct xtables_rule told = {0};
    BUF_CLEANUP struct buf why = {0};
    bool is_told = families[family]->tell(entry, target, &told, &why);
    if (!is_told) {
        fail_msg("%s", why.data);
    }
    assert_true(same(&told, want));
    assert_int_equal(why.len, 0);
}

static void expect_untold(int family, const uint8_t *entry, const char *target, const char *want)
{
    struct xtables_rule told = {0};
    BUF_CLEANUP struct buf why = {0};
    assert_false(families[family]->tell(entry, target, &told, &why));
    assert_string_equal(why.data, want);
    assert_false(families[family]->tell(entry, target, &told, NULL));
}

static void expect_text(int family, const uint8_t *entry, const char *target, const char *want)
{
    BUF_CLEANUP struct buf text = {0};
    families[family]->describe(entry, target, &text);
    assert_string_equal(text.len ? text.data : "", want);
}

// Whatever is known is told, and told the same.
static void test_tell_known(void **state)
{
    (void)state;
    struct rng rng = {rng_seed("test_tell_known")};
    size_t rounds = rng_iterations(5000);
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    for (size_t i = 0; i < rounds; i++) {
        int family = (int)rng_below(&rng, 2);
        struct xtables_rule rule = random_rule(&rng, family);
        struct xtables_rule back = {0};
        assert_true(decode(family, &rule, entry, &back));
        expect_told(family, entry, target_name(&rule), &rule);
    }
}

// Flags, masks and interfaces by what the kernel makes of them.
static void test_tell_header(void **state)
{
    (void)state;
    struct xtables_rule rule = plain_rule();
    struct xtables_rule back = {0};
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    struct ipt_entry *v4 = (struct ipt_entry *)(void *)entry;
    struct ip6t_entry *v6 = (struct ip6t_entry *)(void *)entry;
    // The protocol of an IPv6 entry is looked at if the flag says so.
    rule.protocol = IPPROTO_TCP;
    assert_true(decode(1, &rule, entry, &back));
    v6->ipv6.flags = 0;
    rule.protocol = 0;
    expect_told(1, entry, "DROP", &rule);
    expect_text(1, entry, "DROP", "-p tcp -j DROP");
    v6->ipv6.proto = 0;
    v6->ipv6.flags = IP6T_F_PROTO;
    expect_told(1, entry, "DROP", &rule);
    v6->ipv6.flags = IP6T_F_TOS;
    expect_untold(1, entry, "DROP", "a traffic class");
    v6->ipv6.flags = 0x40;
    expect_untold(1, entry, "DROP", "flags 0x40 and 0, which mean nothing to netpold");
    // With a match that reads the header nobody knows where the kernel looks.
    rule.protocol = IPPROTO_TCP;
    rule.n_ports = 1;
    rule.ports[0] = (struct xtables_range){80, 80};
    assert_true(decode(1, &rule, entry, &back));
    v6->ipv6.flags = 0;
    expect_untold(1, entry, "DROP", "-m tcp without IP6T_F_PROTO: where the kernel looks is not defined");
    rule = plain_rule();
    rule.protocol = IPPROTO_ICMPV6;
    rule.icmp_type = 135;
    assert_true(decode(1, &rule, entry, &back));
    v6->ipv6.flags = 0;
    expect_untold(1, entry, "DROP", "-m icmp6 without IP6T_F_PROTO: where the kernel looks is not defined");
    // The flag of a goto is asked for by jumps only.
    rule = plain_rule();
    assert_true(decode(0, &rule, entry, &back));
    v4->ip.flags = IPT_F_GOTO;
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    expect_told(0, entry, "DROP", &rule);
    rule.verdict = XTABLES_GOTO;
    memcpy(rule.chain, "ELSEWHERE", 10);
    expect_told(0, entry, "ELSEWHERE", &rule);
    expect_text(0, entry, "ELSEWHERE", "-g ELSEWHERE");
    v4->ip.flags = 0;
    expect_untold(0, entry, "QUEUE", "-j QUEUE, in a form that netpold does not use");
    v4->ip.flags = IPT_F_FRAG;
    v4->ip.invflags = IPT_INV_FRAG;
    expect_untold(0, entry, "DROP", "! -f: an inversion that netpold does not use");
    expect_text(0, entry, "DROP", "! -f -j DROP");
    v4->ip.invflags = 0;
    expect_untold(0, entry, "DROP", "-f: fragments only");
}

static void test_tell_addresses(void **state)
{
    (void)state;
    struct xtables_rule rule = plain_rule();
    struct xtables_rule back = {0};
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    struct ipt_entry *v4 = (struct ipt_entry *)(void *)entry;
    assert_true(decode(0, &rule, entry, &back));
    v4->ip.src.s_addr = htonl(0x0a000001);
    v4->ip.smsk.s_addr = htonl(0xffffff00);
    expect_untold(0, entry, "DROP", "-s with bits behind its prefix: it never matches");
    v4->ip.smsk.s_addr = htonl(0xff0000ff);
    expect_untold(0, entry, "DROP", "-s with a mask that is no prefix");
    v4->ip.invflags = IPT_INV_SRCIP;
    expect_text(0, entry, "DROP", "! -s 10.0.0.1/255.0.0.255 -j DROP");
    v4->ip.invflags = 0;
    v4->ip.src.s_addr = v4->ip.smsk.s_addr = 0;
    // A mask that covers the name and its end is the name; one that covers less is the beginning of names.
    memcpy(v4->ip.iniface, "eth0", 5);
    memset(v4->ip.iniface_mask, 0xff, 5);
    v4->ip.iniface[9] = 'x';  // not compared
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    memcpy(rule.in, "eth0", 5);
    expect_told(0, entry, "DROP", &rule);
    v4->ip.iniface_mask[4] = 0;
    expect_untold(0, entry, "DROP", "an interface by a part of its name");
    expect_text(0, entry, "DROP", "-i eth0+ -j DROP");
    memset(v4->ip.iniface_mask, 0, sizeof(v4->ip.iniface_mask));
    memset(rule.in, 0, sizeof(rule.in));
    expect_told(0, entry, "DROP", &rule);
    v4->ip.iniface_mask[2] = 0xff;
    expect_untold(0, entry, "DROP", "an interface by a part of its name");
    memset(v4->ip.iniface_mask, 0xff, sizeof(v4->ip.iniface_mask));
    expect_untold(0, entry, "DROP", "an interface by a part of its name");
    memset(v4->ip.iniface_mask, 0, sizeof(v4->ip.iniface_mask));
    v4->ip.proto = 256 + IPPROTO_TCP;
    expect_untold(0, entry, "DROP", "protocol 262: it never matches");
}

// Two matches change places: the same to the kernel, not to the byte.
static void test_tell_order(void **state)
{
    (void)state;
    struct xtables_rule rule = plain_rule();
    struct xtables_rule back = {0};
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    uint8_t tcp[256];
    struct ipt_entry *v4 = (struct ipt_entry *)(void *)entry;
    rule.protocol = IPPROTO_TCP;
    rule.n_ports = 1;
    rule.ports[0] = (struct xtables_range){80, 90};
    rule.ct_states = XTABLES_CT_NEW;
    assert_true(decode(0, &rule, entry, &back));
    size_t len = ((struct xt_entry_match *)(void *)v4->elems)->u.match_size;
    size_t all = v4->target_offset - sizeof(*v4);
    memcpy(tcp, v4->elems, len);
    memmove(v4->elems, v4->elems + len, all - len);
    memcpy(v4->elems + all - len, tcp, len);
    assert_false(xtables_v4.decode(entry, "DROP", &back));
    expect_told(0, entry, "DROP", &rule);
    expect_text(0, entry, "DROP", "-p tcp -m conntrack … -m tcp --dport 80:90 -j DROP");
    // An option more.
    struct xt_entry_match *match = (struct xt_entry_match *)(void *)v4->elems;
    match->data[sizeof(struct xt_entry_match)] ^= 1;
    expect_untold(0, entry, "DROP", "-m conntrack with an option or an inversion that netpold does not use");
    match->data[sizeof(struct xt_entry_match)] ^= 1;
    match->u.user.revision = 2;
    expect_untold(0, entry, "DROP", "-m conntrack, revision 2, which netpold does not use");
}

static void expect_refused(int family, const struct xtables_rule *rule)
{
    _Alignas(16) uint8_t entry[XTABLES_ENTRY];
    struct err err = {0};
    assert_int_equal(families[family]->encode(rule, entry, &err), -1);
    assert_int_equal(err.kind, ERR_BUG);
}

static void test_refused(void **state)
{
    (void)state;
    struct xtables_rule rule = plain_rule();
    rule.n_ports = 1;
    expect_refused(0, &rule);  // ports without a protocol
    rule.protocol = 47;
    expect_refused(0, &rule);
    rule = plain_rule();
    rule.protocol = IPPROTO_TCP;
    rule.n_ports = 8;
    for (size_t i = 0; i < 8; i++) {
        rule.ports[i] = (struct xtables_range){1, 2};
    }
    expect_refused(1, &rule);  // 16 slots
    rule = plain_rule();
    rule.icmp_type = 8;
    rule.protocol = IPPROTO_ICMPV6;
    expect_refused(0, &rule);
    rule.protocol = IPPROTO_ICMP;
    expect_refused(1, &rule);
    rule = plain_rule();
    rule.hop_limit = 255;
    expect_refused(0, &rule);
    rule = plain_rule();
    rule.verdict = XTABLES_REJECT_RESET;
    expect_refused(0, &rule);
    rule.verdict = XTABLES_JUMP;
    expect_refused(0, &rule);  // nowhere
    memset(rule.chain, 'C', sizeof(rule.chain) - 1);
    expect_refused(0, &rule);  // a name that the kernel's field does not hold
}

static void test_masks(void **state)
{
    (void)state;
    for (unsigned length = 0; length <= 128; length++) {
        uint8_t mask[16];
        uint8_t back = 0;
        xtables_mask_put(length, mask, sizeof(mask));
        assert_true(xtables_mask_get(mask, sizeof(mask), &back));
        assert_int_equal(back, length);
        if (length < 128) {
            mask[15] |= 1;
            assert_true(length == 127 || !xtables_mask_get(mask, sizeof(mask), &back));
        }
    }
}

static void test_lock(void **state)
{
    (void)state;
    char path[] = "/tmp/xtables-lock-XXXXXX";
    int holder = mkstemp(path);
    int fd = -1;
    struct err err = {0};
    assert_true(holder >= 0);
    assert_int_equal(flock(holder, LOCK_EX), 0);
    assert_int_equal(xtables_lock(path, 20, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(fd, -1);
    assert_int_equal(flock(holder, LOCK_UN), 0);
    assert_int_equal(setenv("XTABLES_LOCKFILE", path, 1), 0);
    assert_int_equal(xtables_lock(NULL, 20, &fd, &err), 0);
    assert_int_equal(flock(holder, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(flock(holder, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(xtables_lock("/nonexistent/lock", 20, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    (void)close(holder);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_unknown),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_tell_known), cmocka_unit_test(test_tell_header), cmocka_unit_test(test_tell_addresses),
        cmocka_unit_test(test_tell_order), cmocka_unit_test(test_masks),       cmocka_unit_test(test_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
