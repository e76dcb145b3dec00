// SPDX-License-Identifier: Apache-2.0
//
// Credentials as they change: files that are rewritten, rotated and spoilt. Plugins are in test_credentials_plugin.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "source/credentials.h"
#include "support/kubeconfig_samples.h"
#include "support/scratch.h"

#define SECRET "hunter2-and-more"

struct world {
    struct loop *loop;
    struct credentials *credentials;
    struct buf heard;  // all reports and errors, a line each
    unsigned reports;
};

static void on_settled(UNUSED void *arg)
{
    fail_msg("there is no plugin");
}

static void on_report(const char *event, const char *fields, void *arg)
{
    struct world *w = arg;
    w->reports++;
    buf_printf(&w->heard, "%s %s\n", event, fields);
}

static void begin(struct world *w, const struct api_config *config)
{
    struct err err = {0};
    const struct credentials_owner owner = {.arg = w, .settled = on_settled, .report = on_report};
    assert_int_equal(loop_new(&w->loop, &err), 0);
    assert_int_equal(credentials_new(w->loop, config, &owner, &w->credentials, &err), 0);
}

static void end(struct world *w)
{
    credentials_free(w->credentials);
    loop_free(w->loop);
    buf_puts(&w->heard, "");
    assert_null(strstr(w->heard.data, SECRET));
    buf_free(&w->heard);
}

static enum credentials_state prepare(struct world *w)
{
    struct err err = {0};
    char text[1024];
    enum credentials_state state = credentials_prepare(w->credentials, &err);
    assert_int_equal(err.kind != ERR_NONE, state == CREDENTIALS_FAILED);
    buf_printf(&w->heard, "%s\n", err_text(&err, text, sizeof(text)));
    return state;
}

// Ready with this token, in this generation.
static void expect(struct world *w, const char *token, unsigned generation)
{
    assert_int_equal(prepare(w), CREDENTIALS_READY);
    assert_string_equal(credentials_values(w->credentials)->token, token);
    assert_int_equal(credentials_generation(w->credentials), generation);
}

static void test_what_stands_in_the_configuration(UNUSED void **state)
{
    struct world w = {0};
    const struct api_config config = {.ca_pem = (char *)(uintptr_t)PEM_CA,
                                      .cert_pem = (char *)(uintptr_t)PEM_CERT,
                                      .key_pem = (char *)(uintptr_t)PEM_KEY,
                                      .username = (char *)(uintptr_t) "me",
                                      .password = (char *)(uintptr_t)SECRET};
    begin(&w, &config);
    assert_int_equal(prepare(&w), CREDENTIALS_READY);
    const struct credential_values *values = credentials_values(w.credentials);
    assert_string_equal(values->ca_pem, PEM_CA);
    assert_string_equal(values->cert_pem, PEM_CERT);
    assert_string_equal(values->key_pem, PEM_KEY);
    assert_string_equal(values->username, "me");
    assert_string_equal(values->password, SECRET);
    assert_null(values->token);
    // A refusal changes nothing that stays as it is.
    credentials_refused(w.credentials, credentials_generation(w.credentials));
    assert_int_equal(prepare(&w), CREDENTIALS_READY);
    assert_int_equal(credentials_generation(w.credentials), 0);
    assert_int_equal(w.reports, 0);
    end(&w);
}

static void test_files_are_followed(UNUSED void **state)
{
    struct world w = {0};
    char paths[4][128];
    static const char *const names[] = {"ca.crt", "me.crt", "me.key", "token"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s", scratch_path(names[i]));
    }
    scratch_put("ca.crt", PEM_CA);
    scratch_put("me.crt", PEM_CERT);
    scratch_put("me.key", PEM_KEY);
    scratch_put("token", "from-file\r\n");
    const struct api_config config = {.ca_file = paths[0],
                                      .cert_file = paths[1],
                                      .key_file = paths[2],
                                      .token_file = paths[3],
                                      .token = (char *)(uintptr_t) "inline"};
    begin(&w, &config);
    expect(&w, "from-file", 1);
    const struct credential_values *values = credentials_values(w.credentials);
    assert_string_equal(values->ca_pem, PEM_CA);
    assert_string_equal(values->cert_pem, PEM_CERT);
    assert_string_equal(values->key_pem, PEM_KEY);
    expect(&w, "from-file", 1);
    scratch_put("token", " next ");
    expect(&w, "next", 2);
    // The same token, spelled otherwise in the file.
    scratch_put("token", "next\n\n");
    expect(&w, "next", 2);
    // A rotated CA is used, but is no other identity.
    scratch_put("ca.crt", PEM_CERT);
    expect(&w, "next", 2);
    assert_string_equal(values->ca_pem, PEM_CERT);
    scratch_put("me.crt", PEM_CA);
    scratch_put("me.key", PEM_KEY PEM_KEY);
    expect(&w, "next", 3);
    assert_string_equal(values->cert_pem, PEM_CA);
    assert_string_equal(values->key_pem, PEM_KEY PEM_KEY);
    assert_int_equal(w.reports, 0);
    end(&w);
}

// What cannot be a token leaves the last one in force, and is said once.
static void test_spoilt_files(UNUSED void **state)
{
    static const char *const bad[] = {
        "", " \n", SECRET " b", SECRET "\r\nX-Evil: 1", SECRET "\rb", SECRET "\nb", SECRET "\x01", SECRET "caf\xc3\xa9",
    };
    struct world w = {0};
    char ca[128];
    char token[128];
    (void)snprintf(ca, sizeof(ca), "%s", scratch_path("ca.crt"));
    (void)snprintf(token, sizeof(token), "%s", scratch_path("token"));
    const struct api_config config = {.ca_file = ca, .token_file = token};
    begin(&w, &config);
    // Nothing yet: not even the first.
    assert_int_equal(prepare(&w), CREDENTIALS_FAILED);
    assert_non_null(strstr(w.heard.data, "ca.crt"));
    scratch_put("ca.crt", PEM_CA);
    assert_int_equal(prepare(&w), CREDENTIALS_FAILED);
    assert_non_null(strstr(w.heard.data, "/token"));
    scratch_put("token", "good");
    expect(&w, "good", 1);
    assert_int_equal(w.reports, 0);
    unsigned reports = 0;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        scratch_put("token", bad[i]);
        for (int again = 0; again < 3; again++) {
            expect(&w, "good", 1);
        }
        // Good again: the same fault is news later.
        scratch_put("token", "good");
        expect(&w, "good", 1);
        assert_int_equal(w.reports, ++reports);
    }
    // Two faults of one file, one behind the other.
    scratch_put("token", "a b");
    expect(&w, "good", 1);
    assert_int_equal(unlink(token), 0);
    expect(&w, "good", 1);
    assert_int_equal(w.reports, reports += 2);
    // A directory, a FIFO and a NUL in its place, and more than a token may have.
    assert_int_equal(mkdir(token, 0700), 0);
    expect(&w, "good", 1);
    assert_int_equal(rmdir(token), 0);
    assert_int_equal(mkfifo(token, 0600), 0);
    expect(&w, "good", 1);
    assert_int_equal(unlink(token), 0);
    static char big[LIMIT_TOKEN + 2];
    memset(big, 'x', LIMIT_TOKEN + 1);
    scratch_put("token", big);
    expect(&w, "good", 1);
    scratch_put_bytes("token", "a\0b", 3);
    expect(&w, "good", 1);
    assert_true(w.reports > reports);
    big[LIMIT_TOKEN] = '\0';
    scratch_put("token", big);
    expect(&w, big, 2);
    // The CA as well.
    reports = w.reports;
    scratch_put("ca.crt", SECRET);
    expect(&w, big, 2);
    expect(&w, big, 2);
    assert_string_equal(credentials_values(w.credentials)->ca_pem, PEM_CA);
    assert_int_equal(w.reports, reports + 1);
    assert_non_null(strstr(w.heard.data, "credentials-unreadable error=\""));
    // Encrypted, of which libcurl or OpenSSL would ask the pass phrase: where it stands, and what to do.
    scratch_put("ca.crt", PEM_CA "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n");
    expect(&w, big, 2);
    assert_string_equal(credentials_values(w.credentials)->ca_pem, PEM_CA);
    assert_int_equal(w.reports, reports + 2);
    assert_non_null(strstr(w.heard.data, "/ca.crt is encrypted"));
    assert_non_null(strstr(w.heard.data, "openssl pkey -in"));
    end(&w);
}

// As client-go: a token beside a file serves as long as there is none in the file.
static void test_token_until_its_file_is_there(UNUSED void **state)
{
    struct world w = {0};
    char path[128];
    (void)snprintf(path, sizeof(path), "%s", scratch_path("token"));
    const struct api_config config = {.token_file = path, .token = (char *)(uintptr_t) "inline"};
    begin(&w, &config);
    expect(&w, "inline", 0);
    scratch_put("token", " \n");
    expect(&w, "inline", 0);
    assert_int_equal(w.reports, 2);
    scratch_put("token", "from-file");
    expect(&w, "from-file", 1);
    assert_int_equal(unlink(path), 0);
    expect(&w, "from-file", 1);
    assert_int_equal(w.reports, 3);
    end(&w);
}

static void link_to(const char *target, const char *name)
{
    char fresh[320];
    (void)snprintf(fresh, sizeof(fresh), "%s", scratch_path("..data_tmp"));
    assert_int_equal(symlink(target, fresh), 0);
    assert_int_equal(rename(fresh, scratch_path(name)), 0);
}

// As kubelet does it: a new directory, then the one link that leads to it is replaced.
static void rotate(unsigned n)
{
    char name[64];
    char text[64];
    (void)snprintf(name, sizeof(name), "..%u", n);
    scratch_mkdir(name);
    (void)snprintf(name, sizeof(name), "..%u/token", n);
    (void)snprintf(text, sizeof(text), "token-%u", n);
    scratch_put(name, text);
    (void)snprintf(name, sizeof(name), "..%u/ca.crt", n);
    (void)snprintf(text, sizeof(text), "-----BEGIN CERTIFICATE-----\n%u\n", n);
    scratch_put(name, text);
    (void)snprintf(name, sizeof(name), "..%u", n);
    link_to(name, "..data");
}

static void test_rotation_of_a_projected_volume(UNUSED void **state)
{
    struct world w = {0};
    struct err err = {0};
    CLEANUP(api_config_free) struct api_config *config = NULL;
    rotate(1);
    link_to("..data/token", "token");
    link_to("..data/ca.crt", "ca.crt");
    assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1), 0);
    assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
    assert_int_equal(kubeconfig_service_account(scratch_dir(), &config, &err), 0);
    begin(&w, config);
    expect(&w, "token-1", 1);
    for (unsigned n = 2; n < 20; n++) {
        char want[64];
        rotate(n);
        (void)snprintf(want, sizeof(want), "token-%u", n);
        expect(&w, want, n);
        expect(&w, want, n);
        (void)snprintf(want, sizeof(want), "-----BEGIN CERTIFICATE-----\n%u\n", n);
        assert_string_equal(credentials_values(w.credentials)->ca_pem, want);
    }
    // A link that leads nowhere, for a while.
    assert_int_equal(unlink(scratch_path("..data")), 0);
    expect(&w, "token-19", 19);
    assert_int_equal(w.reports, 1);
    rotate(20);
    expect(&w, "token-20", 20);
    assert_int_equal(w.reports, 1);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
        TEST(test_what_stands_in_the_configuration),
        TEST(test_files_are_followed),
        TEST(test_spoilt_files),
        TEST(test_token_until_its_file_is_there),
        TEST(test_rotation_of_a_projected_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
