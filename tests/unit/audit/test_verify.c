// SPDX-License-Identifier: Apache-2.0
//
// Classes that are easily forgotten: the one value that no rule names.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "audit/verify.h"
#include "ruleset/parse.h"

// Rules for an empty cluster, where policies allow everything: how many classes differ, and the first that does.
static uint64_t differing(const char *rules, bool ipv6, struct packet *ret)
{
    struct buf BUF_CLEANUP text = {0};
    CLEANUP(state_free) struct state *state = NULL;
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    CLEANUP(verify_result_free) struct verify_result *result = NULL;
    struct err err = {0};
    const struct policy_options options = {0};
    const struct verify_options how = {.max_examples = 1};
    buf_printf(&text, "%s*filter\n:NETPOL-A - [0:0]\n%s-A FORWARD -j NETPOL-A\nCOMMIT\n",
               ipv6 ? "# ip6tables-restore --noflush\n" : "", rules);
    if (parse_restore(text.data, text.len, &ruleset, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    assert_int_equal(state_new(&state, NULL), 0);
    const struct verify_input input = {.state = state, .node = "n", .options = &options, .ruleset = ruleset};
    if (verify_ruleset(&input, &how, &result, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    if (result->differing) {
        *ret = result->examples[0].packet;
        assert_true(result->examples[0].wanted && !result->examples[0].got);
    }
    return result->differing;
}

static void test_icmp_type_that_no_rule_names(void **unused)
{
    (void)unused;
    for (int left_out = 0; left_out < 256; left_out += 51) {
        struct buf BUF_CLEANUP rules = {0};
        struct packet packet = {0};
        for (int type = 0; type < 256; type++) {
            if (type != left_out) {
                buf_printf(&rules, "-A NETPOL-A -p ipv6-icmp -m icmp6 --icmpv6-type %d -j RETURN\n", type);
            }
        }
        buf_puts(&rules, "-A NETPOL-A -p ipv6-icmp -j DROP\n");
        assert_true(differing(rules.data, true, &packet) > 0);
        assert_int_equal(packet.icmp_type, left_out);
    }
}

static void test_protocol_that_no_rule_names(void **unused)
{
    (void)unused;
    for (int left_out = 0; left_out < 256; left_out += 85) {
        struct buf BUF_CLEANUP rules = {0};
        struct packet packet = {0};
        for (int protocol = 1; protocol < 256; protocol++) {
            if (protocol != left_out) {
                buf_printf(&rules, "-A NETPOL-A -p %d -j RETURN\n", protocol);
            }
        }
        buf_puts(&rules, "-A NETPOL-A -j DROP\n");
        assert_true(differing(rules.data, false, &packet) > 0);
        assert_int_equal(packet.protocol, left_out);
    }
}

static void test_one_address_and_one_port(void **unused)
{
    (void)unused;
    struct packet packet = {0};
    assert_true(differing("-A NETPOL-A -s 255.255.255.255/32 -p udp -m udp --dport 65535 -j DROP\n", false, &packet) >
                0);
    assert_int_equal(packet.port, 65535);
    assert_int_equal(packet.source.bytes[3], 255);
    assert_true(differing("-A NETPOL-A -d 0.0.0.0/32 -p sctp -m multiport --dports 0 -j DROP\n", false, &packet) > 0);
    assert_int_equal(packet.port, 0);
    assert_int_equal(differing("-A NETPOL-A -p tcp -j RETURN\n", false, &packet), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_icmp_type_that_no_rule_names),
        cmocka_unit_test(test_protocol_that_no_rule_names),
        cmocka_unit_test(test_one_address_and_one_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
