// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/object.h"
#include "ruleset/parse.h"
#include "ruleset/render.h"
#include "support/random_ruleset.h"

static struct prefix prefix(const char *text)
{
    struct prefix ret;
    assert_true(prefix_parse(text, &ret));
    return ret;
}

static void assert_rule(enum family family, const struct table *table, const struct rule *rule, const char *want)
{
    BUF_CLEANUP struct buf text = {0};
    render_rule(family, table, NULL, rule, &text);
    assert_false(text.failed);
    assert_string_equal(text.len ? text.data : "", want);
}

// Each text was taken from what iptables-save 1.8.9 printed for such a rule.
static void test_rule(void **state)
{
    (void)state;
    static const struct port_range one[] = {{80, 80}};
    static const struct port_range range[] = {{80, 90}};
    static const struct port_range low[] = {{0, 0}};
    static const struct port_range every[] = {{0, 65535}};
    static const struct port_range list[] = {{80, 80}, {90, 100}};
    struct rule rule = rule_init();
    assert_rule(FAMILY_V4, NULL, &rule, "");
    rule.has_source = true;
    rule.source = prefix("10.0.0.1/32");
    rule.has_destination = true;
    rule.destination = prefix("10.0.0.0/8");
    memcpy(rule.in, "eth0", 5);
    memcpy(rule.out, "eth1", 5);
    rule.protocol = PROTOCOL_TCP;
    rule.ports = one;
    rule.n_ports = 1;
    rule.ct_states = RULE_CT_DNAT;
    rule.source_local = true;
    rule.set = "NP4-A";
    rule.comment = "a b's \"x\" \\ y";
    rule.target = TARGET_GOTO;
    rule.chain = "NETPOL-Y";
    assert_rule(FAMILY_V4, NULL, &rule,
                "-s 10.0.0.1/32 -d 10.0.0.0/8 -i eth0 -o eth1 -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT "
                "-m addrtype --src-type LOCAL -m set --match-set NP4-A src "
                "-m comment --comment \"a b\\'s \\\"x\\\" \\\\ y\" -g NETPOL-Y");

    struct rule ports = rule_init();
    ports.protocol = PROTOCOL_TCP;
    ports.target = TARGET_RETURN;
    ports.n_ports = 1;
    ports.ports = range;
    assert_rule(FAMILY_V4, NULL, &ports, "-p tcp -m tcp --dport 80:90 -j RETURN");
    ports.ports = low;
    assert_rule(FAMILY_V4, NULL, &ports, "-p tcp -m tcp --dport 0 -j RETURN");
    ports.ports = every;
    assert_rule(FAMILY_V4, NULL, &ports, "-p tcp -m tcp -j RETURN");
    ports.protocol = PROTOCOL_SCTP;
    assert_rule(FAMILY_V4, NULL, &ports, "-p sctp -m multiport --dports 0:65535 -j RETURN");
    ports.ports = one;
    assert_rule(FAMILY_V4, NULL, &ports, "-p sctp -m multiport --dports 80 -j RETURN");
    ports.protocol = PROTOCOL_UDP;
    ports.ports = list;
    ports.n_ports = 2;
    assert_rule(FAMILY_V4, NULL, &ports, "-p udp -m multiport --dports 80,90:100 -j RETURN");
}

static void test_rule_details(void **state)
{
    (void)state;
    struct rule nd = rule_init();
    nd.protocol = 58;
    nd.icmp_type = 135;
    nd.hop_limit = 255;
    nd.target = TARGET_RETURN;
    assert_rule(FAMILY_V6, NULL, &nd, "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN");
    struct rule echo = rule_init();
    echo.protocol = 1;
    echo.icmp_type = 8;
    assert_rule(FAMILY_V4, NULL, &echo, "-p icmp -m icmp --icmp-type 8");
    struct rule ct = rule_init();
    ct.ct_states = CT_NEW | CT_ESTABLISHED | CT_RELATED | CT_INVALID | CT_UNTRACKED | RULE_CT_DNAT;
    ct.ct_invert = true;
    ct.target = TARGET_ACCEPT;
    assert_rule(FAMILY_V4, NULL, &ct,
                "-m conntrack ! --ctstate INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED,DNAT -j ACCEPT");
    struct rule reject = rule_init();
    reject.target = TARGET_REJECT;
    assert_rule(FAMILY_V4, NULL, &reject, "-j REJECT --reject-with icmp-port-unreachable");
    assert_rule(FAMILY_V6, NULL, &reject, "-j REJECT --reject-with icmp6-port-unreachable");
    reject.protocol = PROTOCOL_TCP;
    assert_rule(FAMILY_V6, NULL, &reject, "-p tcp -j REJECT --reject-with tcp-reset");
    // A name that only /etc/protocols knows would not load without it.
    struct rule gre = rule_init();
    gre.protocol = 47;
    gre.target = TARGET_DROP;
    assert_rule(FAMILY_V4, NULL, &gre, "-p 47 -j DROP");
    struct rule any = rule_init();
    any.has_source = true;
    any.source = prefix("0.0.0.0/0");
    any.comment = "";
    assert_rule(FAMILY_V4, NULL, &any, "-m comment --comment \"\"");
    any.comment = "Bare-word_9";
    assert_rule(FAMILY_V4, NULL, &any, "-m comment --comment Bare-word_9");
    any.comment = "a.b";
    assert_rule(FAMILY_V4, NULL, &any, "-m comment --comment \"a.b\"");
    // A line break in a comment must not start a command of its own.
    any.comment = "x\n-A FORWARD -j ACCEPT\t\x7f";
    assert_rule(FAMILY_V4, NULL, &any, "-m comment --comment \"x?-A FORWARD -j ACCEPT??\"");
}

static void test_set_dimensions(void **state)
{
    (void)state;
    static const struct set sets[] = {{.name = "NP4-A", .type = SET_HASH_IP},
                                      {.name = "NP4-P", .type = SET_HASH_IP_PORT}};
    static const struct table table = {.sets = sets, .n_sets = 2};
    struct rule rule = rule_init();
    rule.set = "NP4-P";
    rule.set_direction = SET_DST;
    assert_rule(FAMILY_V4, &table, &rule, "-m set --match-set NP4-P dst,dst");
    assert_rule(FAMILY_V4, NULL, &rule, "-m set --match-set NP4-P dst");
    rule.set = "NP4-A";
    assert_rule(FAMILY_V4, &table, &rule, "-m set --match-set NP4-A dst");
    rule.set = "NP4-GONE";
    rule.set_direction = SET_SRC;
    assert_rule(FAMILY_V4, &table, &rule, "-m set --match-set NP4-GONE src");
}

// A small ruleset of every part.
static void make_ruleset(struct ruleset *ruleset)
{
    static struct set_member ips[2];
    static struct set_member nets[2];
    static struct set_member endpoints[1];
    ips[0].prefix = prefix("10.0.0.1/32");
    ips[1].prefix = prefix("10.0.0.2/32");
    nets[0].prefix = prefix("8000::/1");
    nets[1].prefix = prefix("fd00::1/128");
    nets[1].nomatch = true;
    endpoints[0] = (struct set_member){.prefix = prefix("10.0.0.1/32"), .protocol = PROTOCOL_TCP, .port = 80};
    static struct set v4_sets[] = {
        {.name = "NP4-A", .type = SET_HASH_IP, .members = ips, .n_members = 2, .describe = "pods x: app=\"web\""},
        {.name = "NP4-P", .type = SET_HASH_IP_PORT, .members = endpoints, .n_members = 1, .describe = ""},
    };
    static struct set v6_sets[] = {{.name = "NP6-N", .type = SET_HASH_NET, .members = nets, .n_members = 2}};
    static struct rule rules[2];
    rules[0] = rule_init();
    rules[0].set = "NP4-P";
    rules[0].set_direction = SET_DST;
    rules[0].target = TARGET_RETURN;
    rules[1] = rule_init();
    rules[1].ct_states = CT_NEW;
    rules[1].ct_invert = true;
    rules[1].target = TARGET_GOTO;
    rules[1].chain = "NETPOL-B";
    static struct chain chains[] = {{.name = "NETPOL-A", .rules = rules, .n_rules = 2}, {.name = "NETPOL-B"}};
    static struct hook hooks[3];
    for (size_t i = 0; i < 3; i++) {
        hooks[i].builtin = i == 1 ? "INPUT" : "FORWARD";
        hooks[i].rule = rule_init();
        hooks[i].rule.target = TARGET_JUMP;
        hooks[i].rule.chain = i == 2 ? "NETPOL-B" : "NETPOL-A";
    }
    *ruleset = (struct ruleset){0};
    ruleset->tables[FAMILY_V4] =
        (struct table){.chains = chains, .n_chains = 2, .sets = v4_sets, .n_sets = 2, .hooks = hooks, .n_hooks = 3};
    ruleset->tables[FAMILY_V6] = (struct table){.sets = v6_sets, .n_sets = 1};
}

static const char want_ipset[] = "# ipset restore\n"
                                 "create NP4-A hash:ip family inet hashsize 64 maxelem 65536\n"
                                 "add NP4-A 10.0.0.1\n"
                                 "add NP4-A 10.0.0.2\n"
                                 "create NP4-P hash:ip,port family inet hashsize 64 maxelem 65536\n"
                                 "add NP4-P 10.0.0.1,tcp:80\n"
                                 "create NP6-N hash:net family inet6 hashsize 64 maxelem 65536\n"
                                 "add NP6-N 8000::/1\n"
                                 "add NP6-N fd00::1 nomatch\n";
static const char want_iptables[] = "# iptables-restore --noflush\n"
                                    "*filter\n"
                                    ":NETPOL-A - [0:0]\n"
                                    ":NETPOL-B - [0:0]\n"
                                    "-A NETPOL-A -m set --match-set NP4-P dst,dst -j RETURN\n"
                                    "-A NETPOL-A -m conntrack ! --ctstate NEW -g NETPOL-B\n"
                                    "-I FORWARD 1 -j NETPOL-A\n"
                                    "-I INPUT 1 -j NETPOL-A\n"
                                    "-I FORWARD 2 -j NETPOL-B\n"
                                    "COMMIT\n";
static const char want_ip6tables[] = "# ip6tables-restore --noflush\n*filter\nCOMMIT\n";

static void test_sections(void **state)
{
    (void)state;
    static const char *const want[] = {want_ipset, want_iptables, want_ip6tables};
    struct ruleset ruleset;
    make_ruleset(&ruleset);
    BUF_CLEANUP struct buf whole = {0};
    for (size_t i = 0; i < RENDER_SECTION_COUNT; i++) {
        enum render_section section = (enum render_section)i;
        BUF_CLEANUP struct buf text = {0};
        render_section(&ruleset, section, &text);
        assert_string_equal(text.data, want[i]);
        assert_memory_equal(text.data, render_section_mark(section), strlen(render_section_mark(section)));
        buf_puts(&whole, text.data);
        enum render_section again;
        assert_true(render_section_parse(render_section_name(section), &again));
        assert_int_equal(again, section);
    }
    BUF_CLEANUP struct buf stream = {0};
    render_restore(&ruleset, &stream);
    assert_string_equal(stream.data, whole.data);
    enum render_section untouched = RENDER_IP6TABLES;
    assert_false(render_section_parse("nft", &untouched));
    assert_int_equal(untouched, RENDER_IP6TABLES);
}

static void test_json(void **state)
{
    (void)state;
    struct ruleset ruleset;
    make_ruleset(&ruleset);
    BUF_CLEANUP struct buf text = {0};
    render_json(&ruleset, &text);
    assert_string_equal(
        text.data, "{\"ipv4\":{\"sets\":[\n"
                   "{\"name\":\"NP4-A\",\"type\":\"hash:ip\",\"hashsize\":64,\"maxelem\":65536,"
                   "\"describe\":\"pods x: "
                   "app=\\\"web\\\"\",\"members\":[{\"address\":\"10.0.0.1\"},{\"address\":\"10.0.0.2\"}]},\n"
                   "{\"name\":\"NP4-P\",\"type\":\"hash:ip,port\",\"hashsize\":64,\"maxelem\":65536,"
                   "\"members\":[{\"address\":\"10.0.0.1\",\"protocol\":\"tcp\",\"port\":80}]}],\n"
                   "\"chains\":[\n"
                   "{\"name\":\"NETPOL-A\",\"rules\":[\n"
                   " {\"set\":\"NP4-P\",\"setDirection\":\"dst\",\"target\":\"return\","
                   "\"text\":\"-m set --match-set NP4-P dst,dst -j RETURN\"},\n"
                   " {\"ctStatesNot\":[\"NEW\"],\"target\":\"goto\",\"to\":\"NETPOL-B\","
                   "\"text\":\"-m conntrack ! --ctstate NEW -g NETPOL-B\"}]},\n"
                   "{\"name\":\"NETPOL-B\",\"rules\":[]}],\n"
                   "\"hooks\":[\n"
                   "{\"builtin\":\"FORWARD\",\"target\":\"jump\",\"to\":\"NETPOL-A\",\"text\":\"-j NETPOL-A\"},\n"
                   "{\"builtin\":\"INPUT\",\"target\":\"jump\",\"to\":\"NETPOL-A\",\"text\":\"-j NETPOL-A\"},\n"
                   "{\"builtin\":\"FORWARD\",\"target\":\"jump\",\"to\":\"NETPOL-B\",\"text\":\"-j NETPOL-B\"}]},\n"
                   "\"ipv6\":{\"sets\":[\n"
                   "{\"name\":\"NP6-N\",\"type\":\"hash:net\",\"hashsize\":64,\"maxelem\":65536,"
                   "\"members\":[{\"prefix\":\"8000::/1\"},{\"prefix\":\"fd00::1/128\",\"nomatch\":true}]}],\n"
                   "\"chains\":[],\n"
                   "\"hooks\":[]}}\n");
}

static void test_json_rule_fields(void **state)
{
    (void)state;
    static const struct port_range ports[] = {{80, 90}};
    struct rule rule = rule_init();
    rule.has_source = true;
    rule.source = prefix("10.0.0.1/32");
    rule.has_destination = true;
    rule.destination = prefix("10.0.0.0/8");
    memcpy(rule.in, "eth0", 5);
    memcpy(rule.out, "eth1", 5);
    rule.protocol = PROTOCOL_TCP;
    rule.ports = ports;
    rule.n_ports = 1;
    rule.ct_states = CT_RELATED | RULE_CT_DNAT;
    rule.source_local = true;
    rule.set = "NP4-A";
    rule.comment = "c\"";
    rule.target = TARGET_JUMP;
    rule.chain = "NETPOL-B";
    struct rule other = rule_init();
    other.protocol = 47;
    other.icmp_type = 0;
    other.hop_limit = 1;
    other.target = TARGET_REJECT;
    struct hook hooks[] = {{.builtin = "FORWARD", .rule = rule}, {.builtin = "INPUT", .rule = other}};
    struct ruleset ruleset = {0};
    ruleset.tables[FAMILY_V4] = (struct table){.hooks = hooks, .n_hooks = 2};
    BUF_CLEANUP struct buf text = {0};
    render_json(&ruleset, &text);
    assert_non_null(
        strstr(text.data,
               "{\"builtin\":\"FORWARD\",\"source\":\"10.0.0.1/32\",\"destination\":\"10.0.0.0/8\",\"in\":\"eth0\","
               "\"out\":\"eth1\",\"protocol\":\"tcp\",\"ports\":[{\"first\":80,\"last\":90}],"
               "\"ctStates\":[\"RELATED\",\"DNAT\"],\"sourceLocal\":true,\"set\":\"NP4-A\",\"setDirection\":\"src\","
               "\"target\":\"jump\",\"to\":\"NETPOL-B\",\"comment\":\"c\\\"\",\"text\":"));
    assert_non_null(strstr(text.data, "{\"builtin\":\"INPUT\",\"protocol\":47,\"icmpType\":0,\"hopLimit\":1,"
                                      "\"target\":\"reject\",\"text\":"));
}

// Bridge ports and marks, as iptables-save prints them, and back; each field counts.
static void test_ports_of_a_bridge_and_marks(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
        uint32_t mark;
        uint32_t mask;
        const char *text;
    } cases[] = {
        {"veth0", "", 0, 0, "-m physdev --physdev-in veth0 -j DROP"},
        {"", "fifteen-chars-x", 0, 0, "-m physdev --physdev-out fifteen-chars-x -j DROP"},
        {"veth0", "veth1", 0, 0, "-m physdev --physdev-in veth0 --physdev-out veth1 -j DROP"},
        {"", "", 0x8000000, 0x8000000, "-m connmark --mark 0x8000000/0x8000000 -j DROP"},
        {"", "", 0, 0xff, "-m connmark --mark 0x0/0xff -j DROP"},
        {"", "", 0xffffffff, 0xffffffff, "-m connmark --mark 0xffffffff -j DROP"},
        {"veth0", "", 1, 1, "-m physdev --physdev-in veth0 -m connmark --mark 0x1/0x1 -j DROP"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rule rule = rule_init();
        struct rule plain = rule;
        BUF_CLEANUP struct buf text = {0};
        memcpy(rule.physdev_in, cases[i].in, strlen(cases[i].in) + 1);
        memcpy(rule.physdev_out, cases[i].out, strlen(cases[i].out) + 1);
        rule.connmark = cases[i].mark;
        rule.connmark_mask = cases[i].mask;
        assert_false(rule_equal(&rule, &plain));
        rule.target = TARGET_DROP;
        render_rule(FAMILY_V4, NULL, NULL, &rule, &text);
        assert_string_equal(text.data, cases[i].text);
        BUF_CLEANUP struct buf file = {0};
        buf_printf(&file, "# iptables-restore --noflush\n*filter\n:NETPOL-A - [0:0]\n-A NETPOL-A %s\nCOMMIT\n",
                   cases[i].text);
        CLEANUP(ruleset_free) struct ruleset *parsed = NULL;
        struct err err = {0};
        assert_int_equal(parse_restore(file.data, file.len, &parsed, &err), 0);
        assert_true(rule_equal(&parsed->tables[FAMILY_V4].chains[0].rules[0], &rule));
    }
    static const char *const wrong[] = {
        "-m connmark --mark 0x2/0x1",
        "-m connmark --mark 0x100000000/0x1",
        "-m connmark --mark 0x1/0x0",
        "-m connmark --mark 0xg/0x1",
        "-m connmark --mark x",
        "-m connmark ! --mark 0x1/0x1",
        "-m physdev ! --physdev-in veth0",
        "-m physdev --physdev-in veth+",
        "-m physdev --physdev-is-bridged",
        "-m physdev",
        "-m connmark",
        "--mark 0x1/0x1",
        "-m connmark --mark 0x000000001",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        BUF_CLEANUP struct buf file = {0};
        struct ruleset *parsed = NULL;
        struct err err = {0};
        buf_printf(&file, "# iptables-restore --noflush\n*filter\n:NETPOL-A - [0:0]\n-A NETPOL-A %s -j DROP\nCOMMIT\n",
                   wrong[i]);
        if (parse_restore(file.data, file.len, &parsed, &err) == 0) {
            fail_msg("%s was taken", wrong[i]);
        }
    }
}

// A buffer that cannot hold the text says so instead of holding half of it.
static void test_failure_sticks(void **state)
{
    (void)state;
    struct ruleset ruleset;
    make_ruleset(&ruleset);
    for (size_t max = 1; max < sizeof(want_ipset) + sizeof(want_iptables); max += 7) {
        BUF_CLEANUP struct buf text = {.max = max};
        render_restore(&ruleset, &text);
        assert_true(text.failed);
        BUF_CLEANUP struct buf json = {.max = max};
        render_json(&ruleset, &json);
        assert_true(json.failed);
    }
}

static void test_deterministic(void **state)
{
    (void)state;
    uint64_t seed = rng_seed("render deterministic");
    for (size_t i = 0; i < rng_iterations(200); i++) {
        struct rng one = {.state = seed + i};
        struct rng two = one;
        CLEANUP(ruleset_free) struct ruleset *a = random_ruleset(&one);
        CLEANUP(ruleset_free) struct ruleset *b = random_ruleset(&two);
        BUF_CLEANUP struct buf a_text = {0};
        BUF_CLEANUP struct buf b_text = {0};
        render_restore(a, &a_text);
        render_json(a, &a_text);
        render_restore(b, &b_text);
        render_json(b, &b_text);
        assert_string_equal(a_text.data, b_text.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_details),
        cmocka_unit_test(test_set_dimensions),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_rule_fields),
        cmocka_unit_test(test_ports_of_a_bridge_and_marks),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_deterministic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
