// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "audit/verify_ports.h"

// The class of each port, checked to be exactly one.
static void classes(const struct verify_ports *ports, size_t ret[65536])
{
    memset(ret, 0xff, 65536 * sizeof(*ret));
    for (size_t i = 0; i < ports->n_classes; i++) {
        size_t n;
        const struct port_range *pieces = verify_ports_class(ports, i, &n);
        for (size_t j = 0; j < n; j++) {
            for (size_t port = pieces[j].first; port <= pieces[j].last; port++) {
                assert_true(ret[port] == SIZE_MAX);
                ret[port] = i;
            }
        }
    }
    for (size_t port = 0; port < 65536; port++) {
        assert_true(ret[port] != SIZE_MAX);
    }
}

// Two ports are in one class just when no range tells them apart.
static void prove(const struct port_range *ranges, size_t n, size_t want_classes)
{
    static size_t class[65536];
    struct verify_ports ports = {0};
    assert_int_equal(verify_ports_cut(ranges, n, true, &ports, NULL), 0);
    classes(&ports, class);
    if (want_classes) {
        assert_int_equal(ports.n_classes, want_classes);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t port = 1; port < 65536; port++) {
            bool here = port >= ranges[i].first && port <= ranges[i].last;
            bool before = port - 1 >= ranges[i].first && port - 1 <= ranges[i].last;
            if (here != before) {
                assert_int_not_equal(class[port], class[port - 1]);
            }
        }
    }
    verify_ports_free(&ports);
}

static void test_nothing_asked(void **unused)
{
    (void)unused;
    prove(NULL, 0, 1);
}

static void test_boundaries(void **unused)
{
    (void)unused;
    prove((struct port_range[]){{80, 80}}, 1, 2);
    prove((struct port_range[]){{0, 65535}}, 1, 1);
    prove((struct port_range[]){{0, 0}, {65535, 65535}}, 2, 3);
    prove((struct port_range[]){{53, 80}, {60, 90}}, 2, 4);
    prove((struct port_range[]){{80, 80}, {80, 80}, {443, 443}}, 3, 3);
    prove((struct port_range[]){{90, 80}, {443, 443}}, 2, 2);
}

// Pieces that lie in the same ranges are one class though others are between them.
static void test_same_signature_is_one_class(void **unused)
{
    (void)unused;
    struct verify_ports ports = {0};
    size_t n;
    assert_int_equal(verify_ports_cut((struct port_range[]){{80, 80}, {443, 443}}, 2, true, &ports, NULL), 0);
    const struct port_range *rest = verify_ports_class(&ports, 0, &n);
    assert_int_equal(n, 3);
    assert_int_equal(rest[1].first, 81);
    assert_int_equal(rest[1].last, 442);
    verify_ports_free(&ports);
}

static void test_more_ranges_than_bits(void **unused)
{
    (void)unused;
    struct port_range ranges[200];
    for (size_t i = 0; i < 200; i++) {
        ranges[i] = (struct port_range){(uint16_t)(i * 300), (uint16_t)(i * 300 + i)};
    }
    prove(ranges, 200, 201);
}

static void test_protocol_without_ports(void **unused)
{
    (void)unused;
    struct verify_ports ports = {0};
    size_t n;
    assert_int_equal(verify_ports_cut(NULL, 0, false, &ports, NULL), 0);
    assert_int_equal(ports.n_classes, 1);
    assert_null(verify_ports_class(&ports, 0, &n));
    assert_int_equal(n, 0);
    // The same object again: nothing of the last cut is left.
    assert_int_equal(verify_ports_cut((struct port_range[]){{1, 2}}, 1, true, &ports, NULL), 0);
    assert_int_equal(ports.n_classes, 2);
    verify_ports_free(&ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_asked),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_same_signature_is_one_class),
        cmocka_unit_test(test_more_ranges_than_bits),
        cmocka_unit_test(test_protocol_without_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
