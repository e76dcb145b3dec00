// SPDX-License-Identifier: Apache-2.0
//
// What rules still ask of a packet that is known in part: one rule text a case, and the questions that are left.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "audit/verify_reach.h"
#include "ruleset/parse.h"

// A table with one hook in FORWARD that leads to NETPOL-A, and these lines.
struct fixture {
    struct state *state;
    struct ruleset *ruleset;
    struct policy_options options;
    struct verify_input input;
    struct verify_pods pods;
    struct verify_space *space;
    struct verify_reach *reach;
    struct verify_tests tests;
};

static void given(struct fixture *f, const char *sets, const char *rules)
{
    struct buf BUF_CLEANUP text = {0};
    struct err err = {0};
    *f = (struct fixture){0};
    buf_printf(&text, "%s*filter\n:NETPOL-A - [0:0]\n:NETPOL-B - [0:0]\n%s-A FORWARD -j NETPOL-A\nCOMMIT\n", sets,
               rules);
    if (parse_restore(text.data, text.len, &f->ruleset, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    assert_int_equal(state_new(&f->state, NULL), 0);
    f->input = (struct verify_input){.state = f->state, .node = "n", .options = &f->options, .ruleset = f->ruleset};
    assert_int_equal(verify_space_new(&f->input, &f->pods, FAMILY_V4, &f->space, NULL), 0);
    assert_int_equal(verify_reach_new(f->space, &f->reach, NULL), 0);
}

static void ask(struct fixture *f, const struct verify_known *known)
{
    assert_int_equal(verify_reach_tests(f->reach, known, &f->tests, NULL), 0);
}

static void done(struct fixture *f)
{
    verify_tests_free(&f->tests);
    verify_reach_free(f->reach);
    verify_space_free(f->space);
    ruleset_free(f->ruleset);
    state_free(f->state);
}

static struct verify_known tcp(void)
{
    struct verify_known known = verify_known_init(ARRIVAL_FORWARD);
    known.protocol = PROTOCOL_TCP;
    return known;
}

static void test_rules_that_take_every_packet(void **unused)
{
    (void)unused;
    struct fixture f;
    given(&f, "", "-A NETPOL-A -p tcp -j RETURN\n-A NETPOL-A -p tcp -m tcp --dport 80 -j DROP\n");
    struct verify_known known = tcp();
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 0);
    known.protocol = VERIFY_ANY;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 1);
    assert_true(f.tests.protocols[PROTOCOL_TCP]);
    done(&f);
}

static void test_rules_ruled_out(void **unused)
{
    (void)unused;
    struct fixture f;
    given(&f, "",
          "-A NETPOL-A -p udp -m udp --dport 53 -g NETPOL-B\n-A NETPOL-B -m conntrack --ctstate RELATED -j DROP\n");
    struct verify_known known = tcp();
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 0);
    assert_false(f.tests.ct_masks[CT_RELATED]);
    known.protocol = PROTOCOL_UDP;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 1);
    assert_true(f.tests.ct_masks[CT_RELATED]);
    done(&f);
}

// "! NEW,DNAT" is false of every NEW packet, so what stands behind is met; "NEW,DNAT" takes each of them.
static void test_conntrack_masks_with_dnat(void **unused)
{
    (void)unused;
    struct fixture f;
    struct verify_known known = tcp();
    given(&f, "",
          "-A NETPOL-A -m conntrack ! --ctstate NEW,DNAT -j RETURN\n-A NETPOL-A -p tcp -m tcp --dport 80 -j DROP\n");
    known.ct = CT_NEW;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 1);
    assert_false(f.tests.dnat);
    known.ct = CT_INVALID;
    ask(&f, &known);
    assert_true(f.tests.dnat);
    assert_int_equal(f.tests.ports.n, 1);
    done(&f);
    given(&f, "",
          "-A NETPOL-A -m conntrack --ctstate NEW,DNAT -j RETURN\n-A NETPOL-A -p tcp -m tcp --dport 80 -j DROP\n");
    known.ct = CT_NEW;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 0);
    known.ct = CT_INVALID;
    ask(&f, &known);
    assert_true(f.tests.dnat);
    assert_int_equal(f.tests.ports.n, 1);
    done(&f);
}

static void test_addresses(void **unused)
{
    (void)unused;
    struct fixture f;
    struct verify_known known = tcp();
    struct address address;
    given(&f, "create NP4-X hash:ip family inet\nadd NP4-X 10.0.0.7\n",
          "-A NETPOL-A -s 10.0.0.0/24 -j NETPOL-B\n-A NETPOL-B -m set --match-set NP4-X src -j DROP\n");
    ask(&f, &known);
    assert_int_equal(f.tests.addresses[VERIFY_SOURCE].n, 2);
    // By its prefixes alone: in the /24, the set is open; outside of it nothing is.
    assert_true(address_parse("10.0.0.1", &address));
    known.ends[VERIFY_SOURCE].knowledge = VERIFY_PREFIXES;
    known.ends[VERIFY_SOURCE].cell = (uint32_t)verify_space_find(f.space, &address);
    ask(&f, &known);
    assert_int_equal(f.tests.addresses[VERIFY_SOURCE].n, 1);
    assert_true(address_parse("10.0.1.1", &address));
    known.ends[VERIFY_SOURCE].cell = (uint32_t)verify_space_find(f.space, &address);
    ask(&f, &known);
    assert_int_equal(f.tests.addresses[VERIFY_SOURCE].n, 0);
    done(&f);
}

// What a hash:ip,port set holds of a known address for a known protocol is a question about the port.
static void test_ports_in_sets(void **unused)
{
    (void)unused;
    struct fixture f;
    struct verify_known known = tcp();
    struct address address;
    given(&f,
          "create NP4-X hash:ip,port family inet\nadd NP4-X 10.0.0.7,tcp:80\nadd NP4-X 10.0.0.7,udp:53\n"
          "add NP4-X 10.0.0.8,tcp:81\n",
          "-A NETPOL-A -m set --match-set NP4-X dst,dst -j DROP\n");
    assert_true(address_parse("10.0.0.7", &address));
    known.ends[VERIFY_DESTINATION].knowledge = VERIFY_KNOWN;
    known.ends[VERIFY_DESTINATION].cell = (uint32_t)verify_space_find(f.space, &address);
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 1);
    assert_int_equal(f.tests.ports.v[0].first, 80);
    known.protocol = PROTOCOL_SCTP;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 0);
    done(&f);
}

static void test_other_hooks_are_not_met(void **unused)
{
    (void)unused;
    struct fixture f;
    struct verify_known known = tcp();
    given(&f, "", "-A NETPOL-A -p tcp -m tcp --dport 80 -j DROP\n");
    known.arrival = ARRIVAL_TO_NODE;
    ask(&f, &known);
    assert_int_equal(f.tests.ports.n, 0);
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_that_take_every_packet),
        cmocka_unit_test(test_rules_ruled_out),
        cmocka_unit_test(test_conntrack_masks_with_dnat),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ports_in_sets),
        cmocka_unit_test(test_other_hooks_are_not_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
