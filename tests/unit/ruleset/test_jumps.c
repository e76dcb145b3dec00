// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ruleset/jumps.h"

#include <stdio.h>
#include <string.h>

#include "ruleset/parse.h"

// A text, and what is found in it: "where: what".
static void expect(const char *rules, const char *const *want, size_t n)
{
    CLEANUP(ruleset_free) struct ruleset *ruleset = NULL;
    struct findings FINDINGS_CLEANUP found = {0};
    char text[1024];
    struct err err = {0};
    (void)snprintf(text, sizeof(text), "*filter\n%sCOMMIT\n", rules);
    if (parse_restore(text, strlen(text), &ruleset, &err) < 0) {
        fail_msg("%s: %s", err.object, err.msg);
    }
    assert_int_equal(jumps_check(ruleset, &found, &err), 0);
    for (size_t i = 0; i < found.n && i < n; i++) {
        char line[sizeof(found.v[i].where) + sizeof(found.v[i].what) + 4];
        (void)snprintf(line, sizeof(line), "%s: %s", found.v[i].where, found.v[i].what);
        assert_string_equal(line, want[i]);
    }
    assert_int_equal(found.n, n);
}

static void test_jumps(void **state)
{
    (void)state;
    static const char *const missing[] = {"IPv4 filter INPUT: no rule leads to NETPOL-INPUT"};
    static const char *const doubled[] = {"IPv4 filter FORWARD: the jump to NETPOL-FORWARD stands there 3 times"};
    static const char *const crossed[] = {"IPv4 filter FORWARD: no rule leads to NETPOL-FORWARD"};
    expect("", NULL, 0);
    expect(":NETPOL-FORWARD - [0:0]\n:NETPOL-DROP - [0:0]\n-A FORWARD -j NETPOL-FORWARD\n", NULL, 0);
    expect(":NETPOL-INPUT - [0:0]\n", missing, 1);
    expect(":NETPOL-FORWARD - [0:0]\n-A FORWARD -j NETPOL-FORWARD\n-A FORWARD -j NETPOL-FORWARD\n"
           "-A FORWARD -p tcp -j NETPOL-FORWARD\n-A FORWARD -j NETPOL-FORWARD\n",
           doubled, 1);
    static const char *const open[] = {"IPv4 filter INPUT: no rule leads to NETPOL-ENCAP"};
    expect(":NETPOL-ENCAP - [0:0]\n-A FORWARD -j NETPOL-ENCAP\n", open, 1);
    // In another built-in chain it does not serve.
    expect(":NETPOL-FORWARD - [0:0]\n-A INPUT -j NETPOL-FORWARD\n", crossed, 1);
    // Behind the first jump, what is established is accepted: two jumps that differ.
    expect(
        ":NETPOL-FORWARD - [0:0]\n:NETPOL-ACCEPT - [0:0]\n-A FORWARD -j NETPOL-FORWARD\n-A FORWARD -j NETPOL-ACCEPT\n",
        NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jumps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
