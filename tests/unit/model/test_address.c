// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "base/mem.h"
#include "model/address.h"

static void test_address_texts(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        const char *want;  // NULL: refused
    } rows[] = {
        {"10.0.0.1", "10.0.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"010.001.08.009", "10.1.8.9"},
        {"0000000000010.0.0.1", "10.0.0.1"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"FD00:0:0:0:0:0:0:1", "fd00::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"::FFFF:0a01:0203", "10.1.2.3"},
        {"0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"},
        {"::ffff:010.1.2.3", "10.1.2.3"},
        {"::fffe:10.1.2.3", "::fffe:a01:203"},
        {"", NULL},
        {"10", NULL},
        {"10.0.0", NULL},
        {"10.0.0.0.0", NULL},
        {"10.0.0.256", NULL},
        {"10.0.0.", NULL},
        {".10.0.0", NULL},
        {"10..0.1", NULL},
        {"10.0.0.1 ", NULL},
        {" 10.0.0.1", NULL},
        {"+10.0.0.1", NULL},
        {"0x0a.0.0.1", NULL},
        {"10.0.0.1/32", NULL},
        {":", NULL},
        {":::", NULL},
        {":1", NULL},
        {"1:", NULL},
        {"1::2::3", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"1:2:3:4:5:6:7:8::", NULL},
        {"1:2:3:4::5:6:7:8", NULL},
        {"12345::", NULL},
        {"g::", NULL},
        {"fe80::1%eth0", NULL},
        {"fe80::1%1", NULL},
        {"::1.2.3", NULL},
        {"::1.2.3.4.5", NULL},
        {"1.2.3.4::", NULL},
        {"1:2:3:4:5:6:7:1.2.3.4", NULL},
        {"::999999.1.1.1", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct address address;
        char buf[ADDRESS_TEXT];
        bool ok = address_parse(rows[i].text, &address);
        if (ok != (rows[i].want != NULL)) {
            fail_msg("%s: %s", rows[i].text, ok ? "was accepted" : "was refused");
        }
        if (ok) {
            assert_string_equal(address_format(&address, buf), rows[i].want);
            struct address again;
            assert_true(address_parse(buf, &again));
            assert_true(address_equal(&address, &again));
        }
    }
}

static void test_refused_text_leaves_the_output_alone(void **unused)
{
    (void)unused;
    struct address address = {.family = FAMILY_V6, .bytes = {1, 2, 3}};
    const struct address before = address;
    assert_false(address_parse("10.0.0", &address));
    assert_memory_equal(&address, &before, sizeof(before));
    struct prefix prefix = {.address = before, .length = 7};
    const struct prefix kept = prefix;
    assert_false(prefix_parse("10.0.0.0/33", &prefix));
    assert_memory_equal(&prefix, &kept, sizeof(kept));
}

static void test_prefix_texts(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        const char *want;
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.0.0.5/24", "10.0.0.0/24"},
        {"10.255.255.255/9", "10.128.0.0/9"},
        {"010.0.0.0/8", "10.0.0.0/8"},
        {"10.0.0.0/08", "10.0.0.0/8"},
        {"1.2.3.4/0", "0.0.0.0/0"},
        {"1.2.3.4/32", "1.2.3.4/32"},
        {"::/0", "::/0"},
        {"fd00::ffff/113", "fd00::8000/113"},
        {"fd00::1/128", "fd00::1/128"},
        {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
        {"::ffff:10.1.2.3/128", "10.1.2.3/32"},
        {"::ffff:10.1.2.3/96", "0.0.0.0/0"},
        {"::ffff:10.1.2.3/95", "::fffe:0:0/95"},
        {"10.0.0.0", NULL},
        {"10.0.0.0/", NULL},
        {"10.0.0.0/33", NULL},
        {"10.0.0.0/-1", NULL},
        {"10.0.0.0/8 ", NULL},
        {"10.0.0.0/8/8", NULL},
        {"/8", NULL},
        {"::/129", NULL},
        {"fe80::%eth0/64", NULL},
        {"10.0.0.0/255.0.0.0", NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct prefix prefix;
        char buf[PREFIX_TEXT];
        bool ok = prefix_parse(rows[i].text, &prefix);
        if (ok != (rows[i].want != NULL)) {
            fail_msg("%s: %s", rows[i].text, ok ? "was accepted" : "was refused");
        }
        if (ok) {
            assert_string_equal(prefix_format(&prefix, buf), rows[i].want);
        }
    }
}

static struct prefix prefix(const char *text)
{
    struct prefix ret;
    assert_true(prefix_parse(text, &ret));
    return ret;
}

static struct address address(const char *text)
{
    struct address ret;
    assert_true(address_parse(text, &ret));
    return ret;
}

static void test_contains_and_covers(void **unused)
{
    (void)unused;
    static const struct {
        const char *prefix;
        const char *address;
        bool want;
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.128/25", "10.0.0.128", true},
        {"10.0.0.1/32", "10.0.0.1", true},
        {"10.0.0.1/32", "10.0.0.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "fe80::1", true},
        {"::/0", "10.0.0.1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct prefix p = prefix(rows[i].prefix);
        struct address a = address(rows[i].address);
        struct prefix host = prefix_of(&a);
        if (prefix_contains(&p, &a) != rows[i].want || prefix_covers(&p, &host) != rows[i].want) {
            fail_msg("%s, %s", rows[i].prefix, rows[i].address);
        }
    }
    struct prefix outer = prefix("10.0.0.0/8");
    struct prefix inner = prefix("10.1.0.0/16");
    assert_true(prefix_covers(&outer, &outer));
    assert_true(prefix_covers(&outer, &inner));
    assert_false(prefix_covers(&inner, &outer));
}

static void test_order(void **unused)
{
    (void)unused;
    static const char *const sorted[] = {"0.0.0.0/0",   "10.0.0.0/8", "10.0.0.0/16", "10.0.0.1/32",
                                         "200.0.0.0/8", "::/0",       "::1/128",     "fd00::/8"};
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
            struct prefix a = prefix(sorted[i]);
            struct prefix b = prefix(sorted[j]);
            int order = prefix_compare(&a, &b);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    }
    struct address v4 = address("255.0.0.0");
    struct address v6 = address("::");
    assert_true(address_compare_void(&v4, &v6) < 0);
    assert_false(address_equal(&v4, &v6));
}

static void test_bits_and_common(void **unused)
{
    (void)unused;
    struct address a = address("128.0.0.1");
    assert_int_equal(address_bit(&a, 0), 1);
    assert_int_equal(address_bit(&a, 1), 0);
    assert_int_equal(address_bit(&a, 31), 1);
    static const char *const rows[][3] = {
        {"10.0.0.1/32", "10.0.0.2/32", "10.0.0.0/30"},   {"10.0.0.0/24", "10.0.0.7/32", "10.0.0.0/24"},
        {"10.0.0.0/8", "192.0.0.0/8", "0.0.0.0/0"},      {"fd00::1/128", "fd00::1/128", "fd00::1/128"},
        {"fd00::8000/128", "fd00::1/128", "fd00::/112"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct prefix p = prefix(rows[i][0]);
        struct prefix q = prefix(rows[i][1]);
        char buf[PREFIX_TEXT];
        struct prefix common = prefix_common(&p, &q);
        assert_string_equal(prefix_format(&common, buf), rows[i][2]);
        common = prefix_common(&q, &p);
        assert_string_equal(prefix_format(&common, buf), rows[i][2]);
    }
}

static void test_classes(void **unused)
{
    (void)unused;
    static const struct {
        const char *address;
        bool link_local;
        bool multicast;
    } rows[] = {
        {"169.254.169.254", true, false}, {"169.253.0.0", false, false},     {"fe80::1", true, false},
        {"febf::1", true, false},         {"fec0::1", false, false},         {"224.0.0.1", false, true},
        {"239.255.255.255", false, true}, {"240.0.0.0", false, false},       {"255.255.255.255", false, true},
        {"ff02::1", false, true},         {"255.255.255.254", false, false}, {"fd00::1", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct address a = address(rows[i].address);
        assert_int_equal(address_is_link_local(&a), rows[i].link_local);
        assert_int_equal(address_is_multicast(&a), rows[i].multicast);
    }
    static const struct {
        const char *address;
        bool loopback;
    } loopbacks[] = {{"127.0.0.1", true},  {"127.255.255.255", true},
                     {"128.0.0.1", false}, {"126.255.255.255", false},
                     {"::1", true},        {"::", false},
                     {"::2", false},       {"100::1", false}};
    for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
        struct address a = address(loopbacks[i].address);
        assert_int_equal(address_is_loopback(&a), loopbacks[i].loopback);
    }
    assert_int_equal(family_bits(FAMILY_V4), 32);
    assert_int_equal(family_bits(FAMILY_V6), 128);
    assert_int_equal(family_number(FAMILY_V4), 4);
    assert_int_equal(family_number(FAMILY_V6), 6);
    assert_string_equal(family_name(FAMILY_V4), "IPv4");
    assert_string_equal(family_name(FAMILY_V6), "IPv6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_texts), cmocka_unit_test(test_refused_text_leaves_the_output_alone),
        cmocka_unit_test(test_prefix_texts),  cmocka_unit_test(test_contains_and_covers),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_bits_and_common),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
