// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "policy/options.h"

// 0, or -1 with what is wrong in *ret_err.
static int parse(const char *const *words, int n, struct policy_options *ret, struct err *ret_err)
{
    struct policy_options_args args = {0};
    struct cli_option rows[POLICY_OPTIONS_ROWS];
    struct cli_list operands = {0};
    char *argv[64] = {(char *)(uintptr_t) "netpold"};
    for (int i = 0; i < n; i++) {
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    *ret_err = (struct err){0};
    policy_options_table(&args, rows);
    int rc = cli_parse(rows, n + 1, argv, &operands, ret_err);
    rc = rc < 0 ? -1 : policy_options_from(&args, ret, ret_err);
    cli_lists_free(rows, &operands);
    return rc;
}
#define PARSE(ret, err, ...)                                                                                           \
    parse((const char *[]){__VA_ARGS__}, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), ret, err)

static void test_defaults(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct err err;
    assert_int_equal(parse(NULL, 0, &options, &err), 0);
    assert_int_equal(options.source_guard, SOURCE_GUARD_ENFORCED);
    assert_false(options.encap_allowed);
    assert_int_equal(options.unknown_pods, UNKNOWN_PODS_ALLOW);
    assert_int_equal(options.n_pod_cidrs, 0);
    assert_true(options.revoke_mask == UINT32_C(1) << 27);
}

static void test_guards(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct err err;
    assert_int_equal(PARSE(&options, &err, "--source-guard=all", "--no-drop-encap", "--unknown-pods=drop"), 0);
    assert_int_equal(options.source_guard, SOURCE_GUARD_ALL);
    assert_true(options.encap_allowed);
    assert_int_equal(options.unknown_pods, UNKNOWN_PODS_DROP);
    assert_int_equal(PARSE(&options, &err, "--source-guard", "off", "--no-drop-encap", "--drop-encap"), 0);
    assert_int_equal(options.source_guard, SOURCE_GUARD_OFF);
    assert_false(options.encap_allowed);
    assert_int_equal(PARSE(&options, &err, "--source-guard=some"), -1);
}

static void test_environment(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct err err;
    assert_int_equal(setenv("NETPOLD_DROP_ENCAP", "no", 1) | setenv("NETPOLD_NO_REVOKE", "1", 1), 0);
    assert_int_equal(parse(NULL, 0, &options, &err), 0);
    assert_true(options.encap_allowed);
    assert_true(options.revoke_mask == 0);
    assert_int_equal(PARSE(&options, &err, "--drop-encap", "--revoke"), 0);
    assert_false(options.encap_allowed);
    assert_true(options.revoke_mask != 0);
    assert_int_equal(unsetenv("NETPOLD_DROP_ENCAP") | unsetenv("NETPOLD_NO_REVOKE"), 0);
}

static void test_revoke_mark(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct err err;
    assert_int_equal(PARSE(&options, &err, "--revoke-mark=0"), 0);
    assert_true(options.revoke_mask == 1);
    assert_int_equal(PARSE(&options, &err, "--revoke-mark=31"), 0);
    assert_true(options.revoke_mask == UINT32_C(0x80000000));
    assert_int_equal(PARSE(&options, &err, "--revoke-mark=3", "--no-revoke"), 0);
    assert_true(options.revoke_mask == 0);
    assert_int_equal(PARSE(&options, &err, "--revoke-mark=32"), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_int_equal(PARSE(&options, &err, "--revoke-mark=x"), -1);
}

static void test_pod_cidrs(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct policy_options same;
    struct err err;
    assert_int_equal(PARSE(&options, &err, "--pod-cidr=10.244.1.0/24,fd00:1::/64", "--pod-cidr=10.9.0.0/16"), 0);
    assert_int_equal(options.n_pod_cidrs, 3);
    // In any order, with host bits, twice: the same.
    assert_int_equal(
        PARSE(&same, &err, "--pod-cidr", "10.9.7.7/16,10.9.0.0/16", "--pod-cidr=fd00:1::/64,10.244.1.9/24"), 0);
    assert_int_equal(same.n_pod_cidrs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(prefix_compare(&options.pod_cidrs[i], &same.pod_cidrs[i]), 0);
    }
    static const char *const wrong[] = {"--pod-cidr=10.0.0.0", "--pod-cidr=",          "--pod-cidr=10.0.0.0/8,",
                                        "--pod-cidr=x/8",      "--pod-cidr=0.0.0.0/0", "--pod-cidr=::/0"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (parse(&wrong[i], 1, &options, &err) == 0 || err.kind != ERR_USAGE || !strstr(err.msg, "--pod-cidr")) {
            fail_msg("%s: %s", wrong[i], err.msg);
        }
    }
}

static void test_too_many_pod_cidrs(void **unused)
{
    (void)unused;
    struct policy_options options;
    struct err err;
    char words[POD_CIDRS_MAX + 1][40];
    const char *list[POD_CIDRS_MAX + 1];
    for (int i = 0; i <= POD_CIDRS_MAX; i++) {
        (void)snprintf(words[i], sizeof(words[i]), "--pod-cidr=10.%d.0.0/16", i);
        list[i] = words[i];
    }
    assert_int_equal(parse(list, POD_CIDRS_MAX, &options, &err), 0);
    assert_int_equal(options.n_pod_cidrs, POD_CIDRS_MAX);
    assert_int_equal(parse(list, POD_CIDRS_MAX + 1, &options, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_guards),    cmocka_unit_test(test_environment),
        cmocka_unit_test(test_revoke_mark), cmocka_unit_test(test_pod_cidrs), cmocka_unit_test(test_too_many_pod_cidrs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
