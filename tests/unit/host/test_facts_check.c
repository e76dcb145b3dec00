// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/facts_check.h"

static const char *const v4[] = {"cni0", "docker0"};
static const char *const v6[] = {"cni0"};
static const char *const *const bridges[FAMILY_COUNT] = {v4, v6};

static struct facts_check *checked(enum facts_switch ipv4, enum facts_switch ipv6, size_t n_v4, size_t n_v6)
{
    const struct facts facts = {.bridge_nf = {ipv4, ipv6}, .bridge_nf_vlan = FACTS_ON};
    const size_t n[FAMILY_COUNT] = {n_v4, n_v6};
    struct facts_check *check = NULL;
    struct err err = {0};
    assert_int_equal(facts_check(&facts, bridges, n, &check, &err), 0);
    return check;
}

static void test_nothing_to_say(void **state)
{
    (void)state;
    CLEANUP(facts_check_free) struct facts_check *on = checked(FACTS_ON, FACTS_ON, 2, 1);
    CLEANUP(facts_check_free) struct facts_check *unknown = checked(FACTS_UNKNOWN, FACTS_UNKNOWN, 2, 1);
    CLEANUP(facts_check_free) struct facts_check *unbridged = checked(FACTS_OFF, FACTS_OFF, 0, 0);
    assert_int_equal(on->n + unknown->n + unbridged->n, 0);
}

static void test_off(void **state)
{
    (void)state;
    CLEANUP(facts_check_free) struct facts_check *both = checked(FACTS_OFF, FACTS_OFF, 2, 1);
    assert_int_equal(both->n, 2);
    assert_int_equal(both->findings[0].family, FAMILY_V4);
    assert_string_equal(both->findings[0].text,
                        "net.bridge.bridge-nf-call-iptables is off while local pods are bridged (cni0, docker0): IPv4 "
                        "packets between pods of one bridge are not filtered; run: modprobe br_netfilter && sysctl -w "
                        "net.bridge.bridge-nf-call-iptables=1");
    CLEANUP(facts_check_free) struct facts_check *six = checked(FACTS_ON, FACTS_OFF, 2, 1);
    assert_int_equal(six->n, 1);
    assert_int_equal(six->findings[0].family, FAMILY_V6);
    assert_non_null(strstr(six->findings[0].text, "bridge-nf-call-ip6tables is off"));
    CLEANUP(facts_check_free) struct facts_check *one_family = checked(FACTS_OFF, FACTS_OFF, 2, 0);
    assert_int_equal(one_family->n, 1);
}

static struct facts_check *checked_vlan(enum facts_switch ipv4, enum facts_switch ipv6, enum facts_switch vlan,
                                        size_t n_v4, size_t n_v6)
{
    const struct facts facts = {.bridge_nf = {ipv4, ipv6}, .bridge_nf_vlan = vlan};
    const size_t n[FAMILY_COUNT] = {n_v4, n_v6};
    struct facts_check *check = NULL;
    struct err err = {0};
    assert_int_equal(facts_check(&facts, bridges, n, &check, &err), 0);
    return check;
}

static void test_vlan(void **state)
{
    (void)state;
    CLEANUP(facts_check_free) struct facts_check *off = checked_vlan(FACTS_ON, FACTS_ON, FACTS_OFF, 1, 1);
    assert_int_equal(off->n, 1);
    assert_true(off->findings[0].vlan);
    assert_string_equal(off->findings[0].text,
                        "net.bridge.bridge-nf-filter-vlan-tagged is off while local pods are bridged (cni0): a pod "
                        "with CAP_NET_RAW gets round the rules with VLAN 0 tags; run: sysctl -w "
                        "net.bridge.bridge-nf-filter-vlan-tagged=1");
    CLEANUP(facts_check_free) struct facts_check *unbridged = checked_vlan(FACTS_ON, FACTS_ON, FACTS_OFF, 0, 0);
    CLEANUP(facts_check_free) struct facts_check *unknown = checked_vlan(FACTS_ON, FACTS_ON, FACTS_UNKNOWN, 1, 1);
    CLEANUP(facts_check_free) struct facts_check *on = checked_vlan(FACTS_ON, FACTS_ON, FACTS_ON, 1, 1);
    assert_int_equal(unbridged->n + unknown->n + on->n, 0);
    // One family is filtered: both are said. None is: what tags do does not matter.
    CLEANUP(facts_check_free) struct facts_check *half = checked_vlan(FACTS_ON, FACTS_OFF, FACTS_OFF, 1, 1);
    assert_int_equal(half->n, 2);
    assert_false(half->findings[0].vlan);
    assert_true(half->findings[1].vlan);
    CLEANUP(facts_check_free) struct facts_check *none = checked_vlan(FACTS_OFF, FACTS_OFF, FACTS_OFF, 1, 1);
    assert_int_equal(none->n, 2);
    assert_false(none->findings[0].vlan || none->findings[1].vlan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_vlan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
