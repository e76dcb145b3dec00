// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "model/object.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "ruleset/simulate.h"
#include "support/random_ruleset.h"

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

static struct packet packet_of(const char *source, const char *destination, uint8_t protocol, uint16_t port)
{
    return (struct packet){
        .source = address(source), .destination = address(destination), .protocol = protocol, .port = port};
}

static struct ruleset *ruleset_of(const char *text)
{
    struct ruleset *ruleset = NULL;
    struct err err = {0};
    if (parse_restore(text, strlen(text), &ruleset, &err) < 0) {
        char message[1024];
        fail_msg("%s", err_text(&err, message, sizeof(message)));
    }
    return ruleset;
}

static enum simulate_verdict verdict_of(const struct ruleset *ruleset, const struct packet *packet)
{
    enum simulate_verdict verdict = SIMULATE_PASS;
    struct err err = {0};
    if (simulate_packet(ruleset, packet, &verdict, NULL, &err) < 0) {
        char message[1024];
        fail_msg("%s", err_text(&err, message, sizeof(message)));
    }
    return verdict;
}

// The verdict of one rule "…" whose target is DROP, in FORWARD of a family: does the packet match?
static bool matches(const char *family, const char *sets, const char *rule, const struct packet *packet)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   "%s# %s-restore --noflush\n*filter\n:NETPOL-X - [0:0]\n-A NETPOL-X %s -j DROP\n"
                   "-I FORWARD 1 -j NETPOL-X\nCOMMIT\n",
                   sets, family, rule);
    CLEANUP(ruleset_free) struct ruleset *ruleset = ruleset_of(text);
    return verdict_of(ruleset, packet) == SIMULATE_DROP;
}

static void test_header(void **state)
{
    (void)state;
    struct packet packet = packet_of("10.0.0.1", "10.0.1.1", PROTOCOL_TCP, 80);
    memcpy(packet.in, "eth0", 5);
    assert_true(matches("iptables", "", "-s 10.0.0.0/24", &packet));
    assert_false(matches("iptables", "", "-s 10.0.1.0/24", &packet));
    assert_true(matches("iptables", "", "-d 10.0.1.1/32", &packet));
    assert_false(matches("iptables", "", "-d 10.0.1.2/32", &packet));
    assert_true(matches("iptables", "", "-i eth0", &packet));
    assert_false(matches("iptables", "", "-i eth", &packet));
    assert_false(matches("iptables", "", "-i eth01", &packet));
    // An interface that the packet does not say is none.
    assert_false(matches("iptables", "", "-o eth0", &packet));
    assert_true(matches("iptables", "", "-p tcp", &packet));
    assert_false(matches("iptables", "", "-p udp", &packet));
    assert_false(matches("ip6tables", "", "-p tcp", &packet));
    packet.source_is_node = true;
    assert_true(matches("iptables", "", "-m addrtype --src-type LOCAL", &packet));
    packet.source_is_node = false;
    assert_false(matches("iptables", "", "-m addrtype --src-type LOCAL", &packet));
}

static void test_ports(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        uint8_t protocol;
        uint16_t port;
        bool match;
    } cases[] = {
        {"-p tcp -m tcp --dport 80", PROTOCOL_TCP, 80, true},
        {"-p tcp -m tcp --dport 80", PROTOCOL_TCP, 81, false},
        {"-p tcp -m tcp --dport 80", PROTOCOL_UDP, 80, false},
        {"-p tcp -m tcp --dport 80:90", PROTOCOL_TCP, 80, true},
        {"-p tcp -m tcp --dport 80:90", PROTOCOL_TCP, 90, true},
        {"-p tcp -m tcp --dport 80:90", PROTOCOL_TCP, 79, false},
        {"-p tcp -m tcp --dport 80:90", PROTOCOL_TCP, 91, false},
        {"-p tcp -m tcp", PROTOCOL_TCP, 0, true},
        {"-p tcp -m tcp", PROTOCOL_TCP, 65535, true},
        {"-p sctp -m multiport --dports 1,3:5,9", PROTOCOL_SCTP, 1, true},
        {"-p sctp -m multiport --dports 1,3:5,9", PROTOCOL_SCTP, 2, false},
        {"-p sctp -m multiport --dports 1,3:5,9", PROTOCOL_SCTP, 5, true},
        {"-p sctp -m multiport --dports 1,3:5,9", PROTOCOL_SCTP, 9, true},
        {"-p sctp -m multiport --dports 1,3:5,9", PROTOCOL_SCTP, 10, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct packet packet = packet_of("10.0.0.1", "10.0.1.1", cases[i].protocol, cases[i].port);
        assert_int_equal(matches("iptables", "", cases[i].rule, &packet), cases[i].match);
    }
}

static void test_icmp_and_hop_limit(void **state)
{
    (void)state;
    struct packet packet = packet_of("fe80::1", "ff02::1", 58, 0);
    packet.icmp_type = 135;
    packet.hop_limit = 255;
    static const char nd[] = "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255";
    assert_true(matches("ip6tables", "", nd, &packet));
    packet.hop_limit = 64;
    assert_false(matches("ip6tables", "", nd, &packet));
    packet.hop_limit = 0;
    assert_true(matches("ip6tables", "", "-m hl --hl-eq 64", &packet));
    packet.icmp_type = 136;
    packet.hop_limit = 255;
    assert_false(matches("ip6tables", "", nd, &packet));
    struct packet echo = packet_of("10.0.0.1", "10.0.0.2", 1, 0);
    echo.icmp_type = 8;
    assert_true(matches("iptables", "", "-p icmp -m icmp --icmp-type 8", &echo));
    assert_false(matches("iptables", "", "-p icmp -m icmp --icmp-type 0", &echo));
    // 255 is "any" in IPv4, and a type like others in IPv6.
    assert_true(matches("iptables", "", "-p icmp -m icmp --icmp-type any", &echo));
    assert_false(matches("ip6tables", "", "-p ipv6-icmp -m icmp6 --icmpv6-type 255", &packet));
}

static void test_ct_states(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        enum ct_state ct;
        bool dnat;
        bool match;
    } cases[] = {
        {"-m conntrack --ctstate NEW", 0, false, true},
        {"-m conntrack --ctstate NEW", CT_ESTABLISHED, false, false},
        {"-m conntrack ! --ctstate ESTABLISHED", 0, false, true},
        {"-m conntrack ! --ctstate ESTABLISHED", CT_ESTABLISHED, false, false},
        {"-m conntrack ! --ctstate ESTABLISHED", CT_INVALID, false, true},
        {"-m conntrack ! --ctstate ESTABLISHED", CT_UNTRACKED, false, true},
        {"-m conntrack ! --ctstate ESTABLISHED", CT_RELATED, false, true},
        {"-m conntrack ! --ctstate ESTABLISHED", CT_ESTABLISHED, true, false},
        {"-m conntrack --ctstate DNAT", CT_NEW, true, true},
        {"-m conntrack --ctstate DNAT", CT_NEW, false, false},
        {"-m conntrack ! --ctstate DNAT", CT_NEW, false, true},
        {"-m conntrack ! --ctstate RELATED,DNAT", CT_NEW, true, false},
        {"-m conntrack ! --ctstate RELATED,DNAT", CT_RELATED, false, false},
        {"-m conntrack ! --ctstate RELATED,DNAT", CT_NEW, false, true},
        {"-m conntrack --ctstate RELATED,DNAT", CT_NEW, true, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct packet packet = packet_of("10.0.0.1", "10.0.1.1", PROTOCOL_TCP, 80);
        packet.ct = cases[i].ct;
        packet.dnat = cases[i].dnat;
        if (matches("iptables", "", cases[i].rule, &packet) != cases[i].match) {
            fail_msg("case %zu: %s", i, cases[i].rule);
        }
    }
}

static void test_sets(void **state)
{
    (void)state;
    static const char ips[] = "create NP4-A hash:ip family inet\nadd NP4-A 10.0.0.1\nadd NP4-A 10.0.0.3\n";
    struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    assert_true(matches("iptables", ips, "-m set --match-set NP4-A src", &packet));
    assert_false(matches("iptables", ips, "-m set --match-set NP4-A dst", &packet));
    static const char endpoints[] = "create NP4-P hash:ip,port family inet\n"
                                    "add NP4-P 10.0.0.2,tcp:80\nadd NP4-P 10.0.0.2,udp:53\nadd NP4-P 10.0.0.2,47:0\n";
    static const char rule[] = "-m set --match-set NP4-P dst,dst";
    assert_true(matches("iptables", endpoints, rule, &packet));
    packet.port = 53;
    assert_false(matches("iptables", endpoints, rule, &packet));
    packet.protocol = PROTOCOL_UDP;
    assert_true(matches("iptables", endpoints, rule, &packet));
    // Protocols without ports are in no hash:ip,port set of ours.
    packet.protocol = 47;
    packet.port = 0;
    assert_false(matches("iptables", endpoints, rule, &packet));
    static const char none[] = "create NP4-A hash:net family inet\n";
    assert_false(matches("iptables", none, "-m set --match-set NP4-A src", &packet));
}

static void test_net_longest_prefix(void **state)
{
    (void)state;
    static const char nets[] = "create NP4-N hash:net family inet\n"
                               "add NP4-N 0.0.0.0/1\nadd NP4-N 128.0.0.0/1\n"
                               "add NP4-N 10.0.0.0/8 nomatch\nadd NP4-N 10.1.0.0/16\nadd NP4-N 10.1.2.0/24 nomatch\n"
                               "add NP4-N 10.1.2.3\nadd NP4-N 10.255.255.255\n";
    static const struct {
        const char *source;
        bool match;
    } cases[] = {
        {"9.255.255.255", true},  {"10.0.0.0", false}, {"10.0.255.255", false}, {"10.1.0.0", true},
        {"10.1.1.255", true},     {"10.1.2.0", false}, {"10.1.2.2", false},     {"10.1.2.3", true},
        {"10.1.2.4", false},      {"10.1.3.0", true},  {"10.2.0.0", false},     {"10.255.255.254", false},
        {"10.255.255.255", true}, {"11.0.0.0", true},  {"0.0.0.0", true},       {"255.255.255.255", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct packet packet = packet_of(cases[i].source, "10.0.0.2", PROTOCOL_TCP, 80);
        if (matches("iptables", nets, "-m set --match-set NP4-N src", &packet) != cases[i].match) {
            fail_msg("%s", cases[i].source);
        }
    }
}

// A packet with two local ends: `-j` tree, `-g` pod chain, `-g` policy chain; RETURN goes on behind the tree's jump.
static void test_jump_goto_return(void **state)
{
    (void)state;
    CLEANUP(ruleset_free)
    struct ruleset *ruleset =
        ruleset_of("*filter\n:NETPOL-DROP - [0:0]\n:NETPOL-FORWARD - [0:0]\n:NETPOL-FE - [0:0]\n:NETPOL-FI - [0:0]\n"
                   ":NETPOL-E-a - [0:0]\n:NETPOL-I-b - [0:0]\n:NETPOL-P-1 - [0:0]\n:NETPOL-P-2 - [0:0]\n"
                   "-A NETPOL-FORWARD -s 10.0.0.0/24 -j NETPOL-FE\n"
                   "-A NETPOL-FORWARD -d 10.0.0.0/24 -j NETPOL-FI\n"
                   "-A NETPOL-FORWARD -p tcp -m tcp --dport 9 -j ACCEPT\n"
                   "-A NETPOL-FE -s 10.0.0.1/32 -g NETPOL-E-a\n"
                   "-A NETPOL-FE -j REJECT --reject-with icmp-port-unreachable\n"
                   "-A NETPOL-FI -d 10.0.0.2/32 -g NETPOL-I-b\n"
                   "-A NETPOL-E-a -g NETPOL-P-1\n"
                   "-A NETPOL-I-b -g NETPOL-P-2\n"
                   "-A NETPOL-P-1 -p tcp -m multiport --dports 9,80,443 -j RETURN\n"
                   "-A NETPOL-P-1 -g NETPOL-DROP\n"
                   "-A NETPOL-P-2 -p tcp -m multiport --dports 9,80 -j RETURN\n"
                   "-A NETPOL-P-2 -g NETPOL-DROP\n"
                   "-A NETPOL-DROP -j DROP\n"
                   "-I FORWARD 1 -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD\nCOMMIT\n");
    struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_PASS);
    packet.port = 443;
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_DROP);
    packet.port = 22;
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_DROP);
    packet.port = 9;
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_ACCEPT);
    packet.ct = CT_ESTABLISHED;
    packet.port = 22;
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_PASS);
    packet.ct = 0;
    packet.arrival = ARRIVAL_TO_NODE;
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_PASS);
    packet.arrival = ARRIVAL_FORWARD;
    packet.source = address("10.0.0.3");
    assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_REJECT);

    packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 443);
    BUF_CLEANUP struct buf trace = {0};
    enum simulate_verdict verdict;
    assert_int_equal(simulate_packet(ruleset, &packet, &verdict, &trace, NULL), 0);
    assert_string_equal(trace.data, "FORWARD: -m conntrack ! --ctstate ESTABLISHED -j NETPOL-FORWARD\n"
                                    "NETPOL-FORWARD: -s 10.0.0.0/24 -j NETPOL-FE\n"
                                    "NETPOL-FE: -s 10.0.0.1/32 -g NETPOL-E-a\n"
                                    "NETPOL-E-a: -g NETPOL-P-1\n"
                                    "NETPOL-P-1: -p tcp -m multiport --dports 9,80,443 -j RETURN\n"
                                    "NETPOL-FORWARD: -d 10.0.0.0/24 -j NETPOL-FI\n"
                                    "NETPOL-FI: -d 10.0.0.2/32 -g NETPOL-I-b\n"
                                    "NETPOL-I-b: -g NETPOL-P-2\n"
                                    "NETPOL-P-2: -g NETPOL-DROP\n"
                                    "NETPOL-DROP: -j DROP\n");
}

static void test_hooks(void **state)
{
    (void)state;
    static const char chains[] = "*filter\n:NETPOL-A - [0:0]\n:NETPOL-B - [0:0]\n-A NETPOL-B -j DROP\n%sCOMMIT\n";
    static const struct {
        const char *hooks;
        enum simulate_verdict forward;
        enum simulate_verdict input;
    } cases[] = {
        {"", SIMULATE_PASS, SIMULATE_PASS},
        // Behind a jump that came back the next hook follows,
        {"-I FORWARD 1 -j NETPOL-A\n-I FORWARD 2 -j NETPOL-B\n", SIMULATE_DROP, SIMULATE_PASS},
        // behind a goto the built-in chain's policy.
        {"-I FORWARD 1 -g NETPOL-A\n-I FORWARD 2 -j NETPOL-B\n", SIMULATE_PASS, SIMULATE_PASS},
        {"-I FORWARD 1 -p udp -g NETPOL-A\n-I FORWARD 2 -j NETPOL-B\n", SIMULATE_DROP, SIMULATE_PASS},
        {"-I INPUT 1 -j NETPOL-B\n-I FORWARD 1 -j NETPOL-A\n", SIMULATE_PASS, SIMULATE_DROP},
        {"-I OUTPUT 1 -j NETPOL-B\n", SIMULATE_PASS, SIMULATE_PASS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[1024];
        (void)snprintf(text, sizeof(text), chains, cases[i].hooks);
        CLEANUP(ruleset_free) struct ruleset *ruleset = ruleset_of(text);
        struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
        assert_int_equal(verdict_of(ruleset, &packet), cases[i].forward);
        packet.arrival = ARRIVAL_TO_NODE;
        assert_int_equal(verdict_of(ruleset, &packet), cases[i].input);
    }
    CLEANUP(ruleset_free)
    struct ruleset *output =
        ruleset_of("*filter\n:NETPOL-B - [0:0]\n-A NETPOL-B -j DROP\n-I OUTPUT 1 -j NETPOL-B\nCOMMIT\n");
    struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    packet.arrival = ARRIVAL_FROM_NODE;
    assert_int_equal(verdict_of(output, &packet), SIMULATE_DROP);
}

static void refuse(const struct ruleset *ruleset, const char *object, const char *because)
{
    struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    enum simulate_verdict verdict = SIMULATE_REJECT;
    struct err err = {0};
    assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, &err), -1);
    assert_int_equal(verdict, SIMULATE_REJECT);
    assert_string_equal(err.object, object);
    if (!strstr(err.msg, because)) {
        fail_msg("\"%s\" does not say \"%s\"", err.msg, because);
    }
}

static void test_broken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *object;
        const char *because;
    } cases[] = {
        {"*filter\n-I FORWARD 1 -j NETPOL-GONE\nCOMMIT\n", "chain FORWARD", "rule 1 leads to chain NETPOL-GONE"},
        {"*filter\n:NETPOL-A - [0:0]\n-A NETPOL-A -p udp\n-A NETPOL-A -m set --match-set NP4-GONE src\n"
         "-I FORWARD 1 -j NETPOL-A\nCOMMIT\n",
         "chain NETPOL-A", "rule 2 uses set NP4-GONE"},
        {"*filter\n:NETPOL-A - [0:0]\n-A NETPOL-A -j NETPOL-A\n-I FORWARD 1 -j NETPOL-A\nCOMMIT\n", "chain NETPOL-A",
         "a loop"},
        {"*filter\n:NETPOL-A - [0:0]\n:NETPOL-B - [0:0]\n-A NETPOL-A -g NETPOL-B\n-A NETPOL-B -g NETPOL-A\n"
         "-I FORWARD 1 -j NETPOL-A\nCOMMIT\n",
         "chain NETPOL-B", "a loop"},
        {"create NP4-P hash:ip,port\n*filter\n:NETPOL-A - [0:0]\n-A NETPOL-A -m set --match-set NP4-P src,src\n"
         "-I FORWARD 1 -j NETPOL-A\nCOMMIT\n",
         "chain NETPOL-A", "source port"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(ruleset_free) struct ruleset *ruleset = ruleset_of(cases[i].text);
        refuse(ruleset, cases[i].object, cases[i].because);
    }
    struct packet mixed = packet_of("10.0.0.1", "fd00::1", PROTOCOL_TCP, 80);
    enum simulate_verdict verdict;
    struct ruleset empty = {0};
    assert_int_equal(simulate_packet(&empty, &mixed, &verdict, NULL, NULL), -1);
}

// What no text can say, since the tools would refuse it.
static void test_not_loadable(void **state)
{
    (void)state;
    static const struct port_range ports[] = {{80, 80}};
    struct hook hook = {.builtin = "FORWARD", .rule = rule_init()};
    struct ruleset ruleset = {0};
    ruleset.tables[FAMILY_V4] = (struct table){.hooks = &hook, .n_hooks = 1};
    hook.rule.ports = ports;
    hook.rule.n_ports = 1;
    refuse(&ruleset, "chain FORWARD", "ports of protocol 0");
    hook.rule = rule_init();
    hook.rule.icmp_type = 8;
    refuse(&ruleset, "chain FORWARD", "ICMP type of protocol 0");
    hook.rule = rule_init();
    hook.rule.hop_limit = 255;
    refuse(&ruleset, "chain FORWARD", "hop limit in IPv4");
}

// A path through many chains is no loop; more than the guard's depth of pending jumps is refused.
static void test_depth(void **state)
{
    (void)state;
    enum { CHAINS = 100 };
    for (int use_goto = 0; use_goto < 2; use_goto++) {
        BUF_CLEANUP struct buf text = {0};
        buf_puts(&text, "*filter\n");
        for (int i = 0; i < CHAINS; i++) {
            buf_printf(&text, ":NETPOL-%03d - [0:0]\n", i);
        }
        for (int i = 0; i + 1 < CHAINS; i++) {
            buf_printf(&text, "-A NETPOL-%03d -%c NETPOL-%03d\n", i, use_goto ? 'g' : 'j', i + 1);
        }
        buf_printf(&text, "-A NETPOL-%03d -j DROP\n-I FORWARD 1 -j NETPOL-000\nCOMMIT\n", CHAINS - 1);
        CLEANUP(ruleset_free) struct ruleset *ruleset = ruleset_of(text.data);
        if (use_goto) {
            struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
            assert_int_equal(verdict_of(ruleset, &packet), SIMULATE_DROP);
        } else {
            refuse(ruleset, "chain NETPOL-063", "nested deeper");
        }
    }
    // Twice the same chain, one after the other.
    CLEANUP(ruleset_free)
    struct ruleset *twice =
        ruleset_of("*filter\n:NETPOL-A - [0:0]\n:NETPOL-B - [0:0]\n-A NETPOL-A -j NETPOL-B\n-A NETPOL-A -j NETPOL-B\n"
                   "-A NETPOL-A -j NETPOL-B\n-I FORWARD 1 -j NETPOL-A\nCOMMIT\n");
    struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    assert_int_equal(verdict_of(twice, &packet), SIMULATE_PASS);
}

// Each of 60 chains jumps twice to the next: an error instead of 2^60 rules.
static void test_steps(void **state)
{
    (void)state;
    struct buf BUF_CLEANUP text = {0};
    buf_puts(&text, "*filter\n");
    for (int i = 10; i < 70; i++) {
        buf_printf(&text, ":NETPOL-%d - [0:0]\n", i);
    }
    for (int i = 10; i < 69; i++) {
        buf_printf(&text, "-A NETPOL-%d -j NETPOL-%d\n-A NETPOL-%d -j NETPOL-%d\n", i, i + 1, i, i + 1);
    }
    buf_puts(&text, "-I FORWARD 1 -j NETPOL-10\nCOMMIT\n");
    CLEANUP(ruleset_free) struct ruleset *ruleset = ruleset_of(text.data);
    const struct packet packet = packet_of("10.0.0.1", "10.0.0.2", PROTOCOL_TCP, 80);
    enum simulate_verdict verdict;
    struct err err = {0};
    assert_int_equal(simulate_packet(ruleset, &packet, &verdict, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_icmp_and_hop_limit),
        cmocka_unit_test(test_ct_states),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_net_longest_prefix),
        cmocka_unit_test(test_jump_goto_return),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_not_loadable),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
