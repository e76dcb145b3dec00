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
    struct hook hook = {"FORWARD", rule_init()};
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

// ---- a second, naive walk: recursive, every set searched from end to end --------------------------------------------

enum walked { WALKED_BACK, WALKED_ACCEPT, WALKED_DROP, WALKED_REJECT };

static bool naive_set(const struct set *set, const struct rule *rule, const struct packet *packet)
{
    const struct address *at = rule->set_direction == SET_SRC ? &packet->source : &packet->destination;
    const struct set_member *best = NULL;
    bool portful =
        packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP || packet->protocol == PROTOCOL_SCTP;
    for (size_t i = 0; i < set->n_members; i++) {
        const struct set_member *member = &set->members[i];
        if (!prefix_contains(&member->prefix, at)) {
            continue;
        }
        if (set->type == SET_HASH_IP_PORT) {
            if (portful && member->protocol == packet->protocol && member->port == packet->port) {
                return true;
            }
        } else if (!best || member->prefix.length > best->prefix.length) {
            best = member;
        }
    }
    return best && !best->nomatch;
}

static bool naive_match(const struct table *table, const struct rule *rule, const struct packet *packet)
{
    unsigned ct = packet->ct ? (unsigned)packet->ct : (unsigned)CT_NEW;
    unsigned hop_limit = packet->hop_limit ? packet->hop_limit : 64;
    bool port = rule->n_ports == 0;
    for (size_t i = 0; i < rule->n_ports; i++) {
        port |= rule->ports[i].first <= packet->port && packet->port <= rule->ports[i].last;
    }
    ct |= packet->dnat ? RULE_CT_DNAT : 0u;
    bool ct_hit = rule->ct_states & ct;
    return (!rule->has_source || prefix_contains(&rule->source, &packet->source)) &&
           (!rule->has_destination || prefix_contains(&rule->destination, &packet->destination)) &&
           (!*rule->in || strcmp(rule->in, packet->in) == 0) && (!*rule->out || strcmp(rule->out, packet->out) == 0) &&
           (!rule->protocol || rule->protocol == packet->protocol) && port &&
           (rule->icmp_type < 0 || rule->icmp_type == packet->icmp_type) &&
           (rule->hop_limit < 0 || (unsigned)rule->hop_limit == hop_limit) &&
           (!rule->ct_states || ct_hit != rule->ct_invert) && (!rule->source_local || packet->source_is_node) &&
           (!rule->set || naive_set(table_set(table, rule->set), rule, packet));
}

static enum walked naive_rule(const struct table *table, const struct rule *rule, const struct packet *packet,
                              bool *done);

static enum walked naive_chain(const struct table *table, const char *name, const struct packet *packet)
{
    const struct chain *chain = table_chain(table, name);
    for (size_t i = 0; i < chain->n_rules; i++) {
        bool done = false;
        enum walked walked = naive_rule(table, &chain->rules[i], packet, &done);
        if (done) {
            return walked;
        }
    }
    return WALKED_BACK;
}

static enum walked naive_rule(const struct table *table, const struct rule *rule, const struct packet *packet,
                              bool *done)
{
    if (!naive_match(table, rule, packet)) {
        return WALKED_BACK;
    }
    enum walked walked = WALKED_BACK;
    *done = true;
    switch (rule->target) {
    case TARGET_NONE:
        *done = false;
        break;
    case TARGET_RETURN:
        break;
    case TARGET_ACCEPT:
        return WALKED_ACCEPT;
    case TARGET_DROP:
        return WALKED_DROP;
    case TARGET_REJECT:
        return WALKED_REJECT;
    case TARGET_JUMP:
        walked = naive_chain(table, rule->chain, packet);
        *done = walked != WALKED_BACK;
        break;
    case TARGET_GOTO:
        walked = naive_chain(table, rule->chain, packet);
        break;
    }
    return walked;
}

static enum simulate_verdict naive_packet(const struct ruleset *ruleset, const struct packet *packet)
{
    static const char *const builtins[] = {"FORWARD", "INPUT", "OUTPUT"};
    const struct table *table = &ruleset->tables[packet->source.family];
    enum walked walked = WALKED_BACK;
    bool done = false;
    for (size_t i = 0; i < table->n_hooks && !done; i++) {
        if (strcmp(table->hooks[i].builtin, builtins[packet->arrival]) == 0) {
            walked = naive_rule(table, &table->hooks[i].rule, packet, &done);
        }
    }
    switch (walked) {
    case WALKED_BACK:
        return SIMULATE_PASS;
    case WALKED_ACCEPT:
        return SIMULATE_ACCEPT;
    case WALKED_DROP:
        return SIMULATE_DROP;
    case WALKED_REJECT:
        return SIMULATE_REJECT;
    }
    return SIMULATE_PASS;
}

static void test_equals_naive_walk(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("simulate equals naive walk");
    size_t n = rng_iterations(2000);
    size_t seen[4] = {0};
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {.state = seed + i};
        CLEANUP(ruleset_free) struct ruleset *ruleset = random_ruleset(&rng);
        for (size_t j = 0; j < 100; j++) {
            struct packet packet = random_ruleset_packet(&rng);
            enum simulate_verdict verdict = verdict_of(ruleset, &packet);
            if (verdict != naive_packet(ruleset, &packet)) {
                BUF_CLEANUP struct buf text = {0};
                render_restore(ruleset, &text);
                BUF_CLEANUP struct buf trace = {0};
                (void)!simulate_packet(ruleset, &packet, &verdict, &trace, NULL);
                fail_msg("SEED=%lu N=1 packet %zu: %d, not %d\n%s\n%s", seed + i, j, (int)verdict,
                         (int)naive_packet(ruleset, &packet), text.data, trace.len ? trace.data : "");
            }
            seen[verdict]++;
        }
    }
    // The generator must reach every verdict, or this test says little.
    for (size_t i = 0; n >= 100 && i < ARRAY_SIZE(seen); i++) {
        assert_true(seen[i] > 0);
    }
}

static int compare_members(const void *a, const void *b)
{
    return set_member_compare(a, b);
}

// Larger nets than random_ruleset's: nested prefixes of all lengths around few addresses.
static void test_net_equals_naive(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("hash:net equals naive");
    size_t n = rng_iterations(500);
    for (size_t i = 0; i < n; i++) {
        struct rng rng = {.state = seed + i};
        enum family family = rng_chance(&rng, 50) ? FAMILY_V4 : FAMILY_V6;
        unsigned bits = family_bits(family);
        struct set_member members[300];
        size_t want = rng_below(&rng, ARRAY_SIZE(members)) + 1;
        struct set set = {.name = "NP4-N", .type = SET_HASH_NET, .members = members};
        struct address bases[8];
        for (size_t j = 0; j < ARRAY_SIZE(bases); j++) {
            bases[j] = (struct address){.family = family};
            for (size_t k = 0; k < bits / 8; k++) {
                bases[j].bytes[k] = (uint8_t)rng_below(&rng, 256);
            }
        }
        while (set.n_members < want) {
            struct address base = RNG_PICK(&rng, bases);
            base.bytes[rng_below(&rng, bits / 8)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            struct set_member member = {.prefix = prefix_truncate(&base, 1 + (unsigned)rng_below(&rng, bits)),
                                        .nomatch = rng_chance(&rng, 50)};
            bool known = false;
            for (size_t j = 0; j < set.n_members; j++) {
                known |= set_member_same_key(&members[j], &member);
            }
            want -= known;
            if (!known) {
                members[set.n_members++] = member;
            }
        }
        qsort(members, set.n_members, sizeof(*members), compare_members);
        struct hook hook = {"FORWARD", rule_init()};
        hook.rule.set = set.name;
        hook.rule.target = TARGET_DROP;
        struct ruleset ruleset = {0};
        ruleset.tables[family] = (struct table){.sets = &set, .n_sets = 1, .hooks = &hook, .n_hooks = 1};
        for (size_t j = 0; j < 200; j++) {
            struct packet packet = {.source = RNG_PICK(&rng, bases)};
            packet.source.bytes[rng_below(&rng, bits / 8)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            packet.destination = packet.source;
            bool dropped = verdict_of(&ruleset, &packet) == SIMULATE_DROP;
            if (dropped != naive_set(&set, &hook.rule, &packet)) {
                fail_msg("SEED=%lu N=1 packet %zu", seed + i, j);
            }
        }
    }
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
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_equals_naive_walk),
        cmocka_unit_test(test_net_equals_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
