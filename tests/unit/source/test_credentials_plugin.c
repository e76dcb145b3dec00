// SPDX-License-Identifier: Apache-2.0
//
// Credential plugins over time: when they are run, what is kept, and what is said. How they run is in
// test_credentials_process.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "support/plugin_world.h"

static void test_token_is_kept(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT "sleep 0.2\n" TOKEN(SECRET "-1"));
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(credentials_generation(w.credentials), 0);
    // However many ask, one runs.
    for (int i = 0; i < 5; i++) {
        assert_int_equal(plugin_prepare(&w), CREDENTIALS_PENDING);
    }
    plugin_wait(&w);
    for (int i = 0; i < 5; i++) {
        plugin_expect(&w, SECRET "-1", 1);
    }
    assert_null(credentials_values(w.credentials)->cert_pem);
    assert_int_equal(w.settled, 1);
    assert_int_equal(plugin_runs(), 1);
    assert_int_equal(w.reports, 0);
    plugin_end(&w);
}

static void test_certificate(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT SAYS("{\"clientCertificateData\":\"" JSON_CERT "'$(test $n -gt 2 && echo "
                                              "NEW)'\",\"clientKeyData\":\"" JSON_KEY "\"}"));
    struct credentials_timing timing = plugin_quick;
    timing.proven_ms = 0;
    plugin_begin(&w, EXEC(""), &timing);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    const struct credential_values *values = credentials_values(w.credentials);
    assert_null(values->token);
    assert_string_equal(values->cert_pem, PEM_CERT);
    assert_string_equal(values->key_pem, PEM_KEY);
    assert_int_equal(credentials_generation(w.credentials), 1);
    // Refused, and the plugin knows no better: nothing that would be worth a request at once.
    credentials_refused(w.credentials, 1);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    assert_int_equal(credentials_generation(w.credentials), 1);
    credentials_refused(w.credentials, 1);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    assert_string_equal(values->cert_pem, PEM_CERT "NEW");
    assert_int_equal(credentials_generation(w.credentials), 2);
    assert_int_equal(plugin_runs(), 3);
    plugin_end(&w);
}

static void test_refused_token(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT TOKEN(SECRET "-'$n'"));
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    plugin_expect(&w, SECRET "-1", 1);
    credentials_refused(w.credentials, 0);
    plugin_expect(&w, SECRET "-1", 1);
    // Refused as soon as it was given: not at once again, and ever more seldom.
    unsigned failed = 0;
    uint64_t start = num_now_ms();
    for (unsigned n = 2; n <= 4; n++) {
        credentials_refused(w.credentials, n - 1);
        credentials_refused(w.credentials, n - 1);
        while (plugin_prepare(&w) == CREDENTIALS_FAILED) {
            assert_int_equal(w.err.kind, ERR_DENIED);
            assert_non_null(strstr(w.err.msg, "the server refused what the credential plugin"));
            failed++;
            plugin_pause(5);
        }
        // Refused by those who asked before: it is old news.
        credentials_refused(w.credentials, n - 1);
        plugin_wait(&w);
        char want[64];
        (void)snprintf(want, sizeof(want), SECRET "-%u", n);
        credentials_refused(w.credentials, n - 2);
        plugin_expect(&w, want, n);
    }
    assert_true(failed > 3);
    // 100 + 200 + 400 ms.
    assert_true(num_now_ms() - start >= 700);
    assert_int_equal(plugin_runs(), 4);
    plugin_end(&w);
}

// A token that has served for long: there is nothing to wait for.
static void test_refused_after_a_time(UNUSED void **state)
{
    struct plugin_world w = {0};
    struct credentials_timing timing = plugin_quick;
    timing.proven_ms = 1;
    timing.again_ms = timing.again_max_ms = 60000;
    scratch_put_program("plugin", SCRIPT TOKEN(SECRET "-'$n'"));
    plugin_begin(&w, EXEC(""), &timing);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    for (unsigned n = 2; n <= 4; n++) {
        plugin_pause(5);
        credentials_refused(w.credentials, n - 1);
        assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    }
    plugin_expect(&w, SECRET "-4", 4);
    plugin_end(&w);
}

static void test_expiry(UNUSED void **state)
{
    struct plugin_world w = {0};
    // After half of its life its successor is looked for: the first try for one fails.
    scratch_put_program("plugin", SCRIPT
                        "if [ $n = 2 ]; then echo 'no network' >&2; exit 3; fi\n" TOKEN_FOR(SECRET "-'$n'", "8"));
    struct credentials_timing timing = plugin_quick;
    timing.again_ms = timing.again_max_ms = 100;
    plugin_begin(&w, EXEC(""), &timing);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    uint64_t start = num_now_ms();
    while (plugin_runs() < 2 && num_now_ms() - start < PATIENCE_MS) {
        plugin_expect(&w, SECRET "-1", 1);
        plugin_pause(20);
    }
    assert_true(num_now_ms() - start >= 2900);
    plugin_expect(&w, SECRET "-1", 1);
    plugin_wait(&w);
    // It failed, and what there is goes on.
    plugin_expect(&w, SECRET "-1", 1);
    assert_int_equal(w.reports, 1);
    assert_non_null(strstr(w.heard.data, "credential-plugin-failed error="));
    assert_non_null(strstr(w.heard.data, "no network"));
    plugin_pause(120);
    plugin_expect(&w, SECRET "-1", 1);
    plugin_wait(&w);
    plugin_expect(&w, SECRET "-3", 2);
    assert_int_equal(plugin_runs(), 3);
    assert_int_equal(w.reports, 1);
    plugin_end(&w);
}

static void test_expired_is_not_used(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT
                        "if [ $n = 1 ]; then\n" TOKEN_FOR(SECRET, "4") "else echo 'no network' >&2; exit 3; fi\n");
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    uint64_t start = num_now_ms();
    enum credentials_state now;
    while ((now = plugin_prepare(&w)) != CREDENTIALS_FAILED && num_now_ms() - start < PATIENCE_MS) {
        if (now == CREDENTIALS_PENDING) {
            plugin_wait(&w);
        } else {
            assert_string_equal(credentials_values(w.credentials)->token, SECRET);
            plugin_pause(20);
        }
    }
    assert_true(num_now_ms() - start >= 2000);
    assert_non_null(strstr(w.err.msg, "failed with exit status 3; it says: no network"));
    plugin_end(&w);
}

// Our clock may be the wrong one: what had expired is used until the server refuses it, and asked for anew ever more
// seldom.
static void test_given_expired(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT "end=2020-01-01T00:00:00Z\ntest $n -gt 4 && end=2999-01-01T00:00:00Z\n" SAYS(
                                      "{\"token\":\"" SECRET "-'$n'\",\"expirationTimestamp\":\"'$end'\"}"));
    plugin_begin(&w, EXEC(""), &plugin_quick);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    for (unsigned n = 1; n < 4; n++) {
        char want[64];
        (void)snprintf(want, sizeof(want), SECRET "-%u", n);
        for (int i = 0; i < 5; i++) {
            plugin_expect(&w, want, n);
        }
        assert_int_equal(plugin_runs(), n);
        // 100, 200, 400 ms.
        plugin_pause(10 + (50u << n));
        // It serves while its successor is asked for.
        plugin_expect(&w, want, n);
        plugin_wait(&w);
    }
    plugin_expect(&w, SECRET "-4", 4);
    assert_int_equal(w.reports, 1);
    assert_non_null(strstr(w.heard.data, "credential-plugin-expired error="));
    assert_non_null(strstr(w.heard.data, "is the clock right?"));
    // A refusal is final.
    credentials_refused(w.credentials, 4);
    assert_int_equal(plugin_prepare(&w), CREDENTIALS_FAILED);
    assert_int_equal(w.err.kind, ERR_DENIED);
    plugin_pause(410);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    // A good one at last.
    plugin_expect(&w, SECRET "-5", 5);
    plugin_pause(410);
    plugin_expect(&w, SECRET "-5", 5);
    assert_int_equal(plugin_runs(), 5);
    plugin_end(&w);
}

// A plugin that fails is not run more often because it is asked for more often.
static void test_failing_is_not_hammered(UNUSED void **state)
{
    struct plugin_world w = {0};
    scratch_put_program("plugin", SCRIPT "test $n -gt 4 && {\n" TOKEN(SECRET) "exit 0\n}\necho " SECRET "\nexit 1\n");
    plugin_begin(&w, EXEC(""), &plugin_quick);
    uint64_t start = num_now_ms();
    unsigned failed = 0;
    enum credentials_state now;
    while ((now = plugin_prepare(&w)) != CREDENTIALS_READY && num_now_ms() - start < PATIENCE_MS) {
        if (now == CREDENTIALS_PENDING) {
            plugin_wait(&w);
        } else {
            assert_non_null(strstr(w.err.msg, "exit status 1"));
            failed++;
            plugin_pause(5);
        }
    }
    plugin_expect(&w, SECRET, 1);
    assert_int_equal(plugin_runs(), 5);
    // 100 + 200 + 400 + 400 ms.
    assert_true(num_now_ms() - start >= 1100);
    assert_true(failed > 10);
    plugin_end(&w);
}

static void test_not_there(UNUSED void **state)
{
    struct plugin_world w = {0};
    plugin_begin(&w, EXEC(", installHint: 'Install it, please.'"), &plugin_quick);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(plugin_prepare(&w), CREDENTIALS_FAILED);
        assert_non_null(strstr(w.err.msg, "plugin\" is not there: Install it, please."));
        assert_non_null(strstr(w.err.object, "config:"));
    }
    // Installed meanwhile.
    scratch_put("plugin", "no program");
    plugin_pause(110);
    assert_int_equal(plugin_prepare(&w), CREDENTIALS_FAILED);
    assert_non_null(strstr(w.err.msg, "cannot run the credential plugin"));
    assert_int_equal(w.err.num, EACCES);
    scratch_put_program("plugin", "neither a script nor a program: a shell is not asked\n");
    plugin_pause(210);
    assert_int_equal(plugin_prepare(&w), CREDENTIALS_FAILED);
    assert_int_equal(w.err.num, ENOEXEC);
    scratch_put_program("plugin", SCRIPT TOKEN(SECRET));
    plugin_pause(410);
    assert_int_equal(plugin_run(&w), CREDENTIALS_READY);
    assert_int_equal(w.settled, 1);
    plugin_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_token_is_kept), TEST(test_certificate),
        TEST(test_refused_token), TEST(test_refused_after_a_time),
        TEST(test_expiry),        TEST(test_expired_is_not_used),
        TEST(test_given_expired), TEST(test_failing_is_not_hammered),
        TEST(test_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
