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
    const struct facts facts = {.bridge_nf = {ipv4, ipv6}};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
